"""Noisy marginals to a graphical model, by mirror descent on the marginal polytope.

The model is the maximum-entropy distribution whose marginals fit the measurements best in weighted least squares. Its
potentials live on the measured cliques, so that a later fit of more measurements can start where this one ended,
whatever junction tree it then needs.
Source: McKenna, Sheldon & Miklau 2019, "Graphical-model based estimation and inference for differential privacy",
algorithm 2 (proximal estimation with an entropic mirror map) with a step that adapts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from privacy.columns import Floats
from synthesizers.marginal.domain import Clique, Domain, project
from synthesizers.marginal.inference import align, beliefs
from synthesizers.marginal.junction_tree import JunctionTree, junction_tree
from synthesizers.marginal.measurement import LinearMeasurement, combined_total

MAX_STEPS = 1_000
TOLERANCE = 1e-5
"""Stop when twenty steps together lower the loss by less than this part of it."""


@dataclass(frozen=True, slots=True)
class MarkovRandomField:
    """A fitted model.

    Attributes:
        tree: its junction tree.
        marginals: non-negative counts on every clique of the tree, each summing to `total`.
        potentials: log potentials on the measured cliques.
        total: estimated number of rows.
    """

    tree: JunctionTree
    marginals: Mapping[Clique, Floats]
    potentials: Mapping[Clique, Floats]
    total: float

    def project(self, clique: Clique) -> Floats:
        """The model's marginal on a clique that lies within one clique of the tree."""
        home = self.tree.home(clique)
        return project(self.marginals[home], home, clique)


def estimate(
    domain: Domain,
    measurements: Sequence[LinearMeasurement],
    start: Mapping[Clique, Floats] | None = None,
    max_steps: int = MAX_STEPS,
    zeros: Mapping[Clique, Floats] | None = None,
) -> MarkovRandomField:
    """Fit the model of the measured cliques.

    Args:
        domain: sizes of all attributes.
        measurements: noisy marginals; cliques may overlap and repeat.
        start: potentials to begin at, such as those of a model of some of the measurements.
        max_steps: steps of descent at most.
        zeros: log potentials that stay as they are: those of structural zeros.
    """
    total = combined_total(tuple(measurements))
    merged = _merged(measurements)
    fixed = zeros or {}
    tree = junction_tree(domain, [*merged, *fixed])
    known = start or {}
    potentials = {c: known[c] if c in known else np.zeros(domain.shape(c)) for c in merged}
    fit = _Fit(tree, merged, {c: tree.home(c) for c in merged}, _on_tree(tree, fixed), total)
    marginals, loss, gradient = fit.at(potentials)
    step = 1.0 / total
    history = [loss]
    for _ in range(max_steps):
        for _ in range(25):
            trial = {c: potentials[c] - step * gradient[c] for c in merged}
            moved, new_loss, new_gradient = fit.at(trial)
            descent = sum(float((gradient[c] * (fit.seen(marginals, c) - fit.seen(moved, c))).sum()) for c in merged)
            if loss - new_loss >= 0.5 * descent:
                break
            step *= 0.5
        potentials, marginals, loss, gradient = trial, moved, new_loss, new_gradient
        step *= 1.1
        history.append(loss)
        if len(history) > 20 and history[-21] - loss <= TOLERANCE * max(loss, 1e-300):
            break
    return MarkovRandomField(tree, marginals, potentials, total)


@dataclass(frozen=True, slots=True)
class _Fit:
    """The objective: half the squared error of every measured clique, weighted by its precision."""

    tree: JunctionTree
    measured: Mapping[Clique, LinearMeasurement]
    homes: Mapping[Clique, Clique]
    fixed: Mapping[Clique, Floats]
    total: float

    def at(self, potentials: Mapping[Clique, Floats]) -> tuple[dict[Clique, Floats], float, dict[Clique, Floats]]:
        """Marginals of the tree, loss, and its gradient with respect to every measured marginal."""
        on_tree = dict(self.fixed)
        for clique, values in potentials.items():
            home = self.homes[clique]
            on_tree[home] = on_tree[home] + align(values, clique, home)
        marginals = beliefs(self.tree, on_tree, self.total)
        loss = 0.0
        gradient = {}
        for clique, measurement in self.measured.items():
            error = self.seen(marginals, clique) - measurement.noisy
            gradient[clique] = error / measurement.variance
            loss += 0.5 * float((error * gradient[clique]).sum())
        return marginals, loss, gradient

    def seen(self, marginals: Mapping[Clique, Floats], clique: Clique) -> Floats:
        """The marginal of a measured clique."""
        home = self.homes[clique]
        return project(marginals[home], home, clique)


def _on_tree(tree: JunctionTree, potentials: Mapping[Clique, Floats]) -> dict[Clique, Floats]:
    """Potentials added up on the cliques of a tree; zero elsewhere."""
    found = {clique: np.zeros(tree.domain.shape(clique)) for clique in tree.cliques}
    for clique, values in potentials.items():
        home = tree.home(clique)
        found[home] = found[home] + align(values, clique, home)
    return found


def _merged(measurements: Sequence[LinearMeasurement]) -> dict[Clique, LinearMeasurement]:
    """One measurement a clique: repeats are averaged by their precision. Totals alone constrain no marginal."""
    found: dict[Clique, LinearMeasurement] = {}
    for one in measurements:
        if not one.clique:
            continue
        other = found.get(one.clique)
        if other is None:
            found[one.clique] = one
        else:
            variance = 1 / (1 / one.variance + 1 / other.variance)
            noisy = variance * (one.noisy / one.variance + other.noisy / other.variance)
            found[one.clique] = LinearMeasurement(one.clique, noisy, variance)
    return found

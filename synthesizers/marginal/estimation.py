"""Noisy marginals to a graphical model, by mirror descent on the marginal polytope.

The model is the maximum-entropy distribution whose marginals fit the measurements best in weighted least squares.
Source: McKenna, Sheldon & Miklau 2019, "Graphical-model based estimation and inference for differential privacy",
algorithm 2 (proximal estimation with an entropic mirror map) with a step that adapts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from privacy.columns import Floats
from synthesizers.marginal.domain import Clique, Domain, project
from synthesizers.marginal.inference import beliefs
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
        total: estimated number of rows.
    """

    tree: JunctionTree
    marginals: dict[Clique, Floats]
    total: float

    def project(self, clique: Clique) -> Floats:
        """The model's marginal on a clique that lies within one clique of the tree."""
        home = self.tree.home(clique)
        return project(self.marginals[home], home, clique)


def estimate(domain: Domain, measurements: Sequence[LinearMeasurement]) -> MarkovRandomField:
    """Fit the model of the measured cliques.

    Args:
        domain: sizes of all attributes.
        measurements: noisy marginals; cliques may overlap.
    """
    rows = combined_total(tuple(measurements))
    tree = junction_tree(domain, [m.clique for m in measurements])
    homes = [tree.home(m.clique) for m in measurements]
    potentials = {clique: np.zeros(domain.shape(clique)) for clique in tree.cliques}
    marginals = beliefs(tree, potentials, rows)
    loss, gradient = _loss(marginals, measurements, homes)
    step = 1.0 / rows
    history = [loss]
    for _ in range(MAX_STEPS):
        for _ in range(25):
            trial = {clique: potentials[clique] - step * gradient[clique] for clique in tree.cliques}
            moved = beliefs(tree, trial, rows)
            new_loss, new_gradient = _loss(moved, measurements, homes)
            descent = sum(float((gradient[c] * (marginals[c] - moved[c])).sum()) for c in tree.cliques)
            if loss - new_loss >= 0.5 * descent:
                break
            step *= 0.5
        potentials, marginals, loss, gradient = trial, moved, new_loss, new_gradient
        step *= 1.1
        history.append(loss)
        if len(history) > 20 and history[-21] - loss <= TOLERANCE * max(loss, 1e-300):
            break
    return MarkovRandomField(tree, marginals, rows)


def _loss(
    marginals: dict[Clique, Floats],
    measurements: Sequence[LinearMeasurement],
    homes: Sequence[Clique],
) -> tuple[float, dict[Clique, Floats]]:
    """Half the weighted squared error, and its gradient with respect to the marginals of the tree's cliques."""
    loss = 0.0
    gradient = {clique: np.zeros(values.shape) for clique, values in marginals.items()}
    for measured, home in zip(measurements, homes, strict=True):
        error = project(marginals[home], home, measured.clique) - measured.noisy
        weighted = error / measured.variance
        loss += 0.5 * float((error * weighted).sum())
        sizes = dict(zip(measured.clique, measured.noisy.shape, strict=True))
        gradient[home] += weighted.reshape(tuple(sizes.get(name, 1) for name in home))
    return loss, gradient

"""MST: one-way marginals, then the pairs of a maximum spanning tree chosen privately.

A pair's score is how far its marginal is from what independence says, in L1 counts, less what noise alone would add;
pairs are chosen one at a time by the exponential mechanism, as in Kruskal's algorithm, and then measured. Adding or
removing a unit with k rows changes every score by at most k, times the weight a declared target has in it.

Source: McKenna, Miklau & Sheldon 2021, "Winning the NIST contest: a scalable and general approach to differentially
private synthetic data", algorithm 1 and section 4. Differences: pairs are measured on cells merged by measured mass,
less of the budget goes to one-way marginals and selection, and the noise is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.random import Generator

from privacy.calibration import calibrate
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.mechanisms import ExponentialMechanism, GaussianMechanism, Integers
from privacy.rows import Rows
from privacy.schema import Budget, Schema
from privacy.statement import Line
from synthesizers.domains import DomainPlan, plan_cost
from synthesizers.marginal.domain import Clique
from synthesizers.marginal.error_bounds import FAILURE, Neighbourhood, Selection, neighbourhoods
from synthesizers.marginal.estimation import estimate
from synthesizers.marginal.measurement import LinearMeasurement, combined_total, measure_marginal
from synthesizers.marginal.model import MarginalModel
from synthesizers.marginal.oneway import OneWayPlan, OneWays
from synthesizers.marginal.structure import fitting, mapped_pairs
from synthesizers.protocol import Estimate, Progress
from synthesizers.size import estimate_run

MODEL_CELLS = 40_000
"""Cells of the junction tree at most, as far as structural zeros are to blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MST:
    """Hyper-parameters: shares of the squared budget (rho), tuned on public data and then frozen.

    Attributes:
        domain_share: share of each domain purchase, relative to that of one one-way marginal.
        one_way_share: share of all one-way marginals.
        selection_share: share of choosing the tree.
        n_cells: cells a column is merged into for pairs.
        target_weight: how much more a pair with the declared target counts: the tree's few edges then serve
            prediction too (HistGB AUC on Adult .83 at weight 1, .90 at 2; two-way distance .047 and .049).
    """

    domain_share: float = 0.5
    one_way_share: float = 0.3
    selection_share: float = 0.1
    n_cells: int = 32
    target_weight: int = 2
    name: str = "mst"

    def plan(self, schema: Schema, budget: Budget) -> MSTPlan:
        """Calibrate all noise to the budget."""
        scale = calibrate(lambda s: self._at(schema, budget, s).cost, budget)
        return self._at(schema, budget, scale)

    def _at(self, schema: Schema, budget: Budget, scale: float) -> MSTPlan:
        """The plan whose rho would be 1 / (2 scale^2) without domains to buy."""
        d = len(schema.columns)
        pairs, fixed = d - 1, mapped_pairs(schema)
        one_way_share = self.one_way_share if pairs else 1.0
        one_way = scale * (d / one_way_share) ** 0.5
        domains = DomainPlan(schema=schema, noise_multiplier=one_way / self.domain_share**0.5, delta=budget.delta)
        pair_share = 1 - self.one_way_share - self.selection_share
        return MSTPlan(
            one_ways=OneWayPlan(domains=domains, noise_multiplier=one_way, n_cells=self.n_cells),
            n_pairs=pairs,
            # n selections of epsilon each cost rho = n epsilon^2 / 8.
            selection_epsilon=2 * (self.selection_share / max(pairs - len(fixed), 1)) ** 0.5 / scale,
            pair_noise_multiplier=scale * (max(pairs, 1) / pair_share) ** 0.5,
            target_weight=self.target_weight,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MSTPlan:
    """A priced run.

    Attributes:
        one_ways: domains and one-way marginals.
        n_pairs: edges of the tree.
        selection_epsilon: pure-DP price of choosing one edge.
        pair_noise_multiplier: noise of a measured pair over its sensitivity.
        target_weight: factor on the scores of pairs with the target, hence on the sensitivity of all scores.
    """

    one_ways: OneWayPlan
    n_pairs: int
    selection_epsilon: float
    pair_noise_multiplier: float
    target_weight: int

    @property
    def selection(self) -> ExponentialMechanism:
        """Chooses one edge; a score moves by at most k, times the weight of the target."""
        return ExponentialMechanism(sensitivity=self._k * self.target_weight, epsilon=self.selection_epsilon)

    @property
    def pair(self) -> GaussianMechanism:
        """Measures one edge."""
        return GaussianMechanism(l2_sensitivity=self._k, stddev=self.pair_noise_multiplier * self._k)

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the budget buys."""
        if not self.n_pairs:
            return self.one_ways.lines
        return (
            *self.one_ways.lines,
            *self._choosing,
            Line(purpose=f"{self.n_pairs} two-way marginals", cost=self.pair.cost * self.n_pairs),
        )

    @property
    def fixed(self) -> tuple[Clique, ...]:
        """Edges the schema asks for: each follows from the other by a map that is read off the model."""
        return mapped_pairs(self.one_ways.domains.schema)

    @property
    def _choosing(self) -> tuple[Line, ...]:
        n = self.n_pairs - len(self.fixed)
        return (Line(purpose=f"choosing {n} pairs of columns", cost=self.selection.cost * n),) if n else ()

    @property
    def cost(self) -> PrivacyCost:
        """The sum of the lines."""
        return plan_cost(self.lines)

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to know."""
        return ()

    @property
    def estimate(self) -> Estimate:
        """Expected time and memory."""
        return estimate_run(self.one_ways, pairs=self.n_pairs)

    @property
    def _k(self) -> int:
        return self.one_ways.domains.schema.unit.max_rows

    def fit(self, train: Rows, privacy: PrivacyFilter, rng: Generator, progress: Progress) -> MarginalModel:  # noqa: ARG002 - sampling alone draws
        """Measure columns, choose a tree, measure its edges, fit the model."""
        progress("measuring one-way marginals")
        found = self.one_ways.measure(train, privacy)
        progress("choosing pairs of columns")
        counts = found.counts(combinations(found.domain.sizes, 2))
        candidates = Candidates.of(found, self.pair.stddev, self.target_weight)
        picks = self._choose(found, candidates, counts, privacy)
        progress("measuring pairs of columns")
        tree = (*self.fixed, *(pick for pick, _ in picks))
        pairs = tuple(measure_marginal(pair, counts[pair], self.pair, privacy) for pair in tree)
        progress("fitting the model")
        measurements = (*found.count, *found.measurements, *pairs)
        zeros = fitting(found.domain, found.zeros, (m.clique for m in pairs), MODEL_CELLS)
        return MarginalModel(
            schema=found.schema,
            attributes=found.attributes,
            merged=found.merged,
            random_field=estimate(found.domain, measurements, zeros=zeros),
            expected_error={**found.expected_error, **{m.clique: m.expected_error for m in pairs}},
            uncertainty=found.uncertainty(
                pairs, self.n_pairs, self._scored(candidates, picks, pairs[len(self.fixed) :])
            ),
        )

    def _choose(
        self, found: OneWays, candidates: Candidates, counts: Mapping[Clique, Integers], privacy: PrivacyFilter
    ) -> list[tuple[Clique, tuple[Clique, ...]]]:
        """Edges of a spanning tree, one exponential mechanism each, and the pairs each was chosen among."""
        scores = candidates.scores(counts)
        component = {name: i for i, name in enumerate(found.domain.sizes)}
        for pair in self.fixed:
            component = _joined(component, pair)
        chosen = []
        for _ in range(self.n_pairs - len(self.fixed)):
            open_pairs = tuple(pair for pair in scores if component[pair[0]] != component[pair[1]])
            pick = open_pairs[privacy.measure(self.selection, np.array([scores[pair] for pair in open_pairs]))]
            chosen.append((pick, open_pairs))
            component = _joined(component, pick)
        return chosen

    def _scored(
        self,
        candidates: Candidates,
        picks: Sequence[tuple[Clique, tuple[Clique, ...]]],
        pairs: Sequence[LinearMeasurement],
    ) -> dict[Clique, Neighbourhood]:
        """What the selections say of every pair: of each the nearest neighbourhood, since all have one centre."""
        nearest: dict[Clique, Neighbourhood] = {}
        for (_, open_pairs), measured in zip(picks, pairs, strict=True):
            said = Selection(
                self.selection, len(open_pairs), candidates.weights, candidates.penalties, FAILURE / self.n_pairs
            )
            near = neighbourhoods(said, {pair: candidates.predicted[pair] for pair in open_pairs}, measured)
            nearest |= {p: n for p, n in near.items() if p not in nearest or n.radius < nearest[p].radius}
        return nearest


def _joined(component: Mapping[str, int], pair: Clique) -> dict[str, int]:
    """Components of a forest with one more edge."""
    kept, lost = component[pair[0]], component[pair[1]]
    return {name: kept if c == lost else c for name, c in component.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """All pairs, and what their scores are made with: public.

    Attributes:
        predicted: counts that independence predicts from the one-way marginals, in rows.
        weights: factor of every pair's score: that of the target, or 1.
        penalties: expected L1 norm of the noise a pair would be measured with, in rows.
    """

    predicted: Mapping[Clique, Integers]
    weights: Mapping[Clique, int]
    penalties: Mapping[Clique, int]

    @staticmethod
    def of(found: OneWays, stddev: float, target_weight: int) -> Candidates:
        """The pairs of what was found, to be measured with a standard deviation."""
        total = combined_total((*found.count, *found.measurements))
        target = found.schema.target.name if found.schema.target else None
        shares = {}
        for measured in found.measurements:
            mass = np.maximum(measured.noisy, 0.0)
            shares[measured.clique[0]] = mass / mass.sum() if mass.sum() > 0 else np.full(len(mass), 1 / len(mass))
        pairs = tuple(combinations(found.domain.sizes, 2))
        return Candidates(
            predicted={(a, b): np.rint(total * np.outer(shares[a], shares[b])).astype(np.int64) for a, b in pairs},
            weights={pair: target_weight if target in pair else 1 for pair in pairs},
            penalties={pair: round(stddev * (2 / np.pi) ** 0.5 * found.domain.n_cells(pair)) for pair in pairs},
        )

    def scores(self, counts: Mapping[Clique, Integers]) -> dict[Clique, int]:
        """Integer scores: private, and each moves by at most k times the target's weight.

        A score is the L1 distance between a pair's counts and the predicted ones, less the expected L1 norm of the
        noise (McKenna et al. 2022, AIM, equation 1), times its weight.
        """
        scores = {}
        for pair, predicted in self.predicted.items():
            distance = int(np.abs(counts[pair] - predicted).sum())
            scores[pair] = self.weights[pair] * (distance - self.penalties[pair])
        return scores

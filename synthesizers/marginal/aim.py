"""AIM: marginals of two and three columns, measured one after the other where the model is worst.

Each round scores every candidate of the workload by how far its counts are from the model's, in L1, less what noise
alone would add; selects one by the exponential mechanism; measures it; and refits the model from where it was. Rounds
start small. When a round moves the model by no more than its noise, the following rounds get four times its rho, and
what is left at the end goes into the last one. A candidate must keep the junction tree within a public number of bytes
that grows as the budget is used.

Source: McKenna, Mullins, Sheldon & Miklau 2022, "AIM: an adaptive and iterative mechanism for differentially private
synthetic data", algorithms 2 and 3, and equation 1 for the score. Differences: candidates are scored against rows drawn
from the model, so that all of them cost one pass; columns are merged into cells first, whose number, like that of the
rounds and the size of the model, follows from the budget and the published number of rows; unless the schema has a
workload of its own, pairs with a declared target weigh double, triples are offered where they hold it, and the first
rounds choose among the pairs with the target. A pair that a map is to be read off is measured before any other.

Adding or removing a unit with k rows changes every score by at most k times the largest weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from privacy.calibration import calibrate
from privacy.cost import PrivacyCost, ZeroConcentrated, once
from privacy.filter import PrivacyFilter
from privacy.mechanisms import ExponentialMechanism, GaussianMechanism, Integers
from privacy.rows import Rows
from privacy.schema import Budget, Schema
from privacy.statement import Line
from synthesizers.domains import DomainPlan, plan_cost
from synthesizers.marginal.domain import Clique
from synthesizers.marginal.error_bounds import FAILURE, Neighbourhood, Selection, neighbourhoods
from synthesizers.marginal.estimation import MarkovRandomField, estimate
from synthesizers.marginal.measurement import LinearMeasurement, first_potential, measure_marginal
from synthesizers.marginal.model import MarginalModel
from synthesizers.marginal.oneway import ROWS_WHERE_UNKNOWN, OneWayPlan, OneWays
from synthesizers.marginal.sampling import predicted_counts, sample_codes
from synthesizers.marginal.structure import mapped_pairs
from synthesizers.marginal.triangulation import n_cells
from synthesizers.marginal.workload import CELL_BYTES, affordable_cells, cells_within, check_fits, workload
from synthesizers.protocol import Estimate, Progress
from synthesizers.size import estimate_rounds

SELECTION_SHARE = 0.1
"""Part of a round's rho that selects; the rest measures."""

GROWTH = 4.0
"""Factor on a round's rho when a round has taught nothing (doubled epsilon, halved noise)."""

USUAL_CELLS = 24
"""Cells a column that `model_bytes` is meant for."""

L1_OF_NOISE = math.sqrt(2 / math.pi)
"""Expected absolute value of a standard normal draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AIM:
    """Hyper-parameters, tuned on public data and then frozen.

    Attributes:
        domain_share: share of each domain purchase, relative to that of one one-way marginal.
        one_way_share: share of all one-way marginals: a column that is badly known spoils every pair it is in.
        rounds_per_column: rounds the rest would last for if no round grew.
        max_rounds: their number at most, for wide tables.
        max_candidates: candidates considered in a round; of more, those that weigh most and a fresh random part.
        triple_columns: width up to which triples are in the workload.
        rows_per_stddev: average count of a pair's cell, in standard deviations of a round's noise, that decides how
            many cells a column is merged into.
        least_cells, most_cells: their number at least and at most; rather than fewer cells there are fewer rounds.
        target_weight: weight of pairs with the target; everything else weighs 1.
        target_rounds: first rounds, which choose among the pairs with the target: in a wide table, where other pairs
            are further from the model, it would else hang together with nothing (HistGB AUC on 77 columns of NHANES
            .48 without, .95 with 3).
        model_bytes: memory the marginals of the junction tree may take, eight bytes a cell, where columns have 24
            cells; in proportion to a pair's cells where they have more or fewer.
        scored_rows: rows drawn from the model to score candidates, at most; four times the table where that is less.
        round_steps: steps of descent after a round; the last fit takes as many as it needs.
    """

    domain_share: float = 0.5
    one_way_share: float = 0.45
    rounds_per_column: float = 2.0
    max_rounds: int = 40
    max_candidates: int = 256
    triple_columns: int = 20
    rows_per_stddev: float = 2.0
    least_cells: int = 10
    most_cells: int = 36
    target_weight: int = 2
    target_rounds: int = 3
    model_bytes: int = 480_000
    scored_rows: int = 100_000
    round_steps: int = 60
    name: str = "aim"

    def plan(self, schema: Schema, budget: Budget) -> AIMPlan:
        """Calibrate one-way marginals and the rounds' total rho to the budget."""
        scale = calibrate(lambda s: self._at(schema, budget, s, (1, self.least_cells)).cost, budget)
        plan = self._at(schema, budget, scale, self._resolution(schema, scale))
        check_fits(schema, plan.one_ways.n_cells, plan.model_cells)
        return plan

    def _at(self, schema: Schema, budget: Budget, scale: float, resolution: tuple[int, int]) -> AIMPlan:
        """The plan whose rho would be 1 / (2 scale^2) without domains to buy; `resolution`: rounds, cells a column."""
        d = len(schema.columns)
        one_way_share = self.one_way_share if d > 1 else 1.0
        one_way = scale * (d / one_way_share) ** 0.5
        domains = DomainPlan(schema=schema, noise_multiplier=one_way / self.domain_share**0.5, delta=budget.delta)
        return AIMPlan(
            method=self,
            one_ways=OneWayPlan(domains=domains, noise_multiplier=one_way, n_cells=resolution[1]),
            rho=(1 - one_way_share) / (2 * scale**2),
            n_rounds=resolution[0],
        )

    def most_rounds(self, schema: Schema) -> int:
        """Rounds a budget lasts for that leaves something to see in the least cells."""
        return max(1, min(self.max_rounds, round(self.rounds_per_column * len(schema.columns))))

    def _resolution(self, schema: Schema, scale: float) -> tuple[int, int]:
        """Rounds, and cells a column: as many as the noise of a round leaves something to see in, by a public rule."""
        rows = schema.n_public.value or ROWS_WHERE_UNKNOWN
        least = len(mapped_pairs(schema)) + 1
        most = max(least, self.most_rounds(schema))
        # The noise of one round alone; a round of n has sqrt(n) times that.
        noise = schema.unit.max_rows * scale / math.sqrt((1 - SELECTION_SHARE) * (1 - self.one_way_share))
        affordable = affordable_cells(rows, noise, self.rows_per_stddev)
        n_rounds = int(np.clip((affordable / self.least_cells) ** 4, least, most))
        cells = int(np.clip(affordable / n_rounds**0.25, self.least_cells, self.most_cells))
        return n_rounds, cells_within(schema, workload(schema, self.target_weight, self.triple_columns), cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class AIMPlan:
    """A priced run.

    Attributes:
        method: hyper-parameters.
        one_ways: domains and one-way marginals.
        rho: zCDP budget of all rounds together; how it is divided depends on what earlier rounds found.
        n_rounds: rounds it would last for if no round grew.
    """

    method: AIM
    one_ways: OneWayPlan
    rho: float
    n_rounds: int

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the budget buys."""
        if self.rho == 0:
            return self.one_ways.lines
        rounds = Line(
            purpose="marginals of two and three columns, chosen in rounds", cost=once(ZeroConcentrated(self.rho))
        )
        return (*self.one_ways.lines, rounds)

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
        return estimate_rounds(
            self.one_ways,
            n_rounds=self.n_rounds,
            n_candidates=self.method.max_candidates,
            scored_rows=self.method.scored_rows,
            model_cells=self.model_cells,
            round_steps=self.method.round_steps,
        )

    @property
    def model_cells(self) -> int:
        """Cells of the junction tree at most."""
        return round(self.method.model_bytes / CELL_BYTES * (self.one_ways.n_cells / USUAL_CELLS) ** 2)

    def fit(self, train: Rows, privacy: PrivacyFilter, rng: Generator, progress: Progress) -> MarginalModel:
        """Measure columns, then rounds of select, measure, refit."""
        progress("measuring one-way marginals")
        found = self.one_ways.measure(train, privacy)
        measurements = [*found.count, *found.measurements]
        model = estimate(found.domain, measurements, zeros=found.zeros)
        weights = workload(found.schema, self.method.target_weight, self.method.triple_columns)
        scored: dict[Clique, Neighbourhood] = {}
        if self.rho:
            progress("choosing and measuring marginals, round by round")
            model = self._rounds(found, weights, measurements, scored, model, privacy, rng)
        progress("fitting the model")
        model = estimate(found.domain, measurements, start=model.potentials, zeros=found.zeros)
        pairs = [m for m in measurements if len(m.clique) > 1]
        return MarginalModel(
            schema=found.schema,
            attributes=found.attributes,
            merged=found.merged,
            random_field=model,
            expected_error={**found.expected_error, **{m.clique: m.expected_error for m in pairs}},
            uncertainty=found.uncertainty(pairs, self.n_rounds, scored),
        )

    def _rounds(
        self,
        found: OneWays,
        weights: Mapping[Clique, int],
        measurements: list[LinearMeasurement],
        scored: dict[Clique, Neighbourhood],
        model: MarkovRandomField,
        privacy: PrivacyFilter,
        rng: Generator,
    ) -> MarkovRandomField:
        """Append rounds to `measurements`, what they say of pairs to `scored`, until rho is used up; the last model."""
        left, part = self.rho, self.rho / self.n_rounds
        asked = mapped_pairs(found.schema)
        truth = found.counts(dict.fromkeys((*weights, *asked)))
        for pair in asked:  # a round each, in which nothing is left to select
            measurements.append(measure_marginal(pair, truth[pair], self._gaussian(part), privacy))
            left -= part
        model = estimate(found.domain, measurements, model.potentials, zeros=found.zeros) if asked else model
        while left > 0:
            part = left if left < 2 * part else part
            selection, measurement = self._mechanisms(part, max(weights.values()))
            # Four rows for one keep the sampling error below the noise worth finding.
            drawn = sample_codes(model, int(np.clip(4 * model.total, 1_000, self.method.scored_rows)), rng)
            used = 1 - (left - part) / self.rho
            open_cliques = self._candidates(found, weights, model, measurements, used, rng)
            scores = np.empty(len(open_cliques), dtype=np.int64)
            centres: dict[Clique, Integers] = {}
            penalties: dict[Clique, int] = {}
            for i, clique in enumerate(open_cliques):
                predicted = np.rint(predicted_counts(found.domain, drawn, clique, model.total)).astype(np.int64)
                penalties[clique] = round(L1_OF_NOISE * measurement.stddev * predicted.size)
                scores[i] = weights[clique] * (int(np.abs(truth[clique] - predicted).sum()) - penalties[clique])
                centres |= {clique: predicted} if len(clique) == 2 else {}
            clique = open_cliques[privacy.measure(selection, scores)]
            measurements.append(measure_marginal(clique, truth[clique], measurement, privacy))
            left = 0.0 if part == left else left - part
            before = predicted_counts(found.domain, drawn, clique, model.total)
            centres[clique] = np.rint(before).astype(np.int64)
            said = Selection(selection, len(open_cliques), weights, penalties, FAILURE / self.n_rounds)
            near = neighbourhoods(said, centres, measurements[-1])
            scored |= {pair: near[pair] for pair in near if len(pair) == 2}
            start = {clique: first_potential(measurements[-1], before), **model.potentials}
            model = estimate(found.domain, measurements, start, self.method.round_steps, found.zeros)
            moved = float(np.abs(model.project(clique) - before).sum())
            if moved <= L1_OF_NOISE * measurement.stddev * before.size:
                part = GROWTH * part
        return model

    def _mechanisms(self, rho: float, weight: int) -> tuple[ExponentialMechanism, GaussianMechanism]:
        """Selection and measurement that cost rho together: epsilon^2 / 8 and 1 / (2 noise_multiplier^2)."""
        k = self.one_ways.domains.schema.unit.max_rows
        epsilon = math.sqrt(8 * SELECTION_SHARE * rho)
        return ExponentialMechanism(sensitivity=k * weight, epsilon=epsilon), self._gaussian(
            (1 - SELECTION_SHARE) * rho
        )

    def _gaussian(self, rho: float) -> GaussianMechanism:
        k = self.one_ways.domains.schema.unit.max_rows
        return GaussianMechanism(l2_sensitivity=k, stddev=k / math.sqrt(2 * rho))

    def _offered(
        self,
        schema: Schema,
        weights: Mapping[Clique, int],
        measurements: list[LinearMeasurement],
        rng: Generator,
    ) -> list[Clique]:
        """Pairs with the target in the first rounds, lest little be known of it; later the workload.

        Of a workload that is too long those that weigh most are offered, and a fresh random part of the others.
        """
        target = schema.target.name if schema.target else None
        with_target: list[Clique] = [clique for clique in weights if target in clique and len(clique) == 2]
        known = sum(target in m.clique and len(m.clique) > 1 for m in measurements)
        if known < min(self.method.target_rounds, len(with_target)):
            return with_target
        cliques = list(weights)
        if len(cliques) <= self.method.max_candidates:
            return cliques
        mixed = (cliques[i] for i in rng.permutation(len(cliques)))
        return sorted(mixed, key=weights.__getitem__, reverse=True)[: self.method.max_candidates]

    def _candidates(
        self,
        found: OneWays,
        weights: Mapping[Clique, int],
        model: MarkovRandomField,
        measurements: list[LinearMeasurement],
        used: float,
        rng: Generator,
    ) -> list[Clique]:
        """Cliques whose measurement keeps the junction tree within its share of cells; those inside it always do."""
        domain, offered = found.domain, self._offered(found.schema, weights, measurements, rng)
        held = {*found.zeros, *(m.clique for m in measurements if len(m.clique) > 1)}
        limit = max(used, 0.25) * self.model_cells
        fitting = [
            clique
            for clique in offered
            if any(set(clique) <= set(home) for home in model.tree.cliques)
            or (domain.n_cells(clique) <= limit and n_cells(domain, [*held, clique]) <= limit)
        ]
        # A pair the tree holds is never refused, and before the first round every pair is small enough.
        return fitting or [min(weights, key=domain.n_cells)]

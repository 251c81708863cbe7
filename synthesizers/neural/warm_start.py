"""What both adversarial generators buy first: one-way marginals, and the two-way marginals of a public list of pairs.

The pairs are fixed before anything is measured (all of them, in tables of few columns), so the whole plan is priced by
privacy-loss distributions. The generator is fitted to these marginals before an adversary sees it: what they say, it
need not learn from noisy gradients or votes.
Source: Liu et al. 2021, "Iterative methods for private synthetic data: unifying framework and new methods" (GEM: a
network fitted to noisy marginals), here with a fixed list.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism
from privacy.rows import Rows
from privacy.schema import Schema
from privacy.statement import Line
from synthesizers.domains import DomainPlan
from synthesizers.marginal.domain import Clique
from synthesizers.marginal.measurement import LinearMeasurement, combined_total, measure_marginal
from synthesizers.marginal.oneway import OneWayPlan, OneWays
from synthesizers.marginal.structure import mapped_pairs

DOMAIN_SHARE = 0.5
"""Share of each domain purchase, relative to that of one one-way marginal."""

ONE_WAY_SHARE = 0.15
"""Share of the one-way marginals in what the warm start may spend, as squared budget."""


MAX_WIDTH, LEAST_CELLS = 480, 6
"""Cells of all columns together that a table's columns share: a step of training costs their square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStartMethod:
    """Hyper-parameters of what both generators begin and end with, tuned on public data and then frozen.

    Attributes:
        n_cells: cells a column is merged into; fewer in tables of many columns.
        max_pairs: pairs of columns measured at most.
        hidden, depth: of the generator.
        pretraining_steps: steps the generator is fitted to the marginals for.
        tilt_rows, tilt_steps: generated rows the final weights are fitted to, and the steps of that at most.
        device: "auto", "cpu", "cuda" or one of several, as "cuda:1".
    """

    n_cells: int = 24
    max_pairs: int = 200
    hidden: int = 256
    depth: int = 2
    pretraining_steps: int = 1500
    tilt_rows: int = 40_000
    tilt_steps: int = 120
    device: str = "auto"

    def plan(self, schema: Schema, delta: float, scale: float) -> WarmStartPlan:
        """The plan that costs as much as one Gaussian of noise multiplier `scale`, beside domains to be bought.

        Args:
            schema: modelled columns.
            delta: total delta of the release, of which category lists use a part.
            scale: noise multiplier all of it composes to.
        """
        pairs = pairs_of(schema, self.max_pairs)
        d = len(schema.columns)
        n_cells = min(self.n_cells, max(LEAST_CELLS, MAX_WIDTH // d))
        one_way_share = ONE_WAY_SHARE if pairs else 1.0
        one_way = scale * (d / one_way_share) ** 0.5
        domains = DomainPlan(schema=schema, noise_multiplier=one_way / DOMAIN_SHARE**0.5, delta=delta)
        return WarmStartPlan(
            one_ways=OneWayPlan(domains=domains, noise_multiplier=one_way, n_cells=n_cells),
            pairs=pairs,
            noise_multiplier=scale * (max(len(pairs), 1) / (1 - ONE_WAY_SHARE)) ** 0.5,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """What was measured. Public, but for `found.train`.

    Attributes:
        found: one-way marginals and cells.
        pairs: two-way marginals.
    """

    found: OneWays
    pairs: tuple[LinearMeasurement, ...]

    @property
    def total(self) -> float:
        """Measured estimate of the number of rows."""
        return combined_total((*self.found.count, *self.found.measurements, *self.pairs))

    @property
    def expected_error(self) -> dict[Clique, float]:
        """Expected total variation distance of every measured marginal, by its noise alone."""
        return {**self.found.expected_error, **{m.clique: m.expected_error for m in self.pairs}}


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStartPlan:
    """A priced first half.

    Attributes:
        one_ways: domains and one-way marginals.
        pairs: the pairs of columns to measure.
        noise_multiplier: noise of one pair over its sensitivity.
    """

    one_ways: OneWayPlan
    pairs: tuple[Clique, ...]
    noise_multiplier: float

    @property
    def schema(self) -> Schema:
        """The schema as declared."""
        return self.one_ways.domains.schema

    @property
    def pair(self) -> GaussianMechanism:
        """Measures one pair: a unit with k rows moves it by at most k in L2."""
        k = self.schema.unit.max_rows
        return GaussianMechanism(l2_sensitivity=k, stddev=self.noise_multiplier * k)

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the first half buys."""
        if not self.pairs:
            return self.one_ways.lines
        pairs = Line(purpose=f"{len(self.pairs)} two-way marginals", cost=self.pair.cost * len(self.pairs))
        return (*self.one_ways.lines, pairs)

    def measure(self, train: Rows, privacy: PrivacyFilter) -> WarmStart:
        """Buy it."""
        found = self.one_ways.measure(train, privacy)
        counts = found.counts(self.pairs)
        pairs = tuple(measure_marginal(pair, counts[pair], self.pair, privacy) for pair in self.pairs)
        return WarmStart(found=found, pairs=pairs)


def trusted(noise: float) -> float:
    """Factor on the weight of an adversary that learns through noise: 1 without noise, 1/2 at its signal's size.

    An adversary that has heard nothing but noise still has an opinion, and a generator that followed it would leave
    what was measured behind.
    """
    return 1 / (1 + noise**2)


def pairs_of(schema: Schema, max_pairs: int) -> tuple[Clique, ...]:
    """The pairs to measure, from public facts: those of the schema's workload, or all, or as many as are allowed.

    Of too many, pairs that a map is to be read off come first, then pairs with the target, then neighbours in the
    schema, then columns two apart, and so on.
    """
    names, mapped = schema.names, mapped_pairs(schema)
    if schema.workload is not None:
        within = {*mapped, *(pair for clique in schema.workload for pair in combinations(clique, 2))}
        return tuple(pair for pair in combinations(names, 2) if pair in within)
    target = schema.target.name if schema.target else None
    place = {name: i for i, name in enumerate(names)}
    ordered = sorted(
        combinations(names, 2),
        key=lambda pair: (pair not in mapped, target not in pair, place[pair[1]] - place[pair[0]]),
    )
    return tuple(ordered[:max_pairs])

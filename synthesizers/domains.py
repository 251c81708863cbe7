"""Buying what the schema leaves to be measured: bounds, category lists and the row count.

Bounds come from a histogram over public bins that cover every number (quarter octaves, or years for dates): the first
and last bin whose noisy count is significant, or for a heavy tail the bins beyond which a declared share lies. The
histogram is kept, since it costs nothing more to let it shape the bins too. Bins that follow the values more closely
are bought on request (`synthesizers.bins`). Category lists come from a thresholded histogram over distinct units; a
level nobody else has appears with probability at most delta_c, and that delta is a line of the price. What one unit
can change: one count a row, so k in L2 for histograms of a unit with k rows and sqrt(k) where distinct units are
counted.

Source: Korolova et al. 2009 and Wilkins et al. 2024 (thresholded histograms); decision on units in `privacy.unit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import norm

from privacy.columns import SECONDS_PER_DAY, Bins, Column, Floats, LevelColumn, NumberColumn, NumberKind
from privacy.cost import Discovery, PrivacyCost, once
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism
from privacy.schema import Schema
from privacy.statement import Line
from privacy.table import Table
from synthesizers.bins import SENSITIVITY, CountTree, tree_counts

FALSE_BIN = 0.01
"""Probability that noise alone makes an empty bin look occupied, over all bins of a histogram together."""

OCTAVES = 44
DELTA_SHARE = 0.1
"""Share of the total delta that category lists may use."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """A bought histogram of one number column.

    Attributes:
        edges: bin edges, shape (m + 1,).
        counts: noisy counts, shape (m,).
        stddev: standard deviation of their noise.
    """

    edges: Floats
    counts: Floats
    stddev: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains:
    """What was bought.

    Attributes:
        schema: the resolved schema.
        histograms: what bounds were read off, by column.
        trees: what bins are read off, by column.
        n_rows: noisy number of rows, if it was asked for.
        n_rows_variance: variance of its noise.
    """

    schema: Schema
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    trees: Mapping[str, CountTree] = field(default_factory=dict)
    n_rows: float | None = None
    n_rows_variance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPlan:
    """The purchases a schema asks for, at one noise level.

    Attributes:
        schema: the declared schema.
        noise_multiplier: noise of each purchase over its sensitivity.
        delta: total delta of the release; a share of it pays for discovered lists.
    """

    schema: Schema
    noise_multiplier: float
    delta: float

    @property
    def bounds(self) -> tuple[NumberColumn, ...]:
        """Columns whose bounds are bought."""
        wanted = self.schema.measured
        return tuple(c for c in self.schema.columns if isinstance(c, NumberColumn) and c.name in wanted)

    @property
    def lists(self) -> tuple[LevelColumn, ...]:
        """Columns whose category lists are bought."""
        wanted = self.schema.measured
        return tuple(c for c in self.schema.columns if isinstance(c, LevelColumn) and c.name in wanted)

    @property
    def binned(self) -> tuple[NumberColumn, ...]:
        """Columns whose bins are bought."""
        return tuple(c for c in self.schema.columns if isinstance(c, NumberColumn) and c.bins is not Bins.UNIFORM)

    @property
    def list_delta(self) -> float:
        """Failure probability of one discovered list."""
        return DELTA_SHARE * self.delta / max(1, len(self.lists))

    @property
    def lines(self) -> tuple[Line, ...]:
        """One line a kind of purchase."""
        one = self._mechanism(1.0).cost
        lists = one * len(self.lists) + once(Discovery(self.list_delta)) * len(self.lists)
        priced = (
            ("bounds of " + _names(self.bounds), one * len(self.bounds), len(self.bounds)),
            ("bins of " + _names(self.binned), one * len(self.binned), len(self.binned)),
            ("category lists of " + _names(self.lists), lists, len(self.lists)),
            ("number of rows", one, int(self.schema.n_public.measured)),
        )
        return tuple(Line(purpose=purpose, cost=cost) for purpose, cost, n in priced if n)

    def buy(self, train: Table, privacy: PrivacyFilter) -> Domains:
        """Buy everything, in schema order."""
        k = self.schema.unit.max_rows
        bought: dict[str, Column] = {}
        histograms = {}
        for number in self.bounds:
            edges = public_edges(number)
            counts = np.histogram(_inside(train.numbers(number.name), edges), edges)[0].astype(np.int64)
            noisy = privacy.measure(self._mechanism(k), counts).astype(np.float64)
            histograms[number.name] = Histogram(edges, noisy, self._mechanism(k).stddev)
            bought[number.name] = _bounded(number, histograms[number.name])
        trees = {}
        for asked in self.binned:
            number = self._bound(asked, bought)
            mechanism = self._mechanism(k * SENSITIVITY)
            counts = tree_counts(number, train.numbers(number.name))
            trees[number.name] = CountTree(
                number, privacy.measure(mechanism, counts).astype(np.float64), mechanism.stddev
            )
        for level in self.lists:
            bought[level.name] = self._discover(level, train, privacy)
        n_rows = None
        if self.schema.n_public.measured:
            count = np.array([len(train)], dtype=np.int64)
            n_rows = float(privacy.measure(self._mechanism(k), count)[0])
        return Domains(
            schema=self.schema.with_columns(bought),
            histograms=histograms,
            trees=trees,
            n_rows=n_rows,
            n_rows_variance=self._mechanism(k).stddev ** 2,
        )

    @staticmethod
    def _bound(column: NumberColumn, bought: Mapping[str, Column]) -> NumberColumn:
        """A column with its bounds, which may have been bought just now."""
        found = bought.get(column.name, column)
        if not isinstance(found, NumberColumn):
            raise TypeError(f"'{column.name}' is not a number")
        return found

    def _mechanism(self, l2_sensitivity: float) -> GaussianMechanism:
        return GaussianMechanism(l2_sensitivity=l2_sensitivity, stddev=self.noise_multiplier * l2_sensitivity)

    def _discover(self, column: LevelColumn, train: Table, privacy: PrivacyFilter) -> LevelColumn:
        """The levels whose noisy number of distinct units passes the threshold, at most `max_levels` of them."""
        k = self.schema.unit.max_rows
        words = train.vocabularies[column.name]
        codes = train.codes(column.name)
        known = codes < len(words)
        pairs = np.unique(np.stack([codes[known].astype(np.int64), train.units[known]]), axis=1)
        counts = np.bincount(pairs[0], minlength=len(words)).astype(np.int64)
        mechanism = self._mechanism(math.sqrt(k))
        privacy.spend(once(Discovery(self.list_delta)))
        noisy = privacy.measure(mechanism, counts)
        # A level of one unit alone has the count 1; the noise is rounded, hence the half.
        threshold = 1.5 + mechanism.stddev * norm.isf(self.list_delta / k)
        kept = np.flatnonzero(noisy >= threshold)
        cap = column.max_levels or len(words)
        strongest = kept[np.argsort(-noisy[kept], kind="stable")][:cap]
        # Sorted by text: the order in which levels first appear in the file is private.
        return replace(column, levels=tuple(sorted(words[code] for code in strongest)))


def plan_cost(lines: tuple[Line, ...]) -> PrivacyCost:
    """The sum of the lines of a price."""
    return sum((line.cost for line in lines), PrivacyCost())


def public_edges(column: NumberColumn) -> Floats:
    """Edges of bins that cover every value a column could have, from its declaration alone, shape (m + 1,).

    Dates get a bin a year from 1900 to 2100. Numbers get quarter octaves of the distance from a declared bound, or
    from zero to both sides; whole numbers start at 1, others at 2^-10.
    """
    if column.kind in (NumberKind.DATE, NumberKind.DATETIME):
        years = np.arange(1900, 2101).astype(str).astype("datetime64[D]").astype(np.int64).astype(np.float64)
        edges = years if column.kind is NumberKind.DATE else years * SECONDS_PER_DAY
        low = edges[0] if column.minimum is None else column.minimum
        high = edges[-1] if column.maximum is None else column.maximum
        return np.unique(np.concatenate([[low], edges[(edges > low) & (edges < high)], [high]]))
    smallest = 0 if column.is_discrete else -10
    steps = 2.0 ** np.arange(smallest, OCTAVES, 0.25)
    steps = np.unique(np.rint(steps)) if column.is_discrete else steps
    if column.minimum is not None:
        return column.minimum + np.concatenate([[0.0], steps])
    if column.maximum is not None:
        return column.maximum - np.concatenate([steps[::-1], [0.0]])
    return np.concatenate([-steps[::-1], [0.0], steps])


def _inside(values: Floats, edges: Floats) -> Floats:
    present = values[~np.isnan(values)]
    return np.clip(present, edges[0], edges[-1])


def _bounded(column: NumberColumn, histogram: Histogram) -> NumberColumn:
    """The column with its unknown bounds at the outermost significant bins.

    Of a column with a tail they move inwards, as long as the bins that are left out hold no more than its share of what
    was counted in significant bins.
    """
    threshold = histogram.stddev * norm.isf(FALSE_BIN / len(histogram.counts))
    significant = np.flatnonzero(histogram.counts > threshold)
    if len(significant) == 0:
        significant = np.array([int(np.argmax(histogram.counts))])
    mass = histogram.counts[significant]
    most = column.tail * mass.sum()
    from_below = int(np.searchsorted(np.cumsum(mass), most, side="right")) if column.minimum is None else 0
    from_above = int(np.searchsorted(np.cumsum(mass[::-1]), most, side="right")) if column.maximum is None else 0
    significant = significant[from_below : len(significant) - from_above]
    # The upper edge of a bin belongs to the next one, so a whole number below it is the largest the bin holds.
    step = 1.0 if column.is_discrete else 0.0
    low, high = histogram.edges[significant[0]], histogram.edges[significant[-1] + 1] - step
    minimum = float(low) if column.minimum is None else column.minimum
    maximum = float(high) if column.maximum is None else column.maximum
    return replace(column, minimum=min(minimum, maximum), maximum=max(minimum, maximum))


def _names(columns: tuple[Column, ...]) -> str:
    return ", ".join(column.name for column in columns)

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
from functools import partial

import numpy as np
from scipy.stats import norm

from privacy.columns import SECONDS_PER_DAY, Bins, Column, Floats, LevelColumn, NumberColumn, NumberKind
from privacy.cost import Discovery, PrivacyCost, once
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism
from privacy.rows import Rows
from privacy.schema import Schema
from privacy.statement import Line
from privacy.table import Counts, Table
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

    def buy(self, train: Rows, privacy: PrivacyFilter) -> Domains:
        """Buy everything, in schema order; counted in one pass, and in a second one where bins follow bounds."""
        if not self.lines:
            return Domains(schema=self.schema)
        k = self.schema.unit.max_rows
        exact = train.total(DomainCounts(self.bounds, self.lists if self.schema.unit.field is None else ()))
        bought: dict[str, Column] = {}
        histograms = {}
        for number in self.bounds:
            noisy = privacy.measure(self._mechanism(k), exact[number.name,]).astype(np.float64)
            histograms[number.name] = Histogram(public_edges(number), noisy, self._mechanism(k).stddev)
            bought[number.name] = _bounded(number, histograms[number.name])
        trees = {}
        binned = tuple(self._bound(asked, bought) for asked in self.binned)
        leaves = train.total(TreeCounts(binned)) if binned else {}
        for number in binned:
            mechanism = self._mechanism(k * SENSITIVITY)
            noisy = privacy.measure(mechanism, leaves[number.name,]).astype(np.float64)
            trees[number.name] = CountTree(number, noisy, mechanism.stddev)
        for level in self.lists:
            if self.schema.unit.field is None:
                units = {key[1]: int(n) for key, n in exact.items() if len(key) == 2 and key[0] == level.name}
            else:
                units = _persons(level, train)
            bought[level.name] = self._discover(level, units, privacy)
        n_rows = None
        if self.schema.n_public.measured:
            n_rows = float(privacy.measure(self._mechanism(k), exact[()])[0])
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

    def _discover(self, column: LevelColumn, units: Mapping[str, int], privacy: PrivacyFilter) -> LevelColumn:
        """The levels whose noisy number of distinct units passes the threshold, at most `max_levels` of them."""
        k = self.schema.unit.max_rows
        # Sorted by text: the order in which levels first appear in the file is private.
        words = sorted(units)
        counts = np.array([units[word] for word in words], dtype=np.int64)
        mechanism = self._mechanism(math.sqrt(k))
        privacy.spend(once(Discovery(self.list_delta)))
        noisy = privacy.measure(mechanism, counts)
        # A level of one unit alone has the count 1; the noise is rounded, hence the half.
        threshold = 1.5 + mechanism.stddev * norm.isf(self.list_delta / k)
        kept = np.flatnonzero(noisy >= threshold)
        cap = column.max_levels or len(words)
        strongest = kept[np.argsort(-noisy[kept], kind="stable")][:cap]
        return replace(column, levels=tuple(sorted(words[code] for code in strongest)))


@dataclass(frozen=True, slots=True)
class DomainCounts:
    """Counts rows, and rows by public bin of a number column and by text of a column with levels.

    Keys are (), (column,) and (column, text).
    """

    bounds: tuple[NumberColumn, ...]
    lists: tuple[LevelColumn, ...]

    def __call__(self, table: Table) -> Counts:
        """The counts of one table."""
        counts: Counts = {(): np.array([len(table)], dtype=np.int64)}
        for number in self.bounds:
            edges = public_edges(number)
            counts[number.name,] = np.histogram(_inside(table.numbers(number.name), edges), edges)[0].astype(np.int64)
        for level in self.lists:
            # All of them, those of no row here too: what is asked must not depend on who is in the table.
            words = table.vocabularies[level.name]
            held = np.bincount(table.codes(level.name), minlength=len(words))[: len(words)].astype(np.int64)
            counts |= {(level.name, word): held[code] for code, word in enumerate(words)}
        return counts


@dataclass(frozen=True, slots=True)
class TreeCounts:
    """Counts rows by node of the tree that bins of a column are read off, by (column,)."""

    columns: tuple[NumberColumn, ...]

    def __call__(self, table: Table) -> Counts:
        """The counts of one table."""
        return {(column.name,): tree_counts(column, table.numbers(column.name)) for column in self.columns}


def _persons(column: LevelColumn, train: Rows) -> dict[str, int]:
    """Distinct persons by text of one column, which is held in memory: they do not add up over batches."""
    alone = train.mapped(partial(Table.only, schema=replace(train.schema, columns=(column,)))).whole()
    words = alone.vocabularies[column.name]
    codes = alone.codes(column.name)
    known = codes < len(words)
    pairs = np.unique(np.stack([codes[known].astype(np.int64), alone.units[known]]), axis=1)
    held = np.bincount(pairs[0], minlength=len(words))
    return {word: int(held[code]) for code, word in enumerate(words)}


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

"""From a resolved schema to finite codes, and back.

Every column becomes an `Attribute`: levels keep their codes (OTHER and missing included); numbers fall into bins, with
one more code for missing. The grid of a number column follows from public facts and from histograms already bought, so
it costs nothing: where a heavy tail was found, bins are narrow where the mass is and wide in the tail.

After the one-way marginals have been measured, `merge` joins neighbouring bins and rare levels into fewer cells for
the marginals of pairs, and remembers the measured shares inside each cell, so that a value drawn from a cell has the
measured one-way distribution again. Zhang et al. 2021 ("PrivSyn") and McKenna et al. 2021 (MST) merge rare levels; the
merging of neighbouring bins by measured mass is the same idea for ordered columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from privacy.columns import Codes, Floats, LevelColumn, NumberColumn
from privacy.conditions import Condition, LevelsAllowed, NumbersAllowed
from privacy.schema import Schema
from privacy.table import Table, make_table
from synthesizers.domains import Domains, Histogram

MAX_UNIT_BINS = 256
"""A whole-number column with at most this many values keeps them all: spikes (40 hours a week) matter, and `merge`
smooths what the noise hides."""

MASS_SHARE = 0.7
"""How far bins follow the measured mass; the rest follows width, so that an empty stretch is cut too."""

DIGITS = 4
"""Significant digits of the range that a drawn real number keeps."""

SPECIAL_STDDEVS = 4.0
"""How many standard deviations of noise a count of OTHER or missing must pass to be believed. Noise that passes puts
cells into every drawn table that the real one lacks, a level outside a label among them. A table of fifteen columns has
about thirty such counts: three standard deviations let one of them through in one run of twenty-five, four in one of a
thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One column as codes 0..size-1.

    Attributes:
        column: the resolved column.
        edges: bin edges of a number column, shape (m + 1,); None for levels. Bins are half-open. Edges of a discrete
            column are whole and end one above its maximum.
        size: number of codes, missing included.
    """

    column: LevelColumn | NumberColumn
    edges: Floats | None
    size: int

    @property
    def is_ordered(self) -> bool:
        """Whether neighbouring codes are similar values."""
        return isinstance(self.column, NumberColumn) or self.column.ordered

    @property
    def n_ordinary(self) -> int:
        """Codes before the special ones: OTHER and missing of levels, missing of numbers."""
        return self.size - (1 if self.edges is not None else 2)

    @property
    def widths(self) -> Floats:
        """How much of the column a code stands for, shape (size,): the width of a bin; 1 for everything else."""
        return np.ones(self.size) if self.edges is None else np.append(np.diff(self.edges), 1.0)

    def encode(self, values: npt.NDArray[Any]) -> npt.NDArray[np.integer]:
        """Codes of a conformed column, codes or numbers, shape (n,)."""
        if self.edges is None:
            return values
        bins = np.clip(np.searchsorted(self.edges, values, side="right") - 1, 0, self.size - 2)
        return np.where(np.isnan(values), self.size - 1, bins).astype(np.int32)

    def can_meet(self, condition: Condition) -> npt.NDArray[np.bool_]:
        """Which codes can stand for a value that meets a condition on the column, shape (size,)."""
        if isinstance(self.column, LevelColumn) and isinstance(condition, LevelsAllowed):
            return condition.allows(self.column.declared, self.column.other)
        if self.edges is None or not isinstance(condition, NumbersAllowed):
            raise TypeError(f"the condition is not one of '{self.column.name}'")
        # Edges count as inside: a value may be rounded onto one.
        overlaps = (self.edges[:-1] <= condition.maximum) & (self.edges[1:] >= condition.minimum)
        return np.append(overlaps, condition.missing)

    def must_meet(self, condition: Condition) -> npt.NDArray[np.bool_]:
        """Which codes stand for nothing but values that meet a condition on the column, shape (size,)."""
        if isinstance(self.column, LevelColumn) or self.edges is None:
            return self.can_meet(condition)
        if not isinstance(condition, NumbersAllowed):
            raise TypeError(f"the condition is not one of '{self.column.name}'")
        last = self.edges[1:] - (1.0 if self.column.is_discrete else 0.0)
        inside = (self.edges[:-1] >= condition.minimum) & (last <= condition.maximum)
        return np.append(inside, condition.missing)

    def decode(self, codes: Codes, rng: Generator) -> npt.NDArray[np.int32] | Floats:
        """Codes or values of drawn codes. Within a bin values are spread evenly, by stratified draws."""
        if self.edges is None or isinstance(self.column, LevelColumn):
            return codes.astype(np.int32)
        missing = codes == self.size - 1
        bins = np.where(missing, 0, codes)
        low, high = self.edges[bins], self.edges[bins + 1]
        place = _stratified(codes, rng)
        if self.column.is_discrete:
            values = low + np.floor(place * (high - low))
        else:
            values = low + place * (high - low)
            values = np.round(values, _decimals(self.column))
        return np.where(missing, np.nan, self.column.clamp(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """An attribute with codes joined into cells.

    Attributes:
        cell_of: cell of every code, shape (size,).
        share: measured share of every code within its cell, shape (size,); sums to 1 over each cell.
        n_cells: number of cells.
    """

    cell_of: npt.NDArray[np.int64]
    share: Floats
    n_cells: int

    def all_of(self, met: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which cells have only codes of a kind among those that are ever drawn, shape (n_cells,)."""
        others = np.bincount(self.cell_of, self.share * ~met, minlength=self.n_cells)
        found: npt.NDArray[np.bool_] = others == 0
        return found

    def expand(self, cells: Codes, rng: Generator) -> Codes:
        """Codes drawn within cells by the measured shares, rounding each cell's counts to whole rows."""
        codes = np.empty(len(cells), dtype=np.int32)
        for cell in range(self.n_cells):
            rows = np.flatnonzero(cells == cell)
            members = np.flatnonzero(self.cell_of == cell)
            counts = round_counts(self.share[members] * len(rows), len(rows), rng)
            codes[rng.permutation(rows)] = np.repeat(members, counts)
        return codes


def narrowed_cells(merged: Merged, met: npt.NDArray[np.bool_]) -> tuple[Merged, Floats]:
    """Cells of which only some codes may be drawn, and the share of each cell that they had, shape (n_cells,)."""
    share = merged.share * met
    weight = np.bincount(merged.cell_of, share, minlength=merged.n_cells).astype(np.float64)
    whole = weight[merged.cell_of]
    within = np.divide(share, whole, out=share.copy(), where=whole > 0)
    return replace(merged, share=within), weight


def narrowed_by(
    conditions: tuple[Condition, ...], attributes: tuple[Attribute, ...], merged: Mapping[str, Merged]
) -> dict[str, tuple[Merged, Floats]]:
    """By column that a condition names: cells with only the codes that can meet it, and the share each cell had."""
    found = {}
    for attribute in attributes:
        name = attribute.column.name
        met = [attribute.can_meet(c) for c in conditions if c.column == name]
        if met:
            found[name] = narrowed_cells(merged[name], np.logical_and.reduce(met))
    return found


def attributes_of(bought: Domains, n_bins: int) -> tuple[Attribute, ...]:
    """Attributes of a resolved schema; number columns get about `n_bins` bins."""
    found = []
    for column in bought.schema.columns:
        if isinstance(column, LevelColumn):
            found.append(Attribute(column=column, edges=None, size=column.n_codes))
        else:
            edges = _edges(column, bought, n_bins)
            found.append(Attribute(column=column, edges=edges, size=len(edges)))
    return tuple(found)


def decode_table(
    schema: Schema, attributes: tuple[Attribute, ...], codes: Mapping[str, Codes], rng: Generator
) -> Table:
    """A table from drawn codes."""
    return make_table(schema, {a.column.name: a.decode(codes[a.column.name], rng) for a in attributes})


def merge(
    attribute: Attribute,
    noisy: Floats,
    stddev: float,
    n_cells: int,
    apart: npt.NDArray[np.int64] | None = None,
) -> Merged:
    """Join codes into at most about `n_cells` cells, from measured counts alone.

    Levels whose noisy count is not significant are joined into one cell; neighbours of an ordered column are joined
    until they hold their part of the mass, so that a spike keeps a cell of its own. OTHER and missing get a cell where
    their count is significant, and none otherwise: they are then never drawn.

    Args:
        attribute: the attribute, of size s.
        noisy: noisy counts, shape (s,).
        stddev: their standard deviation.
        n_cells: number of cells aimed at.
        apart: a number for every code, shape (s,): ordinary codes of different numbers are not joined; None: all alike.
    """
    ordinary, mass = attribute.n_ordinary, np.maximum(noisy, 0.0)
    apart = np.zeros(attribute.size, dtype=np.int64) if apart is None else apart
    total = max(mass[:ordinary].sum(), 1.0)
    cell_of = np.zeros(attribute.size, dtype=np.int64)
    if attribute.is_ordered:
        n = 0
        held = 0.0
        for code in range(ordinary):
            full = held >= total / n_cells or mass[code] >= total / n_cells
            if code and (full or apart[code] != apart[code - 1]):
                n, held = n + 1, 0.0
            cell_of[code] = n
            held += mass[code]
        n += 1
    else:
        kept = np.flatnonzero(noisy[:ordinary] > max(3 * stddev, total / (8 * n_cells)))
        kept = kept[np.argsort(-noisy[kept], kind="stable")][: max(1, n_cells - 1)]
        rest = np.setdiff1d(np.arange(ordinary), kept)
        kinds, kind_of = np.unique(apart[rest], return_inverse=True)
        cell_of[rest] = len(kept) + kind_of
        cell_of[np.sort(kept)] = np.arange(len(kept))
        n = len(kept) + len(kinds)
    drawn = mass.copy()
    for code in range(ordinary, attribute.size):
        if noisy[code] > SPECIAL_STDDEVS * stddev:
            cell_of[code], n = n, n + 1
        else:
            # Its few rows, if any, are counted with the largest cell and never drawn.
            cell_of[code], drawn[code] = cell_of[int(np.argmax(mass[:ordinary]))] if ordinary else 0, 0.0
    n = max(n, 1)
    return Merged(cell_of=cell_of, share=_shares(cell_of, drawn, stddev, attribute, n), n_cells=n)


def _shares(cell_of: npt.NDArray[np.int64], mass: Floats, stddev: float, attribute: Attribute, n_cells: int) -> Floats:
    """Share of each code in its cell: significant codes by their counts, the rest of the mass by width."""
    share = np.zeros(len(cell_of))
    widths = attribute.widths
    drawable = np.r_[np.ones(attribute.n_ordinary, bool), mass[attribute.n_ordinary :] > 0]
    for cell in range(n_cells):
        members = np.flatnonzero((cell_of == cell) & drawable)
        if len(members) == 0:
            members = np.flatnonzero(cell_of == cell)
        held = mass[members]
        weak = held <= 2 * stddev
        if weak.any():
            held = np.where(weak, held[weak].sum() * widths[members] / widths[members][weak].sum(), held)
        share[members] = held / held.sum() if held.sum() > 0 else 1 / len(members)
    return share


def round_counts(expected: Floats, n: int, rng: Generator) -> npt.NDArray[np.int64]:
    """Whole counts that sum to n and differ from the expected ones by less than 1 (controlled rounding).

    Args:
        expected: expected counts, shape (k,), non-negative, summing to n up to rounding.
        n: the sum of the answer.
        rng: breaks the fractions, each code by its own fraction (systematic sampling).
    """
    floor = np.floor(expected).astype(np.int64)
    fractions = np.cumsum(expected - floor)
    left = n - int(floor.sum())
    if left <= 0:
        return floor
    marks = (rng.random() + np.arange(left)) / left * fractions[-1]
    extra = np.minimum(np.searchsorted(fractions, marks, side="right"), len(expected) - 1)
    return floor + np.bincount(extra, minlength=len(expected))


def _edges(column: NumberColumn, bought: Domains, n_bins: int) -> Floats:
    low, high = column.bounds
    end = high + 1 if column.is_discrete else high
    if low == end:
        return np.array([low, high], dtype=np.float64)
    if column.name in bought.trees:
        return bought.trees[column.name].edges(n_bins)
    if column.name in bought.histograms:
        return _adapted(column, bought.histograms[column.name], low, end, n_bins)
    return _even(column, low, end, n_bins)


def _even(column: NumberColumn, low: float, end: float, n_bins: int) -> Floats:
    """Equal-width edges; whole numbers get bins of whole width, and of width 1 where they are few.

    Amounts are often exactly zero, or at their bound: zero and the lower bound have a bin to themselves.
    """
    step = _step(column)
    if not column.is_discrete:
        alone = 0.5 * step  # what is drawn from it is rounded back to the value
        edges = np.linspace(low, end, n_bins + 1)
    else:
        alone = step
        width = 1.0 if end - low <= MAX_UNIT_BINS else math.ceil((end - low) / n_bins)
        edges = np.append(np.arange(low, end, width), end)
    lone = np.array([low, low + alone, 0.0, alone])
    return np.unique(np.concatenate([edges, lone[(lone > low) & (lone < end)]]))


def _adapted(column: NumberColumn, histogram: Histogram, low: float, end: float, n_bins: int) -> Floats:
    """Bins of the bought histogram within the bounds, each cut into parts by its share of mass and of width.

    Bins that deserve less than one part are joined with their right neighbours until they do; none is cut finer than
    its values lie apart, so that one value many rows have takes no more than one part.
    """
    edges = np.unique(np.clip(histogram.edges, low, end))
    if len(edges) == 2:
        return _even(column, low, end, n_bins)
    counts = np.where(histogram.counts > 2 * histogram.stddev, histogram.counts, 0.0)
    inside = [(histogram.edges[:-1] < b) & (histogram.edges[1:] > a) for a, b in pairwise(edges)]
    mass, width = np.array([counts[bins].sum() for bins in inside]), np.diff(edges)
    share = MASS_SHARE * mass / max(mass.sum(), 1.0) + (1 - MASS_SHARE) * width / width.sum()
    want = _divided(n_bins, share, np.maximum(1.0, np.floor(width / _step(column))))
    cuts = [low]
    held = 0.0
    for left, right, wanted in zip(edges[:-1], edges[1:], want, strict=True):
        if wanted >= 1.0:
            cuts.extend(np.linspace(left, right, round(wanted) + 1))
            held = 0.0
        else:
            held += wanted
            if held >= 1.0:
                cuts.append(right)
                held = 0.0
    cuts.append(end)
    placed: Floats = np.rint(cuts) if column.is_discrete else np.array(cuts)
    return np.unique(placed)


def _divided(n: float, share: Floats, most: Floats) -> Floats:
    """Parts of n in proportion to the shares, none above its most: what that leaves over goes to the others."""
    full = np.zeros(len(share), dtype=np.bool_)
    while True:
        free = share[~full].sum()
        want = np.where(full, most, share * ((n - most[full].sum()) / free if free > 0 else 0.0))
        more = ~full & (want > most)
        if not more.any():
            return np.maximum(want, 0.0)
        full |= more


def _stratified(codes: Codes, rng: Generator) -> Floats:
    """One place in [0, 1) a row, evenly spread among the rows of one code: less sampling noise than plain draws."""
    order = np.lexsort((rng.random(len(codes)), codes))
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(codes) else np.zeros(0, np.int64)
    sizes = np.diff(np.r_[starts, len(codes)])
    rank = np.arange(len(codes)) - np.repeat(starts, sizes)
    place = np.empty(len(codes))
    place[order] = (rank + rng.random(len(codes))) / np.repeat(sizes, sizes)
    return place


def _step(column: NumberColumn) -> float:
    """Distance of neighbouring values that can be drawn."""
    return 1.0 if column.is_discrete else 10.0 ** -_decimals(column)


def _decimals(column: NumberColumn) -> int:
    """Decimal places that resolve the range to `DIGITS` digits; a range of one number keeps what a double holds."""
    low, high = column.bounds
    return min(15, max(0, DIGITS - math.floor(math.log10(max(high - low, 1e-12)))))

"""Copies: are training rows found in the synthetic table more often than control rows are?

A match is not a leak: in a table of few distinct rows everything matches. What counts is the contrast between rows that
trained and rows that were held back by a fair coin, which are exchangeable if nothing was copied, so Fisher's test is
exact whatever the ties. Three questions are asked, all from the real side (each real row looks for itself in the
synthetic table; the usual share of synthetic rows closer to train is no binomial and misses 1% of copies):

* exact: of the records that are unique among the real ones, which are found? Numbers are compared on a public grid.
* near: which real rows are among the .2%, .5%, 1% and 2% with the closest synthetic neighbour? Of rows at one distance
  (in a coarse table a fifth of all may lie at 0) the most isolated count as closest: a row unlike all others is matched
  by chance least often, and a copy of it harms most. The same is asked of distances relative to the nearest other real
  row, since crowded rows hide near copies (1% of Adult with every number off by 1% of itself, 13,000 rows, 3 splits:
  smallest p-values 7e-3, 2e-5, 9e-5 in absolute and 4e-3, 1e-6, 1e-3 in relative distance).
* one column out: the exact test on the rows without column j, for every j, and on records found with any one column
  left out, since a copy with one cell changed is far away and still a copy.

All tests make one p-value by weighted Bonferroni. Weights are equal for the exact test, each near test and the test
over any column, and the tests of single columns share two such weights, so that a wide table does not drown the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.distance import features, join, nearest, others
from audits.errors import InconclusiveError
from audits.estimates import excess_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding, Interval
from audits.intervals import STRICT, USUAL, fisher
from privacy.columns import Column, Floats, LevelColumn, NumberKind
from privacy.schema import Schema
from privacy.table import Table

GRID = 1_000
"""Steps of a real column's range within which two numbers count as equal."""

MIN_UNITS = 50

Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Whether training rows were copied, exactly, nearly, or but for one column.

    Attributes:
        quantiles: shares of the real rows, by distance to the synthetic table, at which train and control are compared.
        reassuring: those that get a finding with an interval of their own, which a PASS reads; larger quantiles hold
            so many harmless rows that their intervals reassure too rarely.
        max_near_rows: training rows that look for a near copy; of a larger table a random sample does. The exact tests
            and the synthetic side always use every row.
    """

    quantiles: tuple[float, ...] = (0.002, 0.005, 0.01, 0.02)
    reassuring: tuple[float, ...] = (0.002, 0.005)
    max_near_rows: int = 100_000
    name: ClassVar[str] = "copies"
    title: ClassVar[str] = "Copies of training rows"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Compare train with control, one row per protected unit.

        Guarantees:
            Under exchangeable train and control rows "copying p-value" is at most p with probability at most p.

        Raises:
            InconclusiveError: fewer than 50 units in train or control, or no synthetic row.
        """
        train = evidence.train.select(one_row_per_unit(evidence.train, rng))
        control = evidence.control.select(one_row_per_unit(evidence.control, rng))
        if min(len(train), len(control)) < MIN_UNITS:
            raise InconclusiveError(f"train or control has fewer than {MIN_UNITS} units")
        if not len(evidence.synthetic):
            raise InconclusiveError("the synthetic table has no rows")
        matches = _matches(train, control, evidence.synthetic, evidence.schema)
        near = self._near(train, control, evidence, rng)
        closest = [_closest(scale, quantile) for scale in (near, near.relative) for quantile in self.quantiles]
        main = [matches.whole, matches.any_column, *closest]
        n_weights = len(main) + 2
        weighted = [n_weights * contrast.p_value for contrast in main]
        weighted += [n_weights / 2 * len(matches.columns) * contrast.p_value for contrast in matches.columns]
        n_rows = len(train), len(control)
        return (
            _copying(min(1.0, *weighted), sum(n_rows)),
            matches.whole.finding("excess of exact matches", of_all=n_rows),
            *(_closest(near, q).finding(f"excess of near copies at {100 * q:g}%") for q in self.reassuring),
        )

    def _near(self, train: Table, control: Table, evidence: Evidence, rng: Generator) -> _Near:
        if len(train) > self.max_near_rows:
            train = train.select(np.sort(rng.choice(len(train), self.max_near_rows, replace=False)))
        real = join(features(train, evidence.schema), features(control, evidence.schema))
        released = features(evidence.synthetic, evidence.schema)
        to_real = others(real, 5)
        return _Near(
            to_synthetic=nearest(real, released, 1)[:, 0],
            to_real=to_real[:, 0],
            isolation=to_real.mean(axis=1),
            n_train=len(train),
        )


def one_row_per_unit(table: Table, rng: Generator) -> npt.NDArray[np.int64]:
    """Indices, ascending, of one random row of every unit: rows of one person are no independent witnesses."""
    if table.schema.unit.field is None:
        return np.arange(len(table), dtype=np.int64)
    order = rng.permutation(len(table))
    return np.sort(order[np.unique(table.units[order], return_index=True)[1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contrast:
    """Hits among n train rows, and among control rows."""

    hits: int
    n: int
    control_hits: int
    n_control: int

    @property
    def p_value(self) -> float:
        """Fisher's, or 1 where a side has no row to look at."""
        if not self.n or not self.n_control:
            return 1.0
        return fisher(self.hits, self.n, self.control_hits, self.n_control)

    def finding(self, quantity: str, *, of_all: tuple[int, int] | None = None) -> Finding:
        """The excess as a share of the rows looked at, or of all train and control rows."""
        n, n_control = of_all or (self.n, self.n_control)
        return excess_finding(
            audit=Copies.name,
            quantity=quantity,
            subject="",
            hits=self.hits,
            n=n,
            other_hits=self.control_hits,
            other_n=n_control,
            audience=Audience.INTERNAL,
        )


def _contrast(hits: Mask, counted: Mask, n_train: int) -> _Contrast:
    return _Contrast(
        hits=int((hits & counted)[:n_train].sum()),
        n=int(counted[:n_train].sum()),
        control_hits=int((hits & counted)[n_train:].sum()),
        n_control=int(counted[n_train:].sum()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Near:
    """Real rows, train first: how far the synthetic table is, and how far the other real rows are, one and five."""

    to_synthetic: Floats
    to_real: Floats
    isolation: Floats
    n_train: int

    @property
    def relative(self) -> _Near:
        """Distance to the synthetic table in units of the distance to the nearest other real row."""
        return replace(self, to_synthetic=self.to_synthetic / (self.to_real + 1 / GRID))


def _closest(near: _Near, quantile: float) -> _Contrast:
    """The closest share of the real rows. What ties in both distances is in on both sides, so none is given away."""
    order = np.lexsort((-near.isolation, near.to_synthetic))
    last = order[max(0, int(np.ceil(quantile * len(order))) - 1)]
    nearer = near.to_synthetic < near.to_synthetic[last]
    level = (near.to_synthetic == near.to_synthetic[last]) & (near.isolation >= near.isolation[last])
    return _contrast(nearer | level, np.ones(len(order), bool), near.n_train)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matches:
    """Exact matches of unique records: on all columns, without each of them, and without any one of them."""

    whole: _Contrast
    columns: tuple[_Contrast, ...]
    any_column: _Contrast


def _matches(train: Table, control: Table, synthetic: Table, schema: Schema) -> _Matches:
    real = np.concatenate([_hashes(train, schema), _hashes(control, schema)], axis=1)
    released = _hashes(synthetic, schema)
    whole, released_whole = real.sum(axis=0), released.sum(axis=0)
    unique = _unique(whole)
    hits = unique & np.isin(whole, released_whole)
    any_unique, any_hit = unique, hits
    columns = []
    for j in range(len(real) if len(real) > 1 else 0):
        # A row's hash is the sum over its columns, so that leaving one out is a subtraction (modulo 2^64).
        rest = whole - real[j]
        unique_rest = _unique(rest)
        found = unique_rest & np.isin(rest, released_whole - released[j])
        columns.append(_contrast(found, unique_rest, len(train)))
        any_unique, any_hit = any_unique | unique_rest, any_hit | found
    return _Matches(
        whole=_contrast(hits, unique, len(train)),
        columns=tuple(columns),
        any_column=_contrast(any_hit, any_unique, len(train)),
    )


def _unique(hashes: Hashes) -> Mask:
    _, place, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    once: Mask = counts[place] == 1
    return once


def _hashes(table: Table, schema: Schema) -> Hashes:
    """64-bit hashes of canonical cells, shape (columns, n): splitmix64 of the cell, offset by the column."""
    offsets = _mix(np.arange(1, len(schema.columns) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    cells = np.stack([_canonical(table, column) for column in schema.columns]).view(np.uint64)
    return _mix(cells + offsets[:, None])


def _canonical(table: Table, column: Column) -> npt.NDArray[np.int64]:
    """Codes; whole numbers and dates as they are; reals as steps of a public grid; missing as a number of its own."""
    if isinstance(column, LevelColumn):
        return table.codes(column.name).astype(np.int64)
    values = table.numbers(column.name)
    missing = np.isnan(values)
    if column.kind is NumberKind.NUMBER:
        low, high = column.bounds
        values = GRID * (values - low) / (high - low) if high > low else np.zeros(len(values))
    whole = np.rint(np.where(missing, 0, values)).astype(np.int64)
    return np.where(missing, np.iinfo(np.int64).min, whole)


def _mix(x: Hashes) -> Hashes:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _copying(p_value: float, n: int) -> Finding:
    return Finding(
        audit=Copies.name,
        quantity="copying p-value",
        subject="",
        estimate=p_value,
        interval=Interval(p_value, p_value, USUAL),
        strict=Interval(p_value, p_value, STRICT),
        baseline=1.0,
        worse="lower",
        n=n,
        detectable=None,
        audience=Audience.INTERNAL,
    )

"""Copies: are training rows found in the synthetic table more often than control rows are?

A match is not a leak: in a table of few distinct rows everything matches. What counts is the contrast between rows that
trained and rows that were held back by a fair coin, which are exchangeable if nothing was copied, so Fisher's test is
exact whatever the ties. Three questions are asked, all from the real side (each real row looks for itself in the
synthetic table; the usual share of synthetic rows closer to train is no binomial and misses 1% of copies):

* exact: of the records that are unique among the real ones, which are found? Numbers are compared on a public grid.
* near: which real rows are among the .2% to 2% with the closest synthetic neighbour? Of rows at one distance (in a
  coarse table a fifth of all may lie at 0) the most isolated count as closest: a row unlike all others is matched by
  chance least often, and a copy of it harms most. The same is asked of distances relative to the nearest other real
  row, since crowded rows hide near copies, and of distances relative to the isolation of the row, both with a small
  distance added, so that a copy that is a little off in an empty region counts before a chance match in a crowd.
* one column out: the exact test on the rows without column j, for every j, and on records found with any one column
  left out, since a copy with one cell changed is far away and still a copy. Of these the most isolated are tested again
  by themselves.

The side that was held back is control and the attacker's reference sample together: no attack here uses the sample for
anything else, and the power of the contrast is limited by the smaller side. (Adult, 20,000 rows, 16 splits, 1% of the
synthetic rows copied with every number off by .5% of its range: found in 56% of the splits with control alone and the
first two scales of distance, in 75% with the reference, in 81% with isolation and the most isolated matches too; with
one cell changed: 75%, 100% and 100%.)

All tests make one p-value by weighted Bonferroni. Weights are equal for the exact test, each near test and the tests
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
from audits.estimates import exact_finding, excess_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.intervals import fisher
from audits.rows import joined, one_row_per_unit
from privacy.columns import Column, Floats, LevelColumn, NumberKind
from privacy.schema import Schema
from privacy.table import Table

GRID = 1_000
"""Steps of a real column's range within which two numbers count as equal."""

OFF = 0.005
"""Added to distances before they are compared with the isolation of a row, in units of a public range."""

MIN_UNITS = 50

Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Whether training rows were copied, exactly, nearly, or but for one column.

    Attributes:
        quantiles: shares of the real rows, by distance to the synthetic table, at which the two sides are compared;
            each gets a finding with an interval of its own, which a PASS reads. Larger shares hold so many harmless
            rows that their intervals reassure too rarely.
        relative: the same by distance relative to the nearest other real row.
        isolated: the same by distance relative to the isolation of the row.
        one_out: the same among matches with one column left out, the most isolated first.
        max_near_rows: training rows that look for a near copy; of a larger table a random sample does. The exact tests
            and the synthetic side use every row of the evidence, which of a long table is a sample already.
    """

    quantiles: tuple[float, ...] = (0.002, 0.005)
    relative: tuple[float, ...] = (0.01, 0.02)
    isolated: tuple[float, ...] = (0.005, 0.01, 0.02)
    one_out: tuple[float, ...] = (0.005, 0.02)
    max_near_rows: int = 100_000
    name: ClassVar[str] = "copies"
    title: ClassVar[str] = "Copies of training rows"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Compare rows that trained with rows held back, one row per protected unit.

        Guarantees:
            Under exchangeable train and control rows "copying p-value" is at most p with probability at most p.

        Raises:
            InconclusiveError: fewer than 50 units in train or control, or no synthetic row.
        """
        train = evidence.train.select(one_row_per_unit(evidence.train, rng))
        control = joined(
            evidence.control.select(one_row_per_unit(evidence.control, rng)),
            evidence.reference.select(one_row_per_unit(evidence.reference, rng)),
        )
        if min(len(train), len(control)) < MIN_UNITS:
            raise InconclusiveError(f"train or control has fewer than {MIN_UNITS} units")
        if not len(evidence.synthetic):
            raise InconclusiveError("the synthetic table has no rows")
        matches = _matches(train, control, evidence.synthetic, evidence.schema)
        looked = self._looked_at(train, rng)
        near = _near(train.select(looked), control, evidence)
        closest = [
            _closest(scale, quantile)
            for scale, quantiles in (
                (near, self.quantiles),
                (near.relative, self.relative),
                (near.isolated, self.isolated),
            )
            for quantile in quantiles
        ]
        one_out = np.concatenate([matches.any_hit[looked], matches.any_hit[len(train) :]])
        closest += [_most_isolated(one_out, near, quantile) for quantile in self.one_out]
        main = [matches.whole, matches.any_column, *closest]
        n_weights = len(main) + 2
        weighted = [n_weights * contrast.p_value for contrast in main]
        weighted += [n_weights / 2 * len(matches.columns) * contrast.p_value for contrast in matches.columns]
        n_rows = len(train), len(control)
        return (
            exact_finding(
                audit=self.name,
                quantity="copying p-value",
                subject="",
                value=min(1.0, *weighted),
                baseline=1.0,
                worse="lower",
                n=sum(n_rows),
            ),
            matches.whole.finding("excess of exact matches", of_all=n_rows),
            *(_closest(near, q).finding(f"excess of near copies at {100 * q:g}%") for q in self.quantiles),
        )

    def _looked_at(self, train: Table, rng: Generator) -> npt.NDArray[np.int64]:
        if len(train) <= self.max_near_rows:
            return np.arange(len(train))
        return np.sort(rng.choice(len(train), self.max_near_rows, replace=False))


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

    @property
    def isolated(self) -> _Near:
        """Distance to the synthetic table in units of the mean distance to five other real rows, both a little more."""
        return replace(self, to_synthetic=(self.to_synthetic + OFF) / (self.isolation + OFF))


def _near(train: Table, control: Table, evidence: Evidence) -> _Near:
    real = join(features(train, evidence.schema), features(control, evidence.schema))
    to_real = others(real, 5)
    return _Near(
        to_synthetic=nearest(real, features(evidence.synthetic, evidence.schema), 1)[:, 0],
        to_real=to_real[:, 0],
        isolation=to_real.mean(axis=1),
        n_train=len(train),
    )


def _closest(near: _Near, quantile: float) -> _Contrast:
    """The closest share of the real rows. What ties in both distances is in on both sides, so none is given away."""
    order = np.lexsort((-near.isolation, near.to_synthetic))
    last = order[max(0, int(np.ceil(quantile * len(order))) - 1)]
    nearer = near.to_synthetic < near.to_synthetic[last]
    level = (near.to_synthetic == near.to_synthetic[last]) & (near.isolation >= near.isolation[last])
    return _contrast(nearer | level, np.ones(len(order), bool), near.n_train)


def _most_isolated(hits: Mask, near: _Near, quantile: float) -> _Contrast:
    """Of the rows that were matched, the most isolated: at most a share of all rows, and what ties with the last."""
    most = max(1, int(np.ceil(quantile * len(hits))))
    isolation = np.sort(near.isolation[hits])
    least = isolation[-most] if len(isolation) >= most else -np.inf
    return _contrast(hits & (near.isolation >= least), np.ones(len(hits), bool), near.n_train)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matches:
    """Exact matches of unique records: on all columns, without each of them, and without any one of them."""

    whole: _Contrast
    columns: tuple[_Contrast, ...]
    any_column: _Contrast
    any_hit: Mask


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
        any_hit=any_hit,
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

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

All tests make one p-value, by dealing the labels "trained" and "held back" anew (`audits.joint`): they overlap so much
that Bonferroni's inequality over them gives more than twice as large a p-value. Weights are equal for the exact test,
each near test and the tests over any column, and the tests of single columns share two such weights, so that a wide
table does not drown the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.distance import features, join
from audits.errors import InconclusiveError
from audits.estimates import exact_finding, excess_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.hashes import GRID, Hashes, hashes
from audits.joint import Contrast, joint_p_value
from audits.rows import joined, one_row_per_unit, sampled
from audits.search import nearest, others
from privacy.columns import Floats
from privacy.schema import Schema
from privacy.table import Table

OFF = 0.005
"""Added to distances before they are compared with the isolation of a row, in units of a public range."""

MIN_UNITS = 50

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


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
        max_near_rows: rows of either side that look for a near copy; of more a random sample does. The exact tests use
            every training row of the evidence, and the near ones every synthetic row: the copies are few.
        least_near_rows: of either side, however long the synthetic table.
        max_pairs: pairs of a real and a synthetic row that are measured; the longer the synthetic table, the fewer real
            rows look. Of two sides of so many thousands the smaller share that a contrast can prove hardly changes.
    """

    quantiles: tuple[float, ...] = (0.002, 0.005)
    relative: tuple[float, ...] = (0.01, 0.02)
    isolated: tuple[float, ...] = (0.005, 0.01, 0.02)
    one_out: tuple[float, ...] = (0.005, 0.02)
    max_near_rows: int = 100_000
    least_near_rows: int = 5_000
    max_pairs: int = 20_000_000_000
    name: ClassVar[str] = "copies"
    title: ClassVar[str] = "Copies of training rows"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Compare rows that trained with rows held back, one row per protected unit.

        Guarantees:
            Under exchangeable train and control rows "copying p-value" is at most p with probability at most p.

        Raises:
            InconclusiveError: fewer than 50 units in train or control, or no synthetic row.
        """
        most = min(
            self.max_near_rows, max(self.least_near_rows, self.max_pairs // (2 * max(1, len(evidence.synthetic))))
        )
        train = evidence.train.select(one_row_per_unit(evidence.train, rng))
        control = evidence.control.select(one_row_per_unit(evidence.control, rng))
        reference = evidence.reference.select(one_row_per_unit(evidence.reference, rng))
        control = joined(control, sampled(reference, max(0, most - len(control)), rng))
        if min(len(train), len(control)) < MIN_UNITS:
            raise InconclusiveError(f"train or control has fewer than {MIN_UNITS} units")
        if not len(evidence.synthetic):
            raise InconclusiveError("the synthetic table has no rows")
        matches = matches_of(train, control, evidence.synthetic, evidence.schema)
        looked = _sample(len(train), most, rng)
        near = near_of(train.select(looked), control, evidence.synthetic, evidence.schema)
        tests = self._tests(matches, near, looked)
        is_train = np.arange(len(train) + len(control)) < len(train)
        n_rows = len(train), len(control)
        return (
            exact_finding(
                audit=self.name,
                quantity="copying p-value",
                subject="",
                value=joint_p_value(tests, is_train, _left_out(looked, is_train), rng),
                baseline=1.0,
                worse="lower",
                n=sum(n_rows),
            ),
            excess_of(self.name, "excess of exact matches", matches.whole, n_rows),
            *(
                excess_of(
                    self.name, f"excess of near copies at {100 * q:g}%", closest(near, q), (len(looked), len(control))
                )
                for q in self.quantiles
            ),
        )

    def _tests(self, matches: Matches, near: Near, looked: Rows) -> list[Contrast]:
        """Every contrast over all rows, with its weight."""
        n, n_control = len(matches.whole), len(near.to_synthetic) - len(looked)
        here = np.concatenate([looked, np.arange(n - n_control, n)])
        scales = (near, self.quantiles), (near.relative, self.relative), (near.isolated, self.isolated)
        nearest_rows = [closest(scale, quantile) for scale, quantiles in scales for quantile in quantiles]
        nearest_rows += [_most_isolated(matches.any_column[here], near, quantile) for quantile in self.one_out]
        weight = len(nearest_rows) + 4.0
        return [
            Contrast(matches.whole, matches.unique, weight),
            Contrast(matches.any_column, matches.any_unique, weight),
            *(
                Contrast(_over(hits, here, n), _over(np.ones(len(here), np.bool_), here, n), weight)
                for hits in nearest_rows
            ),
            *(Contrast(h, u, weight / 2 * len(matches.columns)) for h, u in matches.columns),
        ]


def _sample(n: int, most: int, rng: Generator) -> Rows:
    """Which of n rows are looked at: all, or a random sample of so many, in order."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def excess_of(audit: str, quantity: str, hits: Mask, n_rows: tuple[int, int]) -> Finding:
    """Hits among train rows as a share of them, minus the same of control rows; train first."""
    n, n_control = n_rows
    return excess_finding(
        audit=audit,
        quantity=quantity,
        subject="",
        hits=int(hits[:n].sum()),
        n=n,
        other_hits=int(hits[n:].sum()),
        other_n=n_control,
        audience=Audience.INTERNAL,
    )


def _left_out(looked: Rows, is_train: Mask) -> Mask:
    """Training rows the near tests do not look at."""
    left = is_train.copy()
    left[looked] = False
    return left


def _over(hits: Mask, here: Rows, n: int) -> Mask:
    """Hits among some rows as hits among all n."""
    found = np.zeros(n, np.bool_)
    found[here] = hits
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Real rows, train first: how far the synthetic table is, and how far the other real rows are, one and five."""

    to_synthetic: Floats
    to_real: Floats
    isolation: Floats

    def at(self, to_synthetic: Floats) -> Near:
        """The same rows at other distances to what is released."""
        return replace(self, to_synthetic=to_synthetic)

    @property
    def relative(self) -> Near:
        """Distance to the synthetic table in units of the distance to the nearest other real row."""
        return self.at(self.to_synthetic / (self.to_real + 1 / GRID))

    @property
    def isolated(self) -> Near:
        """Distance to the synthetic table in units of the mean distance to five other real rows, both a little more."""
        return self.at((self.to_synthetic + OFF) / (self.isolation + OFF))


def near_of(train: Table, control: Table, synthetic: Table, schema: Schema) -> Near:
    """How near real rows are to a table, and to each other."""
    real = join(features(train, schema), features(control, schema))
    to_real = others(real, 5)
    return Near(
        to_synthetic=nearest(real, features(synthetic, schema), 1)[:, 0],
        to_real=to_real[:, 0],
        isolation=to_real.mean(axis=1),
    )


def closest(near: Near, quantile: float) -> Mask:
    """The closest share of the real rows. What ties in both distances is in on both sides, so none is given away."""
    order = np.lexsort((-near.isolation, near.to_synthetic))
    last = order[max(0, int(np.ceil(quantile * len(order))) - 1)]
    nearer = near.to_synthetic < near.to_synthetic[last]
    level = (near.to_synthetic == near.to_synthetic[last]) & (near.isolation >= near.isolation[last])
    closest: Mask = nearer | level
    return closest


def _most_isolated(hits: Mask, near: Near, quantile: float) -> Mask:
    """Of the rows that were matched, the most isolated: at most a share of all rows, and what ties with the last."""
    most = max(1, int(np.ceil(quantile * len(hits))))
    isolation = np.sort(near.isolation[hits])
    least = isolation[-most] if len(isolation) >= most else -np.inf
    chosen: Mask = hits & (near.isolation >= least)
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Real rows, train first: exact matches of unique records on all columns, without each, and without any one.

    Attributes:
        whole, unique: which rows match, and which are unique among the real ones.
        columns: the same on the rows without each column.
        any_column, any_unique: the same with or without any one column.
    """

    whole: Mask
    unique: Mask
    columns: tuple[tuple[Mask, Mask], ...]
    any_column: Mask
    any_unique: Mask


def matches_of(train: Table, control: Table, synthetic: Table, schema: Schema) -> Matches:
    """Which real rows a table has."""
    real = np.concatenate([hashes(train, schema), hashes(control, schema)], axis=1)
    released = hashes(synthetic, schema)
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
        columns.append((found, unique_rest))
        any_unique, any_hit = any_unique | unique_rest, any_hit | found
    return Matches(whole=hits, unique=unique, columns=tuple(columns), any_column=any_hit, any_unique=any_unique)


def _unique(rows: Hashes) -> Mask:
    _, place, counts = np.unique(rows, return_inverse=True, return_counts=True)
    once: Mask = counts[place] == 1
    return once

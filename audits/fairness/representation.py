"""Whether every group keeps its share: the ratio of a group's share among synthetic rows to its share among real rows.

Real rows are train and control together: both are the population's, and more rows mean sharper bounds. Groups are the
levels of every declared sensitive column, OTHER and missing included, and their combinations, two columns at a time: a
group may keep its share while a part of it is lost. Both directions are reported, because noise
enlarges some small groups and shrinks others (Ganev, Oprisanu & De Cristofaro 2022, "Robin Hood and Matthew effects").

Bounds are exact for two Poisson counts: given their sum, the synthetic one is binomial, so that Clopper-Pearson bounds
on that share are bounds on the ratio (Przyborowski & Wilenski 1940). They are a little wide for large groups, whose
counts vary less than Poisson. Where the unit is a person, a group's real count is its number of persons.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from scipy.stats import beta

from audits.errors import InconclusiveError
from audits.estimates import exact_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding, Interval
from audits.intervals import STRICT, USUAL
from privacy.columns import LevelColumn
from privacy.table import Table

MAX_RATIO = 100.0
"""Larger ratios, infinite ones too, are reported as this: a finding must be a finite number."""


@dataclass(frozen=True, slots=True)
class Representation:
    """Which groups the synthetic table leaves out, and which it multiplies.

    Attributes:
        min_rows: real rows (or persons) below which a group is listed and not judged.
    """

    min_rows: int = 100
    name: ClassVar[str] = "representation"
    title: ClassVar[str] = "Representation of groups"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:  # noqa: ARG002
        """For every group, "representation ratio" (worse lower) and "over-representation ratio" (worse higher).

        A group of fewer than `min_rows` gets one finding, "representation ratio, too few rows", whose interval is
        everything: it can neither pass nor fail, and it is never silent. Of combinations that small only the number
        is given, for each pair of columns.

        Raises:
            InconclusiveError: no column with levels is declared sensitive, or a table has no rows.
        """
        columns = evidence.schema.sensitive
        if not columns:
            raise InconclusiveError("no column with levels is declared sensitive")
        if not (len(evidence.synthetic) and len(evidence.train) + len(evidence.control)):
            raise InconclusiveError("the synthetic table or the real rows are empty")
        found = [f for column in columns for group in groups_of((column,), evidence) for f in self._findings(group)]
        for pair in combinations(columns, 2):
            groups = list(groups_of(pair, evidence))
            small = sum(group.real_units < self.min_rows for group in groups)
            found += [f for group in groups if group.real_units >= self.min_rows for f in self._findings(group)]
            found.append(
                exact_finding(
                    audit=self.name,
                    quantity="combinations too small to judge",
                    subject=", ".join(column.name for column in pair),
                    value=small,
                    baseline=0.0,
                    worse="higher",
                    n=max(len(groups), 1),
                )
            )
        return tuple(found)

    def _findings(self, group: Group) -> Iterator[Finding]:
        if group.real_units < self.min_rows:
            nothing = (Interval(0.0, MAX_RATIO, USUAL), Interval(0.0, MAX_RATIO, STRICT))
            yield self._finding("representation ratio, too few rows", group, "lower", nothing)
            return
        bounds = (ratio_interval(group, USUAL), ratio_interval(group, STRICT))
        yield self._finding("representation ratio", group, "lower", bounds)
        yield self._finding("over-representation ratio", group, "higher", bounds)

    def _finding(
        self, quantity: str, group: Group, worse: Literal["higher", "lower"], bounds: tuple[Interval, Interval]
    ) -> Finding:
        return Finding(
            audit=self.name,
            quantity=quantity,
            subject=group.subject,
            estimate=group.ratio,
            interval=bounds[0],
            strict=bounds[1],
            baseline=1.0,
            worse=worse,
            n=group.real,
            detectable=None,
            audience=Audience.INTERNAL,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Counts of one level of one sensitive column, or of one combination of levels of two.

    Attributes:
        subject: "column=level", or two of them.
        synthetic, n_synthetic: rows of the group, and of the table.
        real, n_real: the same of train and control together.
        real_units: units that own the group's real rows.
    """

    subject: str
    synthetic: int
    n_synthetic: int
    real: int
    n_real: int
    real_units: int

    @property
    def ratio(self) -> float:
        """Synthetic share over real share, at most `MAX_RATIO`."""
        if self.real == 0:
            return MAX_RATIO
        return min(MAX_RATIO, self.synthetic / self.n_synthetic * self.n_real / self.real)


def group_name(column: LevelColumn, code: int) -> str:
    """The group's subject: "column=level", with OTHER as the schema writes it and `missing` for missing."""
    words = [*column.declared, column.other, "missing"]
    return f"{column.name}={words[code]}"


def groups_of(columns: tuple[LevelColumn, ...], evidence: Evidence) -> Iterator[Group]:
    """The groups by one or more columns that have a row in any of the tables."""
    train, control, drawn = (_codes(table, columns) for table in (evidence.train, evidence.control, evidence.synthetic))
    shape = tuple(column.n_codes for column in columns)
    size = math.prod(shape)
    real, synthetic = np.concatenate([train, control]), np.bincount(drawn, minlength=size)
    counts = np.bincount(real, minlength=size)
    # A unit is in train or in control, never in both, so persons of the two sides are counted apart.
    owned = np.zeros(size, dtype=np.int64)
    for codes, table in ((train, evidence.train), (control, evidence.control)):
        pairs = np.unique(np.stack([codes, table.units]), axis=1)
        owned += np.bincount(pairs[0], minlength=size)
    for code in np.flatnonzero(counts + synthetic):
        places = np.unravel_index(int(code), shape)
        yield Group(
            subject=", ".join(group_name(column, int(place)) for column, place in zip(columns, places, strict=True)),
            synthetic=int(synthetic[code]),
            n_synthetic=len(evidence.synthetic),
            real=int(counts[code]),
            n_real=len(real),
            real_units=int(owned[code]),
        )


def _codes(table: Table, columns: tuple[LevelColumn, ...]) -> npt.NDArray[np.int64]:
    """One code of every combination of levels, row-major, shape (n,)."""
    joint = np.zeros(len(table), np.int64)
    for column in columns:
        joint = joint * column.n_codes + table.codes(column.name)
    return joint


def ratio_interval(group: Group, confidence: float) -> Interval:
    """One-sided exact bounds on the ratio of shares; both contain the estimate.

    Args:
        group: with at least one real row.
        confidence: of each bound, in (.5, 1).

    Source: Przyborowski & Wilenski 1940; Clopper & Pearson 1934.
    """
    ours, theirs = group.synthetic, group.real_units
    scale = group.n_real * theirs / group.real / group.n_synthetic
    low = float(beta.ppf(1 - confidence, ours, theirs + 1)) if ours else 0.0
    high = float(beta.ppf(confidence, ours + 1, theirs))
    low, high = (min(MAX_RATIO, p / (1 - p) * scale) if p < 1 else MAX_RATIO for p in (low, high))
    return Interval(low, high, confidence)

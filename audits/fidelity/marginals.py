"""Total variation distance of 1-way and 2-way marginals between synthetic and control rows, next to its noise floor.

Two samples of one population differ too, so a distance alone says little. The floor is the distance of as many
training rows from the same control rows: for a fresh draw of the population the two are exchangeable and their
difference, the excess, is zero on average whatever the sizes. The excess is what a policy reads.

Cells are public: a level, OTHER or missing of a column with levels; one of twenty equal bins of a number's bounds, or
missing.

Intervals follow the delta method: a total variation distance is the mean over rows of half the sign of the difference
in the row's cell, so each row of the three tables has a known influence and the variance is theirs, added up by unit.
They cover what another draw of control, training and synthetic rows of these sizes would give, for one fitted model;
not another run of the generator. They are never narrower than the weight of one control row. Refused: the bootstrap,
which adds the very sampling noise that the distance measures, and McDiarmid's bound, whose half-width at 4,000
control rows is .04, more than any excess worth telling apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.cells import Cells, cells, n_cells
from audits.errors import InconclusiveError
from audits.estimates import estimate_finding, mean_variance
from audits.evidence import Evidence
from audits.finding import Finding
from audits.rows import canonical
from privacy.columns import Column
from privacy.table import Table

Influence: TypeAlias = npt.NDArray[np.floating[Any]]
Ways: TypeAlias = Literal["1-way", "2-way"]

MAX_CELLS = 1_000_000
"""A pair of columns with more possible cells is counted over the cells that occur."""


@dataclass(frozen=True, slots=True)
class Marginals:
    """How far the 1-way and 2-way marginals of the synthetic rows are from those of rows that never trained.

    Attributes:
        bins: equal-width bins of a number.
        worst: pairs of columns reported by name.
        max_rows: rows of synthetic and of train that are counted at most; equally many of each.
    """

    bins: int = 20
    worst: int = 10
    max_rows: int = 100_000
    name: ClassVar[str] = "marginals"
    title: ClassVar[str] = "Marginals"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Mean distances and excesses over all columns and pairs; every column's distance; the worst pairs'.

        The baseline of a distance is its noise floor, that of an excess is 0. The intervals of single columns and
        pairs are simultaneous over all of them (Bonferroni), since the worst are picked after looking.

        Raises:
            InconclusiveError: a table has no rows.
        """
        if not (len(evidence.control) and len(evidence.train) and len(evidence.synthetic)):
            raise InconclusiveError("the control, training or synthetic table has no rows")
        n = min(len(evidence.synthetic), len(evidence.train), self.max_rows)
        sides = (evidence.control, _sample(evidence.train, n, rng), _sample(evidence.synthetic, n, rng))
        units = tuple(np.unique(side.units, return_inverse=True)[1] for side in sides)
        columns = [_binned(column, sides, self.bins) for column in evidence.schema.columns]
        pairs = list(combinations(columns, 2))

        total, _ = _mean((contrast(column) for column in columns), sides, len(columns))
        found = [*_overall("1-way", total, units)]
        found += [_single("1-way", column, len(columns), units) for column in columns]
        if pairs:
            total, excesses = _mean((contrast(cross(a, b)) for a, b in pairs), sides, len(pairs))
            worst = np.argsort(-excesses, kind="stable")[: self.worst]
            found += _overall("2-way", total, units)
            found += [_single("2-way", cross(*pairs[i]), len(pairs), units) for i in worst]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Binned:
    """A marginal's cells: possible cells, and the cell of every control, training and synthetic row."""

    name: str
    n_cells: int
    control: Cells
    train: Cells
    synthetic: Cells


@dataclass(frozen=True, slots=True)
class Contrast:
    """Distance of synthetic from control, and of train from control, with the influence of every row.

    Attributes:
        distance, floor: total variation distances, in [0, 1].
        control_distance, control_floor: influence of every control row on the two, shape (n_control,).
        synthetic, train: influence of the other side's rows on its distance.
    """

    distance: float
    floor: float
    control_distance: Influence
    control_floor: Influence
    synthetic: Influence
    train: Influence

    @property
    def excess(self) -> float:
        """What the distance has over its noise floor, in [-1, 1]."""
        return self.distance - self.floor


def cross(a: Binned, b: Binned) -> Binned:
    """The marginal of two columns together."""
    sides = [x * b.n_cells + y for x, y in ((a.control, b.control), (a.train, b.train), (a.synthetic, b.synthetic))]
    size = a.n_cells * b.n_cells
    if size > MAX_CELLS:
        seen, codes = np.unique(np.concatenate(sides), return_inverse=True)
        size = len(seen)
        sides = np.split(codes.astype(np.int64), np.cumsum([len(side) for side in sides])[:-1])
    return Binned(f"{a.name}, {b.name}", size, *sides)


def contrast(binned: Binned) -> Contrast:
    """Both distances of one marginal, and what each row contributes to them."""
    control, train, synthetic = (
        np.bincount(side, minlength=binned.n_cells) / len(side)
        for side in (binned.control, binned.train, binned.synthetic)
    )
    of_synthetic, of_train = control - synthetic, control - train
    sign_synthetic, sign_train = (np.sign(d).astype(np.float32) / 2 for d in (of_synthetic, of_train))
    return Contrast(
        distance=float(np.abs(of_synthetic).sum() / 2),
        floor=float(np.abs(of_train).sum() / 2),
        control_distance=sign_synthetic[binned.control],
        control_floor=sign_train[binned.control],
        synthetic=-sign_synthetic[binned.synthetic],
        train=-sign_train[binned.train],
    )


def _mean(contrasts: Iterator[Contrast], sides: Sequence[Table], n: int) -> tuple[Contrast, npt.NDArray[np.float64]]:
    """The mean of n contrasts, row by row, and the excess of each."""
    control, train, synthetic = (len(side) for side in sides)
    sums = [np.zeros(size, np.float32) for size in (control, control, synthetic, train)]
    distances, floors = np.zeros(n), np.zeros(n)
    for i, one in enumerate(contrasts):
        distances[i], floors[i] = one.distance, one.floor
        for total, part in zip(sums, (one.control_distance, one.control_floor, one.synthetic, one.train), strict=True):
            total += part
    first, second, third, fourth = (total / n for total in sums)
    return Contrast(float(distances.mean()), float(floors.mean()), first, second, third, fourth), distances - floors


def _overall(ways: Ways, total: Contrast, units: Sequence[Cells]) -> Iterator[Finding]:
    yield _distance(ways, "", total, units, 1)
    error = _error((total.control_distance - total.control_floor, total.train, total.synthetic), units)
    yield _finding(f"excess total variation, {ways}", "", total.excess, error, 0.0, -1.0, len(units[0]), 1)


def _single(ways: Ways, binned: Binned, looked_at: int, units: Sequence[Cells]) -> Finding:
    return _distance(ways, binned.name, contrast(binned), units, looked_at)


def _distance(ways: Ways, subject: str, one: Contrast, units: Sequence[Cells], looked_at: int) -> Finding:
    error = _error((one.control_distance, one.synthetic), (units[0], units[2]))
    quantity = f"total variation distance, {ways}"
    return _finding(quantity, subject, one.distance, error, one.floor, 0.0, len(units[0]), looked_at)


def _error(influences: Sequence[Influence], units: Sequence[Cells]) -> float:
    """Standard error of a sum of means over independent tables, rows of one unit moving together."""
    parts = (mean_variance(part.astype(np.float64), unit) for part, unit in zip(influences, units, strict=True))
    return float(np.sqrt(sum(parts) + 1 / len(units[0]) ** 2))


def _finding(
    quantity: str, subject: str, estimate: float, error: float, baseline: float, least: float, n: int, looked_at: int
) -> Finding:
    return estimate_finding(
        audit=Marginals.name,
        quantity=quantity,
        subject=subject,
        estimate=estimate,
        error=error,
        baseline=baseline,
        worse="higher",
        n=n,
        limits=(least, 1.0),
        looked_at=looked_at,
    )


def _binned(column: Column, sides: Sequence[Table], bins: int) -> Binned:
    return Binned(column.name, n_cells(column, bins), *(cells(side, column, bins) for side in sides))


def _sample(table: Table, size: int, rng: Generator) -> Table:
    """So many rows, at random where there are more; the same rows whatever order they are in."""
    if size == len(table):
        return table
    return canonical(table).select(np.sort(rng.choice(len(table), size, replace=False)))

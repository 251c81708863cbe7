"""Synthetic against control, beside train against control: a distance, its noise floor, and what each row adds.

Two samples of one population differ too, so a distance alone says little. The floor is the distance of as many
training rows from the same control rows: for a fresh draw of the population the two are exchangeable and their
difference, the excess, is zero on average whatever the sizes. The excess is what a policy reads.

Intervals follow the delta method: each row of the three tables has a known influence (`audits.fidelity.measures`) and
the variance is theirs, added up by unit. They cover what another draw of control, training and synthetic rows of these
sizes would give, for one fitted model; not another run of the generator. They are never narrower than the weight of
one control row. Where nothing differs but chance, the influence of a smooth measure is itself a matter of chance and
the intervals are wide by a factor of up to the root of two, never narrow. Refused: the bootstrap, which adds the very
sampling noise that the distance measures, and McDiarmid's bound, whose half-width at 4,000 control rows is .04, more
than any excess worth telling apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.cells import Cells, cells, n_cells
from audits.errors import InconclusiveError
from audits.estimates import estimate_finding, mean_variance
from audits.evidence import Evidence
from audits.fidelity.measures import Measure, total_variation
from audits.finding import Finding
from audits.rows import canonical
from privacy.columns import Column
from privacy.table import Table

Influence: TypeAlias = npt.NDArray[np.floating[Any]]

MAX_CELLS = 1_000_000
"""Columns with more possible cells together are counted over the cells that occur."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The three tables, control, train and synthetic, and the unit of every row, numbered from 0."""

    tables: tuple[Table, Table, Table]
    units: tuple[Cells, Cells, Cells]


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
        distance, floor: the two distances, in the unit of the measure.
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
        """What the distance has over its noise floor."""
        return self.distance - self.floor


def sides_of(evidence: Evidence, max_rows: int, rng: Generator) -> Sides:
    """Control rows, and equally many training and synthetic rows, at most `max_rows`.

    Raises:
        InconclusiveError: a table has no rows.
    """
    if not (len(evidence.control) and len(evidence.train) and len(evidence.synthetic)):
        raise InconclusiveError("the control, training or synthetic table has no rows")
    n = min(len(evidence.synthetic), len(evidence.train), max_rows)
    tables = (evidence.control, _sample(evidence.train, n, rng), _sample(evidence.synthetic, n, rng))
    control, train, synthetic = (np.unique(table.units, return_inverse=True)[1] for table in tables)
    return Sides(tables, (control, train, synthetic))


def binned(column: Column, sides: Sides, bins: int) -> Binned:
    """A column's public cells."""
    return Binned(column.name, n_cells(column, bins), *(cells(table, column, bins) for table in sides.tables))


def cross(a: Binned, b: Binned) -> Binned:
    """The marginal of two columns together, by row-major cell where there are at most `MAX_CELLS`."""
    codes = [x * b.n_cells + y for x, y in ((a.control, b.control), (a.train, b.train), (a.synthetic, b.synthetic))]
    size = a.n_cells * b.n_cells
    if size > MAX_CELLS:
        seen, found = np.unique(np.concatenate(codes), return_inverse=True)
        size = len(seen)
        codes = np.split(found.astype(np.int64), np.cumsum([len(side) for side in codes])[:-1])
    return Binned(f"{a.name}, {b.name}", size, *codes)


def contrast(marginal: Binned, measure: Measure = total_variation) -> Contrast:
    """Both distances of one marginal, and what each row contributes to them."""
    control, train, synthetic = (
        np.bincount(side, minlength=marginal.n_cells) for side in (marginal.control, marginal.train, marginal.synthetic)
    )
    ours, floor = measure(control, synthetic), measure(control, train)
    return Contrast(
        distance=ours.value,
        floor=floor.value,
        control_distance=ours.first.astype(np.float32)[marginal.control],
        control_floor=floor.first.astype(np.float32)[marginal.control],
        synthetic=ours.second.astype(np.float32)[marginal.synthetic],
        train=floor.second.astype(np.float32)[marginal.train],
    )


def mean_contrast(contrasts: Iterable[Contrast], sides: Sides) -> tuple[Contrast, npt.NDArray[np.float64]]:
    """The mean of one or more contrasts, row by row, and the excess of each."""
    control, train, synthetic = (len(table) for table in sides.tables)
    sums = [np.zeros(size) for size in (control, control, synthetic, train)]
    distances, floors = [], []
    for one in contrasts:
        distances.append(one.distance)
        floors.append(one.floor)
        for total, part in zip(sums, (one.control_distance, one.control_floor, one.synthetic, one.train), strict=True):
            total += part
    n = len(distances)
    first, second, third, fourth = (total / n for total in sums)
    mean = Contrast(float(np.mean(distances)), float(np.mean(floors)), first, second, third, fourth)
    return mean, np.subtract(distances, floors)


@dataclass(frozen=True, slots=True)
class Reporter:
    """Findings about one measure.

    Attributes:
        audit: name of the audit.
        quantity: what is measured, as in "total variation distance, 1-way".
        excess: how its excess over the floor is called.
        most: largest value the measure can take.
    """

    audit: str
    quantity: str
    excess: str
    most: float

    def overall(self, total: Contrast, sides: Sides) -> Iterator[Finding]:
        """The mean distance, whose baseline is its floor, and the mean excess, whose baseline is 0."""
        yield self.single("", total, 1, sides)
        control = total.control_distance - total.control_floor
        error = _error((control, total.train, total.synthetic), sides.units, self._unit)
        yield self._finding(self.excess, "", total.excess, error, 0.0, -self.most, sides, 1)

    def single(self, subject: str, one: Contrast, looked_at: int, sides: Sides) -> Finding:
        """One distance; its interval holds for `looked_at` of them at once."""
        error = _error((one.control_distance, one.synthetic), (sides.units[0], sides.units[2]), self._unit)
        return self._finding(self.quantity, subject, one.distance, error, one.floor, 0.0, sides, looked_at)

    @property
    def _unit(self) -> float:
        return self.most if np.isfinite(self.most) else 1.0

    def _finding(
        self,
        quantity: str,
        subject: str,
        estimate: float,
        error: float,
        baseline: float,
        least: float,
        sides: Sides,
        looked_at: int,
    ) -> Finding:
        return estimate_finding(
            audit=self.audit,
            quantity=quantity,
            subject=subject,
            estimate=estimate,
            error=error,
            baseline=baseline,
            worse="higher",
            n=len(sides.tables[0]),
            limits=(least, self.most),
            looked_at=looked_at,
        )


def _error(influences: Sequence[Influence], units: Sequence[Cells], unit: float) -> float:
    """Standard error of a sum of means over independent tables, rows of one unit moving together."""
    parts = (mean_variance(part.astype(np.float64), owner) for part, owner in zip(influences, units, strict=True))
    return float(np.sqrt(sum(parts) + (unit / len(units[0])) ** 2))


def _sample(table: Table, size: int, rng: Generator) -> Table:
    """So many rows, at random where there are more; the same rows whatever order they are in."""
    if size == len(table):
        return table
    return canonical(table).select(np.sort(rng.choice(len(table), size, replace=False)))

"""Do synthetic rows teach more when they are made as imperfect as real ones?

Each arm changes the synthetic rows that are learnt from, and no label: cells go missing as often as among training
rows, or more; numbers get noise of a part of their spread; levels are confused with others of the column, drawn by
their shares. A model learns not to lean on what real rows will not give it; where nothing is gained, the synthetic rows
already have the real imperfections, or they do not matter. Several arms are looked at, and bounds hold for all
together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.evidence import Evidence
from audits.finding import Finding
from audits.lab.arms import Comparison
from audits.tasks import half_of, learning, task_of
from privacy.columns import LevelColumn, NumberColumn
from privacy.table import Table

AS_THEY_ARE = "synthetic rows as they are"

Change = Callable[[Table, Generator], Table]


@dataclass(frozen=True, slots=True)
class Imperfections:
    """Missing cells, measurement noise and confused levels in what is learnt from.

    Attributes:
        missing: shares of cells that go missing beside those that are.
        noise: standard deviations of noise on numbers, as parts of the column's own.
        confusion: shares of cells whose level is replaced.
        repeats: how often rows and changes are drawn again.
        max_rows: rows of each side at most.
    """

    missing: tuple[float, ...] = (0.02, 0.1)
    noise: tuple[float, ...] = (0.1, 0.3)
    confusion: tuple[float, ...] = (0.02, 0.1)
    repeats: int = 3
    max_rows: int = 20_000
    name: ClassVar[str] = "imperfections"
    title: ClassVar[str] = "Realistic imperfections"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Scores and calibration of every arm, and what differs from rows as they are.

        Raises:
            InconclusiveError: no target, or nothing to learn from or to tell apart.
        """
        task = task_of(evidence.schema)
        rows = learning(evidence, task, self.max_rows, rng)
        target = task.target.name
        changes: dict[str, Change] = {"missing as often as among real rows": partial(_as_missing, rows.train, target)}
        changes |= {f"{share:.0%} of cells missing": partial(_missing, target, share) for share in self.missing}
        changes |= {f"noise of {part:.0%} on numbers": partial(_noisy, target, part) for part in self.noise}
        changes |= {f"{share:.0%} of levels confused": partial(_confused, target, share) for share in self.confusion}
        halves = [half_of(rows.synthetic, rng) for _ in range(self.repeats)]
        arms = {AS_THEY_ARE: halves} | {
            name: [change(half, rng) for half in halves] for name, change in changes.items()
        }
        return tuple(Comparison(self.name, task, rows, AS_THEY_ARE).findings(arms, rng))


def _as_missing(real: Table, target: str, rows: Table, rng: Generator) -> Table:
    """Cells go missing until each column lacks as many as among real rows; none comes back."""
    columns = dict(rows.columns)
    for column in rows.schema.columns:
        if column.name != target:
            ours, theirs = (_is_missing(table, column).mean() for table in (rows, real))
            share = max(0.0, (theirs - ours) / max(1 - ours, 1e-9))
            columns[column.name] = _blank(columns[column.name], column, rng.random(len(rows)) < share)
    return replace(rows, columns=columns)


def _missing(target: str, share: float, rows: Table, rng: Generator) -> Table:
    columns = {
        c.name: rows.columns[c.name]
        if c.name == target
        else _blank(rows.columns[c.name], c, rng.random(len(rows)) < share)
        for c in rows.schema.columns
    }
    return replace(rows, columns=columns)


def _noisy(target: str, part: float, rows: Table, rng: Generator) -> Table:
    columns = dict(rows.columns)
    for column in rows.schema.columns:
        if isinstance(column, NumberColumn) and column.name != target:
            values = rows.numbers(column.name)
            spread = float(np.nanstd(values)) if np.isfinite(values).any() else 0.0
            columns[column.name] = column.clamp(values + rng.normal(0, part * spread, len(values)))
    return replace(rows, columns=columns)


def _confused(target: str, share: float, rows: Table, rng: Generator) -> Table:
    columns = dict(rows.columns)
    for column in rows.schema.columns:
        if isinstance(column, LevelColumn) and column.name != target:
            codes = rows.columns[column.name]
            columns[column.name] = np.where(rng.random(len(rows)) < share, rng.permutation(codes), codes)
    return replace(rows, columns=columns)


def _is_missing(table: Table, column: LevelColumn | NumberColumn) -> npt.NDArray[np.bool_]:
    if isinstance(column, LevelColumn):
        return np.asarray(table.codes(column.name) == column.n_codes - 1)
    return np.isnan(table.numbers(column.name))


def _blank(
    values: npt.NDArray[Any], column: LevelColumn | NumberColumn, gone: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    if isinstance(column, LevelColumn):
        return np.where(gone, np.asarray(column.n_codes - 1, dtype=values.dtype), values)
    return np.where(gone, np.nan, values)

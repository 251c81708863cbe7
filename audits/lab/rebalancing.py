"""Does it help to draw synthetic rows in other shares: equal for every group or label, or as among real rows?

First, learning from synthetic rows alone: as many rows in every arm, drawn as they are; in equal shares of every level
of a sensitive column, or of the target; or in the shares the training rows have, which mends what representation lost.
Second, where real rows are there: all of them, against the same with synthetic rows added to small groups until each
has half the mean size. Each tells of accuracy, of calibration and of gaps between groups; equal shares of the label are
meant to change the chances a model gives, and their calibration error says by how much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.finding import Finding
from audits.lab.arms import Comparison, drawn
from audits.rows import joined
from audits.tasks import half_of, learning, task_of
from privacy.columns import Floats, LevelColumn
from privacy.table import Table, stacked

LEAST = 20
"""Synthetic rows of a level, below which it is not multiplied: a few rows many times are no sample."""

AS_IT_IS, REAL = "synthetic as it is", "real rows"


@dataclass(frozen=True, slots=True)
class Rebalancing:
    """Other shares of groups, and of the label.

    Attributes:
        repeats: how often rows are drawn again.
        max_rows: rows of each side at most.
        max_columns: sensitive columns that are tried.
    """

    repeats: int = 3
    max_rows: int = 20_000
    max_columns: int = 3
    name: ClassVar[str] = "rebalancing"
    title: ClassVar[str] = "Other shares of groups and labels"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Scores, calibration and gaps of every arm, and what differs from rows as they are.

        Raises:
            InconclusiveError: no target, nothing to learn from or to tell apart, or no column with levels to balance.
        """
        task = task_of(evidence.schema)
        rows = learning(evidence, task, self.max_rows, rng)
        groups = [c for c in evidence.schema.sensitive if c.name != task.target.name][: self.max_columns]
        balanced: list[LevelColumn] = [*groups, *([task.target] if isinstance(task.target, LevelColumn) else [])]
        if not balanced:
            raise InconclusiveError("no column with levels is sensitive or the target")
        size = len(rows.synthetic) // 2
        ways: dict[str, Callable[[Table, Generator], Table]] = {AS_IT_IS: lambda t, r: drawn(t, size, r)}
        for column in balanced:
            shares = np.bincount(rows.train.codes(column.name), minlength=column.n_codes) / len(rows.train)
            equal = np.ones(column.n_codes) * (shares > 0)
            ways[f"equal shares of {column.name}"] = _shared(column, equal, size)
            ways[f"real shares of {column.name}"] = _shared(column, shares, size)
        alone = {name: [way(rows.synthetic, rng) for _ in range(self.repeats)] for name, way in ways.items()}
        found = list(Comparison(self.name, task, rows, AS_IT_IS).findings(alone, rng, groups=groups))
        if groups:
            halves = [half_of(rows.train, rng) for _ in range(self.repeats)]
            filled = {
                f"small groups of {column.name} filled up": [_filled(h, rows.synthetic, column, rng) for h in halves]
                for column in groups
            }
            # A column without small groups has nothing to fill up, and no arm.
            arms = {name: some for name, some in filled.items() if any(map(_longer, some, halves))}
            if arms:
                found += Comparison(self.name, task, rows, REAL).findings({REAL: halves} | arms, rng, groups=groups)
        return tuple(found)


def _longer(one: Table, other: Table) -> bool:
    return len(one) > len(other)


def _shared(column: LevelColumn, shares: Floats, size: int) -> Callable[[Table, Generator], Table]:
    def way(table: Table, rng: Generator) -> Table:
        codes = table.codes(column.name)
        there = np.bincount(codes, minlength=column.n_codes) >= LEAST
        wanted = shares * there
        counts = np.rint(wanted / wanted.sum() * size).astype(np.int64) if wanted.sum() else np.zeros(0, np.int64)
        parts = [drawn(table.select(codes == code), int(n), rng) for code, n in enumerate(counts) if n]
        return stacked(parts) if parts else drawn(table, size, rng)

    return way


def _filled(real: Table, synthetic: Table, column: LevelColumn, rng: Generator) -> Table:
    """Real rows, and synthetic ones of levels that have less than half the mean size; distinct ones only."""
    counts = np.bincount(real.codes(column.name), minlength=column.n_codes)
    there = np.flatnonzero(counts)
    goal = len(real) // (2 * len(there))
    codes = synthetic.codes(column.name)
    added = []
    for code in there:
        pool = np.flatnonzero(codes == code)
        n = min(max(goal - int(counts[code]), 0), len(pool))
        added.append(rng.choice(pool, n, replace=False))
    return joined(real, synthetic.select(np.sort(np.concatenate(added))))

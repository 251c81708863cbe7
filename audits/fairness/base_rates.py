"""Whether the positive label is as frequent in every group as it is among real people of that group.

A shift of the base rate moves every decision learnt from the table, whatever the model. Real rows are train and control
together, one row a unit. The positive label is the last level of the target's list. The shift is absolute: a group that
looks better than it is misleads as one that looks worse does. Its bounds are those of the difference of the two rates,
at half the error a side, since either side may be the one that counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.fairness.representation import group_name
from audits.finding import Audience, Finding, Interval
from audits.intervals import STRICT, USUAL, detectable_difference, proportion_difference
from audits.rows import joined, one_row_per_unit
from privacy.columns import LevelColumn
from privacy.schema import Schema
from privacy.table import Table


@dataclass(frozen=True, slots=True)
class BaseRates:
    """How far the rate of the positive label in each group is from the real one.

    Attributes:
        min_rows: real units, and synthetic rows, below which a group is not judged.
    """

    min_rows: int = 100
    name: ClassVar[str] = "base rates"
    title: ClassVar[str] = "Base rates of groups"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """One finding a group, and one for all rows; groups too small get a finding whose interval is everything.

        Raises:
            InconclusiveError: no target or no sensitive column with levels is declared, or there is no labelled row.
        """
        target, columns = target_and_groups(evidence.schema)
        sides = [t.select(one_row_per_unit(t, rng)) for t in (evidence.train, evidence.control)]
        real, synthetic = (_labelled(table, target) for table in (joined(*sides), evidence.synthetic))
        if not (len(real) and len(synthetic)):
            raise InconclusiveError("the synthetic table or the real rows hold no labelled row")
        return tuple(self._findings(real, synthetic, target, columns))

    def _findings(
        self, real: Table, synthetic: Table, target: LevelColumn, columns: list[LevelColumn]
    ) -> Iterator[Finding]:
        event = len(target.declared) - 1
        theirs, ours = (table.codes(target.name) == event for table in (real, synthetic))
        yield _shift("base rate shift", "", int(ours.sum()), len(ours), int(theirs.sum()), len(theirs))
        for column in columns:
            mine, other = synthetic.codes(column.name), real.codes(column.name)
            for code in np.unique(np.concatenate([mine, other])):
                inside, real_inside = mine == code, other == code
                n, n_real = int(inside.sum()), int(real_inside.sum())
                small = min(n, n_real) < self.min_rows
                counts = int((ours & inside).sum()), n, int((theirs & real_inside).sum()), n_real
                quantity = "base rate shift, too few rows" if small else "base rate shift"
                yield _shift(quantity, group_name(column, int(code)), *((0, 0, 0, n_real) if small else counts))


def target_and_groups(schema: Schema) -> tuple[LevelColumn, list[LevelColumn]]:
    """The target, and the sensitive columns whose groups it is compared between.

    Raises:
        InconclusiveError: no target or no sensitive column with levels is declared.
    """
    target = schema.target
    if target is None or not target.declared:
        raise InconclusiveError("no target with levels is declared")
    columns = [column for column in schema.sensitive if column.name != target.name]
    if not columns:
        raise InconclusiveError("no column with levels is declared sensitive")
    return target, columns


def _labelled(table: Table, target: LevelColumn) -> Table:
    return table.select(table.codes(target.name) != target.n_codes - 1)


def _shift(quantity: str, subject: str, hits: int, n: int, real_hits: int, n_real: int) -> Finding:
    """The absolute difference of two rates; unknown where there are no rows."""
    known = n > 0 and n_real > 0
    ends = []
    for confidence in (USUAL, STRICT):
        bounds = Interval(-1.0, 1.0, confidence)
        if known:
            bounds = proportion_difference(hits, n, real_hits, n_real, (1 + confidence) / 2)
        low, high = max(bounds.low, -bounds.high, 0.0), max(bounds.high, -bounds.low)
        ends.append(Interval(low, high, confidence))
    return Finding(
        audit=BaseRates.name,
        quantity=quantity,
        subject=subject,
        estimate=abs(hits / n - real_hits / n_real) if known else 0.0,
        interval=ends[0],
        strict=ends[1],
        baseline=0.0,
        worse="higher",
        n=max(n + n_real, 1),
        detectable=detectable_difference(real_hits / n_real, n_real, n) if known else None,
        audience=Audience.INTERNAL,
    )

"""Real and synthetic rows mixed: what a share of real rows buys, and what synthetic rows add to few real ones.

Gradient boosting learns from a table of fixed size whose share of real rows grows from none to all, and from a fixed
tenth of the real rows (or other shares) to which more and more synthetic rows are added. Each is repeated with rows
chosen anew, and scored on control rows. The fixed size is half of the learning rows, for the reason of
`audits.tasks.half_of`. The baseline of the first curve is its end, real rows alone; that of the others is their
beginning, the few real rows without synthetic ones: a point below it says that adding rows did harm. What a point gains
over that baseline is a finding of its own, with an interval that is paired over control rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.evidence import Evidence
from audits.finding import Finding
from audits.rows import joined
from audits.tasks import Learning, Repeated, Score, Task, learning, paired_findings, task_of
from privacy.table import Table

MIN_ROWS = 200
MODEL = "gradient boosting"


Mix = tuple[int, int]
"""Real rows and synthetic rows."""


@dataclass(frozen=True, slots=True)
class Hybrid:
    """The score on control rows by the mix of real and synthetic rows that was learnt from.

    Attributes:
        shares: shares of real rows at a fixed size, ascending.
        scarce: shares of the real rows, each with a curve of its own.
        added: synthetic rows for each real one in these curves, ascending from 0; left out where there are not as many.
        repeats: how often rows are drawn again.
        max_rows: rows each model learns from at most.
    """

    shares: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
    scarce: tuple[float, ...] = (0.1,)
    added: tuple[float, ...] = (0.0, 1.0, 3.0, 9.0)
    repeats: int = 5
    max_rows: int = 20_000
    name: ClassVar[str] = "hybrid"
    title: ClassVar[str] = "Mixes of real and synthetic rows"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """A finding a point of both curves.

        Raises:
            InconclusiveError: no target, fewer than 200 rows to learn from, or nothing to tell apart.
        """
        task = task_of(evidence.schema)
        rows = learning(evidence, task, self.max_rows, rng, least=MIN_ROWS)
        n = len(rows.train)
        size = n // 2
        curves = {
            f"{task.score_name} by share of real rows": (
                {f"{share:.0%} real": (round(share * size), size - round(share * size)) for share in self.shares},
                -1,
            )
        }
        for scarce in self.scarce:
            few = round(scarce * n)
            curves[f"{task.score_name} by synthetic rows added to {scarce:.0%} of the real"] = (
                {f"{k:g} synthetic for each real": (few, round(k * few)) for k in self.added if round(k * few) <= n},
                0,
            )
        found: list[Finding] = []
        for quantity, (mixes, reference) in curves.items():
            scores = self._curve(task, rows, mixes, rng)
            start = list(scores)[reference]
            found += paired_findings(
                self.name,
                task,
                rows,
                scores,
                start,
                quantity=quantity,
                change=quantity.replace(task.score_name, f"{task.score_name} gained", 1),
                baseline=Repeated.of(scores[start]).mean,
                limits=(task.least, 1.0),
            )
        return tuple(found)

    def _curve(self, task: Task, rows: Learning, mixes: Mapping[str, Mix], rng: Generator) -> dict[str, list[Score]]:
        """Scores of every repeat, by mix."""
        labels = task.labels(rows.control)
        scores: dict[str, list[Score]] = {}
        for subject, (n_real, n_synthetic) in mixes.items():
            scores[subject] = []
            for _ in range(self.repeats):
                learn = joined(_drawn(rows.train, n_real, rng), _drawn(rows.synthetic, n_synthetic, rng))
                scores[subject].append(task.score(task.predict(MODEL, learn, rows.control, rng), labels))
        return scores


def _drawn(table: Table, n: int, rng: Generator) -> Table:
    """So many rows at random, in order."""
    return table.select(np.sort(rng.choice(len(table), n, replace=False)))

"""Real and synthetic rows mixed: what a share of real rows buys, and what synthetic rows add to few real ones.

Gradient boosting learns from a table of fixed size whose share of real rows grows from none to all, and from a fixed
tenth of the real rows to which more and more synthetic rows are added. Each is repeated with rows chosen anew, and
scored on control rows. The fixed size is half of the learning rows, for the reason of `audits.tasks.half_of`. The
baseline of the first curve is its end, real rows alone; that of the second is its beginning, the few real rows without
synthetic ones: a point below it says that adding rows did harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.estimates import estimate_finding
from audits.evidence import Evidence
from audits.finding import Finding
from audits.rows import joined
from audits.tasks import Learning, Repeated, Task, learning, task_of
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
        scarce: share of the real rows that are there in the second curve.
        added: synthetic rows for each real one in the second curve, ascending; no more than there are.
        repeats: how often rows are drawn again.
        max_rows: rows each model learns from at most.
    """

    shares: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
    scarce: float = 0.1
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
        rows = learning(evidence, task, self.max_rows, rng)
        n = len(rows.train)
        if n < MIN_ROWS:
            raise InconclusiveError(f"there are fewer than {MIN_ROWS} rows to learn from")
        few, size = round(self.scarce * n), n // 2
        by_share = {f"{share:.0%} real": (round(share * size), size - round(share * size)) for share in self.shares}
        by_added = {f"{k:g} synthetic for each real": (few, min(round(k * few), n)) for k in self.added}
        found: list[Finding] = []
        for quantity, mixes, reference in (
            (f"{task.score_name} by share of real rows", by_share, -1),
            (f"{task.score_name} by synthetic rows added to {self.scarce:.0%} of the real", by_added, 0),
        ):
            scores = self._curve(task, rows, mixes, rng)
            baseline = list(scores.values())[reference].mean
            found += self._findings(task, quantity, scores, baseline, rows)
        return tuple(found)

    def _curve(self, task: Task, rows: Learning, mixes: Mapping[str, Mix], rng: Generator) -> dict[str, Repeated]:
        labels = task.labels(rows.control)
        scores = {}
        for subject, (n_real, n_synthetic) in mixes.items():
            repeats = []
            for _ in range(self.repeats):
                learn = joined(_drawn(rows.train, n_real, rng), _drawn(rows.synthetic, n_synthetic, rng))
                repeats.append(task.score(task.predict(MODEL, learn, rows.control, rng), labels))
            scores[subject] = Repeated.of(repeats)
        return scores

    def _findings(
        self, task: Task, quantity: str, scores: Mapping[str, Repeated], baseline: float, rows: Learning
    ) -> Iterator[Finding]:
        doubt = task.doubt(task.labels(rows.control))
        for subject, one in scores.items():
            yield estimate_finding(
                audit=self.name,
                quantity=quantity,
                subject=subject,
                estimate=one.mean,
                error=one.error(rows.units, doubt),
                baseline=baseline,
                worse="lower",
                n=len(rows.control),
                limits=(task.least, 1.0),
                looked_at=1,
            )


def _drawn(table: Table, n: int, rng: Generator) -> Table:
    """So many rows at random, in order."""
    return table.select(np.sort(rng.choice(len(table), n, replace=False)))

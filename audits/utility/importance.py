"""Columns that matter more to a model of the synthetic rows than to one of the real rows.

Gradient boosting learns the target from synthetic rows and is tried on other synthetic rows; its twin learns from as
many training rows and is tried on control rows. The importance of a column is what a model loses where it is tried when
that column is shuffled there. A column that is far more important to the first is one the synthesis leans on more than
the population does: it stands in for what was lost, or an association was made up. Models learn from random halves of
their rows in every repeat (`audits.tasks.half_of`); intervals of single columns are simultaneous over all of them.

Source: Breiman 2001, "Random forests", section 10 (importance by permutation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.estimates import estimate_finding
from audits.evidence import Evidence
from audits.finding import Finding
from audits.rows import sampled
from audits.tasks import Repeated, Task, half_of, learning, task_of
from privacy.table import Table, stacked

MODEL = "gradient boosting"
MAX_TESTED = 5_000
"""Rows that are shuffled: each is predicted once for every column."""

TESTED = 0.25
"""Of the synthetic rows: those the models are tried on and never learn from."""


@dataclass(frozen=True, slots=True)
class Importance:
    """How much more important each column is among synthetic rows.

    Attributes:
        repeats: how often models are fitted again.
        max_rows: rows each model learns from at most.
    """

    repeats: int = 5
    max_rows: int = 20_000
    name: ClassVar[str] = "importance"
    title: ClassVar[str] = "Importance of columns"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """For each column its importance among synthetic rows, and the surplus over real ones, the largest first.

        Raises:
            InconclusiveError: no target, no other column, or nothing to learn from or to tell apart.
        """
        task = task_of(evidence.schema)
        rows = learning(evidence, task, self.max_rows, rng)
        names = [name for name in evidence.schema.names if name != task.target.name]
        if not names:
            raise InconclusiveError("there is no column beside the target")
        held_out = rng.permutation(len(rows.synthetic)) < min(TESTED * len(rows.synthetic), MAX_TESTED)
        tested = rows.synthetic.select(held_out), sampled(rows.control, MAX_TESTED, rng)
        learn = rows.synthetic.select(~held_out), sampled(rows.train, max(int((~held_out).sum()), 1), rng)
        if any(len(np.unique(task.labels(table))) < 2 for table in tested):
            raise InconclusiveError("the rows to test on hold fewer than two values of the target")
        ours, theirs = (self._importances(task, a, b, names, rng) for a, b in zip(learn, tested, strict=True))
        order = sorted(names, key=lambda name: theirs[name].mean - ours[name].mean)
        return tuple(
            f for name in order for f in self._findings(task, name, ours[name], theirs[name], tested, len(names))
        )

    def _importances(
        self, task: Task, learn: Table, tested: Table, names: Sequence[str], rng: Generator
    ) -> Mapping[str, Repeated]:
        labels = task.labels(tested)
        drops: dict[str, list[Any]] = {name: [] for name in names}
        for _ in range(self.repeats):
            shuffled = stacked([tested, *(_shuffled(tested, name, rng) for name in names)])
            predictions = task.predict(MODEL, half_of(learn, rng), shuffled, rng)
            whole, *parts = (task.score(part, labels) for part in np.split(predictions, 1 + len(names)))
            for name, (score, influence) in zip(names, parts, strict=True):
                drops[name].append((whole[0] - score, whole[1] - influence))
        return {name: Repeated.of(repeats) for name, repeats in drops.items()}

    def _findings(
        self, task: Task, name: str, ours: Repeated, theirs: Repeated, tested: tuple[Table, Table], looked_at: int
    ) -> Iterator[Finding]:
        errors = [
            one.error(np.unique(table.units, return_inverse=True)[1], task.doubt(task.labels(table)))
            for one, table in zip((ours, theirs), tested, strict=True)
        ]
        widest = 1 - task.least
        for quantity, estimate, error, baseline, limit in (
            ("importance among synthetic rows", ours.mean, errors[0], theirs.mean, widest),
            ("surplus of importance", ours.mean - theirs.mean, float(np.hypot(errors[0], errors[1])), 0.0, 2 * widest),
        ):
            yield estimate_finding(
                audit=self.name,
                quantity=quantity,
                subject=name,
                estimate=estimate,
                error=error,
                baseline=baseline,
                worse="higher",
                n=len(tested[0]),
                limits=(-limit, limit),
                looked_at=looked_at,
            )


def _shuffled(table: Table, name: str, rng: Generator) -> Table:
    mixed: npt.NDArray[Any] = rng.permutation(table.columns[name])
    return Table(table.schema, {**table.columns, name: mixed}, table.vocabularies, table.units)

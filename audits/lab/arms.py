"""Arms of an experiment: ways to make rows to learn from, tried on the same control rows and compared in pairs.

Every arm is tried in several repeats, each with rows drawn anew. What is said of an arm is its score, its calibration
and its gaps between groups, and of each how it differs from the reference arm: differences are taken row by row of
control, so that what makes a row hard for everybody cancels. Intervals cover another draw of control rows and, by the
spread over repeats, of learning rows; where several arms are looked at, and several groups of a column, they hold for
all of them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator

from audits.estimates import estimate_finding
from audits.fairness.gaps import ODDS, PARITY, Gap, Mask, Whole, count, resampled
from audits.fairness.representation import group_name
from audits.finding import Finding
from audits.scores import calibration_error, macro_auc
from audits.tasks import Classification, Learning, Score, Task, paired_findings
from privacy.columns import Floats, LevelColumn
from privacy.table import Table

MODEL = "gradient boosting"
MIN_ROWS, MIN_LABELS = 100, 20
"""Control rows, and rows of either label, below which nothing is said of a group."""

RESAMPLES = 300

Arms = Mapping[str, Sequence[Table]]
"""By arm: the rows that are learnt from in every repeat."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Arms against a reference.

    Attributes:
        audit: name of the experiment.
        task: what is predicted.
        rows: where control rows come from.
        reference: the arm the others are compared with.
    """

    audit: str
    task: Task
    rows: Learning
    reference: str

    def findings(self, arms: Arms, rng: Generator, *, groups: Sequence[LevelColumn] = ()) -> Iterator[Finding]:
        """Score of every arm and what it gains; calibration, and what it worsens; by group where columns are given."""
        task, labels = self.task, self.task.labels(self.rows.control)
        predicted = {
            name: [task.predict(MODEL, learn, self.rows.control, rng) for learn in tables]
            for name, tables in arms.items()
        }
        others = len(arms) - 1
        scores = {name: [task.score(one, labels) for one in some] for name, some in predicted.items()}
        yield from self._paired(task.score_name, scores, "lower", (task.least, 1.0), task.chance, others)
        if not isinstance(task, Classification):
            return
        event = len(task.target.declared) - 1
        happened = labels == event
        errors = {
            name: [calibration_error(one[:, event], happened)[:2] for one in some] for name, some in predicted.items()
        }
        yield from self._paired("calibration error", errors, "higher", (0.0, 1.0), 0.0, others)
        for column in groups:
            codes = self.rows.control.codes(column.name)
            large = [
                code
                for code in np.unique(codes)
                if (codes == code).sum() >= MIN_ROWS
                and min((happened & (codes == code)).sum(), (~happened & (codes == code)).sum()) >= MIN_LABELS
            ]
            for code in large:
                inside = codes == code
                own = {
                    name: [_within(one[:, event], happened, inside) for one in some] for name, some in predicted.items()
                }
                subject = group_name(column, int(code))
                looked_at = others * len(large)
                yield from self._paired("AUC in a group", own, "lower", (0.0, 1.0), 0.5, looked_at, subject)
            if len(large) >= 2:
                chances = {name: [one[:, event] for one in some] for name, some in predicted.items()}
                yield from self._gaps(column, np.array(large), happened, chances, arms, others, rng)

    def _paired(
        self,
        quantity: str,
        scores: Mapping[str, Sequence[Score]],
        worse: Literal["higher", "lower"],
        limits: tuple[float, float],
        baseline: float,
        others: int,
        group: str = "",
    ) -> Iterator[Finding]:
        yield from paired_findings(
            self.audit,
            self.task,
            self.rows,
            scores,
            self.reference,
            quantity=quantity,
            change=f"{quantity} against {self.reference}",
            baseline=baseline,
            limits=limits,
            worse=worse,
            looked_at=max(others, 1),
            group=group,
        )

    def _gaps(
        self,
        column: LevelColumn,
        large: Whole,
        happened: Mask,
        chances: Mapping[str, Sequence[Floats]],
        arms: Arms,
        others: int,
        rng: Generator,
    ) -> Iterator[Finding]:
        """How the gaps between groups differ: decisions select as many as have the label among what was learnt from."""
        codes = self.rows.control.codes(column.name)
        chosen = np.isin(codes, large)
        group = np.searchsorted(large, codes[chosen]).astype(np.int64)
        label, units, real = happened[chosen], self.rows.units[chosen], float(happened.mean())
        selected = {
            name: [chance >= np.quantile(chance, 1 - real) for chance in some] for name, some in chances.items()
        }
        for gap in (PARITY, ODDS):
            for name in arms:
                if name == self.reference:
                    continue
                pairs = list(zip(selected[name], selected[self.reference], strict=True))
                yield self._gap(gap, f"{name}, {column.name}", group, label, pairs, chosen, units, others, rng)

    def _gap(
        self,
        gap: Gap,
        subject: str,
        group: Whole,
        label: Mask,
        pairs: Sequence[tuple[Mask, Mask]],
        chosen: Mask,
        units: Whole,
        others: int,
        rng: Generator,
    ) -> Finding:
        changes = [
            float(gap.difference(count(group, label, a[chosen])) - gap.difference(count(group, label, b[chosen])))
            for a, b in pairs
        ]
        first, second = resampled(gap, group, label, (pairs[0][0][chosen], pairs[0][1][chosen]), units, RESAMPLES, rng)
        spread = float(np.var(changes, ddof=1)) if len(changes) > 1 else 0.0
        return estimate_finding(
            audit=self.audit,
            quantity=f"{gap.name} difference against {self.reference}",
            subject=subject,
            estimate=float(np.mean(changes)),
            error=float(np.sqrt((first - second).var() + spread)),
            baseline=0.0,
            worse="higher",
            n=len(group),
            limits=(-1.0, 1.0),
            looked_at=max(others, 1),
        )


def _within(chance: Floats, happened: Mask, inside: Mask) -> tuple[float, Floats]:
    """AUC among some control rows, with influences on the scale of all of them."""
    own = chance[inside]
    area, influence = macro_auc(np.stack([1 - own, own], axis=1), happened[inside].astype(np.int32))
    whole = np.zeros(len(chance))
    whole[inside] = influence * len(chance) / inside.sum()
    return area, whole


def drawn(table: Table, n: int, rng: Generator) -> Table:
    """So many rows at random, in order: distinct ones as long as there are."""
    extra = max(n - len(table), 0)
    places = np.concatenate(
        [rng.choice(len(table), n - extra, replace=False), rng.choice(len(table), extra, replace=True)]
    )
    return table.select(np.sort(places))

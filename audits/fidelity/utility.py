"""Trained on synthetic, tested on real: what a model of the target loses when it learns from the synthetic rows.

Two models are fitted twice, to synthetic rows and to as many training rows, and predict the same control rows. Levels
are scored by the macro one-vs-rest AUC over every class that occurs in control, numbers by R squared. A class the
synthetic rows never held scores a constant, hence .5; leaving out the rows of such a class would raise the score of a
generator that loses it.

Intervals are paired: every control row has an influence on both scores (`audits.scores`), and the variance of the
difference is that of the difference of influences, added up by unit. They cover another draw of control rows, for these
fitted models; neither another synthetic table nor another seed, which `audits.utility.train_test` repeats.
Half a discordant row a class is added, so that a class of one row, or two equal areas, do not claim certainty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from numpy.random import Generator

from audits.estimates import estimate_finding
from audits.evidence import Evidence
from audits.finding import Finding
from audits.tasks import Labels, Learning, Repeated, Task, learning, task_of

QUICK = 2
"""Of the task's models, the first ones: what every release is asked."""


@dataclass(frozen=True, slots=True)
class Utility:
    """How much of the score on control rows is lost by learning from synthetic rather than real rows.

    Attributes:
        max_rows: rows each model learns from at most.
    """

    max_rows: int = 30_000
    name: ClassVar[str] = "utility"
    title: ClassVar[str] = "Utility for prediction"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """For each model: its score trained on synthetic, trained on real, and the loss.

        Raises:
            InconclusiveError: no target, or nothing to learn from or to tell apart.
        """
        task = task_of(evidence.schema)
        rows = learning(evidence, task, self.max_rows, rng)
        labels = task.labels(rows.control)
        models = task.models[:QUICK]
        found: list[Finding] = []
        for model, stream in zip(models, rng.spawn(len(models)), strict=True):
            ours, theirs = (
                task.score(task.predict(model, learn, rows.control, seed), labels)
                for learn, seed in zip((rows.synthetic, rows.train), stream.spawn(2), strict=True)
            )
            lost = theirs[0] - ours[0], theirs[1] - ours[1]
            found += losses(self.name, model, task, [Repeated.of([one]) for one in (ours, theirs, lost)], rows, labels)
        return tuple(found)


def losses(
    audit: str, subject: str, task: Task, scores: list[Repeated], rows: Learning, labels: Labels
) -> Iterator[Finding]:
    """Findings from the score trained on synthetic, that trained on real, and the difference, in that order."""
    ours, theirs, lost = scores
    worse: Literal["higher", "lower"]
    widest = 1 - task.least
    for quantity, one, baseline, worse, limits in (
        (f"{task.score_name}, trained on synthetic", ours, theirs.mean, "lower", (task.least, 1.0)),
        (f"{task.score_name}, trained on real", theirs, task.chance, "lower", (task.least, 1.0)),
        (f"{task.score_name} lost by synthesis", lost, 0.0, "higher", (-widest, widest)),
    ):
        yield estimate_finding(
            audit=audit,
            quantity=quantity,
            subject=subject,
            estimate=one.mean,
            error=one.error(rows.units, task.doubt(labels)),
            baseline=baseline,
            worse=worse,
            n=len(labels),
            limits=limits,
            looked_at=1,
        )

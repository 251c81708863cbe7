"""Train and test on synthetic and on real rows: three model families, several repeats, and calibration.

Trained on synthetic, tested on real (TSTR); trained and tested on real (TRTR); trained on real, tested on synthetic
(TRTS), which asks whether the synthetic rows obey what real rows teach. Every repeat learns from a random half of the
learning rows and fits anew (`audits.tasks.half_of`). Intervals are paired over control rows, as in
`audits.fidelity.utility`, and add the variance between repeats undivided: another synthetic table, or another table to
train on, is one repeat and not their mean. It is estimated from few repeats and is as uncertain as that.

For a target with levels also, of the last level as an event: the Brier score, the expected calibration error, and the
reliability diagram of the first repeat, a bin a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.estimates import estimate_finding, rate_finding
from audits.evidence import Evidence
from audits.fidelity.utility import losses
from audits.finding import Audience, Finding
from audits.intervals import detectable_difference
from audits.rows import joined
from audits.scores import brier, calibration_error, reliability_bins
from audits.tasks import Classification, Learning, Repeated, Task, half_of, learning, task_of
from privacy.columns import Floats


@dataclass(frozen=True, slots=True)
class TrainTest:
    """What models of the target are worth, by where they learnt and where they are tried.

    Attributes:
        repeats: how often everything is drawn and fitted again.
        max_rows: rows each model learns from at most.
    """

    repeats: int = 5
    max_rows: int = 30_000
    name: ClassVar[str] = "train and test"
    title: ClassVar[str] = "Training and testing across tables"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """For each family: both scores on control rows, the loss, the score on synthetic rows, and calibration.

        Raises:
            InconclusiveError: no target, or nothing to learn from or to tell apart.
        """
        task = task_of(evidence.schema)
        rows = learning(evidence, task, self.max_rows, rng)
        found: list[Finding] = []
        for model, stream in zip(task.models, rng.spawn(len(task.models)), strict=True):
            found += self._family(task, model, rows, stream)
        return tuple(found)

    def _family(self, task: Task, model: str, rows: Learning, rng: Generator) -> Iterator[Finding]:
        labels = task.labels(rows.control)
        ours, theirs, across = [], [], []
        for _ in range(self.repeats):
            synthetic, train = (half_of(table, rng) for table in (rows.synthetic, rows.train))
            ours.append(task.predict(model, synthetic, rows.control, rng))
            both = task.predict(model, train, joined(rows.control, rows.synthetic), rng)
            theirs.append(both[: len(rows.control)])
            across.append(both[len(rows.control) :])
        scored = [[task.score(one, labels) for one in side] for side in (ours, theirs)]
        lost = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(*scored, strict=True)]
        yield from losses(self.name, model, task, [Repeated.of(s) for s in (*scored, lost)], rows, labels)
        yield from self._across(task, model, rows, across, float(np.mean([value for value, _ in scored[1]])))
        if isinstance(task, Classification):
            yield from self._calibration(task, model, rows, ours, theirs)
            if model == task.models[0]:
                for words, side in (("synthetic", ours), ("real", theirs)):
                    yield from self._reliability(task, words, side[0], rows)

    def _across(
        self, task: Task, model: str, rows: Learning, across: list[Floats], baseline: float
    ) -> Iterator[Finding]:
        labels = task.labels(rows.synthetic)
        if len(np.unique(labels)) < 2:
            return
        one = Repeated.of([task.score(predictions, labels) for predictions in across])
        units = np.arange(len(labels))
        yield estimate_finding(
            audit=self.name,
            quantity=f"{task.score_name}, trained on real, tested on synthetic",
            subject=model,
            estimate=one.mean,
            error=one.error(units, task.doubt(labels)),
            baseline=baseline,
            worse="lower",
            n=len(labels),
            limits=(task.least, 1.0),
            looked_at=1,
        )

    def _calibration(
        self, task: Classification, model: str, rows: Learning, ours: list[Floats], theirs: list[Floats]
    ) -> Iterator[Finding]:
        """Brier score and calibration error of both, and how much worse synthetic rows make them."""
        labels = task.labels(rows.control)
        event = len(task.target.declared) - 1
        happened = labels == event
        briers = [[brier(one, labels) for one in side] for side in (ours, theirs)]
        errors = [[calibration_error(one[:, event], happened) for one in side] for side in (ours, theirs)]
        calm = [float(np.mean([alone for _, _, alone in side])) for side in errors]
        for quantity, sides, baseline, most in (
            ("Brier score", briers, None, 2.0),
            ("calibration error", [[(v, i) for v, i, _ in side] for side in errors], calm, 1.0),
        ):
            first, second = (Repeated.of(side) for side in sides)
            worse = Repeated.of([(a[0] - b[0], a[1] - b[1]) for a, b in zip(*sides, strict=True)])
            against = second.mean if baseline is None else baseline[0]
            chance = second.mean if baseline is None else baseline[1]
            for words, one, reference, least in (
                (f"{quantity}, trained on synthetic", first, against, 0.0),
                (f"{quantity}, trained on real", second, chance, 0.0),
                (f"{quantity} worsened by synthesis", worse, 0.0, -most),
            ):
                yield estimate_finding(
                    audit=self.name,
                    quantity=words,
                    subject=model,
                    estimate=one.mean,
                    error=one.error(rows.units, 1 / len(labels) ** 2),
                    baseline=reference,
                    worse="higher",
                    n=len(labels),
                    limits=(least, most),
                    looked_at=1,
                )

    def _reliability(
        self, task: Classification, words: str, probabilities: Floats, rows: Learning
    ) -> Iterator[Finding]:
        """Of every bin the share of events, with exact bounds; its baseline is the mean chance that was predicted."""
        event = len(task.target.declared) - 1
        chance, happened = probabilities[:, event], task.labels(rows.control) == event
        bins = reliability_bins(chance)
        for one in range(int(bins.max()) + 1):
            inside = bins == one
            n, predicted = int(inside.sum()), float(np.clip(chance[inside].mean(), 0, 1))
            yield rate_finding(
                audit=self.name,
                quantity=f"share of events by bin of chance, trained on {words}",
                subject=f"bin {one + 1:02d}",
                hits=int(happened[inside].sum()),
                n=n,
                baseline=predicted,
                detectable=detectable_difference(predicted, n, n),
                audience=Audience.INTERNAL,
            )

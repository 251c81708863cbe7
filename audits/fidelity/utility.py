"""Trained on synthetic, tested on real: what a model of the target loses when it learns from the synthetic rows.

Two models are fitted twice, to synthetic rows and to as many training rows, and rank the same control rows. The score
is the macro one-vs-rest AUC over every class that occurs in control. A class the synthetic rows never held scores a
constant, hence .5; leaving out the rows of such a class would raise the score of a generator that loses it.

Intervals are DeLong's, paired: every control row has an influence on both areas, and the variance of the difference is
that of the difference of influences, added up by unit. They cover another draw of control rows, for these fitted
models; neither another synthetic table nor another seed of the models. Half a discordant row a class is added, so that
a class of one row, or two equal areas, do not claim certainty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from scipy.stats import rankdata

from audits.errors import InconclusiveError
from audits.estimates import estimate_finding, mean_variance
from audits.evidence import Evidence
from audits.finding import Finding
from audits.prediction import MODELS, labelled_rows
from privacy.columns import Codes, Floats

Units = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Utility:
    """How much AUC on control rows is lost by learning from synthetic rather than real rows.

    Attributes:
        max_rows: rows each model learns from at most.
    """

    max_rows: int = 30_000
    name: ClassVar[str] = "utility"
    title: ClassVar[str] = "Utility for prediction"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """For each model: its AUC trained on synthetic, trained on real, and the loss.

        Raises:
            InconclusiveError: no target with levels, or nothing to learn from or to tell apart.
        """
        target = evidence.schema.target
        if target is None or target.levels is None:
            raise InconclusiveError("no target with levels is declared")
        synthetic, train, control = labelled_rows(evidence, target, self.max_rows, rng)
        labels = control.codes(target.name)
        units = np.unique(control.units, return_inverse=True)[1]
        found: list[Finding] = []
        for (subject, model), stream in zip(MODELS.items(), rng.spawn(len(MODELS)), strict=True):
            first, second = stream.spawn(2)
            ours = macro_auc(model(synthetic, control, target, first), labels)
            theirs = macro_auc(model(train, control, target, second), labels)
            found += self._findings(subject, ours, theirs, labels, units)
        return tuple(found)

    def _findings(
        self, subject: str, ours: tuple[float, Floats], theirs: tuple[float, Floats], labels: Codes, units: Units
    ) -> Iterator[Finding]:
        worse: Literal["higher", "lower"]
        for quantity, estimate, influence, baseline, worse, limits in (
            ("AUC, trained on synthetic", ours[0], ours[1], theirs[0], "lower", (0.0, 1.0)),
            ("AUC, trained on real", theirs[0], theirs[1], 0.5, "lower", (0.0, 1.0)),
            ("AUC lost by synthesis", theirs[0] - ours[0], theirs[1] - ours[1], 0.0, "higher", (-1.0, 1.0)),
        ):
            yield estimate_finding(
                audit=self.name,
                quantity=quantity,
                subject=subject,
                estimate=estimate,
                error=float(np.sqrt(mean_variance(influence, units) + _half_a_row(labels))),
                baseline=baseline,
                worse=worse,
                n=len(labels),
                limits=limits,
                looked_at=1,
            )


def macro_auc(probabilities: Floats, labels: Codes) -> tuple[float, Floats]:
    """Mean one-vs-rest AUC over the classes that occur, and what every row adds to it.

    Args:
        probabilities: shape (n, n_codes), one column for every code, those never learnt included.
        labels: codes of the n rows, at least two different ones.

    Returns:
        The mean area, ties counted half, and influences of shape (n,) whose mean is 0 and whose variance over n is
        DeLong's variance of the area.

    Source: DeLong, DeLong & Clarke-Pearson 1988, equations 4 to 6, by mid-ranks as Sun & Xu 2014; the macro mean of
        Hand & Till 2001 without their pairing of classes.
    """
    classes = np.unique(labels)
    area, influence = 0.0, np.zeros(len(labels))
    for code in classes:
        one, own = _one_vs_rest(probabilities[:, code], labels == code)
        area += one / len(classes)
        influence += own / len(classes)
    return area, influence


def _one_vs_rest(scores: Floats, positive: npt.NDArray[np.bool_]) -> tuple[float, Floats]:
    n, n_positive = len(scores), int(positive.sum())
    ranks = rankdata(scores)
    placement = np.empty(n)
    placement[positive] = (ranks[positive] - rankdata(scores[positive])) / (n - n_positive)
    placement[~positive] = 1 - (ranks[~positive] - rankdata(scores[~positive])) / n_positive
    area = float(placement[positive].mean())
    return area, (placement - area) * n / np.where(positive, n_positive, n - n_positive)


def _half_a_row(labels: Codes) -> float:
    """Variance that half a discordant row of every class, and of its rest, would bring."""
    n, counts = len(labels), np.unique(labels, return_counts=True)[1]
    return float((0.5 / counts**2 + 0.5 / (n - counts) ** 2).sum()) / len(counts) ** 2

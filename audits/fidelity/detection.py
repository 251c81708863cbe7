"""Classifier two-sample test: can a model tell synthetic rows from real ones it never saw?

Gradient boosting learns on four fifths of equally many synthetic and control rows and scores the rest, five times over.
An AUC of one half says that it sees no difference; the reference is the same test between training and control rows,
which differ by chance alone. The mean squared distance of its probabilities from one half (pMSE) is given beside that
of the reference, and their ratio.

Sources: Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests"; Snoke et al. 2018, "General and specific
utility measures for synthetic data", for pMSE, here out of fold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.estimates import estimate_finding
from audits.evidence import Evidence
from audits.features import tree_matrix
from audits.fidelity.samples import equal_samples
from audits.finding import Finding
from audits.intervals import auc
from privacy.columns import Floats

FOLDS = 5
MAX_TREES = 60
LEAST_SPREAD = 1e-9
"""Of probabilities around one half: tables without a difference to learn from give none at all."""


@dataclass(frozen=True, slots=True)
class Detection:
    """How well a model tells synthetic from control rows, beside training from control rows.

    Attributes:
        max_rows: rows of each table.
    """

    max_rows: int = 10_000
    name: ClassVar[str] = "detection"
    title: ClassVar[str] = "Detection of synthetic rows"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """The test, its reference, and the excess.

        Raises:
            InconclusiveError: fewer than 100 rows of a table, one row a person.
        """
        tables = equal_samples(evidence, self.max_rows, rng)
        control, train, synthetic = (tree_matrix(table, leave_out="") for table in tables)
        return tuple(_findings(_scores(synthetic, control, rng), _scores(train, control, rng), len(control)))


def _findings(ours: Floats, real: Floats, n: int) -> Iterator[Finding]:
    """From out-of-fold probabilities of being the first table's, shape (2 n,), the first table's rows first."""
    (area, variance), (floor, floor_variance) = (auc(p[:n], p[n:]) for p in (ours, real))
    # Half a discordant row, so that two tables told apart without a mistake do not claim certainty.
    variance, floor_variance = variance + 0.25 / n**2, floor_variance + 0.25 / n**2
    spread, floor_spread = ((p - 0.5) ** 2 for p in (ours, real))
    score, null = (max(float(part.mean()), LEAST_SPREAD) for part in (spread, floor_spread))
    score_error, null_error = (float(part.std()) / (2 * n) ** 0.5 for part in (spread, floor_spread))
    ratio = score / null
    ratio_error = ratio * ((score_error / score) ** 2 + (null_error / null) ** 2) ** 0.5
    for quantity, estimate, error, baseline, limits in (
        ("AUC of detection", area, variance**0.5, floor, (0.0, 1.0)),
        ("excess AUC of detection", area - floor, (variance + floor_variance) ** 0.5, 0.0, (-1.0, 1.0)),
        ("pMSE", score, score_error, null, (0.0, 0.25)),
        ("pMSE ratio", ratio, ratio_error, 1.0, (0.0, inf)),
    ):
        yield estimate_finding(
            audit=Detection.name,
            quantity=quantity,
            subject="",
            estimate=estimate,
            error=error,
            baseline=baseline,
            worse="higher",
            n=n,
            limits=limits,
            looked_at=1,
        )


def _scores(first: Floats, second: Floats, rng: Generator) -> Floats:
    """Probabilities of being a row of the first table, by models that did not learn from the row."""
    rows = np.concatenate([first, second])
    label = np.arange(len(rows)) < len(first)
    fold = np.concatenate([rng.permutation(np.arange(len(side)) % FOLDS) for side in (first, second)])
    out = np.zeros(len(rows))
    for part in range(FOLDS):
        model = HistGradientBoostingClassifier(
            max_iter=MAX_TREES, early_stopping=False, random_state=int(rng.integers(2**31))
        )
        with threadpool_limits(limits=1):
            model.fit(rows[fold != part], label[fold != part])
            out[fold == part] = model.predict_proba(rows[fold == part])[:, 1]
    return out

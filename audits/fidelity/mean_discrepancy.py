"""Maximum mean discrepancy: how far apart the tables are in all columns at once, next to its noise floor.

Rows are one-hot codes and numbers scaled by public bounds; the kernel is Gaussian, its width the median distance of
control rows, and its feature map is approximated by random Fourier features, so that the cost grows with rows and not
with their square. The estimate of the squared discrepancy is unbiased: for equal distributions it is zero on average
and may be negative. It is skewed, being the square of something nearly normal, as its bounds allow for.

Sources: Gretton et al. 2012, "A kernel two-sample test", equation 3; Rahimi & Recht 2007, "Random features for
large-scale kernel machines", in the pairing of cosine and sine of Sutherland & Schneider 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from sklearn.metrics import pairwise_distances
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.estimates import estimate_finding
from audits.evidence import Evidence
from audits.features import linear_matrix
from audits.fidelity.samples import equal_samples
from audits.finding import Finding
from privacy.columns import Floats

MEDIAN_OF = 1_000
"""Rows whose distances to one another set the kernel's width."""

Features = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MeanDiscrepancy:
    """How far the synthetic rows are from control rows in the mean of a feature map.

    Attributes:
        frequencies: random frequencies, two features each.
        max_rows: rows of each table.
    """

    frequencies: int = 256
    max_rows: int = 10_000
    name: ClassVar[str] = "mean discrepancy"
    title: ClassVar[str] = "Maximum mean discrepancy"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """The squared discrepancy, whose baseline is that of train from control, and the excess.

        Raises:
            InconclusiveError: fewer than 100 rows of a table, one row a person.
        """
        tables = equal_samples(evidence, self.max_rows, rng)
        n = len(tables[0])
        rows = [linear_matrix(table, leave_out="").astype(np.float32) for table in tables]
        with threadpool_limits(limits=1):
            some = rows[0][np.sort(rng.choice(n, min(n, MEDIAN_OF), replace=False))]
            width = float(np.median(pairwise_distances(some))) or 1.0
            frequencies = (rng.standard_normal((rows[0].shape[1], self.frequencies)) / width).astype(np.float32)
            control, train, synthetic = (fourier_features(part, frequencies) for part in rows)
        ours, floor = discrepancy(control, synthetic), discrepancy(control, train)
        excess = ours[0] - floor[0]
        return (
            _finding("squared discrepancy", ours[0], _error(n, *ours[1:]), floor[0], n, skew(n, *ours[1:])),
            _finding(
                "excess squared discrepancy",
                excess,
                _error(n, ours[1] - floor[1], ours[2], floor[2]),
                0.0,
                n,
                skew(n, *ours[1:]),
            ),
        )


def fourier_features(rows: Any, frequencies: Features) -> Features:
    """Cosines and sines whose inner products approximate the kernel, shape (n, 2 * frequencies), rows of norm 1.

    Args:
        rows: dense or sparse, shape (n, d).
        frequencies: shape (d, frequencies), each drawn from the kernel's spectrum.
    """
    angle = np.asarray(rows @ frequencies)
    both = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(both / np.sqrt(frequencies.shape[1]), np.float32)


def discrepancy(first: Features, second: Features) -> tuple[float, Floats, Floats]:
    """The unbiased estimate of the squared discrepancy, and the influence of every row of both sides.

    Args:
        first: features of norm 1, shape (n, d), n at least 2.
        second: the same of the other side, shape (m, d).
    """
    sums = [side.sum(axis=0, dtype=np.float64) for side in (first, second)]
    sizes = [len(side) for side in (first, second)]
    # Rows have norm 1, so that the sum over different rows is the squared norm of the sum less the number of rows.
    within = [(total @ total - n) / (n * (n - 1)) for total, n in zip(sums, sizes, strict=True)]
    means = [total / n for total, n in zip(sums, sizes, strict=True)]
    gap = (means[0] - means[1]).astype(np.float32)
    value = float(within[0] + within[1] - 2 * means[0] @ means[1])
    return value, 2.0 * (first @ gap).astype(np.float64), -2.0 * (second @ gap).astype(np.float64)


def skew(n: int, first: Floats, second: Floats) -> float:
    """How far bounds of one standard error lie above the estimate in the middle.

    The root r of the squared distance of two means is nearly normal, with the error e / (2 r) by the delta method. Its
    bounds, squared, are the square less and more e, and e^2 / (4 r^2) above both.
    """
    # Half the sum of the mean influences is the squared distance of the means, noise included, as in the error.
    apart = float(first.mean() + second.mean()) / 2
    return _error(n, first, second) ** 2 / (4 * apart) if apart > 0 else 0.0


def _error(n: int, *influences: Floats) -> float:
    """Standard error by the delta method; never less than one pair of rows weighs."""
    return float(np.sqrt(sum(part.var() / n for part in influences) + 1 / n**4))


def _finding(quantity: str, estimate: float, error: float, baseline: float, n: int, shift: float) -> Finding:
    return estimate_finding(
        audit=MeanDiscrepancy.name,
        quantity=quantity,
        subject="",
        estimate=estimate,
        error=error,
        baseline=baseline,
        worse="higher",
        n=n,
        limits=(-2.0, 2.0),
        looked_at=1,
        shift=shift,
    )

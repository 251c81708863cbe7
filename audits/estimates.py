"""A finding from an estimate that is nearly normal and its standard error: distances, losses and worsenings.

What is a rate, a difference of rates or one AUC has sharper bounds of its own in `audits.intervals`.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from audits.finding import Audience, Finding, Interval
from audits.intervals import LEVEL, POWER, STRICT, USUAL
from privacy.columns import Floats


def estimate_finding(
    *,
    audit: str,
    quantity: str,
    subject: str,
    estimate: float,
    error: float,
    baseline: float,
    worse: Literal["higher", "lower"],
    n: int,
    limits: tuple[float, float],
    looked_at: int,
) -> Finding:
    """An internal finding with normal bounds, cut to the quantity's own range.

    Args:
        audit: name of the audit.
        quantity: what was measured.
        subject: what it is about; empty for the whole table.
        estimate: the point, within limits.
        error: its standard error, in the same unit.
        baseline: the same quantity when nothing is wrong, or for real rows.
        worse: the direction that is bad.
        n: rows behind it.
        limits: smallest and largest value the quantity can take.
        looked_at: how many estimates the bounds hold for at once (Bonferroni); 1 for one fixed beforehand.
    """
    ends = []
    for confidence in (USUAL, STRICT):
        reach = float(-ndtri((1 - confidence) / looked_at)) * error
        ends.append(Interval(max(estimate - reach, limits[0]), min(estimate + reach, limits[1]), confidence))
    return Finding(
        audit=audit,
        quantity=quantity,
        subject=subject,
        estimate=estimate,
        interval=ends[0],
        strict=ends[1],
        baseline=baseline,
        worse=worse,
        n=n,
        detectable=float(ndtri(POWER) - ndtri(LEVEL / looked_at)) * error,
        audience=Audience.INTERNAL,
    )


def mean_variance(influence: Floats, units: npt.NDArray[np.int64]) -> float:
    """Variance of a mean over rows, where the rows of one unit move together.

    Args:
        influence: what every row adds to the mean, shape (n,).
        units: unit number of every row, in [0, n_units), shape (n,).

    Source: the variance of a cluster total under independent clusters (Liang & Zeger 1986).
    """
    # Exact sums, so that the order of the rows does not show in the last digit.
    by_unit = np.bincount(units, influence - math.fsum(influence) / len(influence))
    return math.fsum(by_unit**2) / len(influence) ** 2 * len(by_unit) / max(len(by_unit) - 1, 1)

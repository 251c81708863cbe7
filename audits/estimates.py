"""Findings from what was counted or estimated, each with both of its intervals.

A rate, a difference of rates and an AUC get the sharp bounds of `audits.intervals`; an estimate that is nearly normal
(distances, losses, worsenings) gets bounds from its standard error.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from audits.finding import Audience, Finding, Interval
from audits.intervals import (
    LEVEL,
    POWER,
    STRICT,
    USUAL,
    auc,
    auc_interval,
    clopper_pearson,
    detectable_auc,
    detectable_difference,
    proportion_difference,
)
from privacy.columns import Floats


def rate_finding(
    *,
    audit: str,
    quantity: str,
    subject: str,
    hits: int,
    n: int,
    baseline: float,
    detectable: float | None,
    audience: Audience,
) -> Finding:
    """A rate whose higher values are bad, with both exact intervals."""
    return Finding(
        audit=audit,
        quantity=quantity,
        subject=subject,
        estimate=hits / n,
        interval=clopper_pearson(hits, n, USUAL),
        strict=clopper_pearson(hits, n, STRICT),
        baseline=baseline,
        worse="higher",
        n=n,
        detectable=detectable,
        audience=audience,
    )


def excess_finding(
    *, audit: str, quantity: str, subject: str, hits: int, n: int, other_hits: int, other_n: int, audience: Audience
) -> Finding:
    """The excess of a rate over a control's, whose higher values are bad, with both intervals; baseline 0."""
    return Finding(
        audit=audit,
        quantity=quantity,
        subject=subject,
        estimate=hits / n - other_hits / other_n,
        interval=proportion_difference(hits, n, other_hits, other_n, USUAL),
        strict=proportion_difference(hits, n, other_hits, other_n, STRICT),
        baseline=0.0,
        worse="higher",
        n=n + other_n,
        detectable=detectable_difference(other_hits / other_n, n, other_n),
        audience=audience,
    )


def auc_finding(
    *, audit: str, quantity: str, subject: str, members: Floats, outsiders: Floats, audience: Audience
) -> Finding:
    """An attack's AUC, whose higher values are bad, with both intervals; baseline .5."""
    area, variance = auc(members, outsiders)
    sizes = len(members), len(outsiders)
    return Finding(
        audit=audit,
        quantity=quantity,
        subject=subject,
        estimate=area,
        interval=auc_interval(area, variance, *sizes, USUAL),
        strict=auc_interval(area, variance, *sizes, STRICT),
        baseline=0.5,
        worse="higher",
        n=sum(sizes),
        detectable=detectable_auc(*sizes),
        audience=audience,
    )


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
    shift: float = 0.0,
    audience: Audience = Audience.INTERNAL,
) -> Finding:
    """A finding with normal bounds, cut to the quantity's own range; internal unless it was bought.

    An estimate that is skewed, since its error grows with it, has bounds about a middle that lies above it: by `shift`
    times z^2, where z is the normal quantile of the confidence.

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
        shift: how far the middle of bounds of one standard error lies above the estimate; from 0.
        audience: who may see it.
    """
    ends = []
    for confidence in (USUAL, STRICT):
        z = float(-ndtri((1 - confidence) / looked_at))
        middle, reach = estimate + z**2 * shift, math.hypot(z * error, z**2 * shift)
        low, high = max(middle - reach, limits[0]), min(middle + reach, limits[1])
        ends.append(Interval(low, high, confidence))
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
        audience=audience,
    )


def exact_finding(
    *, audit: str, quantity: str, subject: str, value: float, baseline: float, worse: Literal["higher", "lower"], n: int
) -> Finding:
    """An internal finding that is known and not estimated, a count or a p-value: all of its bounds are itself."""
    return Finding(
        audit=audit,
        quantity=quantity,
        subject=subject,
        estimate=value,
        interval=Interval(value, value, USUAL),
        strict=Interval(value, value, STRICT),
        baseline=baseline,
        worse=worse,
        n=n,
        detectable=None,
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

"""Bounds on rates, differences and AUCs; exact tests; and the smallest excess a sample size can notice.

Every interval is two one-sided bounds that each hold with probability `confidence` (`audits.finding.Interval`). Rates
get Clopper-Pearson's exact bounds, differences of rates Miettinen and Nurminen's score bounds. Newcombe's hybrid is
simpler; enumerated over both binomials at rates of .2% to 2% in samples of five or six to one, as copies have, its 95%
lower bounds, on which a WITHHOLD rests, hold 96.3% to 98.0% of the time and these 95.7% to 97.1%; upper bounds of both
hold 93.9% to 94.3% there, at least 98.8% for 99.5%. A WITHHOLD reads 99.99%.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import beta, rankdata

from audits.finding import Interval

USUAL, STRICT = 0.95, 0.9999
"""Confidence of the two intervals of a finding: a PASS reads the first, a WITHHOLD the second."""

LEVEL, POWER = 0.05, 0.80
"""One-sided level and power of a minimum detectable excess."""

Floats = npt.NDArray[np.float64]


def clopper_pearson(hits: int, n: int, confidence: float) -> Interval:
    """Exact one-sided bounds on a rate.

    Args:
        hits: successes, from 0 to n.
        n: trials, at least 1.
        confidence: of each bound, in (0, 1).

    Raises:
        ValueError: no trials, or hits out of range.

    Source: Clopper & Pearson 1934.
    """
    _counted(hits, n)
    low = float(beta.ppf(1 - confidence, hits, n - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(confidence, hits + 1, n - hits)) if hits < n else 1.0
    return Interval(low, high, confidence)


def proportion_difference(hits: int, n: int, other_hits: int, other_n: int, confidence: float) -> Interval:
    """One-sided score bounds on the difference of two rates, first minus second.

    Args:
        hits: successes of the first sample.
        n: its trials.
        other_hits: successes of the second sample.
        other_n: its trials.
        confidence: of each bound, in (.5, 1).

    Raises:
        ValueError: a sample without trials, or hits out of range.

    Source: Miettinen & Nurminen 1985, equation 8; the restricted estimate in closed form by Farrington & Manning 1990.
    """
    _counted(hits, n)
    _counted(other_hits, other_n)
    z = float(ndtri(confidence))
    point = hits / n - other_hits / other_n

    def score(difference: float) -> float:
        gap, stddev = point - difference, _restricted_stddev(hits, n, other_hits, other_n, difference)
        return gap / stddev if stddev > 0 else math.copysign(math.inf, gap) if gap else 0.0

    return Interval(
        _crossing(lambda d: score(d) > z, -1.0, point), _crossing(lambda d: score(d) > -z, point, 1.0), confidence
    )


def auc(members: Floats, outsiders: Floats) -> tuple[float, float]:
    """Area under the ROC curve and its variance.

    Args:
        members: scores of the positives, shape (m,), m at least 2; higher means "was trained on".
        outsiders: scores of the negatives, shape (h,), h at least 2.

    Returns:
        The area, with ties counted half, and DeLong's estimate of its variance.

    Guarantees:
        Unchanged by any strictly increasing transform of the scores.

    Raises:
        ValueError: fewer than two scores a side, or one that is NaN.

    Source: DeLong, DeLong & Clarke-Pearson 1988; by mid-ranks in O(n log n), Sun & Xu 2014.
    """
    m, h = len(members), len(outsiders)
    if m < 2 or h < 2:
        raise ValueError("an AUC needs two scores a side")
    scores = np.concatenate([members, outsiders])
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    ranks = rankdata(scores)
    below_members = (ranks[:m] - rankdata(members)) / h
    above_outsiders = 1 - (ranks[m:] - rankdata(outsiders)) / m
    variance = float(np.var(below_members, ddof=1) / m + np.var(above_outsiders, ddof=1) / h)
    return float(below_members.mean()), variance


def auc_interval(area: float, variance: float, n_members: int, n_outsiders: int, confidence: float) -> Interval:
    """One-sided bounds on an AUC from DeLong's variance, on the logit scale.

    At 0 and 1 the variance is 0 and says nothing; there the bounds are those of a rate over the smaller sample, since
    one discordant member more would have moved the area by one part of it.

    Args:
        area: the AUC.
        variance: DeLong's estimate, of `auc`.
        n_members: scores of the positives.
        n_outsiders: scores of the negatives.
        confidence: of each bound, in (.5, 1).

    Source: Pepe 2003, "The statistical evaluation of medical tests", section 5.2.4 (logit bounds).
    """
    if variance <= 0 or not 0 < area < 1:
        n = min(n_members, n_outsiders)
        rate = clopper_pearson(round(area * n), n, confidence)
        return Interval(min(rate.low, area), max(rate.high, area), confidence)
    step = float(ndtri(confidence)) * math.sqrt(variance) / (area * (1 - area))
    middle = math.log(area / (1 - area))
    return Interval(_expit(middle - step), _expit(middle + step), confidence)


def tpr_at_fpr(members: Floats, outsiders: Floats, calibration: Floats, fpr: float) -> tuple[int, int]:
    """Members and outsiders above the threshold that a calibration sample puts at a false-positive rate.

    The threshold is the smallest calibration score that at most a share `fpr` of them exceeds; scores equal to it are
    not above it, so that ties never raise the rate.

    Args:
        members: scores of training rows, shape (m,); higher means "was trained on".
        outsiders: scores of rows that did not train, shape (h,); they tell the rate achieved.
        calibration: scores of the attacker's own sample, shape (c,), at least 1.
        fpr: allowed false-positive rate, in (0, 1).

    Guarantees:
        Unchanged by any strictly increasing transform of the scores.

    Raises:
        ValueError: an empty calibration sample.

    Source: Carlini et al. 2022, "Membership inference attacks from first principles", on TPR at low FPR.
    """
    if not len(calibration):
        raise ValueError("a threshold needs calibration scores")
    ordered = np.sort(calibration)
    threshold = ordered[len(ordered) - 1 - math.floor(fpr * len(ordered))]
    return int((members > threshold).sum()), int((outsiders > threshold).sum())


def detectable_difference(rate: float, n: int, other_n: int) -> float:
    """Smallest excess of a rate over another one that a one-sided 5% test notices with power 80%.

    Args:
        rate: the lower of the two rates, in [0, 1]; taken as at least one hit in the smaller sample, since a rate of
            zero would promise power that nobody has.
        n: trials of the sample with the excess.
        other_n: trials of the other.

    Returns:
        The excess; at most 1 - rate.

    Source: Fleiss, Levin & Paik 2003, "Statistical methods for rates and proportions", equation 4.14.
    """
    z_level, z_power = float(ndtri(1 - LEVEL)), float(ndtri(POWER))
    low = min(max(rate, 1 / min(n, other_n)), 1.0)

    def surplus(excess: float) -> float:
        high = low + excess
        pooled = (n * high + other_n * low) / (n + other_n)
        null = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
        spread = math.sqrt(high * (1 - high) / n + low * (1 - low) / other_n)
        return excess - z_level * null - z_power * spread

    return 1 - low if surplus(1 - low) <= 0 else float(brentq(surplus, 0.0, 1 - low))


def detectable_auc(n_members: int, n_outsiders: int) -> float:
    """Smallest excess of an AUC over .5 that a one-sided 5% test notices with power 80%; at most .5.

    Source: Hanley & McNeil 1982: the null variance (m + h + 1) / (12 m h).
    """
    null = (n_members + n_outsiders + 1) / (12 * n_members * n_outsiders)
    return min(0.5, float(ndtri(1 - LEVEL) + ndtri(POWER)) * math.sqrt(null))


def _counted(hits: int, n: int) -> None:
    if n < 1 or not 0 <= hits <= n:
        raise ValueError("hits lie between 0 and the number of trials, of which there is at least one")


def _restricted_stddev(hits: int, n: int, other_hits: int, other_n: int, difference: float) -> float:
    """Standard deviation of the estimated difference at the likeliest rates that have a given difference."""
    p, q, ratio = hits / n, other_hits / other_n, other_n / n
    a = 1 + ratio
    b = -(1 + ratio + p + ratio * q + difference * (ratio + 2))
    c = difference**2 + difference * (2 * p + ratio + 1) + p + ratio * q
    d = -p * difference * (1 + difference)
    v = b**3 / (3 * a) ** 3 - b * c / (6 * a**2) + d / (2 * a)
    u = math.copysign(math.sqrt(max(b**2 / (3 * a) ** 2 - c / (3 * a), 0.0)), v)
    angle = (math.pi + math.acos(min(max(v / u**3 if u else 0.0, -1.0), 1.0))) / 3
    first = min(max(2 * u * math.cos(angle) - b / (3 * a), max(0.0, difference)), min(1.0, 1.0 + difference))
    second = first - difference
    variance = first * (1 - first) / n + second * (1 - second) / other_n
    return math.sqrt(max(variance, 0.0) * (n + other_n) / (n + other_n - 1))


def _crossing(is_left: Callable[[float], bool], low: float, high: float) -> float:
    """Where a statement that holds from the left ceases to, by bisection; an end of the range if it does nowhere."""
    if not is_left(low):
        return low
    if is_left(high):
        return high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if is_left(middle) else (low, middle)
    return (low + high) / 2


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))

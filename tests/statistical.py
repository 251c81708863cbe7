"""Tests of whole distributions, with both error rates known.

Every bound here holds at every sample size: no asymptotic p-value is read out where asymptotics end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

FALSE_ALARM = 1e-9
"""Probability that one call rejects the truth; a suite of 1,000 such calls fails by chance once in a million runs."""


def fits(
    sample: npt.ArrayLike, cdf: Callable[[npt.NDArray[np.float64]], Any], false_alarm: float = FALSE_ALARM
) -> bool:
    """Whether a sample may come from a distribution, by the Dvoretzky-Kiefer-Wolfowitz bound.

    A true distribution is rejected with probability at most `false_alarm`. One whose CDF is D away somewhere is
    accepted with probability at most 2 exp(-2 n (D - margin)^2), margin = `dkw_margin(n)`, as long as D > margin.

    Args:
        sample: independent draws, any shape.
        cdf: P(X <= x), right-continuous, of a continuous or discrete law; takes and returns arrays.
        false_alarm: probability of rejecting the truth.

    Source: Massart 1990, corollary 1 (any distribution, discrete included).
    """
    values, counts = np.unique(np.asarray(sample, dtype=np.float64), return_counts=True)
    n = int(counts.sum())
    after = np.cumsum(counts) / n
    before = after - counts / n
    just_below = np.asarray(cdf(np.nextafter(values, -np.inf)))
    distance = max(np.abs(after - np.asarray(cdf(values))).max(), np.abs(before - just_below).max())
    return bool(distance <= dkw_margin(n, false_alarm))


def dkw_margin(n: int, false_alarm: float = FALSE_ALARM) -> float:
    """How far an empirical CDF of n draws may be from the true one."""
    return math.sqrt(math.log(2 / false_alarm) / (2 * n))


def matches(counts: npt.ArrayLike, probabilities: npt.ArrayLike, false_alarm: float = FALSE_ALARM) -> bool:
    """Whether counts of categories may come from the given probabilities, by exact binomial tails.

    The truth is rejected with probability at most `false_alarm` (Bonferroni over both tails of every category).

    Args:
        counts: how often each category was drawn, shape (k,).
        probabilities: of the categories, shape (k,), sum 1.
        false_alarm: probability of rejecting the truth.
    """
    observed = np.asarray(counts)
    law = stats.binom(int(observed.sum()), np.asarray(probabilities))
    tails = np.minimum(law.cdf(observed), law.sf(observed - 1))
    return bool(np.all(tails >= false_alarm / (2 * len(observed))))

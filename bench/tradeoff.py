"""What two samples of a statistic, one a side, prove about the mechanism behind them.

A mechanism's trade-off curve says how well any attack can tell two neighbours apart. Ours are near Gaussian ones: mu is
how many standard deviations apart two normal distributions would be that are as hard to tell apart (Dong, Roth & Su
2022, "Gaussian differential privacy").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import beta, norm

from privacy.accounting import rdp_epsilon
from privacy.columns import Floats
from privacy.cost import ORDERS, PrivacyCost
from privacy.schema import Budget

Bools: TypeAlias = npt.NDArray[np.bool_]

MU_RANGE = (1e-3, 50.0)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its standard error."""

    value: float
    error: float


def lower_bound(members: Floats, others: Floats, *, delta: float, confidence: float) -> float:
    """Lower bound on epsilon at `delta` from log-likelihood ratios of both sides, shape (runs,) each.

    The attack answers "with the unit" where the ratio is above 0: a threshold fixed beforehand, so every run counts
    (Clopper-Pearson on both error rates). The bound is the better of two conversions, each at half the error: for any
    mechanism, log((TPR - delta) / FPR); and for Gaussian trade-off curves, mu = z(TPR) - z(FPR).
    Source: Nasr et al. 2023, "Tight auditing of differentially private machine learning", sections 3 and 4.
    """
    error = (1 - confidence) / 4
    tpr, fpr = _low(members > 0, error), 1 - _low(others <= 0, error)
    plain = math.log((tpr - delta) / fpr) if tpr > delta and fpr > 0 else -math.inf
    mu = norm.ppf(tpr) - norm.ppf(fpr)
    gaussian = epsilon_of_mu(mu, delta) if mu > 0 else -math.inf
    return max(0.0, plain, gaussian)


def bound_of_guesses(members: Bools, others: Bools, *, delta: float, confidence: float) -> float:
    """Lower bound on epsilon at `delta`, of any mechanism, from guesses "with the unit" on both sides, shape (runs,).

    The rule that guessed was fixed before these runs. Both error rates are bounded at once (Clopper-Pearson, half the
    error each), and two conversions follow from the same two bounds: log((TPR - delta) / FPR), and the same with the
    sides exchanged. Nothing is assumed about the trade-off curve, which of a foreign mechanism nobody knows.
    Source: Kairouz, Oh & Viswanath 2015, "The composition theorem for differential privacy", theorem 2.1.
    """
    error = (1 - confidence) / 2
    tpr, tnr = _low(members, error), _low(~others, error)
    ratios = ((tpr - delta) / (1 - tnr), (tnr - delta) / (1 - tpr))
    return max([0.0, *(math.log(ratio) for ratio in ratios if ratio > 0)])


def mu_of_ranks(members: Floats, others: Floats) -> Estimate:
    """The Gaussian trade-off parameter with the area under the ROC that two samples show, shape (runs,) each.

    Two normal distributions mu apart have the area Phi(mu / sqrt(2)). Ranks make it the same for every increasing
    function of the statistic, so no outlier and no scale is in it. Two samples that do not overlap get half a pair less
    than the whole area. Source of the area's standard error: DeLong, DeLong & Clarke-Pearson 1988.
    """
    above, below = _placements(members, others), 1 - _placements(others, members)
    half_a_pair = 0.5 / (len(members) * len(others))
    area = float(np.clip(above.mean(), half_a_pair, 1 - half_a_pair))
    error = math.sqrt(above.var(ddof=1) / len(members) + below.var(ddof=1) / len(others))
    z = norm.ppf(area)
    return Estimate(float(math.sqrt(2) * z), float(math.sqrt(2) * error / norm.pdf(z)))


def mu_allowed(budget: Budget) -> float:
    """The largest mu whose Gaussian curve satisfies (epsilon, delta): what a claim of these two numbers allows."""
    return float(brentq(lambda mu: gaussian_delta(budget.epsilon, mu) - budget.delta, *MU_RANGE))


def mu_charged(cost: PrivacyCost, delta: float) -> float:
    """The mu of the Gaussian with the Rényi curve of a cost: what the charged events allow.

    Of all Gaussians it is the one that this curve prices at the same epsilon, at a total delta. For Gaussians it is
    exact, sqrt(sum of 1 / noise_multiplier^2); for costs of total rho it is sqrt(2 rho), since a Gaussian's curve is
    order * mu^2 / 2 (Mironov 2017, corollary 3; Bun & Steinke 2016, proposition 1.6). It lies below `mu_allowed`
    wherever an epsilon was computed from Rényi curves, because that step is not tight.
    """
    left = delta - cost.delta
    target = rdp_epsilon(cost.rdp(ORDERS), left)
    return float(brentq(lambda mu: rdp_epsilon(ORDERS * mu**2 / 2, left) - target, *MU_RANGE))


def epsilon_of_mu(mu: float, delta: float) -> float:
    """Epsilon at delta of a Gaussian curve."""
    if gaussian_delta(0.0, mu) <= delta:
        return 0.0
    return float(brentq(lambda epsilon: gaussian_delta(epsilon, mu) - delta, 0.0, 1e4))


def gaussian_delta(epsilon: float, mu: float) -> float:
    """Delta at epsilon of a Gaussian curve (Balle & Wang 2018, theorem 8)."""
    below = math.exp(epsilon + norm.logcdf(-mu / 2 - epsilon / mu))
    return float(norm.cdf(mu / 2 - epsilon / mu) - below)


def _low(hits: Bools, error: float) -> float:
    """Clopper-Pearson lower bound on a rate."""
    k, n = int(hits.sum()), len(hits)
    return float(beta.ppf(error, k, n - k + 1)) if k else 0.0


def _placements(of: Floats, among: Floats) -> Floats:
    """Share of `among` below each value of `of`, ties counted half; shape of `of`."""
    ordered = np.sort(among)
    placements: Floats = (np.searchsorted(ordered, of, "left") + np.searchsorted(ordered, of, "right")) / (
        2 * len(among)
    )
    return placements

"""Parallel composition over parts that coins assign: a unit pays the larger price, by every divergence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm

from privacy.accounting import Accountant, Claim, accountant_of, epsilon_of, recompute
from privacy.admission import check_price
from privacy.cost import ORDERS, Discovery, Exponential, Gaussian, Parallel, PrivacyCost, once
from privacy.errors import OverspendError, RequestError
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism
from privacy.noise import seeded_noise

DELTA = 1e-6
GRID = np.linspace(-14.0, 15.0, 581)
STEP = float(GRID[1] - GRID[0])


def log_density(first: float, second: float, noise: tuple[float, float]) -> np.ndarray:
    """Of the answers of two parts, means given, on the square of the grid: exact, and independent of our pricing."""
    x, y = np.meshgrid(GRID, GRID)
    return norm.logpdf(x, first, noise[0]) + norm.logpdf(y, second, noise[1]) + 2 * math.log(STEP)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("noise", [(1.0, 1.0), (1.0, 2.0), (2.5, 1.2)])
def test_a_unit_pays_the_larger_part(share: float, noise: tuple[float, float]) -> None:
    """Rényi and hockey-stick divergences by quadrature, both ways; with a share of 0 or 1 one part's are reached."""
    without = log_density(0, 0, noise)
    with np.errstate(divide="ignore"):
        in_first, in_second = np.log(share), np.log1p(-share)
        with_unit = np.logaddexp(in_first + log_density(1, 0, noise), in_second + log_density(0, 1, noise))
    price = once(Parallel(tuple(once(Gaussian(z)) for z in noise)))
    for order in (1.5, 2.0, 4.0):
        bound = float(price.rdp(np.array([order]))[0])
        for p, q in ((with_unit, without), (without, with_unit)):
            found = float(logsumexp(order * p + (1 - order) * q) / (order - 1))
            assert found <= bound * (1 + 1e-6)
    for epsilon in (0.1, 0.5, 1.0):
        bound = max(hockey_stick(epsilon, z) for z in noise)
        for p, q in ((with_unit, without), (without, with_unit)):
            found = float(np.maximum(np.exp(p) - np.exp(epsilon + q), 0).sum())
            assert found <= bound + 1e-4
            if share in (0.0, 1.0):
                assert found == pytest.approx(hockey_stick(epsilon, noise[round(1 - share)]), abs=2e-3)


def hockey_stick(epsilon: float, noise: float) -> float:
    """Balle & Wang 2018, theorem 8."""
    mu = 1 / noise
    return float(norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu))


def test_the_epsilon_is_the_largest_of_the_cases() -> None:
    dear, cheap = once(Gaussian(5.0)), once(Gaussian(5.2))
    assert epsilon_of(once(Parallel((dear, cheap))), DELTA) == epsilon_of(dear, DELTA)
    # Twice, with coins of its own each time, a unit may fall into the dear part twice.
    assert epsilon_of(once(Parallel((dear, cheap))) * 2, DELTA) == epsilon_of(dear * 2, DELTA)
    # What reads both parts stands beside them and adds.
    assert epsilon_of(once(Parallel((dear, cheap))) + cheap, DELTA) == epsilon_of(dear + cheap, DELTA)


def test_a_selection_in_one_part_is_priced_by_curves_in_all() -> None:
    cost = once(Parallel((once(Exponential(0.2)), once(Gaussian(6.0)))))
    assert accountant_of(cost) is Accountant.RDP
    again = recompute(cost, DELTA, Accountant.RDP)
    assert again.closed_form == pytest.approx(again.rdp, rel=0.01)
    assert epsilon_of(cost, DELTA, Accountant.PLD) == math.inf


def test_failure_probabilities_are_those_of_the_worse_part() -> None:
    listed = PrivacyCost(((Gaussian(9.0), 1), (Discovery(1e-8), 2)))
    assert once(Parallel((listed, once(Gaussian(9.0))))).delta == listed.delta
    # A part that lists nothing has the whole delta to convert with.
    assert epsilon_of(once(Parallel((listed, once(Gaussian(9.0))))), DELTA) == epsilon_of(listed, DELTA)


def test_a_price_below_a_part_is_refused() -> None:
    cost = once(Parallel((once(Gaussian(50.0)), once(Gaussian(5.0)))))
    price = epsilon_of(cost, DELTA)
    check_price(cost, Claim(epsilon=price, delta=DELTA, accountant=Accountant.PLD))
    with pytest.raises(RequestError, match="below the price"):
        check_price(cost, Claim(epsilon=0.9 * price, delta=DELTA, accountant=Accountant.PLD))


def test_each_part_has_a_filter_of_its_own_limit() -> None:
    whole = PrivacyFilter(once(Parallel((once(Gaussian(2.0)), once(Gaussian(4.0))))), seeded_noise(1))
    first, second = whole.parallel((once(Gaussian(2.0)), once(Gaussian(4.0))))
    value = np.array([3], dtype=np.int64)
    with pytest.raises(OverspendError):
        second.measure(GaussianMechanism(l2_sensitivity=1.0, stddev=2.0), value)
    second.measure(GaussianMechanism(l2_sensitivity=1.0, stddev=4.0), value)
    first.measure(GaussianMechanism(l2_sensitivity=1.0, stddev=2.0), value)
    for part in (first, second, whole):
        with pytest.raises(OverspendError):
            part.measure(GaussianMechanism(l2_sensitivity=1.0, stddev=100.0), value)
    assert whole.spent == once(Parallel((first.spent, second.spent)))


def test_parts_beyond_the_charge_are_refused() -> None:
    whole = PrivacyFilter(once(Gaussian(2.0)), seeded_noise(1))
    with pytest.raises(OverspendError):
        whole.parallel((once(Gaussian(3.0)), once(Gaussian(1.9))))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(0.8, 30), min_size=1, max_size=3), min_size=1, max_size=3), st.integers(1, 3))
def test_the_curve_bounds_every_case_and_one_reaches_it(parts: list[list[float]], n: int) -> None:
    costs = tuple(PrivacyCost(tuple((Gaussian(z), 1) for z in part)) for part in parts)
    cost = once(Parallel(costs)) * n
    curves = np.stack([case.rdp(ORDERS) for case in cost.cases])
    assert not any(isinstance(event, Parallel) for case in cost.cases for event, _ in case.events)
    np.testing.assert_allclose(curves.max(axis=0), cost.rdp(ORDERS), rtol=1e-12)

"""Accounting and calibration against the design's regression table and independent formulas."""

import math

import mpmath
import numpy as np
import pytest
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.accounting import (
    Accountant,
    Claim,
    accountant_of,
    epsilon_of,
    gaussian_multiplier,
    rdp_epsilon,
    recompute,
    zcdp_epsilon,
    zcdp_rho,
)
from privacy.calibration import MAX_DELTA, calibrate, check_budget
from privacy.cost import ORDERS, Discovery, Exponential, Gaussian, Laplace, PrivacyCost, SampledGaussian, once
from privacy.errors import RequestError
from privacy.schema import Budget

ROWS, DELTA = 32_561, 1e-6


def analytic_gaussian_delta(epsilon: float, multiplier: float) -> mpmath.mpf:
    """Balle & Wang 2018, theorem 8: the exact delta of a Gaussian mechanism, in 60 digits."""
    with mpmath.workdps(60):
        mu, e = 1 / mpmath.mpf(multiplier), mpmath.mpf(epsilon)
        return mpmath.ncdf(mu / 2 - e / mu) - mpmath.exp(e) * mpmath.ncdf(-mu / 2 - e / mu)


@pytest.mark.parametrize(
    ("batch", "steps", "epsilon", "multiplier"),
    [
        (512, 500, 0.5, 3.01),
        (512, 500, 3, 0.93),
        (512, 2000, 1, 3.10),
        (2048, 500, 1, 6.07),
        (2048, 500, 10, 1.05),
        (2048, 2000, 0.5, 22.96),
        (2048, 2000, 3, 4.44),
        (8192, 500, 1, 23.9),
        (8192, 2000, 10, 6.15),
    ],
)
def test_sampled_gaussian_needs_the_tabulated_noise(batch: int, steps: int, epsilon: float, multiplier: float) -> None:
    """The noise multiplier of the published table is right to 1%, plus the half unit its last digit hides."""
    slack = 0.01 + 0.005 / multiplier * (10 if multiplier >= 20 else 1)

    def at(scale: float) -> float:
        return epsilon_of(once(SampledGaussian(batch / ROWS, scale)) * steps, DELTA)

    assert at(multiplier * (1 + slack)) <= epsilon <= at(multiplier * (1 - slack))


@pytest.mark.parametrize(
    ("epsilon", "mu"), [(0.1, 0.0275), (0.5, 0.1241), (1, 0.2367), (3, 0.6477), (8, 1.5315), (10, 1.8481)]
)
def test_gaussian_calibration_matches_the_exact_formula(epsilon: float, mu: float) -> None:
    scale = calibrate(lambda s: once(Gaussian(s)), Budget(epsilon=epsilon, delta=DELTA))
    assert 1 / scale == pytest.approx(mu, rel=2e-3)
    # The exact delta at the claimed epsilon is within the budget and close to it.
    assert 0.98 * DELTA < analytic_gaussian_delta(epsilon, scale) <= DELTA * (1 + 1e-9)


@pytest.mark.parametrize(("epsilon", "rho"), [(0.1, 0.00032), (0.5, 0.00664), (1, 0.02436), (3, 0.18507), (10, 1.539)])
def test_selection_is_claimed_by_zcdp(epsilon: float, rho: float) -> None:
    def at(scale: float) -> PrivacyCost:
        return once(Gaussian(scale)) * 3 + once(Exponential(1 / scale)) * 2

    cost = at(calibrate(at, Budget(epsilon=epsilon, delta=DELTA)))
    assert accountant_of(cost) is Accountant.RDP
    assert zcdp_rho(cost) == pytest.approx(rho, rel=0.02)
    second = recompute(cost, DELTA, Accountant.RDP)
    assert second.closed_form == pytest.approx(second.rdp, rel=0.01)
    assert second.faults(Claim(epsilon=epsilon, delta=DELTA, accountant=Accountant.RDP)) == ()


def test_many_gaussians_are_one() -> None:
    many = once(Gaussian(10.0)) * 25 + once(Gaussian(4.0))
    assert gaussian_multiplier(many) == pytest.approx(1 / math.sqrt(25 / 100 + 1 / 16))
    assert epsilon_of(many, DELTA) == pytest.approx(epsilon_of(once(Gaussian(gaussian_multiplier(many))), DELTA))


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.8, 60),
    st.floats(0.5, 30),
    st.integers(1, 20),
    st.sampled_from([1e-5, 1e-6, 1e-9]),
)
def test_pld_is_never_above_rdp_nor_below_its_optimistic_twin(
    gaussian: float, laplace: float, n: int, delta: float
) -> None:
    cost = once(Gaussian(gaussian)) * n + once(Laplace(laplace))
    found = recompute(cost, delta, Accountant.PLD)
    assert found.epsilon <= found.rdp * (1 + 1e-6)
    assert found.optimistic is not None
    assert found.optimistic <= found.epsilon + 1e-3


def test_discovered_lists_take_their_delta_off_first() -> None:
    cost = once(Gaussian(5.0)) + once(Discovery(4e-7)) * 2
    assert cost.delta == pytest.approx(8e-7)
    assert epsilon_of(cost, 1e-6) == pytest.approx(epsilon_of(once(Gaussian(5.0)), 2e-7))
    assert epsilon_of(cost, 8e-7) == math.inf


def test_faults_name_the_rule_that_is_broken() -> None:
    cost = once(Gaussian(4.0))
    honest = epsilon_of(cost, DELTA)
    found = recompute(cost, DELTA, Accountant.PLD)
    assert found.faults(Claim(epsilon=honest, delta=DELTA, accountant=Accountant.PLD)) == ()
    too_low = found.faults(Claim(epsilon=0.9 * honest, delta=DELTA, accountant=Accountant.PLD))
    assert len(too_low) == 2
    assert "claimed accountant" in too_low[0]


def test_a_selection_cannot_be_claimed_by_pld() -> None:
    """Else the selection would be priced at nothing."""
    cost = once(Gaussian(5.0)) + once(Exponential(3.0))
    assert epsilon_of(cost, DELTA, Accountant.PLD) == math.inf
    found = recompute(cost, DELTA, Accountant.PLD)
    assert found.faults(Claim(epsilon=0.95, delta=DELTA, accountant=Accountant.PLD))


def test_wide_loss_distributions_fall_back_to_the_renyi_bound() -> None:
    cost = once(Laplace(0.005))
    assert epsilon_of(cost, DELTA) == rdp_epsilon(cost.rdp(ORDERS), DELTA) > 100


@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-2])
@pytest.mark.parametrize("z", [1e-3, 0.05, 0.3, 1.0, 4.0, 50.0, 1e3, 1e5])
def test_gaussians_have_their_exact_epsilon(z: float, delta: float) -> None:
    """Enough one part in 10^6 above the answer, and not one part below it."""
    found = epsilon_of(once(Gaussian(2 * z)) * 4, delta)
    assert analytic_gaussian_delta(found + 1e-6 * found + 1e-10, z) <= delta
    assert found == 0 or analytic_gaussian_delta(found - 1e-6 * found - 1e-10, z) > delta


@pytest.mark.parametrize("z", [0.5, 2.0, 20.0])
def test_gaussians_cost_what_a_loss_distribution_of_them_says(z: float) -> None:
    """Which is dp_accounting's second method, rounded up."""
    discretised = from_gaussian_mechanism(z, value_discretization_interval=1e-4).get_epsilon_for_delta(DELTA)
    assert epsilon_of(once(Gaussian(z)), DELTA) == pytest.approx(discretised, rel=1e-6)


def test_nothing_costs_nothing() -> None:
    assert epsilon_of(PrivacyCost(), DELTA) == 0
    assert zcdp_epsilon(0.0, DELTA) == 0
    assert recompute(PrivacyCost(), DELTA, Accountant.PLD).optimistic == 0


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 12), st.sampled_from([1e-5, 1e-7]), st.booleans())
def test_calibration_rounds_towards_privacy(epsilon: float, delta: float, selects: bool) -> None:
    """Guarantee of `calibrate`: within the budget, and one part in 10^6 less noise is not."""

    def at(scale: float) -> PrivacyCost:
        return once(Gaussian(scale)) + (once(Exponential(1 / scale)) if selects else PrivacyCost())

    scale = calibrate(at, Budget(epsilon=epsilon, delta=delta))
    assert epsilon_of(at(scale), delta) <= epsilon
    assert epsilon_of(at(scale * (1 - 1e-6)), delta) > epsilon


def test_calibration_refuses_a_delta_that_lists_use_up() -> None:
    with pytest.raises(RequestError, match="No amount of noise"):
        calibrate(lambda s: once(Gaussian(s)) + once(Discovery(1e-6)), Budget(epsilon=1, delta=1e-6))


@pytest.mark.parametrize("epsilon", [0, -1, math.nan, math.inf])
def test_epsilon_must_be_positive(epsilon: float) -> None:
    with pytest.raises(RequestError, match="Epsilon"):
        check_budget(epsilon, 1e-6, None)


@pytest.mark.parametrize(
    ("delta", "n_public"), [(0, None), (1, None), (math.nan, None), (MAX_DELTA, None), (1e-3, 1000)]
)
def test_delta_must_be_small(delta: float, n_public: int | None) -> None:
    with pytest.raises(RequestError, match="Delta"):
        check_budget(1, delta, n_public)


def test_usable_budgets_pass() -> None:
    assert check_budget(1, 9e-4, 1000) == Budget(epsilon=1, delta=9e-4)


def test_orders_are_dense_enough() -> None:
    """Rounding to the grid of orders costs less than three parts in 10^4 where budgets lie."""
    for rho in np.geomspace(1e-4, 5, 30):
        for delta in (1e-4, 1e-6, 1e-9):
            assert rdp_epsilon(rho * ORDERS, delta) == pytest.approx(zcdp_epsilon(float(rho), delta), rel=3e-4)

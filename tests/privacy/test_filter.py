"""The one door: what was not charged is refused before any noise is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.cost import ORDERS, Discovery, Exponential, Gaussian, Laplace, PrivacyCost, SampledGaussian, once
from privacy.errors import OverspendError
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism
from privacy.noise import NoiseSource, seeded_noise

VALUE = np.array([3, 1, 4], dtype=np.int64)


def never_read() -> NoiseSource:
    """A source whose first byte is an error."""

    def read(n: int) -> bytes:
        raise AssertionError("noise was drawn")

    return NoiseSource(read, is_secret=True)


def gaussian(noise_multiplier: float) -> GaussianMechanism:
    return GaussianMechanism(l2_sensitivity=1.0, stddev=noise_multiplier)


def test_what_was_charged_can_be_spent_and_no_more() -> None:
    privacy = PrivacyFilter(PrivacyCost(((Gaussian(2.0), 3),)), seeded_noise(1))
    for _ in range(3):
        assert privacy.measure(gaussian(2.0), VALUE).shape == VALUE.shape
    assert privacy.spent.merged == PrivacyCost(((Gaussian(2.0), 3),))
    with pytest.raises(OverspendError, match="more than the plan had charged"):
        privacy.measure(gaussian(1_000.0), VALUE)
    assert privacy.spent.merged == PrivacyCost(((Gaussian(2.0), 3),))


def test_overspending_is_refused_before_any_draw() -> None:
    privacy = PrivacyFilter(once(Gaussian(2.0)), never_read())
    with pytest.raises(OverspendError):
        privacy.measure(gaussian(1.99), VALUE)
    assert privacy.spent == PrivacyCost()


def test_the_price_is_recorded_before_the_draw() -> None:
    """A draw that fails half-way has been paid for: what it read is not known."""
    privacy = PrivacyFilter(once(Gaussian(2.0)), never_read())
    with pytest.raises(AssertionError, match="noise was drawn"):
        privacy.measure(gaussian(2.0), VALUE)
    assert privacy.spent == once(Gaussian(2.0))
    with pytest.raises(OverspendError):
        privacy.spend(once(Gaussian(1_000.0)))


def test_an_empty_charge_buys_nothing() -> None:
    privacy = PrivacyFilter(PrivacyCost(), never_read())
    for event in (Gaussian(1e6), Exponential(1e-6), Laplace(1e6), Discovery(1e-300)):
        with pytest.raises(OverspendError):
            privacy.spend(once(event))


def test_failure_probabilities_are_counted() -> None:
    """Rényi curves do not see a discovered list's delta; the filter does."""
    charged = PrivacyCost(((Gaussian(2.0), 1), (Discovery(1e-7), 2)))
    privacy = PrivacyFilter(charged, never_read())
    privacy.spend(once(Discovery(1e-7)))
    with pytest.raises(OverspendError):
        privacy.spend(once(Discovery(1.1e-7)))
    privacy.spend(once(Discovery(1e-7)))
    with pytest.raises(OverspendError):
        privacy.spend(once(Discovery(1e-12)))
    privacy.spend(once(Gaussian(2.0)))
    assert privacy.spent.delta == pytest.approx(2e-7)


def test_every_order_is_held() -> None:
    """A cost below the charge at most orders, and above it at some, is refused.

    An exponential mechanism's curve is bounded by its epsilon and a Gaussian's is not, so that they cross.
    """
    selection, noise = Exponential(1.0), Gaussian(2.5)
    below = noise.rdp(ORDERS) <= selection.rdp(ORDERS)
    assert below.any()
    assert not below.all()
    with pytest.raises(OverspendError):
        PrivacyFilter(once(selection), never_read()).spend(once(noise))
    with pytest.raises(OverspendError):
        PrivacyFilter(once(noise), never_read()).spend(once(Exponential(1.1)))


def test_a_cheaper_mechanism_of_another_kind_fits() -> None:
    """What counts is the curve, not the name of the event: parameters may be chosen from earlier results."""
    charged = PrivacyCost(((Gaussian(1.0), 1),))
    privacy = PrivacyFilter(charged, never_read())
    for event in (Gaussian(2.0), Laplace(4.0), Exponential(0.5), SampledGaussian(0.1, 2.0)):
        privacy.spend(once(event))
    assert len(privacy.spent.events) == 4


@settings(max_examples=80, deadline=None)
@given(
    charged=st.lists(st.floats(0.5, 50), min_size=1, max_size=4),
    asked=st.lists(st.floats(0.5, 50), min_size=1, max_size=12),
)
def test_what_was_spent_is_never_beyond_the_charge(charged: list[float], asked: list[float]) -> None:
    """Whatever is asked, in whatever order: at every Rényi order the admitted costs stay inside the charge."""
    limit = PrivacyCost(tuple((Gaussian(z), 1) for z in charged))
    privacy = PrivacyFilter(limit, never_read())
    rho, room = 0.0, sum(1 / (2 * z * z) for z in charged)
    for multiplier in asked:
        fits = rho + 1 / (2 * multiplier**2) <= room
        try:
            privacy.spend(once(Gaussian(multiplier)))
            rho += 1 / (2 * multiplier**2)
        except OverspendError:
            assert not fits or rho + 1 / (2 * multiplier**2) > room * (1 - 1e-9)
    assert np.all(privacy.spent.rdp(ORDERS) <= limit.rdp(ORDERS) * (1 + 1e-9))


def test_the_noise_is_the_runs_own() -> None:
    source = seeded_noise(3)
    assert PrivacyFilter(PrivacyCost(), source).noise is source
    one = PrivacyFilter(once(Gaussian(2.0)), seeded_noise(3)).measure(gaussian(2.0), VALUE)
    two = PrivacyFilter(once(Gaussian(2.0)), seeded_noise(3)).measure(gaussian(2.0), VALUE)
    assert np.array_equal(one, two)

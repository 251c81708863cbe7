"""What every event and every mechanism owes: a price known beforehand, that adds up, and that two others confirm."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from dp_accounting import (
    DpEvent,
    GaussianDpEvent,
    LaplaceDpEvent,
    NeighboringRelation,
    NoOpDpEvent,
    PoissonSampledDpEvent,
    RandomizedResponseDpEvent,
    ZCDpEvent,
)
from dp_accounting.rdp import RdpAccountant
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

from privacy.cost import (
    KINDS,
    ORDERS,
    Curve,
    Discovery,
    Event,
    Exponential,
    Gaussian,
    Laplace,
    Parallel,
    PrivacyCost,
    SampledGaussian,
    ZeroConcentrated,
    once,
)
from privacy.errors import OverspendError
from privacy.filter import PrivacyFilter
from privacy.mechanisms import ExponentialMechanism, GaussianMechanism, LaplaceMechanism
from privacy.noise import NoiseSource, seeded_noise, system_noise
from tests.statistical import matches

EVENTS: dict[str, Event] = {
    "gaussian": Gaussian(1.7),
    "sampled-gaussian": SampledGaussian(0.02, 1.1),
    "exponential": Exponential(0.3),
    "zcdp": ZeroConcentrated(0.02),
    "laplace": Laplace(2.5),
    "discovery": Discovery(1e-9),
    "parallel": Parallel((once(Gaussian(1.7)), once(Gaussian(2.5)))),
}
IN_DP_ACCOUNTING: dict[str, DpEvent] = {
    "gaussian": GaussianDpEvent(1.7),
    "sampled-gaussian": PoissonSampledDpEvent(0.02, GaussianDpEvent(1.1)),
    "exponential": ZCDpEvent(0.3**2 / 8, 0),
    "zcdp": ZCDpEvent(0.02, 0),
    # With two buckets, the other answer is given with probability parameter / 2 = 1 / (1 + e^epsilon).
    "laplace": RandomizedResponseDpEvent(2 / (1 + math.exp(1 / 2.5)), 2),
    "discovery": NoOpDpEvent(),
    "parallel": GaussianDpEvent(1.7),
}
AT = np.array([1.25, 1.5, 2.0, 3.0, 8.0, 16.0, 26.0])
WHOLE = np.array([2.0, 3.0, 8.0, 16.0, 26.0, 300.0, 1024.0])

MECHANISMS: dict[str, Any] = {
    "gaussian": GaussianMechanism(l2_sensitivity=math.sqrt(3), stddev=4.0),
    "laplace": LaplaceMechanism(l1_sensitivity=2, scale=5.0),
    "exponential": ExponentialMechanism(sensitivity=2, epsilon=0.4),
}
PRICES: dict[str, Event] = {
    "gaussian": Gaussian(4 / math.sqrt(3)),
    "laplace": Laplace(2.5),
    "exponential": Exponential(0.4),
}
VALUE = np.array([5, -3, 0, 12], dtype=np.int64)

every_event = pytest.mark.parametrize("kind", KINDS)
every_mechanism = pytest.mark.parametrize("name", MECHANISMS)


def library_curve(event: DpEvent, n: int, orders: Curve) -> Curve:
    """The event n times in a row, by dp_accounting."""
    replaced = isinstance(event, RandomizedResponseDpEvent)
    relation = NeighboringRelation.REPLACE_ONE if replaced else NeighboringRelation.ADD_OR_REMOVE_ONE
    accountant = RdpAccountant(orders, relation)
    for _ in range(n):
        accountant.compose(event)
    return np.asarray(accountant._rdp)  # the library has no public name for the curve


def divergence(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64], order: float) -> float:
    """Rényi divergence of discrete laws given as log masses."""
    return float(logsumexp(order * p + (1 - order) * q) / (order - 1))


# --- events ----------------------------------------------------------------------------------------------------------


def test_every_kind_of_event_is_in_this_contract() -> None:
    assert set(EVENTS) == set(IN_DP_ACCOUNTING) == set(KINDS)
    assert all(KINDS[kind] is type(event) for kind, event in EVENTS.items())


@every_event
def test_n_at_once_is_n_times(kind: str) -> None:
    cost = once(EVENTS[kind])
    repeated = PrivacyCost()
    for _ in range(7):
        repeated = repeated + cost
    assert (cost * 7).merged == repeated.merged == PrivacyCost(((EVENTS[kind], 7),))
    np.testing.assert_allclose((cost * 7).rdp(ORDERS), repeated.rdp(ORDERS), rtol=1e-12)
    np.testing.assert_allclose((cost * 7).rdp(ORDERS), 7 * cost.rdp(ORDERS), rtol=1e-12)
    assert (cost * 7).delta == pytest.approx(repeated.delta, rel=1e-12)


@every_event
@pytest.mark.parametrize("n", [1, 7])
def test_the_price_is_the_one_dp_accounting_finds(kind: str, n: int) -> None:
    """Within 1e-9 relative; the exponential mechanism as its zCDP event, at orders where epsilon is no tighter."""
    at = WHOLE if kind == "sampled-gaussian" else AT
    theirs = library_curve(IN_DP_ACCOUNTING[kind], n, at)
    np.testing.assert_allclose((once(EVENTS[kind]) * n).rdp(at), theirs, rtol=1e-9)


@pytest.mark.parametrize(("rate", "noise"), [(0.01, 1.0), (0.08, 6.0), (0.3, 20.0)])
def test_sampling_is_priced_by_chords_between_whole_orders(rate: float, noise: float) -> None:
    """Never below the divergence by quadrature, at any order; and equal to it at whole ones."""
    x = np.linspace(-40, 100, 200_001)
    plain, shifted = norm.logpdf(x), norm.logpdf(x, loc=1 / noise)
    mixed = np.logaddexp(np.log1p(-rate) + plain, np.log(rate) + shifted)
    for order in (1.2, 1.7, 2.0, 2.5, 5.0, 7.3, 16.0, 31.4, 60.0):
        integral = logsumexp(order * mixed + (1 - order) * plain) + np.log(x[1] - x[0])
        exact = float(integral / (order - 1))
        ours = float(once(SampledGaussian(rate, noise)).rdp(np.array([order]))[0])
        assert ours >= exact * (1 - 1e-6)
        if order == int(order):
            assert ours == pytest.approx(exact, rel=1e-6)


@every_event
def test_curves_are_finite_nonnegative_and_rise_with_the_order(kind: str) -> None:
    curve = EVENTS[kind].rdp(ORDERS)
    assert curve.shape == ORDERS.shape
    assert np.isfinite(curve).all()
    assert curve.min() >= 0
    assert np.all(np.diff(curve) >= -1e-9 * curve[1:])


@every_event
def test_a_stored_cost_comes_back(kind: str) -> None:
    cost = once(EVENTS[kind]) * 3 + once(EVENTS["gaussian"]) + once(EVENTS[kind])
    again = PrivacyCost.from_json(json.loads(json.dumps(cost.to_json())))
    assert again == cost.merged
    np.testing.assert_array_equal(again.rdp(ORDERS), cost.merged.rdp(ORDERS))


def test_what_is_no_stored_cost_is_refused() -> None:
    with pytest.raises(KeyError):
        PrivacyCost.from_json([{"event": "telepathy", "count": 1}])
    with pytest.raises(TypeError):
        PrivacyCost.from_json([{"event": "gaussian", "epsilon": 1.0, "count": 1}])


@pytest.mark.parametrize("epsilon", [0.01, 0.3, 2.0, 12.0])
def test_exponential_events_cover_every_pair_of_bounded_range(epsilon: float) -> None:
    """Worst pairs are two outcomes whose odds differ by e^epsilon (Dong, Durfee & Rogers 2020); all their places."""
    price = Exponential(epsilon).rdp(AT)
    for shift in np.linspace(-2 * epsilon - 5, epsilon + 5, 201):
        p = log_softmax([0.0, shift])
        q = log_softmax([0.0, shift + epsilon])
        exact = np.array([max(divergence(p, q, a), divergence(q, p, a)) for a in AT])
        assert np.all(exact <= price * (1 + 1e-9))
    assert np.all(price <= epsilon)


@pytest.mark.parametrize("sensitivity", [1, 2, 5])
@pytest.mark.parametrize("scale", [0.7, 3.0, 40.0])
def test_laplace_events_cover_the_discrete_noise(sensitivity: int, scale: float) -> None:
    """The exact divergence of the discrete law from its shift: met at sensitivity 1, covered at larger ones.

    The continuous curve is below it: it would promise too much.
    """
    support = np.arange(-math.ceil(60 * scale) - 10, math.ceil(60 * scale) + 20)
    p = -np.abs(support) / scale + math.log(math.tanh(0.5 / scale))
    q = -np.abs(support - sensitivity) / scale + math.log(math.tanh(0.5 / scale))
    orders = AT[AT <= 8]
    exact = np.array([divergence(p, q, a) for a in orders])
    price = Laplace(scale / sensitivity).rdp(orders)
    assert np.all(exact <= price * (1 + 1e-9))
    if sensitivity == 1:
        np.testing.assert_allclose(exact, price, rtol=1e-9)
    assert np.all(library_curve(LaplaceDpEvent(scale / sensitivity), 1, orders) < exact)


@pytest.mark.parametrize("noise_multiplier", [1e-3, 1e4, 1e8])
def test_laplace_curves_neither_overflow_nor_cancel(noise_multiplier: float) -> None:
    """At most epsilon; near order * epsilon^2 / 2 while that is small."""
    epsilon = 1 / noise_multiplier
    curve = Laplace(noise_multiplier).rdp(ORDERS)
    assert np.all(curve <= epsilon * (1 + 1e-9))
    small = ORDERS * epsilon < 1e-3
    np.testing.assert_allclose(curve[small], ORDERS[small] * epsilon**2 / 2, rtol=1e-3)


# --- mechanisms ------------------------------------------------------------------------------------------------------


@every_mechanism
def test_a_price_is_known_before_anything_is_drawn(name: str) -> None:
    """From public fields alone; and a filter that refuses has read no random byte."""
    mechanism = MECHANISMS[name]
    assert mechanism.cost == once(PRICES[name])
    reads: list[int] = []

    def read(n: int) -> bytes:
        reads.append(n)
        return bytes(n)

    with pytest.raises(OverspendError):
        PrivacyFilter(PrivacyCost(), NoiseSource(read, is_secret=False)).measure(mechanism, VALUE)
    assert reads == []


@every_mechanism
def test_a_filter_spends_the_price_of_each_draw(name: str) -> None:
    mechanism = MECHANISMS[name]
    door = PrivacyFilter(mechanism.cost * 3, seeded_noise(0))
    for _ in range(3):
        door.measure(mechanism, VALUE)
    assert door.spent.merged == (mechanism.cost * 3).merged
    with pytest.raises(OverspendError):
        door.measure(mechanism, VALUE)


@every_mechanism
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.bool_, object])
def test_values_off_the_integer_grid_are_refused(name: str, dtype: Any) -> None:
    with pytest.raises(TypeError, match="integer grid"):
        MECHANISMS[name].draw(VALUE.astype(dtype), seeded_noise(0))


@every_mechanism
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_draws_are_integers_whatever_integers_go_in(name: str, dtype: Any) -> None:
    drawn = MECHANISMS[name].draw(VALUE.astype(dtype), seeded_noise(4))
    assert np.array_equal(drawn, MECHANISMS[name].draw(VALUE, seeded_noise(4)))
    assert np.asarray(drawn).dtype == np.int64


@pytest.mark.parametrize("name", ["gaussian", "laplace"])
@given(value=st.lists(st.integers(-(2**40), 2**40), max_size=6), seed=st.integers(0, 2**32))
def test_noise_is_added_and_does_not_depend_on_the_value(name: str, value: list[int], seed: int) -> None:
    """With the noise fixed, draws differ by exactly what the values differ by."""
    vector = np.array(value, dtype=np.int64)
    drawn = MECHANISMS[name].draw(vector, seeded_noise(seed))
    alone = MECHANISMS[name].draw(np.zeros_like(vector), seeded_noise(seed))
    assert np.array_equal(drawn - vector, alone)


def exponential_law(mechanism: ExponentialMechanism, scores: list[int]) -> npt.NDArray[np.float64]:
    """Log probabilities of the exponential mechanism (McSherry & Talwar 2007)."""
    rate = mechanism.epsilon / (2 * mechanism.sensitivity)
    return np.asarray(log_softmax(rate * np.array(scores, dtype=np.float64)))


def test_selections_have_the_law_of_the_exponential_mechanism() -> None:
    """Fails by chance < 1e-9; misses a factor 2 in epsilon < 1e-20 (n = 20,000; over 20 standard errors)."""
    mechanism, scores = ExponentialMechanism(sensitivity=2, epsilon=1.0), [0, 4, -3, 6]
    source = system_noise()
    counts = np.bincount([mechanism.draw(np.array(scores), source) for _ in range(20_000)], minlength=4)
    assert matches(counts, np.exp(exponential_law(mechanism, scores)))
    for wrong in (0.5, 2.0):
        other = ExponentialMechanism(sensitivity=2, epsilon=wrong)
        assert not matches(counts, np.exp(exponential_law(other, scores)))


def test_selections_are_epsilon_dp_on_the_worst_pair_and_meet_it() -> None:
    """One score up by the sensitivity, an unlikely candidate's; all others down."""
    mechanism = MECHANISMS["exponential"]
    here = exponential_law(mechanism, [0, 200, 200])
    there = exponential_law(mechanism, [2, 198, 198])
    loss = np.abs(here - there).max()
    assert 0.999 * mechanism.epsilon < loss <= mechanism.epsilon * (1 + 1e-12)


@given(data=st.data(), k=st.integers(1, 6))
def test_selections_cost_no_more_than_their_event_on_any_pair(data: st.DataObject, k: int) -> None:
    mechanism = MECHANISMS["exponential"]
    scores = data.draw(st.lists(st.integers(-50, 50), min_size=k, max_size=k))
    changes = data.draw(st.lists(st.integers(-mechanism.sensitivity, mechanism.sensitivity), min_size=k, max_size=k))
    here = exponential_law(mechanism, scores)
    there = exponential_law(mechanism, [s + c for s, c in zip(scores, changes, strict=True)])
    assert np.abs(here - there).max() <= mechanism.epsilon * (1 + 1e-12)
    exact = np.array([divergence(here, there, a) for a in AT])
    assert np.all(exact <= mechanism.cost.rdp(AT) * (1 + 1e-9) + 1e-12)


def test_gaussian_draws_are_priced_by_sensitivity_over_stddev() -> None:
    """Twice the stddev is a quarter of the price, at every order; and order 4 costs twice what order 2 does."""
    wide = GaussianMechanism(l2_sensitivity=1.0, stddev=6.0).cost
    narrow = GaussianMechanism(l2_sensitivity=1.0, stddev=3.0).cost
    np.testing.assert_allclose(4 * wide.rdp(ORDERS), narrow.rdp(ORDERS), rtol=1e-12)
    assert narrow.rdp(np.array([2.0, 4.0])).tolist() == pytest.approx([1 / 9, 2 / 9], rel=1e-12)

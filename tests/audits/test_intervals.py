"""Intervals hold as often as they say; tests are exact; power is what was promised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, mannwhitneyu, norm

from audits.estimates import auc_finding, excess_finding, rate_finding
from audits.finding import Audience, Interval
from audits.intervals import (
    STRICT,
    USUAL,
    auc,
    auc_interval,
    clopper_pearson,
    detectable_auc,
    detectable_difference,
    proportion_difference,
    tpr_at_fpr,
)

WHO = {"audit": "a", "quantity": "q", "subject": "", "audience": Audience.INTERNAL}


def likely(n: int, p: float) -> range:
    """All but 1e-6 of a binomial's mass."""
    return range(int(binom.ppf(5e-7, n, p)), int(binom.ppf(1 - 5e-7, n, p)) + 1)


@pytest.mark.parametrize("confidence", [USUAL, STRICT])
@pytest.mark.parametrize(("n", "p"), [(20, 0.3), (100, 0.01), (500, 0.002), (50, 0.9)])
def test_clopper_pearson_holds_at_least_as_often_as_it_says(n: int, p: float, confidence: float) -> None:
    """By enumeration of the binomial, so neither error rate is above 1e-6."""
    low = sum(binom.pmf(x, n, p) for x in likely(n, p) if clopper_pearson(x, n, confidence).low <= p)
    high = sum(binom.pmf(x, n, p) for x in likely(n, p) if clopper_pearson(x, n, confidence).high >= p)
    assert low >= confidence - 1e-6
    assert high >= confidence - 1e-6


def test_clopper_pearson_at_the_ends() -> None:
    assert clopper_pearson(0, 300, 0.95).low == 0
    assert clopper_pearson(0, 300, 0.95).high == pytest.approx(1 - 0.05 ** (1 / 300))
    assert clopper_pearson(300, 300, 0.95).high == 1


@pytest.mark.parametrize(
    ("n", "other_n", "p", "q"), [(60, 40, 0.3, 0.3), (120, 80, 0.2, 0.1), (300, 300, 0.05, 0.05), (400, 200, 0.1, 0.05)]
)
def test_difference_bounds_hold_as_often_as_they_say(n: int, other_n: int, p: float, q: float) -> None:
    """By enumeration of both binomials: each bound within 1.5 points of 95%; an error of 2 points is never missed."""
    held = np.zeros(2)
    for x in likely(n, p):
        for y in likely(other_n, q):
            bounds = proportion_difference(x, n, y, other_n, 0.95)
            held += (
                binom.pmf(x, n, p) * binom.pmf(y, other_n, q) * np.array([bounds.low <= p - q, bounds.high >= p - q])
            )
    assert np.all(np.abs(held - 0.95) <= 0.015)


def test_strict_lower_bound_is_never_too_high_for_rare_matches_in_unequal_samples() -> None:
    """What a WITHHOLD reads. By enumeration: holds at least 99.99% of the time at rates of .2% to 1%, five to one."""
    for n, other_n, p in [(600, 120, 0.01), (1_500, 300, 0.004), (1_500, 300, 0.002)]:
        held = sum(
            binom.pmf(x, n, p) * binom.pmf(y, other_n, p)
            for x in likely(n, p)
            for y in likely(other_n, p)
            if proportion_difference(x, n, y, other_n, STRICT).low <= 0
        )
        assert held >= 0.9999 - 1e-5


def test_difference_agrees_with_a_published_example() -> None:
    """56/70 against 48/80: two-sided 95% score bounds .0528 and .3382 (Newcombe 1998, table II, method 5)."""
    bounds = proportion_difference(56, 70, 48, 80, 0.975)
    assert bounds.low == pytest.approx(0.0528, abs=3e-4)
    assert bounds.high == pytest.approx(0.3382, abs=3e-4)


@given(
    st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
)
def test_difference_is_total_ordered_and_antisymmetric(a: tuple[int, int], b: tuple[int, int]) -> None:
    bounds, mirrored = proportion_difference(*a, *b, 0.95), proportion_difference(*b, *a, 0.95)
    assert -1 <= bounds.low <= a[0] / a[1] - b[0] / b[1] <= bounds.high <= 1
    assert bounds.low == pytest.approx(-mirrored.high, abs=1e-6)
    wider = proportion_difference(*a, *b, 0.995)
    assert wider.low <= bounds.low + 1e-9
    assert wider.high >= bounds.high - 1e-9


@pytest.mark.parametrize("call", [clopper_pearson, lambda x, n, c: proportion_difference(x, n, 1, 2, c)])
@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(call, hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="hits lie between"):
        call(hits, n, 0.95)


def test_auc_counts_ties_half_and_matches_the_rank_test() -> None:
    rng = np.random.default_rng(1)
    members, outsiders = rng.integers(0, 6, 80).astype(float), rng.integers(0, 5, 50).astype(float)
    pairs = (members[:, None] > outsiders[None, :]) + 0.5 * (members[:, None] == outsiders[None, :])
    area, variance = auc(members, outsiders)
    assert area == pytest.approx(pairs.mean())
    assert area == pytest.approx(mannwhitneyu(members, outsiders).statistic / (80 * 50))
    by_hand = np.var(pairs.mean(axis=1), ddof=1) / 80 + np.var(pairs.mean(axis=0), ddof=1) / 50
    assert variance == pytest.approx(by_hand)


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=30), st.lists(st.integers(-5, 5), min_size=2, max_size=30))
def test_auc_is_unchanged_by_an_increasing_transform(left: list[int], right: list[int]) -> None:
    a, b = np.array(left, float), np.array(right, float)
    assert auc(np.exp(a), np.exp(b)) == pytest.approx(auc(a, b))
    assert auc(b, a)[0] == pytest.approx(1 - auc(a, b)[0])


def test_auc_refuses_what_it_cannot_rank() -> None:
    with pytest.raises(ValueError, match="two scores"):
        auc(np.zeros(1), np.zeros(5))
    with pytest.raises(ValueError, match="not a number"):
        auc(np.array([0.0, np.nan]), np.zeros(5))


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_auc_bounds_hold_as_often_as_they_say(shift: float) -> None:
    """4,000 draws of 60 against 90: each bound within 1.5 points of 95%.

    The simulated rate has standard error .34 points, so a true 95% fails with probability 1e-5 (fixed seed: never by
    chance), and a bound that holds 92.5% or 97.5% of the time passes with probability below 2e-3.
    """
    rng = np.random.default_rng(5)
    truth = float(norm.cdf(shift / np.sqrt(2)))
    held = np.zeros(2)
    for _ in range(4_000):
        bounds = auc_interval(*auc(rng.normal(shift, 1, 60), rng.normal(0, 1, 90)), 60, 90, 0.95)
        held += [bounds.low <= truth, bounds.high >= truth]
    assert np.all(np.abs(held / 4_000 - 0.95) <= 0.015)


def test_auc_bounds_at_the_ends_admit_what_a_sample_cannot_exclude() -> None:
    perfect = auc_interval(*auc(np.arange(100.0) + 100, np.arange(100.0)), 100, 100, 0.95)
    assert perfect == Interval(0.05 ** (1 / 100), 1.0, 0.95) or perfect.low == pytest.approx(0.05 ** (1 / 100))
    useless = auc_interval(*auc(np.zeros(100), np.zeros(100)), 100, 100, 0.95)
    assert useless.low < 0.5 < useless.high


def test_rate_at_a_threshold_of_the_calibration_sample() -> None:
    calibration = np.arange(1_000.0)
    members, outsiders = np.array([989.0, 990.0, 2_000.0]), np.array([0.0, 995.0])
    assert tpr_at_fpr(members, outsiders, calibration, 0.01) == (2, 1)
    assert tpr_at_fpr(np.exp(members / 100), np.exp(outsiders / 100), np.exp(calibration / 100), 0.01) == (2, 1)
    with pytest.raises(ValueError, match="calibration"):
        tpr_at_fpr(members, outsiders, np.zeros(0), 0.01)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.sampled_from([0.01, 0.1, 0.5]))
def test_ties_never_raise_the_false_positive_rate(scores: list[int], fpr: float) -> None:
    calibration = np.array(scores, float)
    assert tpr_at_fpr(calibration, calibration, calibration, fpr)[0] <= fpr * len(calibration)


@pytest.mark.parametrize(
    ("rate", "n", "expected"), [(0.01, 500, 0.023), (0.05, 1_000, 0.027), (0.25, 2_000, 0.035), (0.5, 10_000, 0.018)]
)
def test_detectable_excess_is_that_of_the_published_formula(rate: float, n: int, expected: float) -> None:
    assert detectable_difference(rate, n, n) == pytest.approx(expected, abs=1e-3)


def test_detectable_excess_is_noticed_as_often_as_promised() -> None:
    """6,000 draws at the detectable excess: a one-sided 5% test notices it 80% of the time, within 2 points.

    Standard error .52 points: a true 80% fails with probability 1e-4 (fixed seed), a true 76% passes with 1e-4.
    """
    rng = np.random.default_rng(2)
    n, other_n, rate = 3_000, 1_000, 0.05
    excess = detectable_difference(rate, n, other_n)
    x, y = rng.binomial(n, rate + excess, 6_000), rng.binomial(other_n, rate, 6_000)
    pooled = (x + y) / (n + other_n)
    z = (x / n - y / other_n) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    assert abs((z > norm.ppf(0.95)).mean() - 0.8) < 0.02


def test_detectable_excess_of_a_rate_of_zero_promises_nothing_it_cannot_hold() -> None:
    assert detectable_difference(0.0, 100, 100) == detectable_difference(0.01, 100, 100) > 0.03
    assert detectable_difference(1.0, 100, 100) == 0


def test_detectable_auc_is_that_of_the_null_variance() -> None:
    assert detectable_auc(2_500, 2_500) == pytest.approx(2.486 * 0.00817, rel=0.01)
    assert detectable_auc(2, 2) == 0.5


def test_findings_carry_both_confidences() -> None:
    rate = rate_finding(**WHO, hits=5, n=100, baseline=0.01, detectable=0.02)
    excess = excess_finding(**WHO, hits=5, n=100, other_hits=1, other_n=50)
    area = auc_finding(**WHO, members=np.arange(30.0), outsiders=np.arange(20.0) - 5)
    assert (rate.n, excess.n, area.n) == (100, 150, 50)
    assert (rate.baseline, excess.baseline, area.baseline) == (0.01, 0.0, 0.5)
    for finding in (rate, excess, area):
        assert (finding.interval.confidence, finding.strict.confidence) == (0.95, 0.9999)
        assert finding.strict.low <= finding.interval.low <= finding.estimate
        assert finding.estimate <= finding.interval.high <= finding.strict.high
        assert finding.detectable is not None
        assert finding.detectable > 0

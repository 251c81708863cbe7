"""The bound on epsilon from one run: never above the truth but by chance, and what it can prove at all."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from audits.attacks.membership import MembershipInference
from audits.attacks.one_run import best_guesses, epsilon_bound, p_value, reach
from audits.evidence import Evidence
from audits.finding import Finding
from audits.release.gate import ONE_RUN
from tests.controls import evidence, fresh_draw, memoriser


def test_no_guess_beyond_chance_refutes_nothing() -> None:
    assert epsilon_bound({100: 50, 1000: 520}, 9, 6_000, 1e-6, 0.95) == 0.0
    assert epsilon_bound({}, 9, 6_000, 1e-6, 0.95) == 0.0


def test_without_delta_the_p_value_is_a_binomial_tail() -> None:
    for epsilon in (0.0, 0.5, 2.0):
        q = math.exp(epsilon) / (1 + math.exp(epsilon))
        assert p_value(80, 100, 500, epsilon, 0.0) == pytest.approx(binom.sf(79, 100, q), rel=1e-9)


def test_delta_costs_what_theorem_5_2_says() -> None:
    """By the definition, one i at a time, on a case small enough to sum by hand."""
    right, guesses, pool, epsilon, delta = 9, 10, 30, 0.7, 1e-3
    q = 1 / (1 + math.exp(-epsilon))
    slack = max(sum(binom.pmf(right - j, guesses, q) for j in range(1, i + 1)) / i for i in range(1, right + 1))
    expected = binom.sf(right - 1, guesses, q) + 2 * pool * delta * slack
    assert p_value(right, guesses, pool, epsilon, delta) == pytest.approx(expected, rel=1e-12)


def test_published_reach() -> None:
    """100 and 1,000 guesses of a pool of 10,000 at delta 1e-6, 90% and 100% right, one attack, one size.

    The figures of an independent implementation (jax_privacy's one-run audit): 1.63, 3.47; 2.02, 5.78.
    """
    found = [epsilon_bound({n: right}, 1, 10_000, 1e-6, 0.95) for n, right in ((100, 90), (100, 100), (1000, 900))]
    assert found == pytest.approx([1.63, 3.47, 2.02], abs=0.02)
    assert reach((1000,), 1, 10_000, 1e-6, 0.95) == pytest.approx(5.78, abs=0.02)


def test_who_always_says_in_proves_nothing() -> None:
    """A guesser that orders units without a look at the table: at 95%, at most 5% of 300 runs above 0 (p > 1e-6)."""
    rng = np.random.default_rng(0)
    above = 0
    for _ in range(300):
        coins = rng.random(400) < 0.5
        above += epsilon_bound(best_guesses({"in": np.arange(400.0)}, coins), 1, 400, 0.0, 0.95) > 0
    assert binom.sf(above - 1, 300, 0.05) > 1e-6


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_randomized_response_is_never_refuted_but_by_chance(epsilon: float) -> None:
    """Each unit's coin is answered truly with probability e^eps / (1 + e^eps): the mechanism the theorem is tight for.

    Bounds at 95% exceed the true epsilon in at most 5% of 300 runs, and come within half of it on average.
    """
    rng = np.random.default_rng(1)
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))
    bounds = []
    for _ in range(300):
        coins = rng.random(2_000) < 0.5
        told = np.where(rng.random(2_000) < truth, coins, ~coins)
        scores = {"told": told + rng.random(2_000) / 2}
        bounds.append(epsilon_bound(best_guesses(scores, coins), 1, 2_000, 0.0, 0.95))
    assert binom.sf(sum(bound > epsilon for bound in bounds) - 1, 300, 0.05) > 1e-6
    assert np.mean(bounds) > epsilon / 2


def test_gaussian_noise_on_every_unit_is_never_refuted_but_by_chance() -> None:
    """Independent units, sensitivity 1, noise for epsilon 1 at delta 1e-5 (sigma 3.73): at most 5% of 300 runs."""
    rng = np.random.default_rng(2)
    above = 0
    for _ in range(300):
        coins = rng.random(2_000) < 0.5
        scores = {"sum": coins + rng.normal(0, 3.73, 2_000)}
        above += epsilon_bound(best_guesses(scores, coins), 1, 2_000, 1e-5, 0.95) > 1.0
    assert binom.sf(above - 1, 300, 0.05) > 1e-6


def _found(given: Evidence) -> Finding:
    (finding,) = (
        f for f in MembershipInference().run(given, np.random.default_rng(0)) if (f.audit, f.quantity) == ONE_RUN
    )
    return finding


def test_a_memoriser_refutes_epsilon_one_and_a_fresh_draw_does_not() -> None:
    calm, bad = (_found(replace(evidence(fault), claimed_delta=1e-6)) for fault in (fresh_draw, memoriser))
    assert calm.interval.low < 0.5
    assert bad.strict.low > 2
    assert bad.detectable is not None
    assert bad.estimate <= bad.detectable


def test_nothing_is_said_where_nobody_claimed_or_no_coin_was_thrown() -> None:
    given = evidence(memoriser)
    assert given.claimed_delta is None
    assert not [f for f in MembershipInference().run(given, np.random.default_rng(0)) if f.quantity == ONE_RUN[1]]

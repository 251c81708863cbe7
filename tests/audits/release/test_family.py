"""Holm's procedure over all tests of a release, and the p-values it is fed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm
from statsmodels.stats.multitest import multipletests

from audits.estimates import auc_finding, estimate_finding, excess_finding
from audits.finding import Audience, Interval, Outcome
from audits.intervals import proportion_difference
from audits.release.family import LEVEL, ONE_RUN_SHARE, p_beyond, rejected
from audits.release.gate import Verdict, outcome_checks
from audits.release.policy import parse_policy
from tests.audits.release.made_up import answered, finding


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=30))
def test_equal_weights_are_holms_procedure(p_values: list[float]) -> None:
    """Against statsmodels."""
    theirs = multipletests(p_values, alpha=0.04, method="holm")[0]
    assert rejected(p_values, [1.0] * len(p_values), 0.04) == theirs.tolist()


def test_weights_divide_the_level() -> None:
    assert rejected([0.02, 0.02], [3.0, 1.0], 0.04) == [True, True]  # the second has the whole level by then
    assert rejected([0.035, 0.02], [3.0, 1.0], 0.04) == [False, False]
    assert rejected([0.035, 0.009], [3.0, 1.0], 0.04) == [True, True]


def test_a_harmless_family_is_rejected_at_the_level_and_no_more() -> None:
    """4,000 families of 40 true hypotheses: 4% reject some. Beyond 5% in none of 10^4 (binomial); a Bonferroni without
    correction rejects in 80%."""
    rng = np.random.default_rng(3)
    weights = [25.0, *[1.0] * 39]
    found = sum(any(rejected(list(p), weights, 0.04)) for p in rng.random((4_000, 40)))
    assert binom.sf(200, 4_000, 0.04) < 2e-3
    assert 120 < found < 200


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.1])
def test_normal_bounds_give_the_normal_p_value(limit: float) -> None:
    found = estimate_finding(
        audit="a", quantity="q", subject="", estimate=0.12, error=0.02, baseline=0.0, worse="higher", n=100,
        limits=(-1.0, 1.0), looked_at=1,
    )  # fmt: skip
    assert p_beyond(found, limit) == pytest.approx(float(norm.sf((0.12 - limit) / 0.02)), rel=1e-6)


@pytest.mark.parametrize("hits", [60, 75, 90, 105])
def test_score_bounds_give_nearly_the_inverted_interval(hits: int) -> None:
    """On the safe side, by a half at most: the level at which the score bound itself meets the limit, by bisection."""
    found = excess_finding(
        audit="a", quantity="q", subject="", hits=hits, n=3_000, other_hits=8, other_n=1_000, audience=Audience.INTERNAL
    )
    low, high = 0.5, 1 - 1e-9
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if proportion_difference(hits, 3_000, 8, 1_000, middle).low > 0.01 else (low, middle)
    if 1e-4 <= 1 - low <= 0.05:
        assert 0.95 <= p_beyond(found, 0.01) / (1 - low) <= 1.5
    assert (p_beyond(found, 0.01) < 1e-4) == (found.strict.low > 0.01)


def test_areas_are_read_like_the_rest() -> None:
    rng = np.random.default_rng(0)
    found = auc_finding(
        audit="a", quantity="AUC", subject="x", members=rng.normal(0.3, 1, 900), outsiders=rng.normal(0, 1, 800),
        audience=Audience.INTERNAL,
    )  # fmt: skip
    assert p_beyond(found, found.strict.low) == pytest.approx(1e-4, rel=1e-6)
    assert p_beyond(found, found.interval.low) == pytest.approx(0.05, rel=1e-6)
    assert p_beyond(found, 0.65) > 0.5


def test_bounds_at_the_end_of_the_range_prove_no_more_than_they_say() -> None:
    cut = finding("a", "q", estimate=1.0)
    cut = replace(cut, interval=Interval(1.0, 1.0, 0.95), strict=Interval(1.0, 1.0, 0.9999))
    assert p_beyond(cut, 0.5) == pytest.approx(1e-4)
    assert p_beyond(cut, 1.0) == 1.0


def test_a_crowd_of_checks_costs_each_its_share_and_a_proof_still_stands() -> None:
    """One finding three standard errors beyond: withheld alone, for a person to judge among four hundred others."""
    rule = {"audit": "attack", "quantity": "AUC", "subjects": "all", "worse": "higher", "pass_limit": 0.55,
            "withhold_limit": 0.55, "min_n": 0, "effect": "block", "required": True}  # fmt: skip
    policy = parse_policy({"name": "p", "tier": "t", "requires_dp": False, "max_epsilon": 1.0, "checks": [rule]})

    def verdict(n: int, z: float) -> Verdict:
        bad = finding("attack", "AUC", "bad", estimate=0.55 + 0.01 * z, error=0.01)
        others = [finding("attack", "AUC", f"fine {i}", estimate=0.5, error=0.01) for i in range(n)]
        checks = outcome_checks([answered("attack", bad, *others)], policy)
        return next(c.verdict for c in checks if c.subject == "bad")

    assert verdict(0, 3) is Verdict.WITHHOLD
    assert verdict(400, 3) is Verdict.REVIEW
    assert verdict(400, 5) is Verdict.WITHHOLD
    assert norm.sf(3) > (LEVEL - ONE_RUN_SHARE) / 401 > norm.sf(5)


def test_a_known_count_is_no_test() -> None:
    """It takes no share, and withholds by itself."""
    rule = {"audit": "content", "quantity": "columns", "subjects": "table", "worse": "higher", "pass_limit": 0,
            "withhold_limit": 0, "min_n": 0, "effect": "block", "required": True}  # fmt: skip
    policy = parse_policy({"name": "p", "tier": "t", "requires_dp": False, "max_epsilon": 1.0, "checks": [rule]})
    for count, verdict in ((0.0, Verdict.PASS), (1.0, Verdict.WITHHOLD)):
        known: Outcome = answered("content", finding("content", "columns", estimate=count))
        assert [c.verdict for c in outcome_checks([known], policy)] == [verdict]

"""The gate's truth table."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.streams import Streams
from audits.finding import Interval, Outcome
from audits.registry import AUDITS
from audits.release.gate import CLAIM, ONE_RUN, Attempt, Verdict, decide, one_run_check, outcome_checks, worst
from audits.release.policy import SHIPPED, Effect, Policy, load_policy, parse_policy
from audits.suite import run_suite
from privacy.schema_file import parse_schema
from tests.audits.release.made_up import (
    CODE,
    answered,
    certificate,
    content,
    copies,
    decision,
    finding,
    membership,
    outcomes,
    statement,
    wp29,
)
from tests.contracts.test_audits import SMALL
from tests.controls import evidence, fresh_draw
from tests.tables import MIXED_DOCUMENT


def one_rule(**changed) -> Policy:
    rule = {
        "audit": "attack",
        "quantity": "AUC",
        "subjects": "overall",
        "worse": "higher",
        "pass_limit": 0.55,
        "withhold_limit": 0.6,
        "min_n": 100,
        "effect": "block",
        "required": True,
    }
    document = {"name": "one", "tier": "t", "requires_dp": False, "max_epsilon": 1.0, "checks": [{**rule, **changed}]}
    return parse_policy(document)


def judged(interval: tuple[float, float], strict: tuple[float, float], policy: Policy, n: int = 1_000) -> Verdict:
    low, high = interval
    found = replace(
        finding("attack", "AUC", "nn", estimate=(low + high) / 2, worse=policy.checks[0].worse, n=n),
        interval=Interval(low, high, 0.95),
        strict=Interval(*strict, 0.995),
    )
    (check,) = outcome_checks([answered("attack", found)], policy)
    return check.verdict


@pytest.mark.parametrize("verdict", list(Verdict))
def test_three_verdicts(verdict):
    assert decision(verdict).verdict is verdict


@pytest.mark.parametrize(
    ("interval", "strict", "verdict"),
    [
        ((0.48, 0.55), (0.46, 0.57), Verdict.PASS),  # the bad bound on the limit is inside
        ((0.48, 0.5500001), (0.46, 0.57), Verdict.REVIEW),
        ((0.60, 0.70), (0.58, 0.72), Verdict.REVIEW),  # beyond at 95%, where 96% is asked of a single test
        ((0.61, 0.70), (0.60, 0.72), Verdict.WITHHOLD),
        ((0.40, 0.90), (0.30, 0.95), Verdict.REVIEW),  # no power, no PASS
    ],
)
def test_bounds_decide_and_points_do_not(interval, strict, verdict):
    assert judged(interval, strict, one_rule()) is verdict


@pytest.mark.parametrize(
    ("interval", "strict", "verdict"),
    [
        ((0.8, 1.2), (0.7, 1.3), Verdict.PASS),
        ((0.79, 1.2), (0.7, 1.3), Verdict.REVIEW),
        ((0.4, 0.6), (0.3, 0.69), Verdict.WITHHOLD),
    ],
)
def test_the_other_direction(interval, strict, verdict):
    policy = one_rule(worse="lower", pass_limit=0.8, withhold_limit=0.7)
    assert judged(interval, strict, policy) is verdict


@pytest.mark.parametrize(
    ("p_value", "verdict"), [(0.025, Verdict.WITHHOLD), (0.0251, Verdict.PASS), (1.0, Verdict.PASS)]
)
def test_the_copying_p_value_is_its_own_bound(p_value, verdict):
    checks = outcome_checks([copies(p_value=p_value)], load_policy("internal"))
    assert next(c for c in checks if c.quantity == "copying p-value").verdict is verdict


def test_too_few_rows_never_pass_but_may_be_withheld():
    assert judged((0.45, 0.5), (0.44, 0.51), one_rule(), n=99) is Verdict.REVIEW
    assert judged((0.7, 0.8), (0.65, 0.85), one_rule(), n=99) is Verdict.WITHHOLD


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([], Verdict.WITHHOLD),
        ([Outcome(audit="attack", findings=(), inconclusive="", error="ValueError", seconds=0)], Verdict.WITHHOLD),
        ([Outcome(audit="attack", findings=(), inconclusive="too few", error="", seconds=0)], Verdict.REVIEW),
        ([answered("attack")], Verdict.WITHHOLD),
        ([answered("attack", finding("attack", "other", estimate=0))], Verdict.WITHHOLD),
        ([answered("attack", finding("attack", "AUC", "x", estimate=0.5, worse="lower"))], Verdict.WITHHOLD),
        ([answered("attack", finding("attack", "AUC", "x", estimate=0.5))] * 2, Verdict.WITHHOLD),
    ],
)
def test_silence_refuses(found, verdict):
    assert decide(found, one_rule(), None, (), None, CODE).verdict is verdict


def test_silence_about_outliers_asks_for_review():
    found = [answered("attack", finding("attack", "AUC", "x", estimate=0.5))]
    assert decide(found, one_rule(subjects="outliers"), None, (), None, CODE).verdict is Verdict.REVIEW


def test_what_is_not_required_may_be_silent():
    policy = load_policy("internal")
    asked = [content(), copies(), membership(), *wp29()]
    assert [c for c in outcome_checks(asked, policy) if c.audit == "utility"] == []
    assert decide(asked, policy, statement(), (), certificate(), CODE).verdict is Verdict.PASS


def test_labels_never_decide():
    bad = answered(
        "fairness of outcomes",
        finding("fairness of outcomes", "worsening of equalized odds", "sex", estimate=0.9, error=0.01),
    )
    asked = [content(), copies(), membership(), *wp29(), bad]
    given = decide(asked, load_policy("internal"), statement(), (), certificate(), CODE)
    assert given.verdict is Verdict.PASS
    assert [c.verdict for c in given.checks if c.subject == "sex"] == [Verdict.WITHHOLD]
    assert given.objections == ()


@pytest.mark.parametrize(
    ("quantity", "given"),
    [
        ("noise is secret", {"statement": replace(statement(), noise_is_secret=False)}),
        ("epsilon recomputed", {"recomputation_faults": ("more than claimed",)}),
        (
            "epsilon within the policy",
            {"statement": replace(statement(), claim=replace(statement().claim, epsilon=16.1))},
        ),
        (
            "epsilon within the policy",
            {"statement": replace(statement(), claim=replace(statement().claim, epsilon=float("nan")))},
        ),
        ("mechanism certificate", {"certificate": None}),
        ("mechanism certificate", {"code_digest": "1" * 64}),
        ("mechanism certificate", {"certificate": replace(certificate(), epsilon_lower_bound=1.01)}),
        ("mechanism certificate", {"certificate": replace(certificate(), synthesizer="aim")}),
    ],
)
def test_every_fault_of_the_claim_withholds(quantity, given):
    facts = {
        "outcomes": outcomes(),
        "policy": load_policy("internal"),
        "statement": statement(),
        "recomputation_faults": (),
        "certificate": certificate(),
        "code_digest": CODE,
    }
    made = decide(**{**facts, **given})
    assert made.verdict is Verdict.WITHHOLD
    assert [c.quantity for c in made.objections if c.verdict is Verdict.WITHHOLD] == [quantity]
    assert all(c.audit == CLAIM for c in made.objections)


@pytest.mark.parametrize(
    ("low", "proven", "verdict"),
    [(0.0, 0.0, Verdict.PASS), (0.2, 0.1, Verdict.PASS), (3.0, 0.1, Verdict.REVIEW), (3.0, 2.0, Verdict.WITHHOLD)],
)
def test_a_bound_from_one_run_above_the_claim_withholds(low, proven, verdict):
    audit, quantity = ONE_RUN
    bound = replace(
        finding(audit, quantity, estimate=low, error=0.1),
        interval=Interval(low, math.inf, 0.95),
        strict=Interval(proven, math.inf, 0.99),
    )
    assert one_run_check([answered(audit, bound)], 1.0, load_policy("internal")).verdict is verdict


def test_without_a_bound_from_one_run_a_person_looks():
    silent = one_run_check([copies()], 1.0, load_policy("internal"))
    assert (silent.verdict, silent.effect) == (Verdict.REVIEW, Effect.BLOCK)
    # A policy that does not ask for membership inference leaves it at a label.
    assert one_run_check([copies()], 1.0, one_rule()).effect is Effect.LABEL


@pytest.fixture(scope="module")
def every_finding():
    """Of both suites on one fresh draw, the deep audits with few repeats."""
    asked = {rule.audit for name in SHIPPED for rule in load_policy(name).checks}
    audits = [SMALL.get(name, audit) for name, audit in AUDITS.items() if name in asked]
    found = run_suite(audits, evidence(fresh_draw, n=12_000), Streams(1))
    return [finding for outcome in found for finding in outcome.findings]


OF_OTHER_TABLES = ("R squared", "rows that break a declared rule")
"""Quantities of tables with a number for a target, or with rules (`test_scores`, `test_rules`)."""


@pytest.mark.parametrize("name", SHIPPED)
def test_rules_name_what_the_audits_find(name, every_finding):
    for rule in load_policy(name).checks:
        if rule.quantity.startswith(OF_OTHER_TABLES):
            continue
        read = [f for f in every_finding if (f.audit, f.quantity) == (rule.audit, rule.quantity)]
        assert [f for f in read if rule.subjects.reads(f.subject) and f.worse == rule.worse], rule


def test_a_domain_read_off_the_rows_withholds():
    document = json.loads(json.dumps(MIXED_DOCUMENT))
    document["fields"][6]["source"] = "observed"
    observed = replace(statement(), schema=parse_schema(document))
    made = decide(outcomes(), load_policy("internal"), observed, (), certificate(), CODE)
    assert [c.quantity for c in made.objections] == ["domains are public or bought"]


@pytest.mark.parametrize(("policy", "verdict"), [("internal", Verdict.PASS), ("controlled", Verdict.WITHHOLD)])
def test_a_table_without_a_guarantee_gets_a_banner_or_is_withheld(policy, verdict):
    made = decide(outcomes(), load_policy(policy), None, (), None, CODE)
    claim = made.checks[0]
    assert claim.verdict is verdict
    assert "guarantee" in claim.reason.lower() or "statement" in claim.reason


@pytest.mark.parametrize(
    ("attempt", "quantity"),
    [(Attempt(number=4, same_policy=True), "attempts within the policy"),
     (Attempt(number=2, same_policy=False), "policy of the first attempt")],
)  # fmt: skip
def test_too_many_attempts_and_another_policy_withhold(attempt, quantity):
    policy = load_policy("internal")
    made = decide(outcomes(), policy, statement(), (), certificate(), CODE, attempt)
    assert made.verdict is Verdict.WITHHOLD
    assert [c.quantity for c in made.objections] == [quantity]
    fine = decide(outcomes(), policy, statement(), (), certificate(), CODE, Attempt(number=3, same_policy=True))
    assert fine.verdict is Verdict.PASS


def test_the_overall_verdict_is_the_worst():
    assert worst([Verdict.PASS, Verdict.REVIEW]) is Verdict.REVIEW
    assert worst([Verdict.WITHHOLD, Verdict.REVIEW]) is Verdict.WITHHOLD
    assert worst([]) is Verdict.WITHHOLD


@given(st.floats(0, 1), st.floats(0, 0.2), st.floats(0.001, 0.1))
def test_worse_findings_never_get_better_verdicts(auc, more, error):
    """Property: moving a finding with its bounds in the bad direction never improves the verdict."""
    policy = one_rule()
    order = [Verdict.PASS, Verdict.REVIEW, Verdict.WITHHOLD]
    found = [
        outcome_checks([answered("attack", finding("attack", "AUC", "x", estimate=e, error=error))], policy)
        for e in (auc, auc + more)
    ]
    assert order.index(found[0][0].verdict) <= order.index(found[1][0].verdict)


def test_the_decision_says_why():
    made = decision(Verdict.REVIEW)
    assert all(c.reason and c.effect is Effect.BLOCK for c in made.objections)
    assert {c.subject for c in made.objections} == {
        "nearest neighbour, outlier decile",
        "calibrated, outlier decile",
        "density ratio, outlier decile",
    }

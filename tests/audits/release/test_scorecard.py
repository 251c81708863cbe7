"""The scorecard: one tree, an audience for every number, nothing internal in what leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audits.finding import Audience, Interval, Outcome
from audits.release.facts import error_bounds, expected_errors, table_facts
from audits.release.gate import Verdict, decide
from audits.release.policy import load_policy
from audits.release.scorecard import build, render, reviewed, to_bytes
from audits.release.wire import finding_from_json, finding_to_json, outcomes_from_json, read_number
from privacy.table import make_table
from tests.audits.release.made_up import (
    CODE,
    answered,
    card,
    certificate,
    decision,
    finding,
    outcomes,
    statement,
    table,
)
from tests.tables import mixed_schema

LEAVING = (Audience.PUBLIC, Audience.RECIPIENT)


def leaves(node: Any) -> Iterator[Any]:
    """Every text and number of a tree, keys aside."""
    if isinstance(node, dict):
        for value in node.values():
            yield from leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value)
    else:
        yield node


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.1, 0.9).map(lambda x: x + 1e-9), min_size=8, max_size=8, unique=True), st.data())
def test_no_internal_number_leaves(values, data):
    """Property: whatever the findings, no bound, point, n, baseline, reason or verdict of theirs is in a rendering."""
    low, high = sorted(values[:2])
    slow, shigh = min(values), max(values)
    secret = replace(
        finding("copies", "copying p-value", estimate=values[2], baseline=values[3]),
        interval=Interval(low, high, 0.95),
        strict=Interval(slow, shigh, 0.995),
        detectable=values[4],
        worse=data.draw(st.sampled_from(["higher", "lower"])),
        n=data.draw(st.integers(10**6 + 1, 10**7)),
    )
    silent = Outcome(audit="membership inference", findings=(), inconclusive="secret reason", error="", seconds=9.87654)
    given_outcomes = (answered("copies", secret), silent)
    made = decide(given_outcomes, load_policy("internal"), statement(), (), certificate(), CODE)
    tree = card(outcomes=given_outcomes, decision=made)
    for audience in LEAVING:
        seen = list(leaves(render(tree, audience)))
        assert not {*values, secret.n, 9.87654} & {v for v in seen if isinstance(v, int | float)}
        words = " ".join(v for v in seen if isinstance(v, str))
        assert "secret reason" not in words
        assert not any(check.reason in words for check in made.objections)
        assert not any(repr(v) in words for v in values)


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("audience", LEAVING)
def test_a_rendering_holds_one_verdict_and_the_limits_asked(verdict, audience):
    shown = render(card(verdict), audience)
    assert shown["release"]["verdict"] == verdict
    assert {"decision", "outcomes"}.isdisjoint(shown)
    assert shown["findings"] == []
    assert len(shown["asked"]["rules"]) == len(load_policy("internal").checks)
    assert [v for v in leaves(shown) if v in list(Verdict)] == [verdict]


@pytest.mark.parametrize(
    ("verdict", "shown"), [(Verdict.PASS, True), (Verdict.REVIEW, False), (Verdict.WITHHOLD, False)]
)
def test_facts_of_the_table_leave_with_the_table_alone(verdict, shown):
    rendering = render(card(verdict), Audience.PUBLIC)
    assert ("synthetic" in rendering) is shown
    assert ("expected_error" in rendering) is shown
    assert ("error_bounds" in rendering) is shown
    assert "synthetic" in render(card(verdict), Audience.INTERNAL)


def test_the_internal_rendering_is_the_whole_tree():
    assert render(card(), Audience.INTERNAL) == card()


def test_an_approval_shows_the_facts_and_the_reviewer_to_recipients():
    approval = {"decision": "approved", "reviewer": "R. Meyer", "role": "steward", "time": "2024-05-01T10:00:00Z"}
    let_out = reviewed(card(Verdict.REVIEW), [approval], released=True)
    assert render(let_out, Audience.PUBLIC)["synthetic"]["rows"] == 400
    assert "R. Meyer" in leaves(render(let_out, Audience.RECIPIENT))
    assert "R. Meyer" not in leaves(render(let_out, Audience.PUBLIC))
    kept = reviewed(card(Verdict.REVIEW), [{**approval, "decision": "rejected"}], released=False)
    assert "synthetic" not in render(kept, Audience.RECIPIENT)


def test_equal_inputs_give_equal_bytes_and_durations_do_not_matter():
    slower = tuple(replace(o, seconds=o.seconds + 1) for o in outcomes())
    assert to_bytes(card()) == to_bytes(card(outcomes=slower))
    assert to_bytes(card()) != to_bytes(card(Verdict.WITHHOLD))


def test_a_number_without_an_audience_is_refused():
    with pytest.raises(ValueError, match="/not_tested/2"):
        build_with_untagged_number()


def build_with_untagged_number() -> None:
    import audits.release.scorecard as scorecard  # the constant is the one place to plant a stray number

    kept = scorecard.NOT_TESTED
    try:
        scorecard.NOT_TESTED = (0.123,)  # type: ignore[assignment]
        build(
            schema=mixed_schema(),
            statement=None,
            design=None,
            policy=load_policy("internal"),
            outcomes=(),
            decision=decision(),
            synthetic=table(),
            expected_error={},
            bounds={},
            confidence=0.95,
            certificate=None,
            reproducibility={},
        )
    finally:
        scorecard.NOT_TESTED = kept


def test_findings_read_back_exactly():
    awkward = replace(
        finding("a", "q", "x=y, z", estimate=0.0, baseline=0.1 + 0.2),
        estimate=float("nan"),
        interval=Interval(-float("inf"), 0.30000000000000004, 0.95),
    )
    back = finding_from_json(json.loads(json.dumps(finding_to_json(awkward))))
    assert np.isnan(back.estimate)
    assert replace(back, estimate=0.0) == replace(awkward, estimate=0.0)
    tree = json.loads(to_bytes(card()))
    again = outcomes_from_json(tree["outcomes"]["audits"], tree["findings"])
    assert again == tuple(replace(o, seconds=0.0) for o in outcomes())


@pytest.mark.parametrize("written", ["none", None, [1]])
def test_what_is_no_number_is_refused(written):
    with pytest.raises((KeyError, TypeError)):
        read_number(written)


def test_facts_of_a_table_add_up():
    facts = table_facts(table())
    assert facts["rows"] == 400
    for column in facts["columns"]:
        shares = sum(bar["share"] for bar in column["bars"])
        assert shares + column["missing_share"] == pytest.approx(1)


def test_facts_of_an_empty_and_of_an_all_missing_table():
    schema = mixed_schema()
    empty = table_facts(table().select(np.zeros(400, bool)))
    assert empty["rows"] == 0
    assert all(bar["share"] == 0 for column in empty["columns"] for bar in column["bars"])
    gone = {n: np.full(3, np.nan) if c.dtype == float else c[:3] for n, c in table().columns.items()}
    missing = {c["name"]: c["missing_share"] for c in table_facts(make_table(schema, gone))["columns"]}
    assert missing["income"] == 1.0
    assert missing["region"] == 0.0


def test_what_has_no_bound_is_worst():
    facts = error_bounds({("a",): 0.1, ("b",): None, ("c",): 0.3, ("a", "b"): 0.2, ("b", "c"): None}, 0.95)
    assert facts["confidence"] == 0.95
    assert facts["columns"] == [
        {"column": "b", "bound": None},
        {"column": "c", "bound": 0.3},
        {"column": "a", "bound": 0.1},
    ]
    assert facts["pairs"] == [{"columns": ["b", "c"], "bound": None}, {"columns": ["a", "b"], "bound": 0.2}]


def test_a_column_takes_its_best_marginals_bound():
    facts = expected_errors({("a",): 0.01, ("a", "b"): 0.05, ("b", "c"): 0.2})
    assert facts["columns"] == [
        {"column": "c", "bound": 0.2},
        {"column": "b", "bound": 0.05},
        {"column": "a", "bound": 0.01},
    ]
    assert [m["bound"] for m in facts["marginals"]] == [0.2, 0.05, 0.01]

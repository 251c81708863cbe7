"""The published layout of the scorecard: every rendering of every kind of release keeps to it, and it is strict."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from numpy.random import default_rng

from audits.bought.answers import Answers, buy_card, buy_gate
from audits.bought.purchase import Purchase
from audits.finding import Audience
from audits.release.gate import Attempt, Verdict, decide
from audits.release.policy import PRICED, load_policy
from audits.release.scorecard import SCHEMA, render, reviewed, to_bytes
from privacy.cost import Gaussian, once
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
from tests.audits.release.made_up import CODE, card, certificate, content, outcomes, statement, table
from tests.tables import population

APPROVAL = {
    "decision": "approved",
    "reviewer": "R. Meyer",
    "role": "steward",
    "time": "2024-05-01",
    "record_digest": "0" * 64,
}
NOISE = 5.0


@cache
def validator() -> Draft202012Validator:
    name = f"scorecard-{SCHEMA.rpartition('/')[2]}.json"
    written = json.loads((resources.files("audits.release") / "schemas" / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(written)
    return Draft202012Validator(written)


@cache
def answers() -> Answers:
    """What a priced release bought, of made-up parts."""
    purchase = Purchase(noise_multiplier=NOISE)
    parts = population(300, 1), population(60, 2)
    filters = (open_filter(), open_filter())
    sides = buy_gate((purchase, purchase), table(), parts, filters, default_rng(0), n_public=None)
    return Answers(card=buy_card(purchase, table(), parts[1], open_filter(), default_rng(1)), gate=sides)


def open_filter() -> PrivacyFilter:
    return PrivacyFilter(once(Gaussian(NOISE)), seeded_noise(3))


@cache
def cards() -> dict[str, dict[str, Any]]:
    """Every kind of release there is."""
    found = {str(verdict): card(verdict) for verdict in Verdict}
    found["counted"] = card(attempt=Attempt(number=2, same_policy=True))
    found["bought"] = card(bought=Answers(card=answers().card, gate=None))
    found["held"] = card(held=True, bought=Answers(card=answers().card, gate=None))
    found["foreign"] = card(statement=None, design=None, certificate=None, expected_error={})
    found["reweighted"] = card(reweighted=("only rows where age is at least 40",))
    for verdict in (Verdict.REVIEW,):
        found["approved"] = reviewed(card(verdict), [APPROVAL], released=True)
        found["rejected"] = reviewed(card(verdict), [{**APPROVAL, "decision": "rejected"}], released=False)
    policy = load_policy(PRICED)
    asked = (content(), answers().gate_outcome())
    made = decide(asked, policy, statement(), (), certificate(), CODE)
    found["priced"] = card(policy=policy, outcomes=asked, decision=made, bought=answers())
    return found


KINDS = (*map(str, Verdict), "counted", "bought", "held", "foreign", "reweighted", "approved", "rejected", "priced")


@pytest.mark.parametrize("audience", list(Audience))
@pytest.mark.parametrize("kind", KINDS)
def test_every_rendering_keeps_to_the_published_layout(kind: str, audience: Audience) -> None:
    """As it is written to the file."""
    assert set(KINDS) == set(cards())
    written = json.loads(to_bytes(render(cards()[kind], audience)))
    assert [error.message for error in validator().iter_errors(written)] == []


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every object of a tree."""
    here = [path] if isinstance(node, dict) else []
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return here + [place for key, value in inside for place in places(value, (*path, key))]


@pytest.mark.parametrize("section", ["release", "asked", "outcomes", "decision", "synthetic", "reproducibility"])
def test_a_section_without_an_audience_is_no_scorecard(section: str) -> None:
    tree = json.loads(to_bytes(cards()["PASS"]))
    del tree[section]["audience"]
    assert not validator().is_valid(tree)


def test_what_is_not_in_the_layout_is_no_scorecard() -> None:
    tree = json.loads(to_bytes(cards()["PASS"]))
    for change in ({"extra": 1}, {"schema": "tablegate-scorecard/1"}, {"findings": [{"audit": "copies"}]}):
        assert not validator().is_valid({**tree, **change})
    tree["findings"][0]["audience"] = "everybody"
    assert not validator().is_valid(tree)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_an_internal_value_planted_anywhere_leaves_with_no_rendering(data: st.DataObject) -> None:
    """Property: wherever in the tree an internal object is put, and whatever it holds, it is in the internal rendering
    and in no other; neither is anything of an object that was internal, whatever audience is claimed inside it."""
    tree = json.loads(to_bytes(cards()[data.draw(st.sampled_from(["PASS", "priced", "bought"]))]))
    path = data.draw(st.sampled_from(places(tree)))
    node = tree
    for key in path:
        node = node[key]
    mark = "planted here"
    inner = {"audience": data.draw(st.sampled_from(["public", "recipient"])), "value": mark}
    node["planted"] = {"audience": "internal", "value": mark, "deep": [[inner], {"more": inner}]}
    for audience in (Audience.PUBLIC, Audience.RECIPIENT):
        assert mark not in json.dumps(render(tree, audience))
    assert mark in json.dumps(render(tree, Audience.INTERNAL))


def test_a_priced_verdict_is_public_with_its_reasons_and_no_exact_finding_is_behind_it() -> None:
    tree = cards()["priced"]
    public = render(tree, Audience.PUBLIC)
    checks = public["decision"]["checks"]
    assert {c["audit"] for c in checks} >= {"priced contrast", "content"}
    assert all(c["reason"] for c in checks)
    assert {f["audit"] for f in public["findings"]} == {"priced contrast"}
    assert len(public["priced_gate"]["train"]["counts"]) == 5
    assert np.isclose(public["priced_gate"]["train"]["stddev"], NOISE * 5**0.5)
    assert {f["audit"] for f in tree["findings"]} == {"priced contrast", "content"}


def test_exact_findings_stay_inside_beside_a_bought_card() -> None:
    public = render(cards()["bought"], Audience.PUBLIC)
    assert public["findings"] == []
    assert {f["audit"] for f in public["bought"]["figures"]} == {"bought card"}
    assert "bought" not in render(cards()["held"], Audience.PUBLIC)
    assert outcomes()


def test_equal_inputs_give_equal_bytes() -> None:
    assert to_bytes(card(bought=answers())) == to_bytes(card(bought=answers()))

"""Policies: strict parsing, digests, the three that ship."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from audits.errors import PolicyError
from audits.release.policy import BOUGHT, PRICED, SHIPPED, Effect, Gate, Subjects, load_policy, parse_policy


def document() -> dict[str, Any]:
    return copy.deepcopy(json.loads(json.dumps(load_policy("internal").document)))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_policies_parse_and_are_named_by_their_digest(name):
    policy = load_policy(name)
    assert policy.name == policy.tier == name
    assert parse_policy(policy.document).digest == policy.digest
    assert any(rule.effect is Effect.BLOCK and rule.required for rule in policy.checks)


def test_tiers_widen_from_public_to_internal():
    public, controlled, internal = (load_policy(name) for name in SHIPPED)
    assert public.requires_dp
    assert controlled.requires_dp
    assert not internal.requires_dp
    assert public.max_epsilon < controlled.max_epsilon < internal.max_epsilon
    for narrow, mid, wide in zip(public.checks, controlled.checks, internal.checks, strict=True):
        assert (narrow.audit, narrow.quantity, narrow.subjects) == (wide.audit, wide.quantity, wide.subjects)
        assert narrow.effect is mid.effect is wide.effect
        sign = 1 if narrow.worse == "higher" else -1
        assert sign * narrow.pass_limit <= sign * mid.pass_limit <= sign * wide.pass_limit


@pytest.mark.parametrize("name", SHIPPED)
def test_proven_copying_is_withheld_in_every_tier(name):
    rule = next(r for r in load_policy(name).checks if r.quantity == "copying p-value")
    assert rule.withhold_limit == rule.pass_limit == 0.025
    assert rule.effect is Effect.BLOCK
    assert rule.required


def test_fairness_and_utility_only_label():
    blocking = {rule.audit for rule in load_policy("public").checks if rule.effect is Effect.BLOCK}
    assert blocking == {
        "content",
        "copies",
        "membership inference",
        "across releases",
        "attack combination",
        "singling out",
        "linkability",
        "attribute inference",
    }


def test_what_is_not_written_is_the_cautious_choice():
    bare = {k: v for k, v in document().items() if k not in ("attempts", "gate", "card")}
    policy = parse_policy(bare)
    assert (policy.attempts, policy.gate, policy.card) == (3, Gate.EXACT, False)
    assert load_policy("public").card
    assert load_policy("public").attempts == 3


def test_the_priced_policy_reads_only_what_is_paid_for():
    policy = load_policy(PRICED)
    assert policy.gate is Gate.PRICED
    assert policy.requires_dp
    assert {rule.audit for rule in policy.checks} == BOUGHT


def test_a_changed_limit_changes_the_digest():
    changed = document()
    changed["checks"][5]["pass_limit"] = 0.02
    assert parse_policy(changed).digest != load_policy("internal").digest


@pytest.mark.parametrize(
    ("subjects", "subject", "reads"),
    [
        (Subjects.TABLE, "", True),
        (Subjects.TABLE, "age", False),
        (Subjects.OVERALL, "calibrated", True),
        (Subjects.OVERALL, "calibrated, sex=female", False),
        (Subjects.OUTLIERS, "calibrated, outlier decile", True),
        (Subjects.OUTLIERS, "calibrated", False),
        (Subjects.GROUPS, "calibrated, sex=female", True),
        (Subjects.GROUPS, "calibrated, outlier decile", False),
        (Subjects.ALL, "anything, at=all", True),
    ],
)
def test_subjects_read_what_they_say(subjects, subject, reads):
    assert subjects.reads(subject) is reads


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("tier"), "tier"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.update(name=""), "name"),
        (lambda d: d.update(requires_dp="yes"), "requires_dp"),
        (lambda d: d.update(max_epsilon=0), "max_epsilon"),
        (lambda d: d.update(max_epsilon=float("nan")), "max_epsilon"),
        (lambda d: d.update(checks=[]), "checks"),
        (lambda d: d["checks"].append(d["checks"][0]), "Two rules"),
        (lambda d: d["checks"].__setitem__(0, "copies"), "Check 1"),
        (lambda d: d["checks"][0].pop("min_n"), "min_n"),
        (lambda d: d["checks"][0].update(limit=1), "limit"),
        (lambda d: d["checks"][0].update(subjects="some"), "subjects"),
        (lambda d: d["checks"][0].update(effect="warn"), "effect"),
        (lambda d: d["checks"][0].update(worse="both"), "worse"),
        (lambda d: d["checks"][0].update(required=1), "required"),
        (lambda d: d["checks"][0].update(min_n=-1), "min_n"),
        (lambda d: d["checks"][0].update(quantity=3), "quantity"),
        (lambda d: d["checks"][0].update(pass_limit=True), "pass_limit"),
        (lambda d: d["checks"][4].update(pass_limit=0.001), "bad side"),
        (lambda d: d["checks"][5].update(withhold_limit=0.001), "bad side"),
        (lambda d: d.update(checks=[c for c in d["checks"] if c["effect"] == "label"]), "blocks"),
        (lambda d: d.update(attempts=0), "attempts"),
        (lambda d: d.update(attempts=True), "attempts"),
        (lambda d: d.update(gate="free"), "gate"),
        (lambda d: d.update(card="exact"), "card"),
        (lambda d: d.update(gate="priced"), "nothing is paid for"),
        (lambda d: d["checks"][4].update(pass_limit=0.04, withhold_limit=0.04), "p-values"),
    ],
)
def test_a_misread_policy_is_refused(change, says):
    broken = document()
    change(broken)
    with pytest.raises(PolicyError) as error:
        parse_policy(broken)
    assert says in error.value.what
    assert error.value.why
    assert error.value.fix


@pytest.mark.parametrize("content", [None, b"a: [", b"\xff\xfe\x00", b"just words"])
def test_files_that_are_no_policy_are_refused(tmp_path: Path, content):
    path = tmp_path / "policy.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PolicyError):
        load_policy(path)


def test_a_policy_file_is_read(tmp_path: Path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**document(), "name": "mine"}))
    assert load_policy(path).name == "mine"

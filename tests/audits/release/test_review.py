"""Review: who may decide what, once, and what becomes of the table."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from audits.errors import BundleError
from audits.release.bundle import DATA_FILES, Bundle, seal
from audits.release.gate import Verdict
from audits.release.policy import load_policy, parse_policy
from audits.release.review import Said, review
from audits.release.scorecard import RELEASED_SECTIONS
from audits.release.signing import SigningKey, load_or_make_key
from audits.release.staging import REPLACED, restore, staging
from audits.release.verify import verify
from privacy.errors import RequestError
from tests.audits.release.made_up import contents, key, quarantine, sealed, small, table
from tests.audits.release.test_bundle import WRITER, names, run_child

REASON = "AUC among outliers .62 is noise at n = 190"


def decided(
    folder: Path,
    *,
    approve: bool,
    reviewer: str = "R. Meyer",
    role: str = "data steward",
    reason: str = REASON,
    signer: SigningKey | None = None,
) -> Bundle:
    return review(
        folder / "bundle",
        approve=approve,
        said=[Said(reviewer=reviewer, role=role, reason=reason, time="2024-05-01T10:00:00Z")],
        quarantine=quarantine(folder),
        key=signer or key(folder),
    )


def rooms(folder: Path) -> list[Path]:
    return list((folder / "quarantine").iterdir())


def test_an_approval_lets_the_table_out_with_a_name_on_it(tmp_path: Path):
    before = sealed(tmp_path, Verdict.REVIEW)
    bundle = decided(tmp_path, approve=True)
    assert bundle.released
    assert bundle.digest != before.digest
    assert (bundle.path / "data/synthetic.csv").read_bytes() == table().csv()
    assert rooms(tmp_path) == []
    report = verify(bundle.path)
    assert report.ok
    assert {name: status for name, status, _ in report.checks}["internal half"] == "ok"
    scorecard = json.loads((bundle.path / "scorecard.json").read_text())
    assert scorecard["release"] == {**scorecard["release"], "verdict": "REVIEW", "released": True}
    assert scorecard["review"]["approvals"][0]["reviewer"] == "R. Meyer"
    assert scorecard["synthetic"]["rows"] == len(table())
    assert "Released after review" in (bundle.path / "report.html").read_text()
    assert {p.name for p in tmp_path.iterdir()} == {"bundle", "bundle.internal", "keys", "quarantine"}


def test_the_reason_stays_inside(tmp_path: Path):
    sealed(tmp_path, Verdict.REVIEW)
    bundle = decided(tmp_path, approve=True)
    assert json.loads((bundle.internal / "review.json").read_text())["said"][0]["reason"] == REASON
    for name in names(bundle.path):
        assert REASON.encode() not in (bundle.path / name).read_bytes()


def test_a_rejection_destroys_the_table(tmp_path: Path):
    sealed(tmp_path, Verdict.REVIEW)
    bundle = decided(tmp_path, approve=False)
    assert not bundle.released
    assert rooms(tmp_path) == []
    assert not set(DATA_FILES) & names(bundle.path)
    assert verify(bundle.path).ok
    assert json.loads((bundle.path / "scorecard.json").read_text())["review"]["approvals"][0]["decision"] == "rejected"


@pytest.mark.parametrize("verdict", [Verdict.WITHHOLD, Verdict.PASS])
@pytest.mark.parametrize("approve", [True, False])
def test_only_review_can_be_reviewed(tmp_path: Path, verdict, approve):
    before = sealed(tmp_path, verdict)
    with pytest.raises(BundleError, match="not under review"):
        decided(tmp_path, approve=approve)
    assert verify(before.path).ok


def held(folder: Path, approvers: int) -> Bundle:
    """A bundle whose checks all passed, sealed to wait for people all the same."""
    policy = parse_policy({**load_policy("internal").document, "approvers": approvers})
    given = small(contents(Verdict.PASS))
    facts = {"policy": {"name": policy.name, "tier": policy.tier, "digest": policy.digest}, "released": False}
    card = {**given.scorecard, "release": {**given.scorecard["release"], **facts}}
    for section in RELEASED_SECTIONS:
        card[section] = card[section] and {**card[section], "audience": "internal"}
    waiting = replace(given, policy=policy, scorecard=card, held=True)
    return seal(folder / "bundle", waiting, synthetic=table(), key=key(folder), quarantine=quarantine(folder))


def spoken(*names: str) -> list[Said]:
    return [Said(reviewer=name, role="compliance", reason=REASON, time="2024-05-01T10:00:00Z") for name in names]


def test_what_passed_waits_where_it_is_held_and_leaves_on_enough_words(tmp_path: Path):
    waits = held(tmp_path, approvers=2)
    assert not waits.released
    assert not set(DATA_FILES) & names(waits.path)
    assert verify(waits.path).ok
    assert "Waiting for approval" in (waits.path / "report.html").read_text()
    decide = partial(review, waits.path, approve=True, quarantine=quarantine(tmp_path), key=key(tmp_path))
    for too_few in (spoken(), spoken("A. Ott"), spoken("A. Ott", " a. ott ")):
        with pytest.raises(RequestError):
            decide(said=too_few)
    assert decide(said=spoken("A. Ott", "B. Ruiz")).released
    report = verify(waits.path)
    assert report.ok, report.checks
    page = (waits.path / "report.html").read_text()
    assert "A. Ott" in page
    assert "B. Ruiz" in page
    assert (waits.path / "data/synthetic.csv").read_bytes() == table().csv()


def test_one_word_rejects_what_two_must_approve(tmp_path: Path):
    waits = held(tmp_path, approvers=2)
    ended = review(waits.path, approve=False, said=spoken("A. Ott"), quarantine=quarantine(tmp_path), key=key(tmp_path))
    assert not ended.released
    assert rooms(tmp_path) == []
    assert verify(waits.path).ok
    assert "Rejected by review" in (waits.path / "report.html").read_text()


@pytest.mark.parametrize("first", [True, False])
def test_a_decision_stands(tmp_path: Path, first):
    sealed(tmp_path, Verdict.REVIEW)
    decided(tmp_path, approve=first)
    with pytest.raises(BundleError, match="already"):
        decided(tmp_path, approve=not first)


@pytest.mark.parametrize("empty", ["reviewer", "role", "reason"])
def test_a_review_names_its_reviewer_role_and_reason(tmp_path: Path, empty):
    sealed(tmp_path, Verdict.REVIEW)
    with pytest.raises(RequestError):
        decided(tmp_path, approve=True, **{empty: "  "})
    assert len(rooms(tmp_path)) == 1


def test_a_bundle_that_was_changed_is_not_reviewed(tmp_path: Path):
    bundle = sealed(tmp_path, Verdict.REVIEW)
    (bundle.path / "policy.json").write_bytes((bundle.path / "policy.json").read_bytes() + b" ")
    with pytest.raises(BundleError, match="does not verify"):
        decided(tmp_path, approve=True)


def test_a_bundle_signed_by_somebody_else_is_not_reviewed(tmp_path: Path):
    sealed(tmp_path, Verdict.REVIEW)
    with pytest.raises(BundleError, match="another key"):
        decided(tmp_path, approve=True, signer=load_or_make_key(tmp_path / "theirs"))


def test_a_verdict_edited_in_the_internal_half_is_noticed(tmp_path: Path):
    bundle = sealed(tmp_path, Verdict.REVIEW)
    path = bundle.internal / "decision.json"
    path.write_text(path.read_text().replace("WITHHOLD", "PASS").replace("REVIEW", "PASS"))
    with pytest.raises(BundleError, match="not the internal half"):
        decided(tmp_path, approve=True)
    shutil.rmtree(bundle.internal)
    with pytest.raises(BundleError, match="not here"):
        decided(tmp_path, approve=True)


def test_a_missing_bundle_is_refused(tmp_path: Path):
    bundle = sealed(tmp_path, Verdict.REVIEW)
    shutil.rmtree(bundle.path)
    with pytest.raises(BundleError, match="no bundle"):
        decided(tmp_path, approve=True)


def test_another_table_in_quarantine_is_noticed(tmp_path: Path):
    bundle = sealed(tmp_path, Verdict.REVIEW)
    item = json.loads((bundle.internal / "decision.json").read_text())["quarantine"]
    quarantine(tmp_path).destroy(item)
    with pytest.raises(BundleError, match="no longer"):
        decided(tmp_path, approve=True)
    quarantine(tmp_path).put(item, dict.fromkeys(DATA_FILES, b"other rows"))
    with pytest.raises(BundleError, match="not the one that was audited"):
        decided(tmp_path, approve=True)
    assert not decided(tmp_path, approve=False).released


REVIEWER = (
    WRITER
    + """
from tests.audits.release.test_review import decided
left = 10**9
import audits.release.review
left = int(sys.argv[2])
decided(Path(sys.argv[1]).parent, approve=True)
"""
)


@pytest.mark.parametrize("call", [4, 14])
def test_a_killed_approval_leaves_one_whole_bundle_and_can_be_given_again(tmp_path: Path, call):
    bundle = sealed(tmp_path, Verdict.REVIEW)
    code = run_child(REVIEWER, bundle.path, call)
    assert code in (0, -signal.SIGKILL)
    report = verify(bundle.path)
    assert report.ok, report.checks
    if not (bundle.path / "data").exists():
        decided(tmp_path, approve=True)
    assert verify(bundle.path).ok
    assert (bundle.path / "data/synthetic.csv").read_bytes() == table().csv()


def test_a_replacement_killed_half_way_is_undone(tmp_path: Path):
    """Where two names cannot be swapped in one step, the old bundle is aside for a moment."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    with staging(out, "review") as stage:
        aside = stage.folder
    aside.mkdir()
    os.rename(out, aside / REPLACED)
    restore(out)
    assert names(out) == {"old"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]

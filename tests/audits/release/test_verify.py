"""Verification: an untouched bundle passes, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from audits.errors import BundleError
from audits.release.bundle import PREDICATE_TYPE, PROVENANCE, Bundle, manifest, seal, sha256
from audits.release.gate import CLAIM, Verdict
from audits.release.signing import KEY_FILE, SigningKey, load_or_make_key, open_statement, public_key, seal_statement
from audits.release.verify import signed_predicate, verify
from tests.audits.release.made_up import contents, key, sealed, small, statement, table


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sealed(tmp_path_factory.mktemp("untouched"))


@pytest.fixture
def bundle(untouched: Bundle, tmp_path: Path) -> Bundle:
    for half in (untouched.path, untouched.internal):
        shutil.copytree(half, tmp_path / half.name)
    shutil.copytree(untouched.path.parent / "keys", tmp_path / "keys")
    return replace(untouched, path=tmp_path / "bundle", internal=tmp_path / "bundle.internal")


def statuses(folder: Path, **given) -> dict[str, str]:
    return {name: status for name, status, _ in verify(folder, **given).checks}


def resign(folder: Path, signer: SigningKey, **changed) -> None:
    """What somebody who holds a key can do: change files or the predicate, and seal again."""
    envelope = (folder / PROVENANCE).read_bytes()
    predicate = open_statement(envelope, public_key((folder / "signing-key.pub.pem").read_bytes()))["predicate"]
    (folder / "signing-key.pub.pem").write_bytes(signer.public_pem)
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in (PROVENANCE, "MANIFEST.sha256")]
    digests = {p.relative_to(folder).as_posix(): sha256(p.read_bytes()) for p in files}
    (folder / "MANIFEST.sha256").write_bytes(manifest(digests))
    digests["MANIFEST.sha256"] = sha256((folder / "MANIFEST.sha256").read_bytes())
    (folder / PROVENANCE).write_bytes(seal_statement(digests, {**predicate, **changed}, PREDICATE_TYPE, signer))


def test_an_untouched_bundle_verifies(bundle: Bundle):
    given_ledger = []

    def contains(seq: int, digest: str) -> bool:
        given_ledger.append((seq, digest))
        return True

    assert set(statuses(bundle.path, ledger_contains=contains).values()) == {"ok"}
    assert given_ledger == [(3, "ab" * 32)]
    assert statuses(bundle.path)["ledger"] == "not checked"


def test_without_the_internal_half_the_rest_is_checked(bundle: Bundle):
    shutil.rmtree(bundle.internal)
    report = verify(bundle.path)
    assert report.ok
    assert [n for n, status, _ in report.checks if status == "not checked"] == ["internal half", "policy", "ledger"]


def test_a_ledger_without_the_entry_fails(bundle: Bundle):
    assert statuses(bundle.path, ledger_contains=lambda *_: False)["ledger"] == "failed"


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_changed_byte_fails(untouched: Bundle, data):
    """Property: one flipped bit anywhere in any file of the bundle, key and signature included, is noticed."""
    files = sorted(p for p in untouched.path.rglob("*") if p.is_file())
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    place, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    path.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
    try:
        assert not verify(untouched.path).ok
    finally:
        path.write_bytes(content)


def test_every_byte_of_signature_and_key_counts(untouched: Bundle):
    """Base64 padding and line ends included."""
    for name in (PROVENANCE, "signing-key.pub.pem"):
        path = untouched.path / name
        content = path.read_bytes()
        try:
            for place in (
                *range(0, len(content), max(len(content) // 40, 1)),
                *range(len(content) - 150, len(content)),
            ):
                if 0 <= place < len(content):
                    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
                    assert not verify(untouched.path).ok
        finally:
            path.write_bytes(content)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: (b / "extra.txt").write_text("x"),
        lambda b: (b / "data" / "extra.csv").write_text("x"),
        lambda b: (b / "empty").mkdir(),
        lambda b: (b / "README.txt").unlink(),
        lambda b: (b / "data" / "synthetic.csv").rename(b / "data" / "table.csv"),
        lambda b: (b / "schema.json").rename(b / "data" / "schema.json"),
        lambda b: shutil.rmtree(b / "data"),
        lambda b: (b / PROVENANCE).unlink(),
        lambda b: (b / "MANIFEST.sha256").unlink(),
        lambda b: (b / "signing-key.pub.pem").unlink(),
        lambda b: (b / "MANIFEST.sha256").write_bytes(b"../../etc/passwd"),
        lambda b: (b / "link").symlink_to("README.txt"),
        lambda b: (b / "linked").symlink_to("data"),
        lambda b: os.mkfifo(b / "pipe"),
        lambda b: (b / "README.txt").write_text("replaced"),
        lambda b: (b / PROVENANCE).write_bytes(b"\xff\xfe"),
    ],
)
def test_any_added_removed_renamed_or_replaced_file_fails(bundle: Bundle, change):
    change(bundle.path)
    report = verify(bundle.path)
    assert not report.ok
    assert report.checks[0][1] == "failed"


def test_a_file_replaced_by_a_link_to_its_like_fails(bundle: Bundle, tmp_path: Path):
    outside = tmp_path / "outside.txt"
    (bundle.path / "README.txt").rename(outside)
    (bundle.path / "README.txt").symlink_to(outside)
    assert not verify(bundle.path).ok


def test_a_replaced_key_is_noticed_only_where_a_key_is_expected(bundle: Bundle, tmp_path: Path):
    """Whoever signs anew makes a consistent bundle: pinning the fingerprint is what tells."""
    mine, theirs = load_or_make_key(tmp_path / "keys"), load_or_make_key(tmp_path / "theirs")
    assert statuses(bundle.path, expected_key=mine.fingerprint)["files and signature"] == "ok"
    shutil.rmtree(bundle.internal)
    resign(bundle.path, theirs)
    assert verify(bundle.path).ok
    assert not verify(bundle.path, expected_key=mine.fingerprint).ok
    with pytest.raises(BundleError, match="another key"):
        signed_predicate(bundle.path, mine.fingerprint)


@pytest.mark.parametrize(
    ("changed", "fails"),
    [
        ({"verdict": "WITHHOLD"}, "claims"),
        ({"released": False}, "claims"),
        ({"data": False}, "claims"),
        ({"policy_digest": "0" * 64}, "claims"),
        ({"statement_digest": "0" * 64}, "claims"),
        ({"statement_digest": None}, "claims"),
        ({"internal_manifest": "0" * 64}, "internal half"),
        ({"approvals": [{"decision": "approved"}]}, "claims"),
        ({"approvals": None}, "claims"),
    ],
)
def test_a_signed_lie_is_noticed(bundle: Bundle, tmp_path: Path, changed, fails):
    resign(bundle.path, key(tmp_path), **changed)
    assert statuses(bundle.path)[fails] == "failed"


def test_a_statement_that_differs_from_the_scorecards_fails(bundle: Bundle, tmp_path: Path):
    path = bundle.path / "statement.json"
    milder = {**json.loads(path.read_text()), "attempts": 9}
    path.write_bytes(rfc8785.dumps(milder))
    resign(bundle.path, key(tmp_path), statement_digest=sha256(path.read_bytes()))
    assert statuses(bundle.path)["claims"] == "failed"


@pytest.mark.parametrize(
    "changed",
    [
        {"epsilon": statement().claim.epsilon * 0.9},
        {"emitted": []},
        {"dp_valid": False},
        {"emitted": [{"event": "unknown", "count": 1}]},
    ],
)
def test_epsilon_is_recomputed_from_the_events(tmp_path: Path, changed):
    """Emitting nothing costs nothing, so only the first, third and fourth are faults."""
    given = small(contents(stated={**statement().to_json(), **changed}))
    made = seal(tmp_path / "b", given, synthetic=table(), key=key(tmp_path), quarantine=None)
    assert statuses(made.path)["epsilon"] == ("ok" if changed == {"emitted": []} else "failed")


def test_a_policy_that_comes_to_another_verdict_is_noticed(tmp_path: Path):
    """The verdict says PASS, the findings it was sealed with say WITHHOLD."""
    honest, leaking = small(contents()), small(contents(Verdict.WITHHOLD))
    swapped = {
        **honest.scorecard,
        "findings": leaking.scorecard["findings"],
        "outcomes": leaking.scorecard["outcomes"],
    }
    given = replace(honest, scorecard=swapped)
    made = seal(tmp_path / "b", given, synthetic=table(), key=key(tmp_path), quarantine=None)
    assert statuses(made.path)["policy"] == "failed"


def test_an_edited_bound_from_one_run_is_noticed(tmp_path: Path):
    """The decision says the one-run bound passed; held against the claim once more, the findings say it did not."""
    honest = small(contents())
    edited = [
        replace(check, verdict=Verdict.WITHHOLD) if "one run" in check.quantity and check.audit == CLAIM else check
        for check in honest.decision.checks
    ]
    assert edited != list(honest.decision.checks)
    given = replace(honest, decision=replace(honest.decision, checks=tuple(edited)))
    made = seal(tmp_path / "b", given, synthetic=table(), key=key(tmp_path), quarantine=None)
    assert statuses(made.path)["policy"] == "failed"


@pytest.mark.parametrize("name", ["findings.json", "decision.json", "report.html", "timings.json", "bundle-digest"])
def test_a_changed_internal_half_is_noticed(bundle: Bundle, name):
    path = bundle.internal / name
    path.write_bytes(path.read_bytes()[:-3] + b"\x00\x00\x00")
    assert statuses(bundle.path)["internal half"] == "failed"
    (bundle.internal / "more.txt").touch()
    assert not verify(bundle.path).ok


def test_the_internal_half_of_another_bundle_is_noticed(bundle: Bundle, tmp_path: Path):
    other = sealed(tmp_path / "other", Verdict.WITHHOLD)
    shutil.rmtree(bundle.internal)
    shutil.copytree(other.internal, bundle.internal)
    assert statuses(bundle.path)["internal half"] == "failed"


def test_no_bundle_is_an_error(tmp_path: Path):
    with pytest.raises(BundleError):
        verify(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert not verify(tmp_path / "empty").ok
    assert not (tmp_path / "keys" / KEY_FILE).exists()


def test_a_description_of_another_table_fails_even_when_it_is_signed(bundle: Bundle):
    for name, old in (("croissant.json", '"sha256": "'), ("datapackage.json", '"hash": "sha256:')):
        written = (bundle.path / name).read_text(encoding="utf-8")
        at = written.index(old) + len(old)
        changed = written[:at] + ("1" if written[at] != "1" else "2") + written[at + 1 :]
        (bundle.path / name).write_text(changed, encoding="utf-8")
        resign(bundle.path, key(bundle.path.parent))
        assert statuses(bundle.path)["claims"] == "failed"
        (bundle.path / name).write_text(written, encoding="utf-8")


def test_a_released_table_without_a_description_fails(bundle: Bundle):
    (bundle.path / "croissant.json").unlink()
    resign(bundle.path, key(bundle.path.parent))
    assert statuses(bundle.path)["claims"] == "failed"

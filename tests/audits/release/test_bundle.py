"""The bundle: its layout, what leaves and what stays, and that it appears whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import rfc8785

from audits.errors import BundleError
from audits.release.bundle import DATA_FILES, MANIFEST, check_out, seal
from audits.release.gate import Verdict
from audits.release.quarantine import Quarantine
from audits.release.signing import KEY_FILE, load_or_make_key, open_statement, pae, public_key, seal_statement
from audits.release.staging import BUNDLE, INTERNAL, clear_leftovers, internal_half, staging
from audits.release.verify import verify
from audits.standards.descriptions import NAMES as DESCRIPTIONS
from privacy.errors import RequestError
from privacy.recompute import ROOT
from privacy.schema_file import parse_schema
from tests.audits.release.made_up import contents, freshly_sealed, key, quarantine, sealed, small, table
from tests.tables import MIXED_DOCUMENT

PUBLIC = {
    "scorecard.json", "report.html", "statement.json", "policy.json", "schema.json", "README.txt", MANIFEST,
    "provenance.dsse.json", "signing-key.pub.pem",
}  # fmt: skip
INSIDE = {"findings.json", "report.html", "timings.json", "decision.json", "bundle-digest", MANIFEST}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("verdict", list(Verdict))
def test_layout(tmp_path: Path, verdict):
    bundle = freshly_sealed(tmp_path, verdict)
    released = verdict is Verdict.PASS
    assert bundle.released is released
    assert names(bundle.path) == PUBLIC | (set(DATA_FILES) | DESCRIPTIONS if released else set())
    assert (bundle.path / "data").exists() is released
    assert names(bundle.internal) == INSIDE
    assert stat.S_IMODE(bundle.internal.stat().st_mode) == 0o700
    assert {p.name for p in tmp_path.iterdir()} <= {"bundle", "bundle.internal", "keys", "quarantine"}
    assert verify(bundle.path).ok


def test_the_table_is_written_as_the_table_writes_itself(tmp_path: Path):
    bundle = sealed(tmp_path)
    assert (bundle.path / "data/synthetic.csv").read_bytes() == table().csv()
    assert (bundle.path / "data/synthetic.parquet").read_bytes() == table().parquet()


def test_sha256sum_agrees(tmp_path: Path):
    bundle = sealed(tmp_path)
    ended = subprocess.run(["sha256sum", "-c", "--strict", "--quiet", MANIFEST], cwd=bundle.path, check=False)
    assert ended.returncode == 0


@pytest.mark.parametrize("verdict", [Verdict.REVIEW, Verdict.WITHHOLD])
def test_nothing_of_an_unreleased_table_is_in_the_clear(tmp_path: Path, verdict):
    bundle = sealed(tmp_path, verdict)
    line = table().csv().splitlines()[7]
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or line not in path.read_bytes()
    waiting = json.loads((bundle.internal / "decision.json").read_text())["quarantine"]
    assert (waiting is not None) is (verdict is Verdict.REVIEW)


def test_what_a_draft_read_off_the_rows_stays_out(tmp_path: Path):
    document = {**MIXED_DOCUMENT, "privacy": {**MIXED_DOCUMENT["privacy"], "drafted": {"age": {"minimum": 19}}}}
    given = replace(small(contents()), schema=parse_schema(document))
    bundle = seal(tmp_path / "b", given, synthetic=table(), key=key(tmp_path), quarantine=None)
    assert "drafted" not in json.loads((bundle.path / "schema.json").read_text())["privacy"]


def test_a_table_made_elsewhere_is_not_handed_on(tmp_path: Path):
    bundle = seal(tmp_path / "b", small(contents()), synthetic=None, key=key(tmp_path), quarantine=None)
    assert not (bundle.path / "data").exists()
    assert verify(bundle.path).ok


def test_equal_contents_give_equal_files_but_for_nothing(tmp_path: Path):
    given = small(contents())
    one, two = (
        seal(tmp_path / name, given, synthetic=table(), key=key(tmp_path), quarantine=None) for name in ("one", "two")
    )
    assert one.digest == two.digest
    for name in names(one.path):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()


def test_a_target_that_exists_is_refused(tmp_path: Path):
    for taken in ("out", "out.internal"):
        (tmp_path / taken).mkdir()
        with pytest.raises(RequestError) as error:
            check_out(tmp_path / "out")
        assert error.value.fix
        with pytest.raises(RequestError):
            seal(tmp_path / "out", small(contents()), synthetic=table(), key=key(tmp_path), quarantine=None)
        (tmp_path / taken).rmdir()
    check_out(tmp_path / "out")
    check_out(tmp_path / "new" / "folder" / "out")
    (tmp_path / "file").touch()
    with pytest.raises(RequestError):
        check_out(tmp_path / "file" / "out")


def test_a_table_under_review_needs_a_quarantine(tmp_path: Path):
    with pytest.raises(ValueError, match="quarantine"):
        seal(tmp_path / "b", small(contents(Verdict.REVIEW)), synthetic=table(), key=key(tmp_path), quarantine=None)


WRITER = """
import os, signal, sys
from pathlib import Path
left = int(sys.argv[2])
def dying(call):
    def made(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return made
os.fsync, os.rename, os.mkdir = dying(os.fsync), dying(os.rename), dying(os.mkdir)
"""

STAGER = (
    WRITER
    + """
from audits.release.staging import staging
out = Path(sys.argv[1])
with staging(out, "seal") as stage:
    stage.write("bundle", {"data/a": b"1", "b": b"2"}, mode=0o755)
    stage.write("internal", {"c": b"3"}, mode=0o700)
    stage.publish(out)
"""
)

SEALER = (
    WRITER
    + """
from tests.audits.release.made_up import Verdict, freshly_sealed
freshly_sealed(Path(sys.argv[1]).parent, Verdict.REVIEW)
"""
)


def run_child(program: str, out: Path, call: int) -> int:
    command = [sys.executable, "-c", program, str(out), str(call)]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode


def test_killed_at_any_call_leaves_no_half_bundle(tmp_path: Path):
    """Every fsync, rename and mkdir of publishing is a place to die; the next run cleans up and succeeds."""
    out, call, forgotten = tmp_path / "out", 0, []
    while True:
        call += 1
        code = run_child(STAGER, out, call)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        if out.exists():  # killed after the last rename: both halves are there, and whole
            assert names(out) == {"data/a", "b"}
            assert names(internal_half(out)) == {"c"}
            for half in (out, internal_half(out)):
                os.rename(half, half.with_name(f"done-{call}-{half.name}"))
        else:
            check_out(out)
        clear_leftovers(out, forgotten.append)
        assert {p.name for p in tmp_path.iterdir() if not p.name.startswith("done-")} == set()
    assert call > 12
    assert names(out) == {"data/a", "b"}
    assert len(set(forgotten)) == len(forgotten) > 5


def test_a_killed_seal_is_done_again(tmp_path: Path):
    """Killed with the table already in quarantine."""
    assert run_child(SEALER, tmp_path / "bundle", 24) == -signal.SIGKILL
    assert not (tmp_path / "bundle").exists()
    bundle = freshly_sealed(tmp_path, Verdict.REVIEW)
    assert verify(bundle.path).ok
    item = json.loads((bundle.internal / "decision.json").read_text())["quarantine"]
    assert [p.name for p in (tmp_path / "quarantine").iterdir()] == [item]
    assert {p.name for p in tmp_path.iterdir()} == {"bundle", "bundle.internal", "keys", "quarantine"}


def test_a_living_run_is_not_cleaned_away(tmp_path: Path):
    out = tmp_path / "out"
    with staging(out, "seal") as stage:
        stage.write(BUNDLE, {"a": b"1"}, mode=0o755)
        stage.write(INTERNAL, {"c": b"1"}, mode=0o700)
        clear_leftovers(out, lambda token: pytest.fail(f"forgot {token}"))
        stage.publish(out)
    assert names(out) == {"a"}


def test_the_second_of_two_runs_is_refused_and_takes_nothing_away(tmp_path: Path):
    out = tmp_path / "out"
    with staging(out, "seal") as stage:
        stage.write(BUNDLE, {"a": b"1"}, mode=0o755)
        stage.write(INTERNAL, {"c": b"1"}, mode=0o700)
        out.mkdir()
        (out / "other").touch()
        with pytest.raises(RequestError):
            stage.publish(out)
    assert names(out) == {"other"}
    assert not internal_half(out).exists()


def test_a_key_is_made_once_and_kept_from_others(tmp_path: Path):
    first, second = load_or_make_key(tmp_path / "k"), load_or_make_key(tmp_path / "k")
    assert first.fingerprint == second.fingerprint
    assert stat.S_IMODE((tmp_path / "k" / KEY_FILE).stat().st_mode) == 0o600
    assert [p.name for p in (tmp_path / "k").iterdir()] == [KEY_FILE]
    assert load_or_make_key(tmp_path / "other").fingerprint != first.fingerprint


def test_a_file_that_is_no_key_is_refused(tmp_path: Path):
    (tmp_path / KEY_FILE).write_text("no key")
    with pytest.raises(BundleError):
        load_or_make_key(tmp_path)
    with pytest.raises(BundleError):
        public_key(b"no key")


def test_envelopes_are_refused_unless_signed_byte_for_byte(tmp_path: Path):
    mine, other = key(tmp_path), load_or_make_key(tmp_path / "other")
    envelope = seal_statement({"a": "00"}, {"x": 1}, "t", mine)
    assert open_statement(envelope, public_key(mine.public_pem))["predicate"] == {"x": 1}
    spaced = json.dumps(json.loads(envelope)).encode()
    for forged in (spaced, envelope + b"\n", b"", b"[]", b"{}", rfc8785.dumps({"payload": "!", "signatures": []})):
        with pytest.raises(BundleError):
            open_statement(forged, public_key(mine.public_pem))
    with pytest.raises(BundleError):
        open_statement(envelope, public_key(other.public_pem))


def test_pre_authentication_encoding_is_that_of_the_protocol():
    """The example of the DSSE 1.0 protocol document."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_quarantine_gives_back_what_it_was_given_until_the_key_is_gone(tmp_path: Path):
    store, files = quarantine(tmp_path), {"data/a": b"secret rows", "data/b": b""}
    store.put("ab" * 8, files)
    assert store.take("ab" * 8, ("data/a", "data/b")) == files
    room = tmp_path / "quarantine" / ("ab" * 8)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in room.iterdir())
    assert not any(b"secret" in path.read_bytes() for path in room.iterdir())
    with pytest.raises(FileExistsError):
        store.put("ab" * 8, files)
    kept = (room / "data-a.sealed").read_bytes()
    store.destroy("ab" * 8)
    store.destroy("ab" * 8)
    assert not room.exists()
    with pytest.raises(BundleError, match="no longer"):
        store.take("ab" * 8, ("data/a",))
    assert b"secret" not in kept


def test_quarantine_notices_changes_and_exchanges(tmp_path: Path):
    store = Quarantine(tmp_path / "q")
    store.put("ab" * 8, {"data/a": b"one", "data/b": b"two"})
    room = tmp_path / "q" / ("ab" * 8)
    a, b = room / "data-a.sealed", room / "data-b.sealed"
    content, other = a.read_bytes(), b.read_bytes()
    for changed in (content[:-1] + bytes([content[-1] ^ 1]), other, b"", content[:5]):
        a.write_bytes(changed)
        with pytest.raises(BundleError, match="changed"):
            store.take("ab" * 8, ("data/a",))
    with pytest.raises(ValueError, match="hexadecimal"):
        store.take("../../keys", ("data/a",))

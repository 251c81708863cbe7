"""The folder answers are kept in: whole records only, in their order, encrypted, for one process, gone with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from privacy.checkpoint import ANSWERS, KEY, LENGTH_BYTES, LOCK, Checkpoint, Checkpoints, RunningError
from privacy.transcript import CheckpointError

NAME, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
RECORDS = [b"first CANARY", b"", b"third" * 1000]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of three records and a state, left by a run that was stopped."""
    with Checkpoints(tmp_path).held(NAME) as checkpoint:
        for record in RECORDS:
            checkpoint.append(record)
        checkpoint.put("training", b"a state, CANARY")
    return tmp_path


def read(folder: Path, name: str = NAME) -> list[bytes]:
    with Checkpoints(folder).held(name) as checkpoint:
        return list(checkpoint.records)


def test_what_was_kept_is_there_again(folder: Path) -> None:
    with Checkpoints(folder).held(NAME) as checkpoint:
        assert checkpoint.records == RECORDS
        assert checkpoint.get("training") == b"a state, CANARY"
        assert checkpoint.get("another") is None
        heads = [checkpoint.head(n) for n in range(4)]
        checkpoint.append(b"fourth")
        checkpoint.put("training", b"later")
    assert len(set(heads)) == 4
    with Checkpoints(folder).held(NAME) as checkpoint:
        assert checkpoint.records == [*RECORDS, b"fourth"]
        assert [checkpoint.head(n) for n in range(4)] == heads
        assert checkpoint.get("training") == b"later"


def test_nothing_is_in_the_clear_and_all_of_it_is_its_owners_alone(folder: Path) -> None:
    files = list((folder / NAME).iterdir())
    assert {path.name for path in files} == {LOCK, KEY, ANSWERS, "training.state"}
    for path in files:
        assert b"CANARY" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    assert (folder / NAME).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("cut", [1, 5, LENGTH_BYTES + 5000])
def test_a_record_that_was_being_written_is_cut_off(folder: Path, cut: int) -> None:
    """Whatever part of the last record had reached the disk, its length included."""
    path = folder / NAME / ANSWERS
    path.write_bytes(path.read_bytes()[:-cut])
    with Checkpoints(folder).held(NAME) as checkpoint:
        assert checkpoint.records == RECORDS[:2]
        checkpoint.append(b"drawn anew")
    assert read(folder) == [*RECORDS[:2], b"drawn anew"]


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("at", [LENGTH_BYTES, LENGTH_BYTES + 20, -1])
def test_a_changed_record_is_refused(folder: Path, at: int) -> None:
    flipped(folder / NAME / ANSWERS, at)
    with pytest.raises(CheckpointError, match="changed"):
        read(folder)


def test_a_changed_state_is_refused(folder: Path) -> None:
    flipped(folder / NAME / "training.state", 30)
    with Checkpoints(folder).held(NAME) as checkpoint, pytest.raises(CheckpointError, match="changed"):
        checkpoint.get("training")


def test_records_cannot_be_left_out_swapped_or_passed_on(folder: Path) -> None:
    path = folder / NAME / ANSWERS
    content = path.read_bytes()
    ends, at = [], 0
    while at < len(content):
        at += LENGTH_BYTES + int.from_bytes(content[at : at + LENGTH_BYTES], "big")
        ends.append(at)
    one, two, three = content[: ends[0]], content[ends[0] : ends[1]], content[ends[1] :]
    for other in (two + three, one + three, two + one + three, one + one):
        path.write_bytes(other)
        with pytest.raises(CheckpointError):
            read(folder)
    path.write_bytes(content)
    (folder / NAME).rename(folder / OTHER)
    with pytest.raises(CheckpointError):
        read(folder, OTHER)


def test_one_process_at_a_time(folder: Path) -> None:
    with Checkpoints(folder).held(NAME), pytest.raises(RunningError), Checkpoints(folder).held(NAME):
        pytest.fail("held twice")
    assert read(folder) == RECORDS


def test_erased_means_gone(folder: Path) -> None:
    key = (folder / NAME / KEY).read_bytes()
    with Checkpoints(folder).held(NAME) as checkpoint:
        checkpoint.erase()
    assert not (folder / NAME).exists()
    assert read(folder) == []
    with Checkpoints(folder).held(NAME) as checkpoint:
        checkpoint.append(b"x")
        assert (folder / NAME / KEY).read_bytes() != key


def test_cleared_means_begun_anew(folder: Path) -> None:
    key = (folder / NAME / KEY).read_bytes()
    with Checkpoints(folder).held(NAME) as checkpoint:
        checkpoint.clear()
        assert list(checkpoint.records) == []
        assert checkpoint.get("training") is None
        checkpoint.append(b"other")
    assert read(folder) == [b"other"]
    assert (folder / NAME / KEY).read_bytes() != key


@pytest.mark.parametrize("key", [None, b"short"])
def test_what_lies_there_without_its_key_is_rubbish(folder: Path, key: bytes | None) -> None:
    """A run that was killed while it erased, or before its key was whole."""
    (folder / NAME / KEY).unlink()
    if key is not None:
        (folder / NAME / KEY).write_bytes(key)
    assert read(folder) == []
    assert not (folder / NAME).exists()  # nothing was begun, so nothing stays


def test_an_unused_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Checkpoints(tmp_path).held(NAME):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "../0123456789abcdef", "0123", "x" * 32])
def test_names_are_digits(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"), Checkpoints(tmp_path).held(name):
        pytest.fail("held")


def test_a_record_is_on_the_disk_before_append_returns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system was told to write through, in order: the record, and nothing after it."""
    synced: list[bytes] = []
    monkeypatch.setattr("privacy.checkpoint.os.fsync", lambda _: synced.append((folder / NAME / ANSWERS).read_bytes()))
    with Checkpoints(folder).held(NAME) as checkpoint:
        checkpoint.append(b"fourth")
        assert synced == [(folder / NAME / ANSWERS).read_bytes()]
        assert isinstance(checkpoint, Checkpoint)

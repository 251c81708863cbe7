"""The SQLite journal: private files, append-only, damage found and named, other programs' files left alone."""

from __future__ import annotations

import dataclasses
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import journal as journal_module
from privacy.errors import JournalError
from privacy.journal import GENESIS, Entry, SqliteJournal, canonical, chained, checked, parse_body, verify


def chain(n: int) -> list[Entry]:
    found: list[Entry] = []
    for i in range(n):
        found.append(chained(found[-1].head if found else GENESIS, "kind", {"i": i, "x": i / 7}))
    return found


def filled(path: Path, n: int = 5) -> SqliteJournal:
    journal = SqliteJournal(path=path)
    with journal.transaction() as transaction:
        for i in range(n):
            transaction.append("kind", {"i": i, "words": f"purpose number {i}"})
    return journal


def entries(journal: SqliteJournal) -> tuple[Entry, ...]:
    with journal.transaction() as transaction:
        return tuple(transaction.entries())


def tamper(path: Path, *statements: str) -> None:
    """What somebody with the file and SQLite can do: drop the triggers, then anything."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for name in ("entry_no_update", "entry_no_delete", "entry_in_order"):
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)


def test_files_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.sqlite"
    journal = filled(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with journal.transaction():
        found = [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()]
    assert found == [0o600] * 3  # the database, its write-ahead log and that one's index


def test_settings_are_durable(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path)
    with closing(journal_module._connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == b"wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 30_000
        assert connection.execute("PRAGMA application_id").fetchone()[0] == journal_module.APPLICATION_ID
        assert connection.execute("PRAGMA user_version").fetchone()[0] == journal_module.VERSION


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET body = '{}' WHERE seq = 2",
        "DELETE FROM entry WHERE seq = 5",
        "DELETE FROM entry",
        "INSERT OR REPLACE INTO entry SELECT seq, kind, '{}', previous, digest FROM entry WHERE seq = 2",
        "INSERT INTO entry VALUES (9, 'kind', '{}', '', '')",
        "INSERT INTO entry VALUES (NULL, 'kind', '{}', '', '')",
        "INSERT INTO entry VALUES (0, 'kind', '{}', '', '')",
    ],
)
def test_triggers_keep_it_append_only(tmp_path: Path, statement: str) -> None:
    journal = filled(tmp_path / "ledger.sqlite")
    before = entries(journal)
    with closing(sqlite3.connect(journal.path)) as connection, pytest.raises(sqlite3.IntegrityError, match="append"):
        connection.execute(statement)
    assert entries(journal) == before


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE entry SET body = '{\"i\":1}' WHERE seq = 2", 2),
        ("UPDATE entry SET kind = 'other' WHERE seq = 3", 3),
        ("UPDATE entry SET digest = previous WHERE seq = 3", 3),
        ("UPDATE entry SET previous = digest WHERE seq = 4", 4),
        ("DELETE FROM entry WHERE seq = 1", 1),
        ("DELETE FROM entry WHERE seq = 3", 3),
        ("UPDATE entry SET seq = 9 WHERE seq = 5", 5),
        ("UPDATE entry SET body = 'no JSON' WHERE seq = 4", 4),
        ("UPDATE entry SET body = '[]' WHERE seq = 4", 4),
        ("UPDATE entry SET body = ' ' || body WHERE seq = 4", 4),
        ("UPDATE entry SET body = '{\"i\":1e999}' WHERE seq = 4", 4),
        ("UPDATE entry SET kind = CAST(x'ff' AS TEXT) WHERE seq = 4", 4),
    ],
)
def test_tampering_is_found_and_named(tmp_path: Path, statement: str, seq: int) -> None:
    journal = filled(tmp_path / "ledger.sqlite")
    tamper(journal.path, statement)
    with pytest.raises(JournalError, match=f"Entry {seq} of") as caught, journal.transaction() as transaction:
        verify(transaction.entries())
    assert caught.value.fix


def test_a_flipped_byte_in_the_file_is_found(tmp_path: Path) -> None:
    journal = filled(tmp_path / "ledger.sqlite")
    content = bytearray(journal.path.read_bytes())
    content[content.index(b"purpose number 3") + 2] ^= 0x80
    journal.path.write_bytes(content)
    with pytest.raises(JournalError, match="Entry 4 of"), journal.transaction() as transaction:
        verify(transaction.entries())


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_edit_removal_or_swap_breaks_the_chain_where_it_happened(data: st.DataObject) -> None:
    found = chain(6)
    at = data.draw(st.integers(0, 4))
    match data.draw(st.sampled_from(["edit", "remove", "swap", "insert"])):
        case "edit":
            found[at] = dataclasses.replace(found[at], body={"i": -1})
        case "remove":
            del found[at]
        case "swap":
            found[at], found[at + 1] = found[at + 1], found[at]
        case "insert":
            found.insert(at, found[at + 1])
    with pytest.raises(JournalError, match=f"Entry {at + 1} of"):
        verify(found)


def test_entries_before_the_damage_are_still_given() -> None:
    found = chain(3)
    found[2] = dataclasses.replace(found[2], kind="other")
    rest = checked(found)
    assert [next(rest), next(rest)] == found[:2]
    with pytest.raises(JournalError, match="Entry 3 of"):
        next(rest)


def test_a_tail_cut_off_leaves_a_chain_that_holds_and_another_head(tmp_path: Path) -> None:
    """Why bundles carry heads: the chain alone cannot tell."""
    journal = filled(tmp_path / "ledger.sqlite")
    head = verify(entries(journal))
    tamper(journal.path, "DELETE FROM entry WHERE seq > 3")
    assert verify(entries(journal)) != head
    assert head not in [entry.head for entry in entries(journal)]


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, but longer than a header of one hundred bytes " * 5)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="cannot be used as a ledger"), SqliteJournal(path=path).transaction():
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("mark", ["", "PRAGMA application_id = 7", "PRAGMA user_version = 3"])
def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE things (x)")
        connection.execute(mark)
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="another program"), SqliteJournal(path=path).transaction():
        pass
    assert path.read_bytes() == before


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    journal = filled(tmp_path / "ledger.sqlite")
    with closing(sqlite3.connect(journal.path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(JournalError, match="another version"):
        entries(journal)


def test_a_path_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be used"), SqliteJournal(path=tmp_path / "file" / "x").transaction():
        pass
    with pytest.raises(JournalError, match="cannot be used"), SqliteJournal(path=tmp_path).transaction():
        pass


def test_a_lock_held_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "BUSY_SECONDS", 0.05)
    journal = filled(tmp_path / "ledger.sqlite")
    with journal.transaction(), pytest.raises(JournalError, match="locked"), journal.transaction():
        pass


def test_eight_first_uses_at_the_same_moment(tmp_path: Path) -> None:
    start = threading.Barrier(8, timeout=30)

    def use(_: int) -> None:
        for i in range(6):
            start.wait()
            with SqliteJournal(path=tmp_path / f"{i}.sqlite").transaction() as transaction:
                transaction.append("kind", {})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
    assert [verify(entries(SqliteJournal(path=tmp_path / f"{i}.sqlite")))[0] for i in range(6)] == [8] * 6


def test_starts_of_a_killed_first_use_are_completed(tmp_path: Path) -> None:
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    assert len(entries(filled(empty))) == 5
    half = tmp_path / "half.sqlite"  # killed after its tables were made, before the write-ahead log was switched on
    with closing(sqlite3.connect(half, isolation_level=None)) as connection:
        for statement in journal_module._CREATE:
            connection.execute(statement)
    assert len(entries(filled(half))) == 5


@pytest.mark.parametrize("number", [1e20, 9007199254740991, 9007199254740992.0, 5e-324, -1e17, 123456789012345680.0])
def test_numbers_survive_canonical_form(number: float) -> None:
    read = parse_body(canonical({"x": number}))
    assert read["x"] == number
    assert canonical(read) == canonical({"x": number})


def test_a_body_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(ValueError, match="mapping"):
        parse_body(b"[1]")

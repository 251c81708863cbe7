"""The append-only, hash-chained record under the ledger.

A journal keeps entries in order; an entry's digest covers its number, kind, body and the digest before it, so an
edited, removed or reordered entry breaks the chain at a number `verify` names. What a chain cannot show by itself is a
tail cut off, or the whole of it rewritten: bundles therefore carry the head they were charged at, and every released
bundle is a witness (`Ledger.contains`).

`Journal` is a protocol, because the service keeps the same entries in its own database, in the transaction that queues
a job. `SqliteJournal` serves the library and the command line. SQLite was chosen over a plain file with a lock: its
recovery after a crash is tested far beyond what we could, and BEGIN IMMEDIATE serialises processes. Triggers refuse
UPDATE and DELETE, which stops accidents; the chain is there for whoever drops the triggers.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import rfc8785

from privacy.errors import JournalError

Head: TypeAlias = tuple[int, str]
"""Number and digest of an entry, and so of everything up to it."""

GENESIS: Head = (0, "0" * 64)
"""The head of an empty journal."""

BUSY_SECONDS = 30.0
APPLICATION_ID = 0x54474C31  # "TGL1", so that another program's database is never written to
VERSION = 1

_CREATE = (
    "CREATE TABLE entry (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL, "
    "digest TEXT NOT NULL) STRICT",
    "CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry BEGIN SELECT raise(abort, 'append-only'); END",
    "CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry BEGIN SELECT raise(abort, 'append-only'); END",
    # REPLACE deletes without asking a delete trigger; a number that is not the next one is refused here instead.
    "CREATE TRIGGER entry_in_order BEFORE INSERT ON entry "
    "WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entry) BEGIN SELECT raise(abort, 'append-only'); END",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the record.

    Attributes:
        seq: 1, 2, 3, ...
        kind: what happened, in one word.
        body: plain JSON values, public.
        previous: digest of the entry before, hexadecimal.
        digest: SHA-256 of the canonical JSON (RFC 8785) of the four fields above.
    """

    seq: int
    kind: str
    body: Mapping[str, Any]
    previous: str
    digest: str

    @property
    def head(self) -> Head:
        """Number and digest."""
        return self.seq, self.digest


class Transaction(Protocol):
    """A moment in which nobody else reads or writes; all of it happens, or none."""

    def entries(self) -> Iterator[Entry]:
        """Everything recorded, in order, appended entries of this transaction included."""
        ...

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        """Record one more entry. Raises JournalError where the body is no canonical JSON."""
        ...


class Journal(Protocol):
    """Where entries are kept."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Commit when the block ends, on disk by then; undo all of it when the block raises."""
        ...


def chained(previous: Head, kind: str, body: Mapping[str, Any]) -> Entry:
    """The entry that follows `previous`. Its body is what reading it back will give.

    Raises:
        JournalError: the body holds a value canonical JSON has no form for (infinity, NaN, an object).
    """
    read_back = parse_body(canonical(body))
    seq = previous[0] + 1
    return Entry(
        seq=seq, kind=kind, body=read_back, previous=previous[1], digest=_digest(seq, kind, read_back, previous[1])
    )


def checked(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same entries, each after its place in the chain was recomputed.

    Raises:
        JournalError: names the first number at which the chain does not hold.
    """
    seq, previous = GENESIS
    for entry in entries:
        seq += 1
        if (
            entry.seq != seq
            or entry.previous != previous
            or entry.digest != _digest(seq, entry.kind, entry.body, previous)
        ):
            raise _damaged(seq)
        previous = entry.digest
        yield entry


def verify(entries: Iterable[Entry]) -> Head:
    """Recompute the whole chain and give its head.

    Raises:
        JournalError: names the first number at which the chain does not hold.
    """
    head = GENESIS
    for entry in checked(entries):
        head = entry.head
    return head


def canonical(value: Any) -> bytes:
    """Canonical JSON (RFC 8785). Raises JournalError for what has none."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise JournalError(
            "An entry cannot be written as canonical JSON.",
            why="Its digest would not be reproducible.",
            fix="Use finite numbers, valid text, lists and mappings only.",
        ) from error


def parse_body(text: bytes) -> dict[str, Any]:
    """The mapping canonical JSON holds. Raises ValueError for anything else."""
    # RFC 8785 writes 1e20 as 100000000000000000000: an integer that large was a float, and must stay one.
    body = json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 16 else _number(digits))
    if not isinstance(body, dict):
        raise ValueError("not a mapping")
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteJournal:
    """A journal in one SQLite file, made on first use, readable by its owner only.

    A connection lives for one transaction, so the object may be shared between threads and survives a fork.

    Attributes:
        path: the file. It belongs on a local disk: SQLite's write-ahead log needs shared memory.
    """

    path: Path

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Serialised between processes by BEGIN IMMEDIATE; on disk (synchronous=FULL) when the block has ended.

        Raises:
            JournalError: the file is not a journal, cannot be read or written, or stays locked for 30 seconds.
        """
        try:
            with closing(_connect(self.path)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield _SqliteTransaction(connection)
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _unusable(self.path, f"SQLite says: {error}.") from error


@dataclass(frozen=True, slots=True)
class _SqliteTransaction:
    connection: sqlite3.Connection

    def entries(self) -> Iterator[Entry]:
        rows = self.connection.execute("SELECT seq, kind, body, previous, digest FROM entry ORDER BY seq")
        return (read_entry(row) for row in rows)

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        last = self.connection.execute("SELECT seq, digest FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        entry = chained(GENESIS if last is None else (last[0], last[1].decode()), kind, body)
        self.connection.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?)",
            (entry.seq, entry.kind, canonical(entry.body).decode(), entry.previous, entry.digest),
        )
        return entry


def _connect(path: Path) -> sqlite3.Connection:
    try:
        _make_file(path)
    except OSError as error:
        raise _unusable(path, f"The system says: {error.strerror}.") from error
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_file(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    folder = os.open(path.parent, os.O_RDONLY)  # the file's name must outlive a power cut as well as its content
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Settings of one connection; tables on first use, before the write-ahead log, so that no step is half done."""
    connection.text_factory = bytes  # a flipped byte that is no UTF-8 must reach the check of its entry
    connection.execute("PRAGMA synchronous = FULL")
    if _application(connection) == (0, 0):
        connection.execute("BEGIN EXCLUSIVE")
        if _application(connection) == (0, 0) and _value(connection, "SELECT count(*) FROM sqlite_master") == 0:
            for statement in _CREATE:
                connection.execute(statement)
        connection.execute("COMMIT")
    if _application(connection) != (APPLICATION_ID, VERSION):
        raise _unusable(path, "It is a database of another program, or of another version of this one.")
    if _value(connection, "PRAGMA journal_mode") != b"wal":
        _use_write_ahead_log(connection, path)


def _use_write_ahead_log(connection: sqlite3.Connection, path: Path) -> None:
    """Switch once. SQLite does not wait by itself when two processes switch at the same moment."""
    for _ in range(int(BUSY_SECONDS / 0.05)):
        try:
            if _value(connection, "PRAGMA journal_mode = WAL") == b"wal":
                return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
        time.sleep(0.05)
    raise _unusable(path, "Its file system does not take SQLite's write-ahead log.")


def _application(connection: sqlite3.Connection) -> tuple[int, int]:
    return _value(connection, "PRAGMA application_id"), _value(connection, "PRAGMA user_version")


def _value(connection: sqlite3.Connection, query: str) -> Any:
    return connection.execute(query).fetchone()[0]


def read_entry(row: tuple[int, bytes, bytes, bytes, bytes]) -> Entry:
    """An entry from its stored form: number, kind, canonical body, previous and own digest. Raises JournalError."""
    seq, kind, written, previous, digest = row
    try:
        body = parse_body(written)
        intact = canonical(body) == written
        texts = [text.decode() for text in (kind, previous, digest)]
    except (ValueError, RecursionError, JournalError) as error:
        raise _damaged(seq) from error
    if not intact:
        raise _damaged(seq)
    return Entry(seq=seq, kind=texts[0], body=body, previous=texts[1], digest=texts[2])


def _digest(seq: int, kind: str, body: Mapping[str, Any], previous: str) -> str:
    return hashlib.sha256(canonical({"seq": seq, "kind": kind, "body": body, "previous": previous})).hexdigest()


def _number(digits: str) -> int | float:
    number = int(digits)
    return number if abs(number) < 2**53 else float(number)


def _damaged(seq: int) -> JournalError:
    return JournalError(
        f"Entry {seq} of the ledger is damaged, out of order or missing.",
        why="A ledger that was edited may hide what a population has spent, so nothing is charged to it.",
        fix="Restore the ledger's last intact copy; released bundles carry heads to check it against.",
    )


def _unusable(path: Path, why: str) -> JournalError:
    return JournalError(
        f"'{path}' cannot be used as a ledger.",
        why=why,
        fix="Name another file with `--ledger`, or see that this one is a ledger on a local disk you may write to.",
    )

"""One connection for SQLite and PostgreSQL alike, and the two ways to use it: to write, and to read.

A write takes the database's only write lock at its start (SQLite: BEGIN IMMEDIATE; PostgreSQL: an advisory lock in what
touches a chain), so that what a write read is still so when it commits. SQLite writes ahead and waits for the disk.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

BUSY_SECONDS = 30
FULL = "53100"
"""SQLSTATE of a full disk in PostgreSQL."""

CHAIN_LOCK = 0x54474C31
"""Advisory lock of PostgreSQL that whoever appends to a chain holds: one for all, so that nobody waits crosswise."""


def connect(url: str) -> Engine:
    """An engine with the settings the service relies on. Makes the folder of a SQLite file."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=20, hide_parameters=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, pool_size=20, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver would begin transactions of its own, too late and too weak
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A transaction that commits when the block ends and leaves nothing when it raises."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        session.connection()
        yield session


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A transaction that changes nothing and keeps no writer waiting."""
    with (
        engine.connect().execution_options(reads_only=True) as connection,
        Session(connection, expire_on_commit=False) as session,
    ):
        yield session


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, of the database or under files, has no room left."""
    if isinstance(error, DBAPIError):
        codes = getattr(error.orig, "sqlite_errorname", ""), getattr(error.orig, "sqlstate", "")
        return "SQLITE_FULL" in codes or FULL in codes
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def lock_chains(connection: Connection) -> None:
    """Until this transaction ends, nobody else appends to a chain."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": CHAIN_LOCK})

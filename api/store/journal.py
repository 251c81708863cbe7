"""The journals of `privacy.journal` in the service's database: the ledger, and the record of who did what.

An entry is appended in the transaction of whatever it is about: a charge and the job it pays for are there together or
not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from api.store.database import lock_chains, writing
from api.store.tables import ChainEntry
from privacy.journal import GENESIS, Entry, Transaction, canonical, chained, read_entry

LEDGER, AUDIT = "ledger", "audit"
STORED = (ChainEntry.seq, ChainEntry.kind, ChainEntry.body, ChainEntry.previous, ChainEntry.digest)


@dataclass(frozen=True, slots=True)
class ChainTransaction:
    """A chain within somebody's transaction; appending waits until nobody else does."""

    connection: Connection
    chain: str

    def entries(self) -> Iterator[Entry]:
        """Everything recorded, in order."""
        rows = self.connection.execute(select(*STORED).where(ChainEntry.chain == self.chain).order_by(ChainEntry.seq))
        for seq, *texts in rows:
            kind, body, previous, digest = (text.encode() for text in texts)
            yield read_entry((seq, kind, body, previous, digest))

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        """Record one more entry."""
        last = self.connection.execute(
            select(ChainEntry.seq, ChainEntry.digest)
            .where(ChainEntry.chain == self.chain)
            .order_by(ChainEntry.seq.desc())
            .limit(1)
        ).first()
        entry = chained(GENESIS if last is None else (last.seq, last.digest), kind, body)
        written = {"seq": entry.seq, "kind": kind, "body": canonical(entry.body).decode()}
        digests = {"previous": entry.previous, "digest": entry.digest}
        self.connection.execute(insert(ChainEntry).values(chain=self.chain, **written, **digests))
        return entry


@dataclass(frozen=True, slots=True)
class DatabaseJournal:
    """A journal whose every transaction is its own."""

    engine: Engine
    chain: str

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit when the block ends; undo all of it when it raises."""
        with writing(self.engine) as session:
            connection = session.connection()
            lock_chains(connection)
            yield ChainTransaction(connection, self.chain)


@dataclass(frozen=True, slots=True)
class JoinedJournal:
    """A journal within a transaction that is under way and commits, or not, with it."""

    connection: Connection
    chain: str

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Nothing is committed here."""
        lock_chains(self.connection)
        yield ChainTransaction(self.connection, self.chain)

"""The record of who did what: hash-chained, append-only, written in the transaction of the act itself.

It names acts, objects, people and public facts; a fact is a short text or a number the caller vouches for, never
anything computed from a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from api.store.database import lock_chains, reading, writing
from api.store.identity import now
from api.store.journal import AUDIT, STORED, ChainTransaction
from api.store.tables import ChainEntry
from privacy.journal import Entry, Head, read_entry, verify

SERVICE = "service"
"""Who acts where no person does: a worker, or a date."""


@contextmanager
def deciding(engine: Engine) -> Iterator[Session]:
    """A transaction in which nobody else decides anything: what it reads is so until it commits, on both databases."""
    with writing(engine) as session:
        lock_chains(session.connection())
        yield session


def record(session: Session, actor: str, act: str, about: str, **facts: Any) -> Entry:
    """Write down an act, in the transaction that carries it out.

    Args:
        session: of a transaction begun by `deciding`.
        actor: id of the person, or `SERVICE`.
        act: in a word or two.
        about: id of the dataset, release, person or worker.
        facts: public facts.
    """
    session.flush()
    body = {"at": now(), "actor": actor, "act": act, "about": about, "facts": facts}
    return ChainTransaction(session.connection(), AUDIT).append(act, body)


def entries(engine: Engine, after: int, limit: int, about: str = "") -> list[Entry]:
    """Entries behind a number, in order, at most `limit`; those about one thing where `about` names it."""
    found: list[Entry] = []
    with reading(engine) as session:
        rows = session.execute(
            select(*STORED).where(ChainEntry.chain == AUDIT, ChainEntry.seq > after).order_by(ChainEntry.seq)
        )
        for seq, *texts in rows:
            kind, body, previous, digest = (text.encode() for text in texts)
            entry = read_entry((seq, kind, body, previous, digest))
            if not about or entry.body["about"] == about:
                found.append(entry)
            if len(found) == limit:
                break
    return found


def verified_head(engine: Engine, chain: str = AUDIT) -> Head:
    """Recompute a whole chain and give its head. Raises JournalError at the first entry that does not hold."""
    with reading(engine) as session:
        return verify(ChainTransaction(session.connection(), chain).entries())

"""API keys for programs: `tg_ID.SECRET`. Shown once, stored as a digest; the id tells a lost key from the others.

A key may what its person may, or less: what its scopes name.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.persons import principal
from api.access.roles import Principal, Scope
from api.store.identity import digest_of, new_id, new_token, now, text_of
from api.store.tables import Key
from privacy.errors import RequestError

SHAPE = re.compile(r"tg_([0-9a-f]{28})\.([A-Za-z0-9_-]{43})")
LONGEST_DAYS = 366


def add_key(session: Session, person: str, label: str, days: int, scopes: Iterable[Scope] = ()) -> tuple[Key, str]:
    """A new key of a person, and its text, which cannot be shown again.

    Args:
        session: of the caller's transaction.
        person: whose it is; it may what they may.
        label: what it is for.
        days: how long it is valid, 1 to 366.
        scopes: what it is limited to; none for all that the person may.

    Raises:
        RequestError: the label is empty or too long, or the days are out of range.
    """
    label = label.strip()
    if not 0 < len(label) <= 100 or not label.isprintable() or not 1 <= days <= LONGEST_DAYS:
        raise RequestError(
            f"A key has a label of 1 to 100 characters and is valid for 1 to {LONGEST_DAYS} days.",
            why="Nobody dares to revoke a key of unknown use, and one without an end is forgotten.",
            fix="Say what it is for, and for how many days.",
        )
    secret = new_token()
    expires = text_of(datetime.now(UTC) + timedelta(days=days))
    key = Key(
        id=new_id(),
        person=person,
        digest=digest_of(secret),
        label=label,
        scopes=sorted(set(scopes)),
        created_at=now(),
        expires_at=expires,
        revoked_at="",
    )
    session.add(key)
    return key, f"tg_{key.id}.{secret}"


def principal_of_key(session: Session, text: str) -> Principal | None:
    """Whose key a text is, or None when it is none, revoked, expired or of somebody deactivated."""
    shaped = SHAPE.fullmatch(text)
    if shaped is None:
        return None
    key = session.get(Key, shaped[1])
    if key is None or not hmac.compare_digest(key.digest, digest_of(shaped[2])):
        return None
    who = principal(session, key.person) if not key.revoked_at and key.expires_at > now() else None
    return None if who is None else replace(who, scopes=frozenset(map(Scope, key.scopes)))


def keys_of(session: Session, person: str) -> list[Key]:
    """Somebody's keys, the newest first."""
    return list(session.scalars(select(Key).where(Key.person == person).order_by(Key.id.desc())))


def revoke_key(session: Session, person: str, key: str) -> None:
    """End a key of somebody. Raises RequestError where they have no such key."""
    found = session.get(Key, key)
    if found is None or found.person != person:
        raise RequestError("There is no such key.", why="Nobody but its owner ends a key.", fix="List your keys.")
    found.revoked_at = found.revoked_at or now()

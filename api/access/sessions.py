"""Browsers that are signed in. The cookie holds a random token and nothing else; the session is a row that can end.

A session ends after a time without use, after a longer time in any case, and when its person signs out, gets another
password or is deactivated. Signing in always makes a new token, so that one planted beforehand is worth nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from api.access.persons import principal
from api.access.roles import Principal
from api.store.identity import digest_of, new_token, now, text_of
from api.store.tables import Login

TOUCH_SECONDS = 60
"""A session in use is written down as such this often, not at every request."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session in use.

    Attributes:
        principal: who signed in.
        form_token: what every form of theirs must bring along.
        stale: whether its last use should be written down.
    """

    principal: Principal
    form_token: str
    stale: bool


def sign_in(session: Session, person: str, hours: int, replaced: str = "") -> str:
    """Begin a session, and end the one the browser came with.

    Args:
        session: of the caller's transaction.
        person: who was identified.
        hours: how long it lasts at most.
        replaced: token of the browser's cookie, if any.

    Returns:
        The token for the cookie.
    """
    sign_out(session, replaced)
    session.execute(delete(Login).where(Login.expires_at <= now()))
    token, ends = new_token(), text_of(datetime.now(UTC) + timedelta(hours=hours))
    session.add(Login(digest=digest_of(token), person=person, form_token=new_token(), seen_at=now(), expires_at=ends))
    return token


def signed_in(session: Session, token: str, idle_minutes: int) -> SignedIn | None:
    """Whose session a token is, or None when it is none or has ended."""
    login = session.scalar(select(Login).where(Login.digest == digest_of(token)))
    moment = datetime.now(UTC)
    if login is None or login.expires_at <= text_of(moment):
        return None
    if login.seen_at <= text_of(moment - timedelta(minutes=idle_minutes)):
        return None
    who = principal(session, login.person)
    stale = login.seen_at <= text_of(moment - timedelta(seconds=TOUCH_SECONDS))
    return None if who is None else SignedIn(who, login.form_token, stale)


def touch(session: Session, token: str) -> None:
    """Write down that a session is in use."""
    session.execute(update(Login).where(Login.digest == digest_of(token)).values(seen_at=now()))


def sign_out(session: Session, token: str) -> None:
    """End a session; one that is not there is no error."""
    if token:
        session.execute(delete(Login).where(Login.digest == digest_of(token)))

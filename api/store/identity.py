"""Names of things and secrets: ids that sort by time, tokens nobody can guess."""

from __future__ import annotations

import hashlib
import secrets
import time
from datetime import UTC, datetime

from privacy.errors import RequestError


def new_id() -> str:
    """28 hexadecimal digits: milliseconds since 1970, then 64 random bits. Later ids sort later."""
    return f"{int(time.time() * 1000):012x}{secrets.token_hex(8)}"


def new_token() -> str:
    """256 random bits, as text that fits a header."""
    return secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """What is stored of a token. It has 256 random bits, so that no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def text_of(moment: datetime) -> str:
    """Any moment the same way. Equal lengths: texts compare as their times do."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def moment_text(text: str) -> str:
    """A moment somebody wrote, as this module writes it; a date is its start in UTC. Raises RequestError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RequestError(
            "This is not a date.", why="It says when something ends by itself.", fix="Write it as 2030-12-31."
        ) from error
    return text_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))

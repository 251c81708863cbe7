"""Passwords of local accounts: argon2id, with the parameters that pwdlib recommends.

A check takes as long for a name nobody has as for one somebody has, so that its time does not tell names.
"""

from __future__ import annotations

from functools import cache

from pwdlib import PasswordHash

from privacy.errors import RequestError

SHORTEST, LONGEST = 12, 512
"""Lengths in characters. Length is what makes a password hard to guess; a longest one keeps hashing cheap."""


def hash_password(password: str) -> str:
    """What is stored of a password. Raises RequestError when it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise RequestError(
            f"A password has {SHORTEST} to {LONGEST} characters.",
            why="Short ones are guessed.",
            fix="Take four or more random words.",
        )
    return _hasher().hash(password)


def password_fits(password: str, stored: str) -> bool:
    """Whether a password is the one that was stored; never for an account without one."""
    if not stored or len(password) > LONGEST:
        _hasher().verify("a password nobody has", _nobodys())
        return False
    return _hasher().verify(password, stored)


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobodys() -> str:
    return _hasher().hash("the password of nobody")

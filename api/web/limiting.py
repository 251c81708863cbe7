"""Limits on requests over time, by who asks and by what they ask for.

Kept in this process's memory: with several API processes each counts for itself, and a caller gets at most as many
times the limit as there are processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from time import time
from types import MappingProxyType
from typing import Final

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from api.web.problems import TooManyRequestsError

LIMITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "any": "1200/minute",
        "sign-in": "10/minute",
        "sign-in to one account": "5/minute",
        "upload": "12/minute",
        "request": "30/minute",
        "quote": "120/minute",
        "anonymous": "300/minute",
    }
)
"""By kind of request. A quote plans a release, which costs a second of computing."""


class Limiter:
    """Counts requests and refuses those beyond a limit."""

    def __init__(self, limits: Mapping[str, str] = LIMITS) -> None:
        self._limits: dict[str, RateLimitItem] = {kind: parse(text) for kind, text in limits.items()}
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def count(self, kind: str, caller: str) -> None:
        """Count a request of a caller. Raises TooManyRequestsError when it is one too many."""
        limit = self._limits[kind]
        if self._window.hit(limit, kind, caller):
            return
        seconds = max(1, ceil(self._window.get_window_stats(limit, kind, caller).reset_time - time()))
        raise TooManyRequestsError(
            f"Too many requests of this kind: the limit is {limit}.",
            why="Limits keep passwords from being guessed and the service from being worn out.",
            fix=f"Come again in {seconds} seconds.",
            seconds=seconds,
        )

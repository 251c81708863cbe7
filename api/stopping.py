"""Signals as a wish: the first asks a run to stop between two steps, the second ends it where it is."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """A function that says whether somebody asked to stop. For a main thread; handlers are put back afterwards."""
    asked: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        asked.append(number)
        for again in ASKING:
            signal.signal(again, before[again])

    before = {number: signal.signal(number, ask) for number in ASKING}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

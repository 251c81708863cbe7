"""Naming the steps of a run: for progress while it lasts, and for its timings afterwards."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter


class Steps:
    """Told the name of every step as it starts; remembers how long each one took.

    Names of steps are fixed texts: they hold no number that depends on a row.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._seconds: dict[str, float] = {}
        self._current = ""
        self._since = perf_counter()

    def __call__(self, step: str) -> None:
        """A step starts, and with it the last one ends; the same step may be told again."""
        if step != self._current:
            self._close()
            self._current = step
            self._show(step)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by step, up to now."""
        self._close()
        return dict(self._seconds)

    def _close(self) -> None:
        now = perf_counter()
        if self._current:
            self._seconds[self._current] = self._seconds.get(self._current, 0.0) + now - self._since
        self._since = now

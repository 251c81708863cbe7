"""Naming the steps of a run: for progress, for timings afterwards, and to stop between two of them."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from privacy.errors import ReleaseError


class StoppedError(ReleaseError):
    """Somebody asked the run to stop, and it did, between two steps."""

    code = "stopped"
    title = "The release was stopped"


def never() -> bool:
    """Nobody asks."""
    return False


class Steps:
    """Told the name of every step as it starts; remembers how long each one took.

    Names of steps are fixed texts: they hold no number that depends on a row. Training tells every one of its steps, so
    that it can be stopped before any.

    Args:
        show: is told every name once.
        asked_to_stop: whether the run is to end here.
    """

    def __init__(self, show: Callable[[str], None], asked_to_stop: Callable[[], bool] = never) -> None:
        self._show = show
        self._asked_to_stop = asked_to_stop
        self._seconds: dict[str, float] = {}
        self._current = ""
        self._since = perf_counter()

    def __call__(self, step: str) -> None:
        """A step starts, and with it the last one ends; the same step may be told again.

        Raises:
            StoppedError: somebody asked for it.
        """
        if self._asked_to_stop():
            raise StoppedError(
                "The run ended between two steps, because it was asked to.",
                why="No table was published. The charge stands where it was made: rows may have been read.",
                fix="Give the same command again: a training goes on from what it kept, under the charge it made; a "
                "quick run is made, and charged for, anew.",
            )
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

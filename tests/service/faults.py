"""kill -9 at a point of a job, in a fork of this process: what had been imported need not be imported again.

A point is a call that a job really makes: a step it announces, a transaction before it commits and after, an object of
the store before it is written and after. The fork counts them and kills itself at one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy.engine.base import RootTransaction

from api.desk.desk import Desk
from api.service import open_desk
from api.vault.store import Store

DONE, FAILED = 0, 1
SAMPLE = int(os.environ.get("TABLEGATE_SWEEP", "3"))
"""How many points of a sweep are tried that takes a release for each; 0 for all of them (`make faults`)."""


def sampled(points: Sequence[str]) -> list[int]:
    """Points to be killed at, spread evenly from the first to the last."""
    if not SAMPLE or len(points) <= SAMPLE:
        return list(range(len(points)))
    return sorted({round(i * (len(points) - 1) / (SAMPLE - 1)) for i in range(SAMPLE)})


def killed_at(desk: Desk, point: int | None, job: Callable[[Desk], None]) -> tuple[int, list[str]]:
    """Do a job in a fork that kills itself at its n-th point, or never.

    Returns:
        The exit status, -9 where it was killed, and the names of the points it passed.
    """
    desk.engine.dispose()  # a connection of SQLite must not be carried into a fork
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = FAILED
        try:
            with _points(writer, point):
                job(open_desk(desk.settings, private=True))
            status = DONE
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as passed:
        names = passed.read().decode().splitlines()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), names


@contextmanager
def _points(writer: int, point: int | None) -> Iterator[None]:
    seen = 0

    def pass_by(name: str) -> None:
        nonlocal seen
        os.write(writer, f"{name}\n".encode())
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    with pytest.MonkeyPatch.context() as patched:
        _around(patched, Store, "take_in", "storing", pass_by)
        _around(patched, Store, "remove", "removing", pass_by)
        _around(patched, RootTransaction, "_do_commit", "commit", pass_by)
        yield


def _around(patched: pytest.MonkeyPatch, owner: type, name: str, what: str, pass_by: Callable[[str], None]) -> None:
    original: Any = getattr(owner, name)

    def wrapped(*args: Any) -> Any:
        pass_by(f"before {what}")
        result = original(*args)
        pass_by(f"after {what}")
        return result

    patched.setattr(owner, name, wrapped)

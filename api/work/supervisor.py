"""A worker and the child that does its job: started, watched, stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from api.desk.desk import Desk
from api.log import Event, log
from api.tracing import Span

POLL_SECONDS = 0.2
GRACE_SECONDS = 5


class ChildDiedError(Exception):
    """The child ended before its job did. Holds its exit code and nothing else."""


def in_child(desk: Desk, kind: str, about: str, run: int, over: Callable[[], bool]) -> bool:
    """Do a job in a child process.

    Args:
        desk: whose.
        kind: "release", "check", "ingest", "decide" or "reaudit".
        about: id of the release, check or dataset.
        run: number of the run of a release or check; 0 for other kinds.
        over: asked again and again whether the child is to be stopped.

    Returns:
        Whether it did the job; False where it was stopped.

    Raises:
        ChildDiedError: it ended otherwise.
    """
    log(Event.JOB_STARTED, kind=kind, about=about, run=run)
    began, settings = time.time_ns(), desk.settings
    settings.work.mkdir(mode=0o700, parents=True, exist_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-m", "api.work.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **settings.environment()},
        cwd=settings.work,
    )
    try:
        order = {"kind": kind, "about": about, "run": run, "memory_bytes": settings.job_memory_bytes}
        if child.stdin is not None:
            child.stdin.write(json.dumps(order).encode() + b"\n")
            child.stdin.flush()
        while child.poll() is None:
            if over():
                return False
            time.sleep(POLL_SECONDS)
    except BrokenPipeError:
        pass  # it died before it had its order: its exit code says so below
    finally:
        _end(child)
    facts = {"kind": kind, "run": run, "code": child.returncode}
    log(Event.JOB_ENDED, about=about, seconds=round((time.time_ns() - began) / 1e9), **facts)
    desk.traces.span(Span.JOB, about, began, **facts)
    if child.returncode != 0:
        raise ChildDiedError(child.returncode)
    return True


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        child.stdin.close()  # which ends it, wherever it is
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

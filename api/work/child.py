"""The process one job is done in, so that its memory, its crash and its end are its own.

It reads its order from standard input, which stays open as long as the worker lives: when it ends, so does this
process, at once and whatever it is doing. Nothing it might say is kept: what there is to know goes into the database.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.desk.desk import Desk

DONE, AGAIN, ORPHANED = 0, 75, 81
"""Exit codes: done or refused; something outside failed, such as a disk or the database; the worker is gone."""


def main() -> None:
    """Do the job that standard input names."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_worker, daemon=True).start()
    limit = order["memory_bytes"]
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    from sqlalchemy.exc import DBAPIError  # all that takes long to load comes once the end of the worker is watched for

    from api.service import close_desk, open_desk
    from api.settings import Settings

    desk = open_desk(Settings(), private=True)
    try:
        _do(desk, order["kind"], order["about"], order["run"])
    except (DBAPIError, OSError):
        os._exit(AGAIN)
    close_desk(desk)
    os._exit(DONE)


def _do(desk: Desk, kind: str, about: str, number: int) -> None:
    from api.desk import checks
    from api.desk.runs import Run, fail
    from api.work.checking import check
    from api.work.decisions import decide
    from api.work.reauditing import reaudit
    from api.work.releasing import release
    from api.work.tables import ingest

    match kind:
        case "release":
            run = Run(about, number)
            _refusable(lambda: release(desk, run), lambda problem: fail(desk, about, problem, run))
        case "check":
            of_check = checks.CheckRun(about, number)
            _refusable(lambda: check(desk, of_check), lambda problem: checks.fail(desk, about, problem, of_check))
        case "decide":
            decide(desk, about)
        case "reaudit":
            reaudit(desk, about)
        case "ingest":
            ingest(desk, about)


def _refusable(act: Callable[[], None], failed: Callable[[dict[str, str]], None]) -> None:
    """Do something that may be refused, or show a defect; `failed` does nothing where another run took over."""
    from sqlalchemy.exc import DBAPIError

    from api.desk.runs import defect_of, problem_of
    from privacy.errors import ReleaseError

    try:
        act()
    except (DBAPIError, OSError):
        raise
    except ReleaseError as error:
        failed(problem_of(error))
    except Exception as error:
        failed(defect_of(error))


def _end_with_worker() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()

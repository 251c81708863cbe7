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
    from sqlalchemy.exc import DBAPIError

    from api.desk.runs import Run, defect_of, fail, problem_of
    from api.work.decisions import decide
    from api.work.reauditing import reaudit
    from api.work.releasing import release
    from api.work.tables import ingest
    from privacy.errors import ReleaseError

    match kind:
        case "release":
            run = Run(about, number)
            try:
                release(desk, run)
            except (DBAPIError, OSError):
                raise
            except ReleaseError as error:
                fail(desk, about, problem_of(error), run)  # nothing, where another run took over
            except Exception as error:
                fail(desk, about, defect_of(error), run)
        case "decide":
            decide(desk, about)
        case "reaudit":
            reaudit(desk, about)
        case "ingest":
            ingest(desk, about)


def _end_with_worker() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()

"""Logs of the service: one JSON object a line, from fixed events and fields that can hold no cell of a table.

A field is named here, and its value is an id, a word without spaces or a number; anything else is a defect and raises.
Texts of exceptions are never logged, because they may quote what they were about.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from api.store.identity import now

WORD: Final = re.compile(r"[A-Za-z0-9_.:/{}-]{0,120}")


class Event(StrEnum):
    """What is logged."""

    WORKER_STARTED = "worker started"
    WORKER_STOPPED = "worker stopped"
    WORKER_SWEPT = "worker swept"
    LEASE_LOST = "lease lost"
    DATABASE_AWAY = "database away"
    JOB_STARTED = "job started"
    JOB_ENDED = "job ended"
    REQUEST = "request"


FIELDS: Final = frozenset(
    {"slot", "kind", "about", "run", "code", "seconds", "queues"}
    | {"request", "method", "route", "status", "failure", "step"}
)


def log(event: Event, **fields: str | int | float) -> None:
    """Write one line to standard error.

    Raises:
        ValueError: a field is not one of `FIELDS`, or its value is neither a number nor a word.
    """
    line = json.dumps({"at": now(), "event": str(event), **checked(fields)})
    sys.stderr.write(line + "\n")


def checked(fields: Mapping[str, str | int | float]) -> Mapping[str, str | int | float]:
    """The same fields. Raises ValueError where one may not be told."""
    for name, value in fields.items():
        if name not in FIELDS or (isinstance(value, str) and not WORD.fullmatch(value)):
            raise ValueError(f"the field {name!r} may not be told so")
    return fields

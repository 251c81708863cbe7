"""Which states a dataset, a release and a check have, and which act leads to which. Diagrams are drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from api.desk.errors import ConflictError


class DatasetState(StrEnum):
    """Where a sensitive table is."""

    REGISTERED = "registered"
    CHECKING = "checking"
    REFUSED = "refused"
    READY = "ready"
    ERASING = "erasing"
    ERASED = "erased"


class ReleaseState(StrEnum):
    """Where a request for a release is."""

    QUEUED = "queued"
    RUNNING = "running"
    REVIEW = "review"
    APPROVED = "approved"
    PUBLISHED = "published"
    REJECTED = "rejected"
    WITHHELD = "withheld"
    FAILED = "failed"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class CheckState(StrEnum):
    """Where a comparison of a release with a new version of its table is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Move:
    """An act, the states it starts from (none: the thing comes into being), where it leads, and who acts."""

    act: str
    starts: tuple[str, ...]
    end: str
    by: str


D, R, C = DatasetState, ReleaseState, CheckState

DATASET: Final[tuple[Move, ...]] = (
    Move("register", (), D.REGISTERED, "steward"),
    Move("upload", (D.REGISTERED, D.REFUSED, D.READY), D.CHECKING, "steward"),
    Move("accept", (D.CHECKING,), D.READY, "worker"),
    Move("refuse", (D.CHECKING,), D.REFUSED, "worker"),
    Move("erase", (D.REGISTERED, D.REFUSED, D.READY), D.ERASING, "steward, or its date"),
    Move("certify", (D.ERASING,), D.ERASED, "worker"),
)
RELEASE: Final[tuple[Move, ...]] = (
    Move("request", (), R.QUEUED, "researcher or steward"),
    Move("cancel", (R.QUEUED,), R.CANCELLED, "whoever asked, or steward"),
    Move("start", (R.QUEUED, R.RUNNING), R.RUNNING, "worker"),
    Move("stop", (R.RUNNING,), R.CANCELLED, "worker, asked by whoever asked or steward"),
    Move("fail", (R.QUEUED, R.RUNNING), R.FAILED, "worker"),
    Move("withhold", (R.RUNNING,), R.WITHHELD, "gate"),
    Move("hold", (R.RUNNING,), R.REVIEW, "gate"),
    Move("approve", (R.REVIEW,), R.APPROVED, "compliance, the last of as many as it takes"),
    Move("reject", (R.REVIEW,), R.REJECTED, "compliance"),
    Move("publish", (R.APPROVED,), R.PUBLISHED, "worker"),
    Move("withdraw", (R.PUBLISHED,), R.WITHDRAWN, "steward or compliance"),
    Move("expire", (R.PUBLISHED,), R.EXPIRED, "its date"),
)
CHECK: Final[tuple[Move, ...]] = (
    Move("ask", (), C.QUEUED, "its monitor, or steward"),
    Move("cancel", (C.QUEUED,), C.CANCELLED, "steward"),
    Move("start", (C.QUEUED, C.RUNNING), C.RUNNING, "worker"),
    Move("stop", (C.RUNNING,), C.CANCELLED, "worker, asked by steward"),
    Move("fail", (C.QUEUED, C.RUNNING), C.FAILED, "worker"),
    Move("tell", (C.RUNNING,), C.DONE, "worker"),
)
FINAL: Final[frozenset[str]] = frozenset(state for state in R if not any(state in move.starts for move in RELEASE))
"""States of a release nothing leads out of."""

AT_WORK: Final[frozenset[str]] = frozenset({R.QUEUED, R.RUNNING})
"""States in which a release needs its table; those in which a check does have the same names."""


def moved(moves: Sequence[Move], state: str, act: str) -> str:
    """The state an act leads to. Raises ConflictError where it does not start from this one."""
    for move in moves:
        if move.act == act and state in move.starts:
            return move.end
    starts = sorted({start for move in moves if move.act == act for start in move.starts})
    raise ConflictError(
        f"One cannot {act} what is {state}.",
        why=f"It starts from: {', '.join(starts)}.",
        fix="Look at its state again; it may have changed meanwhile.",
    )


def diagram(moves: Sequence[Move]) -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    for move in moves:
        starts = move.starts or ("[*]",)
        lines += [f"    {start} --> {move.end}: {move.act} ({move.by})" for start in starts]
    starts_of = {start for move in moves for start in move.starts}
    ends = dict.fromkeys(str(move.end) for move in moves)
    lines += [f"    {end} --> [*]" for end in ends if end not in starts_of]
    return "\n".join(lines) + "\n"

"""What an audit found: a number with its interval, its baseline, its n and its audience. Measuring is not judging.

A finding has no `passed` field; limits live in the policy (`audits.release.policy`) and the gate compares bounds with
limits, never points. Silence is an outcome too: an audit that cannot answer is `inconclusive`, one that failed is an
`error`, and the gate treats neither as good news.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Audience(StrEnum):
    """Who may see a number. Only what came from synthetic rows and public facts, or was bought, is not internal."""

    PUBLIC = "public"
    RECIPIENT = "recipient"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Interval:
    """Two one-sided confidence bounds: each holds with probability `confidence`."""

    low: float
    high: float
    confidence: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError("an interval's low end is not above its high end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One measured quantity.

    Attributes:
        audit: name of the audit.
        quantity: what was measured, in the field's words; policies refer to it.
        subject: the column, pair of columns or group it is about; empty for the whole table.
        estimate: the point.
        interval: one-sided 95% bounds; a PASS reads the unfavourable one.
        strict: one-sided 99.99% bounds, by which labels are judged beyond their limits; from both intervals follows
            the p-value that Holm's procedure reads (`audits.release.family`). The confidence is written in it; that of
            the bound from one run is 99%.
        baseline: the same quantity when nothing leaks, or for real rows.
        worse: the direction that is bad.
        n: rows, attacks or people behind it.
        detectable: smallest excess over the baseline this audit would have noticed (one-sided 5%, power 80%); None
            where the notion does not apply.
        audience: who may see it.
    """

    audit: str
    quantity: str
    subject: str
    estimate: float
    interval: Interval
    strict: Interval
    baseline: float
    worse: Literal["higher", "lower"]
    n: int
    detectable: float | None
    audience: Audience


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one audit: findings, or the reason there are none.

    Attributes:
        audit: name of the audit.
        findings: what it found; empty when it did not answer.
        inconclusive: why the audit could not answer; empty when it did.
        error: class name of the exception that ended it; empty when none did. Never a message: it may quote a cell.
        seconds: how long it took.
    """

    audit: str
    findings: tuple[Finding, ...]
    inconclusive: str
    error: str
    seconds: float

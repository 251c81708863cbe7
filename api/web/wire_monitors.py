"""What goes over the wire of monitors: for those who see findings, as the routes see to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic import Field

from api.web.wire import ID, Answer, Asking

CheckId = Annotated[str, Path(pattern=ID, description="Id of a check.")]


class NewMonitor(Asking):
    """What is bought of each new version, how it is judged, and how many days pass between two checks at least.

    What is null is what `tablegate monitor` takes where nothing is said; of days, 30.
    """

    epsilon: Annotated[float, Field(gt=0, le=1000)]
    delta: Annotated[float, Field(gt=0, lt=1)]
    tolerance: Annotated[float, Field(ge=0, lt=1, description="Total variation distance that is no drift.")] | None = (
        None
    )
    false_alarms: Annotated[float, Field(gt=0, lt=1, description="Probability of any in a check.")] | None = None
    days: Annotated[int, Field(ge=0, le=3660)] | None = None


class MonitorOut(Answer):
    """A monitor. `problem` says why it is paused; `total_after` is the population's total with one more check."""

    release: str
    epsilon: float
    delta: float
    tolerance: float
    false_alarms: float
    days: int
    set_at: str
    problem: dict[str, Any] | None
    total_after: float | None
    fits: bool


class MonitorStep(Answer):
    """A step of a check's run, by a fixed text."""

    run: int
    step: str
    at: str


class CheckOut(Answer):
    """A comparison of a release with a version of its table; `verdict` is drift, steady or unclear once it is done."""

    id: str
    release: str
    dataset: str
    asked_by: str
    asked_at: str
    asked: dict[str, float]
    version: int
    state: str
    run: int
    steps: list[MonitorStep]
    stop_asked: bool
    charge: str
    verdict: str
    problem: dict[str, Any] | None
    ended_at: str


class CheckFound(CheckOut):
    """The same with what it found, `monitor.json`: figures that were bought, or follow from what was."""

    found: dict[str, Any] | None

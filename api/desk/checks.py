"""What a worker does to a check: each step of a run as one transaction, open to the latest run alone.

The rules are those of a release (`api.desk.runs`). A run may be repeated without a new charge as long as nothing of it
left its process; so the moment before its result is kept is recorded first, and after it a run is finished from what it
wrote, or the check fails and the charge stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from api.desk.charges import opened, void_unopened
from api.desk.desk import Desk
from api.desk.monitors import pause, tell_stewards
from api.desk.record import SERVICE, deciding, record
from api.desk.runs import MOST_RUNS, OutdatedRunError, died_too_often, outdated
from api.desk.states import AT_WORK, CHECK, CheckState, moved
from api.store.database import reading
from api.store.identity import now
from api.store.tables import Check, Dataset, Release
from audits.drift.verdicts import State
from privacy.errors import ReleaseError
from privacy.filter import PrivacyFilter
from privacy.ledger import Charge
from privacy.noise import NoiseSource

KEEPING = "keeping the result"
"""The step before which nothing left the process."""

DRIFTED = "Its table has moved on: drift is proven, and a new release is proposed. Nothing was started."


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One run of a check."""

    check: str
    number: int


def begin(desk: Desk, check: str, slot: str) -> CheckRun | None:
    """Start a run; None where there is nothing to do: it was cancelled, is finished, or has died too often."""
    with deciding(desk.engine) as session:
        found = session.get(Check, check)
        if found is None or found.state not in AT_WORK:
            return None
        if found.stop_asked:
            _cancel(session, found)
            return None
        if found.run >= MOST_RUNS:
            _fail(desk, session, found, died_too_often())
            return None
        found.state = moved(CHECK, found.state, "start")
        found.run += 1
        record(session, SERVICE, "check started", found.release, check=check, run=found.run, worker=slot)
        return CheckRun(check, found.run)


def looked_up(desk: Desk, run: CheckRun) -> tuple[Check, Release, Dataset]:
    """The check of a run, its release and its dataset. Raises OutdatedRunError."""
    with reading(desk.engine) as session:
        found = _current(session, run)
        return found, session.get_one(Release, found.release), session.get_one(Dataset, found.dataset)


def over(desk: Desk, run: CheckRun) -> bool:
    """Whether a run is to end: somebody asked for it, or another took over."""
    with reading(desk.engine) as session:
        found = session.get_one(Check, run.check)
        return found.stop_asked or found.run != run.number or found.state != CheckState.RUNNING


def was_keeping(desk: Desk, run: CheckRun) -> bool:
    """Whether an earlier run came to keeping its result."""
    with reading(desk.engine) as session:
        return _kept(session.get_one(Check, run.check))


def open_charge(desk: Desk, run: CheckRun, noise: NoiseSource) -> tuple[Charge, PrivacyFilter]:
    """The key to the rows: from the ledger, in the transaction that makes sure that this run may have it.

    Raises:
        OutdatedRunError: it may not, or an earlier run came to keeping its result.
    """
    with deciding(desk.engine) as session:
        found = _current(session, run)
        return opened(session, found.charge, noise, run.number, died_keeping() if _kept(found) else None)


def step(desk: Desk, run: CheckRun, text: str) -> None:
    """A run comes to a step. Raises OutdatedRunError."""
    with deciding(desk.engine) as session:
        found = _current(session, run)
        if found.stop_asked and text == KEEPING:
            raise outdated()
        found.steps = [*found.steps, {"run": run.number, "step": text, "at": now()}]


def settle(desk: Desk, run: CheckRun, verdict: State, renewal: Mapping[str, Any]) -> None:
    """A run ends with a kept result; where that is drift, a release is proposed and the stewards are told.

    Args:
        desk: where.
        run: the latest.
        verdict: of the whole comparison.
        renewal: what the same release would cost of the new version.

    Raises:
        OutdatedRunError: another run took over.
    """
    with deciding(desk.engine) as session:
        found = _current(session, run)
        found.state, found.ended_at = moved(CHECK, found.state, "tell"), now()
        found.verdict = str(verdict)
        about = {"check": found.id, "version": found.version}
        record(session, SERVICE, "check", found.release, **about, verdict=found.verdict, run=run.number)
        if verdict is State.DRIFT:
            cost = {name: renewal[name] for name in ("epsilon", "delta", "population_epsilon_after", "fits")}
            record(session, SERVICE, "release proposed", found.release, **about, **cost)
            tell_stewards(desk, session, found.release, DRIFTED)


def cancelled(desk: Desk, run: CheckRun) -> None:
    """A run was stopped because somebody asked for it; nothing happens where another took over."""
    with deciding(desk.engine) as session:
        found = session.get_one(Check, run.check)
        if found.stop_asked and found.state == CheckState.RUNNING and found.run == run.number:
            _cancel(session, found)


def fail(desk: Desk, check: str, problem: dict[str, str], run: CheckRun | None = None) -> None:
    """A check comes to nothing, and its monitor is paused; where a run is named, only if that is the latest."""
    with deciding(desk.engine) as session:
        found = session.get(Check, check)
        if found is None or found.state not in AT_WORK or (run is not None and found.run != run.number):
            return
        if found.stop_asked:
            _cancel(session, found)
        else:
            _fail(desk, session, found, problem)


def died_keeping() -> ReleaseError:
    """The error of a run that died while its result was kept."""
    return OutdatedRunError(
        "An earlier run died while its result was kept, and the result is not whole.",
        why="Something of it may have left its process, so counting again would answer twice for the price of one.",
        fix="Set the monitor anew; the charge of this check stands.",
    )


def _current(session: Session, run: CheckRun) -> Check:
    found = session.get_one(Check, run.check)
    if found.run != run.number or found.state != CheckState.RUNNING:
        raise outdated()
    return found


def _kept(found: Check) -> bool:
    return any(step["step"] == KEEPING for step in found.steps)


def _cancel(session: Session, found: Check) -> None:
    act = "stop" if found.state == CheckState.RUNNING else "cancel"
    found.state, found.ended_at = moved(CHECK, found.state, act), now()
    voided = void_unopened(session, found.charge, "stopped before the table was opened")
    record(session, SERVICE, "check stopped", found.release, check=found.id, voided=voided)


def _fail(desk: Desk, session: Session, found: Check, problem: dict[str, str]) -> None:
    found.state, found.ended_at, found.problem = moved(CHECK, found.state, "fail"), now(), problem
    voided = void_unopened(session, found.charge, "failed before the table was opened")
    record(session, SERVICE, "check failed", found.release, check=found.id, code=problem["code"], voided=voided)
    pause(desk, session, found.release, problem)

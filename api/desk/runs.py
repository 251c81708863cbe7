"""What a worker does to a release: each step of a run as one transaction, open to the latest run alone.

A run may be repeated without a new charge as long as nothing of it left its process. So the moment before something
does, the sealing, is recorded first: after it the run is finished from what it sealed, or the release fails and the
charge stands. Whatever an older run still does, because its worker was taken for dead, is refused by its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.desk.charges import ledger_in, opened, void_unopened
from api.desk.desk import Desk
from api.desk.record import SERVICE, deciding, record
from api.desk.room import needed
from api.desk.states import AT_WORK, RELEASE, ReleaseState, moved
from api.store.database import reading
from api.store.identity import now
from api.store.tables import Dataset, Progress, Release
from audits.release.gate import Verdict
from privacy.errors import ReleaseError
from privacy.filter import PrivacyFilter
from privacy.ledger import Charge
from privacy.noise import NoiseSource

SEALING = "sealing the bundle"
"""The step of `api.judging` before which nothing left the process."""

MOST_RUNS = 5
"""A run that dies this often has a reason, and is not tried again."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a release."""

    release: str
    number: int


class OutdatedRunError(ReleaseError):
    """Another run has taken over, or the release is no longer at work."""

    code = "outdated-run"
    title = "This run is over"


def begin(desk: Desk, release: str, slot: str) -> Run | None:
    """Start a run; None where there is nothing to do: it was cancelled, is finished, or has died too often."""
    with deciding(desk.engine) as session:
        found = session.get(Release, release)
        if found is None or found.state not in AT_WORK:
            return None
        if found.stop_asked:
            _cancel(session, found)
            return None
        if found.run >= MOST_RUNS:
            _fail(session, found, died_too_often())
            return None
        found.state = moved(RELEASE, found.state, "start")
        found.run += 1
        record(session, SERVICE, "start", release, run=found.run, worker=slot)
        return Run(release, found.run)


def looked_up(desk: Desk, run: Run) -> tuple[Release, Dataset]:
    """The release of a run, and its dataset. Raises OutdatedRunError."""
    with reading(desk.engine) as session:
        found = _current(session, run)
        return found, session.get_one(Dataset, found.dataset)


def over(desk: Desk, run: Run) -> bool:
    """Whether a run is to end: somebody asked for it, or another took over."""
    with reading(desk.engine) as session:
        found = session.get_one(Release, run.release)
        return found.stop_asked or found.run != run.number or found.state != ReleaseState.RUNNING


def was_sealing(desk: Desk, run: Run) -> bool:
    """Whether an earlier run came to its sealing."""
    with reading(desk.engine) as session:
        return _sealing(session, run.release)


def open_charge(desk: Desk, run: Run, noise: NoiseSource) -> tuple[Charge, PrivacyFilter]:
    """The key to the rows: from the ledger, in the transaction that makes sure that this run may have it.

    Raises:
        OutdatedRunError: it may not, or an earlier run came to its sealing.
    """
    with deciding(desk.engine) as session:
        found = _current(session, run)
        left = died_sealing() if _sealing(session, run.release) else None
        return opened(session, found.charge, noise, run.number, left)


def step(desk: Desk, run: Run, text: str) -> None:
    """A run comes to a step. Raises OutdatedRunError."""
    with deciding(desk.engine) as session:
        found = _current(session, run)
        if found.stop_asked and text == SEALING:
            raise outdated()
        session.add(Progress(release=run.release, run=run.number, step=text, at=now()))


def settle(desk: Desk, run: Run, verdict: Verdict, bundle: str) -> None:
    """A run ends with a sealed bundle. Raises OutdatedRunError."""
    with deciding(desk.engine) as session:
        found = _current(session, run)
        found.state = moved(RELEASE, found.state, "withhold" if verdict is Verdict.WITHHOLD else "hold")
        found.verdict, found.bundle = str(verdict), bundle
        found.approvers = needed(verdict, found.approvers)
        if verdict is Verdict.WITHHOLD:
            found.ended_at = now()
        ledger = ledger_in(session)
        charge = ledger.charge_of(found.charge)
        if not ledger.stages(charge)[1]:  # the process died between the bundle and this entry
            ledger.record(charge, "verdict", {"verdict": str(verdict), "bundle": bundle})
        record(session, SERVICE, "verdict", run.release, verdict=str(verdict), bundle=bundle, run=run.number)


def cancelled(desk: Desk, run: Run) -> None:
    """A run was stopped because somebody asked for it; nothing happens where another took over."""
    with deciding(desk.engine) as session:
        found = session.get_one(Release, run.release)
        if found.stop_asked and found.state == ReleaseState.RUNNING and found.run == run.number:
            _cancel(session, found)


def fail(desk: Desk, release: str, problem: dict[str, str], run: Run | None = None) -> None:
    """A release comes to nothing; where a run is named, only if that is the latest."""
    with deciding(desk.engine) as session:
        found = session.get(Release, release)
        if found is None or found.state not in AT_WORK or (run is not None and found.run != run.number):
            return
        if found.stop_asked:
            _cancel(session, found)
        else:
            _fail(session, found, problem)


def problem_of(error: ReleaseError) -> dict[str, str]:
    """A refusal, as it is kept and shown."""
    return {"code": error.code, "title": error.title, "what": error.what, "why": error.why, "fix": error.fix}


def defect_of(error: BaseException) -> dict[str, str]:
    """Something nobody foresaw: its class alone, since its text may quote a cell."""
    return {
        "code": "defect",
        "title": "Something failed that should not",
        "what": f"The run ended with {type(error).__name__}.",
        "why": "This is a defect of the program, not of the request. The charge stands where the table was opened.",
        "fix": "Ask for the same on the command line with TABLEGATE_TRACE=1, inside, to see where.",
    }


def died_too_often() -> dict[str, str]:
    """The problem of a run whose process died every time."""
    return {
        "code": "died",
        "title": "The run died",
        "what": "Its process ended without a word, every time it was tried.",
        "why": "Too little memory is the usual reason.",
        "fix": "Give workers more memory, or ask for less: fewer rows, a smaller generator, fewer things compared.",
    }


def died_sealing() -> ReleaseError:
    """The error of a run that died while its bundle was written."""
    return OutdatedRunError(
        "An earlier run died while its bundle was written, and the bundle is not whole.",
        why="Something of it may have left its process, so running again would release twice for the price of one.",
        fix="Ask for a new release; the charge of this one stands.",
    )


def _current(session: Session, run: Run) -> Release:
    found = session.get_one(Release, run.release)
    if found.run != run.number or found.state != ReleaseState.RUNNING:
        raise outdated()
    return found


def outdated() -> OutdatedRunError:
    """The error of a run that is no longer the latest, or was stopped."""
    return OutdatedRunError(
        "This run is over.", why="Another took over, or it was stopped.", fix="Nothing is to be done."
    )


def _sealing(session: Session, release: str) -> bool:
    query = select(Progress.id).where(Progress.release == release, Progress.step == SEALING)
    return session.scalar(query) is not None


def _cancel(session: Session, found: Release) -> None:
    act = "stop" if found.state == ReleaseState.RUNNING else "cancel"
    found.state, found.ended_at = moved(RELEASE, found.state, act), now()
    voided = void_unopened(session, found.charge, "stopped before the table was opened")
    record(session, SERVICE, "stop", found.id, voided=voided)


def _fail(session: Session, found: Release, problem: dict[str, Any]) -> None:
    found.state, found.ended_at, found.problem = moved(RELEASE, found.state, "fail"), now(), problem
    voided = void_unopened(session, found.charge, "failed before the table was opened")
    record(session, SERVICE, "fail", found.id, code=problem["code"], voided=voided)

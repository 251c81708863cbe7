"""Monitors: a release that is compared with every new version of its table, by histograms bought from the ledger.

A check falls due when the table at hand is neither the one the release was made from nor one it was compared with, and
so many days have passed since the last: comparing the same version again would buy the same answer twice. Asking is one
commit, as of a release: the charge, the check, the record and the job. What the ledger refuses pauses the monitor until
a steward sets it anew. What is found proposes a release; nothing here starts one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.persons import holders
from api.access.roles import Action, Principal, Role
from api.desk.charges import ledger_in, void_unopened
from api.desk.desk import CPU, LIGHT, Desk, Job, release_for
from api.desk.errors import ConflictError, not_found
from api.desk.notices import tell
from api.desk.ordering import schema_of
from api.desk.record import SERVICE, deciding, record
from api.desk.releases import File
from api.desk.runs import problem_of
from api.desk.states import CHECK, CheckState, DatasetState, ReleaseState, moved
from api.desk.words import sentence
from api.panel_price import FALSE_ALARMS, TOLERANCE, PanelPrice, against, check_rates, priced
from api.store.database import reading
from api.store.identity import digest_of, new_id, now, text_of
from api.store.tables import Check, Dataset, Monitor, Release
from privacy.errors import ReleaseError, RequestError

ASK_JOB, CHECK_JOB = "ask_v1", "check_v1"
DAYS, MOST_DAYS = 30, 3660
FACTS, REPORT = "monitor.json", "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """What is bought each time, and how it is judged; as in `api.monitoring.MonitorRequest`."""

    epsilon: float
    delta: float
    tolerance: float = TOLERANCE
    false_alarms: float = FALSE_ALARMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What one more check would bring the population's total to, at the cap's delta, and whether it fits.

    The total is None where lists that were discovered used up the cap's delta.
    """

    total_after: float | None
    fits: bool


def set_monitor(desk: Desk, who: Principal, release: str, comparing: Comparing, days: int = DAYS) -> Monitor:
    """Have a release compared with new versions of its table, from now on; one that was paused goes on.

    Args:
        desk: where.
        who: a steward.
        release: one that is out.
        comparing: what is bought each time.
        days: that pass between two checks at least.

    Raises:
        ConflictError: it is not out.
        RequestError, ...: a figure is out of range.
    """
    check_rates(comparing.tolerance, comparing.false_alarms)
    if not 0 <= days <= MOST_DAYS:
        raise RequestError(
            f"The days between two checks are not between 0 and {MOST_DAYS}.",
            why="Every check is charged to the population.",
            fix=f"Leave them out, for {DAYS}.",
        )
    asked = asdict(comparing)
    with reading(desk.engine) as session:
        _, dataset = release_for(session, who, release, Action.MONITOR)
    _price(dataset, asked)
    with deciding(desk.engine) as session:
        found, dataset = release_for(session, who, release, Action.MONITOR)
        if found.state != ReleaseState.PUBLISHED:
            raise ConflictError(
                f"The release is {found.state}.",
                why="New versions are compared with a release that is out.",
                fix="Set it once the release is out.",
            )
        set_now = {"asked": asked, "days": days, "set_by": who.id, "set_at": now(), "problem": None}
        made = session.merge(Monitor(release=release, dataset=dataset.id, **set_now))
        record(session, who.id, "monitor set", release, **asked, days=days)
        return made


def end_monitor(desk: Desk, who: Principal, release: str) -> None:
    """Compare a release no more. A check that is under way goes on. Raises NotFoundError where there is no monitor."""
    with deciding(desk.engine) as session:
        release_for(session, who, release, Action.MONITOR)
        session.delete(_monitor(session, release))
        record(session, who.id, "monitor ended", release)


def monitor(desk: Desk, who: Principal, release: str) -> Monitor:
    """The monitor of a release. Raises NotFoundError."""
    with reading(desk.engine) as session:
        release_for(session, who, release, Action.SEE_FINDINGS)
        return _monitor(session, release)


def prospect(desk: Desk, who: Principal, release: str) -> Prospect:
    """What one more check would cost the population. Raises NotFoundError where there is no monitor."""
    with reading(desk.engine) as session:
        _, dataset = release_for(session, who, release, Action.SEE_FINDINGS)
        price = _price(dataset, _monitor(session, release).asked)
        after, fits = ledger_in(session).becomes(dataset.population, price.purchase.cost, price.claim)
        return Prospect(total_after=after if isfinite(after) else None, fits=fits)


def ask(desk: Desk, who: Principal, release: str) -> Check:
    """Have the version at hand compared now, however many days have passed; the same version again is the same check.

    Raises:
        NotFoundError: the release has no monitor.
        ConflictError: it is not out, or there is no new version.
        BudgetExceededError: the ledger refuses; nothing was read.
    """
    with reading(desk.engine) as session:
        _, dataset = release_for(session, who, release, Action.MONITOR)
        asked = _monitor(session, release).asked
    price = _price(dataset, asked)
    with deciding(desk.engine) as session:
        found, dataset = release_for(session, who, release, Action.MONITOR)
        if not is_newer(found, dataset):
            raise ConflictError(
                "There is no new version of the table to compare with.",
                why="It takes a release that is out, and a checked table that it was not made from.",
                fix="Upload the new version, and wait for its check.",
            )
        known = answered(_checks(session, release), dataset)
        return known or _ask(desk, session, asked, price, found, dataset, who.id)


def put_due(desk: Desk) -> list[str]:
    """Put a job for every release whose check has fallen due; their ids.

    Pricing a check may take longer than a worker may be silent, so it is for a job, and no lock is held meanwhile
    (`_price`). A job that came to nothing is put again in the next hour, or once the monitor is set anew.
    """
    with deciding(desk.engine) as session:
        due = [one for one in session.scalars(select(Monitor)) if _is_due(session, one)]
        for watching in due:
            dataset = session.get_one(Dataset, watching.dataset)
            occasion = digest_of(f"{watching.release} {dataset.table_name} {watching.set_at} {now()[:13]}")
            job = Job(ASK_JOB, id=f"ask-{occasion}", about=watching.release, queue=LIGHT, alone=dataset.population)
            desk.jobs.put(session.connection(), job)
        return [one.release for one in due]


def ask_due(desk: Desk, release: str) -> Check | None:
    """Ask for a release's check if it is due; where that is refused, its monitor is paused, and says why."""
    with reading(desk.engine) as session:
        watching = session.get(Monitor, release)
        if watching is None or not _is_due(session, watching):
            return None
        dataset, asked = session.get_one(Dataset, watching.dataset), watching.asked
    try:
        price = _price(dataset, asked)
        with deciding(desk.engine) as session:
            watching = session.get(Monitor, release)
            if watching is None or not _is_due(session, watching):  # no longer
                return None
            found, dataset = session.get_one(Release, release), session.get_one(Dataset, watching.dataset)
            return _ask(desk, session, asked, price, found, dataset, SERVICE)
    except ReleaseError as error:
        with deciding(desk.engine) as session:
            pause(desk, session, release, problem_of(error))
    return None


def pause(desk: Desk, session: Session, release: str, problem: dict[str, str]) -> None:
    """A monitor can go on no more by itself: it says why, and the stewards are told."""
    watching = session.get(Monitor, release)
    if watching is None or watching.problem is not None:
        return
    watching.problem = problem
    record(session, SERVICE, "monitor paused", release, code=problem["code"])
    tell_stewards(desk, session, release, "Its monitor is paused: no new version is compared until it is set anew.")


def tell_stewards(desk: Desk, session: Session, release: str, text: str) -> None:
    """Tell the stewards of a release's dataset something of its monitor: public facts alone."""
    dataset = session.get_one(Dataset, session.get_one(Release, release).dataset)
    people = holders(session, Role.STEWARD, dataset.id)
    tell(desk, session, people, release, f"Release {release} of '{dataset.title}': {text}")


def cancel(desk: Desk, who: Principal, release: str, check: str, reason: str) -> Check:
    """Stop a check: a queued one at once, a running one by its worker. A charge that was opened stands.

    Raises:
        NotFoundError: the release has no such check.
        ConflictError: it is over.
    """
    reason = sentence(reason, "reason")
    with deciding(desk.engine) as session:
        release_for(session, who, release, Action.MONITOR)
        found = _check(session, release, check)
        if found.state == CheckState.RUNNING:
            found.stop_asked = True
            record(session, who.id, "stop asked", release, check=check, reason=reason)
            return found
        found.state, found.ended_at = moved(CHECK, found.state, "cancel"), now()
        void_unopened(session, found.charge, reason)
        record(session, who.id, "check cancelled", release, check=check, reason=reason)
        return found


def checks(desk: Desk, who: Principal, release: str) -> list[Check]:
    """Every comparison of a release, the newest first. Raises NotFoundError."""
    with reading(desk.engine) as session:
        release_for(session, who, release, Action.SEE_FINDINGS)
        return _checks(session, release)


def check(desk: Desk, who: Principal, release: str, check: str) -> Check:
    """One comparison. Raises NotFoundError."""
    with reading(desk.engine) as session:
        release_for(session, who, release, Action.SEE_FINDINGS)
        return _check(session, release, check)


def facts(desk: Desk, who: Principal, release: str, check: str) -> dict[str, Any]:
    """What a comparison found, `monitor.json`. Raises NotFoundError where it is not done."""
    with file(desk, who, release, check, FACTS).stream as stream:
        found: dict[str, Any] = json.loads(stream.read())
    return found


def file(desk: Desk, who: Principal, release: str, check: str, name: str) -> File:
    """A file of a comparison that is done: `monitor.json`, `report.html` or the weights. Raises NotFoundError."""
    with reading(desk.engine) as session:
        release_for(session, who, release, Action.SEE_FINDINGS)
        found = _check(session, release, check)
    files, below = desk.vault.files, place(found)
    if found.state != CheckState.DONE or name not in files.names(below):
        raise not_found("file of this check")
    return File(name, files.size(f"{below}/{name}"), files.open(f"{below}/{name}"))


def place(check: Check) -> str:
    """Below which the result of a check lies in the store."""
    return f"checks/{check.release}/{check.id}"


def _price(dataset: Dataset, asked: dict[str, float]) -> PanelPrice:
    """What a check costs. It may take seconds, so it is asked for before a transaction that others wait for."""
    return priced(schema_of(dataset), asked["epsilon"], asked["delta"])


def _ask(
    desk: Desk,
    session: Session,
    asked: dict[str, float],
    price: PanelPrice,
    release: Release,
    dataset: Dataset,
    actor: str,
) -> Check:
    identity = new_id()
    charge = price.charge(ledger_in(session), identity, against(release.bundle))
    made = Check(
        id=identity,
        release=release.id,
        dataset=dataset.id,
        asked_by=actor,
        asked_at=now(),
        asked=asked,
        table_name=dataset.table_name,
        version=dataset.uploads,
        state=CheckState.QUEUED,
        charge=charge.id,
    )
    session.add(made)
    record(session, actor, "check asked", release.id, check=identity, charge=charge.id, version=dataset.uploads)
    job = Job(CHECK_JOB, id=job_of(identity), about=identity, queue=CPU, alone=dataset.population)
    desk.jobs.put(session.connection(), job)
    return made


def job_of(check: str) -> str:
    """Id of a check's job."""
    return f"check-{check}"


def _is_due(session: Session, watching: Monitor) -> bool:
    found, dataset = session.get_one(Release, watching.release), session.get_one(Dataset, watching.dataset)
    if watching.problem is not None or not is_newer(found, dataset):
        return False
    made = [one for one in _checks(session, watching.release) if one.state != CheckState.FAILED]
    long_ago = text_of(datetime.now(UTC) - timedelta(days=watching.days))
    return not any(one.table_name == dataset.table_name or one.asked_at > long_ago for one in made)


def is_newer(release: Release, dataset: Dataset) -> bool:
    """Whether a release is out and a table at hand that it was not made from."""
    ready = release.state == ReleaseState.PUBLISHED and dataset.state == DatasetState.READY
    return ready and dataset.table_name != release.table_name


def answered(made: Sequence[Check], dataset: Dataset) -> Check | None:
    """The check that compares the table at hand or did, if one of them does."""
    in_vain = (CheckState.FAILED, CheckState.CANCELLED)
    here = (one for one in made if one.table_name == dataset.table_name and one.state not in in_vain)
    return next(here, None)


def _monitor(session: Session, release: str) -> Monitor:
    found = session.get(Monitor, release)
    if found is None:
        raise not_found("monitor")
    return found


def _check(session: Session, release: str, check: str) -> Check:
    found = session.get(Check, check)
    if found is None or found.release != release:
        raise not_found("check")
    return found


def _checks(session: Session, release: str) -> list[Check]:
    return list(session.scalars(select(Check).where(Check.release == release).order_by(Check.id.desc())))

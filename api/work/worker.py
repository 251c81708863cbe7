"""A worker: holds a slot, takes jobs of its queues, beats, and sweeps up after dead ones."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from api.desk import checks
from api.desk.datasets import ERASE_JOB, INGEST_JOB, erase_due
from api.desk.desk import Desk
from api.desk.monitors import ASK_JOB, CHECK_JOB, ask_due, put_due
from api.desk.monitors import job_of as check_job_of
from api.desk.notices import NOTIFY_JOB
from api.desk.reaudits import REAUDIT_JOB, give_up
from api.desk.releases import expire_due
from api.desk.requests import RELEASE_JOB, job_of
from api.desk.room import DECIDE_JOB
from api.desk.runs import begin, cancelled, died_too_often, fail, over
from api.desk.states import AT_WORK
from api.log import Event, log
from api.service import close_desk, open_desk
from api.settings import Settings
from api.store.database import reading
from api.store.tables import Check, Dataset, Release
from api.work.checkpoints import checkpoint_if_due
from api.work.engine import Client, Task, launch, stop
from api.work.lease import Lease, beat, claim_dead, drop, leave, take
from api.work.notify import notify
from api.work.shelf import clear
from api.work.supervisor import in_child
from api.work.tables import erase, refuse

LEASE_LOST = 70
BEATS_A_LEASE = 4
DRAIN_SECONDS = 30


def work(settings: Settings, slot: str, queues: Sequence[str], ended: threading.Event) -> None:
    """Run jobs until the event is set.

    Raises:
        RequestError: another worker holds the slot.
    """
    desk = open_desk(settings, private=True)
    lease = take(desk, slot, tuple(queues))
    try:
        tidy(desk)
        launch(settings.database, slot, queues, tasks(desk, slot))
        log(Event.WORKER_STARTED, slot=slot, queues=":".join(queues))
        _watch(desk, lease, ended)
        stop(DRAIN_SECONDS)
        leave(desk, lease)
        log(Event.WORKER_STOPPED, slot=slot)
    finally:
        close_desk(desk)


def tasks(desk: Desk, slot: str) -> list[Task]:
    """Every kind of job, and what does it."""

    def release(about: str) -> None:
        run = begin(desk, about, slot)
        if run is not None and not in_child(desk, "release", about, run.number, lambda: over(desk, run)):
            cancelled(desk, run)

    def check(about: str) -> None:
        run = checks.begin(desk, about, slot)
        if run is not None and not in_child(desk, "check", about, run.number, lambda: checks.over(desk, run)):
            checks.cancelled(desk, run)

    def ask(about: str) -> None:
        ask_due(desk, about)

    def ingest_failed(about: str) -> None:
        with reading(desk.engine) as session:
            upload = session.get_one(Dataset, about).upload
        refuse(desk, about, upload, died_too_often())

    def ingest(about: str) -> None:
        in_child(desk, "ingest", about, 0, lambda: False)

    def reaudit(about: str) -> None:
        in_child(desk, "reaudit", about, 0, lambda: False)

    def decide(about: str) -> None:
        in_child(desk, "decide", about, 0, lambda: False)

    return [
        Task(RELEASE_JOB, release, lambda about: fail(desk, about, died_too_often())),
        Task(ASK_JOB, ask, lambda _: None),
        Task(CHECK_JOB, check, lambda about: checks.fail(desk, about, died_too_often())),
        Task(INGEST_JOB, ingest, ingest_failed),
        Task(DECIDE_JOB, decide, decide),
        Task(REAUDIT_JOB, reaudit, lambda about: give_up(desk, about)),
        Task(ERASE_JOB, lambda about: erase(desk, about), lambda about: erase(desk, about)),
        Task(NOTIFY_JOB, lambda about: notify(desk, about), lambda _: None),
    ]


def sweep(desk: Desk) -> list[str]:
    """Give the jobs of dead workers to the living, and do what has come due; the jobs."""
    given: list[str] = []
    if isinstance(desk.jobs, Client):
        for dead in claim_dead(desk):
            jobs = desk.jobs.requeue(dead.slot)
            drop(desk, dead, jobs)
            log(Event.WORKER_SWEPT, slot=dead.slot)
            given += jobs
        fail_lost(desk, desk.jobs)
    expire_due(desk)
    erase_due(desk)
    put_due(desk)
    return given


def fail_lost(desk: Desk, jobs: Client) -> list[str]:
    """Fail releases and checks whose job is over and left them at work, so that none waits for ever; their ids."""
    with reading(desk.engine) as session:
        releases = {job_of(one): one for one in session.scalars(select(Release.id).where(Release.state.in_(AT_WORK)))}
        compared = {check_job_of(one): one for one in session.scalars(select(Check.id).where(Check.state.in_(AT_WORK)))}
    at_work = releases | compared
    lost = jobs.ended(tuple(at_work)) if at_work else set()
    for job in lost:
        end = fail if job in releases else checks.fail
        end(desk, at_work[job], died_too_often())  # nothing, where it came to an end meanwhile
    return [at_work[job] for job in lost]


def tidy(desk: Desk) -> None:
    """Remove what runs of releases and checks that are no longer at work left on this machine."""
    with reading(desk.engine) as session:
        busy = {f"release-{one}" for one in session.scalars(select(Release.id).where(Release.state.in_(AT_WORK)))}
        busy |= {f"check-{one}" for one in session.scalars(select(Check.id).where(Check.state.in_(AT_WORK)))}
    for kind in ("release", "check"):
        for folder in desk.settings.work.glob(f"{kind}-*"):
            if folder.name not in busy:
                clear(folder)


def _watch(desk: Desk, lease: Lease, ended: threading.Event) -> None:
    """Beat and sweep until the event is set.

    Without a beat for a whole lease this process ends itself: others will take its jobs, and two must not do them.
    """
    seconds = desk.settings.lease_seconds
    last, checkpoint = time.monotonic(), 0
    while not ended.wait(seconds / BEATS_A_LEASE):
        try:
            if not beat(desk, lease):
                _end_at_once(lease)
            last = time.monotonic()
            sweep(desk)
            checkpoint = checkpoint_if_due(desk, checkpoint)
        except DBAPIError:  # it may come back within the lease
            log(Event.DATABASE_AWAY, slot=lease.slot)
        if time.monotonic() - last > seconds:
            _end_at_once(lease)


def _end_at_once(lease: Lease) -> None:
    """End this process where it is; its children end with it."""
    log(Event.LEASE_LOST, slot=lease.slot)
    os._exit(LEASE_LOST)

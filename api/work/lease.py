"""One worker a slot, and the jobs of dead ones given to the living.

A slot is a name that stays when its worker is started anew. Its lease is a row with a random token and the time of the
last beat. A second process that claims a living slot is refused: on the same machine by a file lock, which tells a dead
worker from a living one at once; elsewhere by waiting whether the row still beats. A worker that cannot beat for a
whole lease ends itself, and its children with it, before anybody takes it for dead.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from api.desk.desk import Desk
from api.desk.record import SERVICE, deciding, record
from api.store.database import reading, writing
from api.store.identity import new_token, now
from api.store.tables import Worker
from privacy.errors import RequestError

DEAD_AFTER = 2.0
"""Leases of silence after which a worker counts as dead: it has ended itself after one."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot that is held.

    Attributes:
        slot: its name.
        token: tells this process from another that claims it.
        lock: descriptor of the locked file; -1 for a dead worker's slot, which is claimed to be swept.
    """

    slot: str
    token: str
    lock: int = -1


def take(desk: Desk, slot: str, queues: tuple[str, ...]) -> Lease:
    """Take a slot.

    Raises:
        RequestError: another worker holds it.
    """
    lock = _lock_here(desk, slot)
    seconds = desk.settings.lease_seconds
    deadline = time.monotonic() + DEAD_AFTER * seconds
    while (beat := _beat_elsewhere(desk, slot)) is not None and time.time() - beat < DEAD_AFTER * seconds:
        if time.monotonic() > deadline or _moved(desk, slot, beat, seconds):
            os.close(lock)
            raise _taken(slot)
    lease = Lease(slot, new_token(), lock)
    with deciding(desk.engine) as session:
        session.execute(delete(Worker).where(Worker.slot == slot))
        worker = Worker(
            slot=slot, token=lease.token, queues=",".join(queues), host=_host(), started_at=now(), beat=time.time()
        )
        session.add(worker)
        record(session, SERVICE, "worker started", slot, queues=list(queues))
    return lease


def beat(desk: Desk, lease: Lease) -> bool:
    """Say that the worker lives; whether it still holds its slot."""
    with writing(desk.engine) as session:
        mine = update(Worker).where(Worker.slot == lease.slot, Worker.token == lease.token).values(beat=time.time())
        return _changed(session, mine)


def leave(desk: Desk, lease: Lease) -> None:
    """Give a slot back."""
    with deciding(desk.engine) as session:
        session.execute(delete(Worker).where(Worker.slot == lease.slot, Worker.token == lease.token))
        record(session, SERVICE, "worker stopped", lease.slot)
    os.close(lease.lock)


def claim_dead(desk: Desk) -> list[Lease]:
    """Claim every slot that fell silent, so that one sweeper alone gives its jobs away; `drop` them afterwards."""
    with writing(desk.engine) as session:
        silent = time.time() - DEAD_AFTER * desk.settings.lease_seconds
        claimed = []
        for dead in list(session.scalars(select(Worker).where(Worker.beat < silent))):
            mine = Lease(dead.slot, new_token())
            seen = Worker.slot == dead.slot, Worker.token == dead.token, Worker.beat == dead.beat
            if _changed(session, update(Worker).where(*seen).values(token=mine.token, beat=time.time())):
                claimed.append(mine)
        return claimed


def drop(desk: Desk, lease: Lease, jobs: list[str]) -> None:
    """Forget a dead worker whose jobs were given away."""
    with deciding(desk.engine) as session:
        session.execute(delete(Worker).where(Worker.slot == lease.slot, Worker.token == lease.token))
        record(session, SERVICE, "worker swept", lease.slot, jobs=jobs)


def _changed(session: Session, statement: object) -> bool:
    return session.connection().execute(statement).rowcount == 1  # type: ignore[call-overload,no-any-return]


def _lock_here(desk: Desk, slot: str) -> int:
    """Lock the slot's file, which holds until its descriptor is closed or the process ends. Raises RequestError."""
    desk.settings.work.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(desk.settings.work / f"slot-{slot}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise _taken(slot) from error
    return descriptor


def _beat_elsewhere(desk: Desk, slot: str) -> float | None:
    """Last beat of a worker of this slot on another machine; None where there is none."""
    with reading(desk.engine) as session:
        found = session.get(Worker, slot)
        return None if found is None or found.host == _host() else found.beat


def _moved(desk: Desk, slot: str, beat: float, seconds: float) -> bool:
    time.sleep(seconds / 4)
    later = _beat_elsewhere(desk, slot)
    return later is not None and later != beat


def _host() -> str:
    return socket.gethostname()


def _taken(slot: str) -> RequestError:
    return RequestError(
        f"The slot '{slot}' is held by another worker.",
        why="Two workers of one name would take each other's jobs for their own.",
        fix="Give this one another --slot, or stop the other first.",
    )

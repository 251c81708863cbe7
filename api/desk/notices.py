"""What somebody is to be told: a notice in the service, and a job that sends it by mail and webhook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.roles import Principal
from api.desk.desk import LIGHT, Desk, Job
from api.desk.errors import not_found
from api.desk.record import deciding
from api.store.database import reading
from api.store.identity import new_id, now
from api.store.tables import Notice

NOTIFY_JOB = "notify_v1"


def tell(desk: Desk, session: Session, people: Iterable[str], release: str, text: str) -> None:
    """Tell people something of a release, in the transaction of what they are told.

    Args:
        desk: where.
        session: of that transaction.
        people: their ids.
        release: what it is about.
        text: public facts alone: it leaves the installation.
    """
    for person in people:
        notice = Notice(id=new_id(), person=person, release=release, text=text, at=now())
        session.add(notice)
        session.flush()
        job = Job(NOTIFY_JOB, id=f"notify-{notice.id}", about=notice.id, queue=LIGHT, alone=notice.id)
        desk.jobs.put(session.connection(), job)


def notices(desk: Desk, who: Principal) -> Sequence[Notice]:
    """What somebody is to be told, the newest first."""
    with reading(desk.engine) as session:
        return list(session.scalars(select(Notice).where(Notice.person == who.id).order_by(Notice.id.desc())))


def see_notice(desk: Desk, who: Principal, notice: str) -> None:
    """Somebody has read a notice of theirs. Raises NotFoundError."""
    with deciding(desk.engine) as session:
        found = session.get(Notice, notice)
        if found is None or found.person != who.id:
            raise not_found("notice")
        found.seen_at = found.seen_at or now()

"""A service with something in it: people of every role, the demo table, a release that is out, one under review."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select

from api.access.persons import add_person, give_role, principal
from api.access.roles import Principal, Role
from api.demo import write_demo_table
from api.desk import datasets, releases, requests, room
from api.desk.desk import Desk
from api.desk.ordering import Asked
from api.desk.record import SERVICE, deciding, record
from api.desk.states import DatasetState, ReleaseState
from api.service import close_desk, open_desk
from api.settings import Settings
from api.store.database import reading
from api.store.tables import Person, Release

PEOPLE = {
    "steward": Role.STEWARD,
    "compliance": Role.COMPLIANCE,
    "compliance-2": Role.COMPLIANCE,
    "researcher": Role.RESEARCHER,
    "auditor": Role.AUDITOR,
    "admin": Role.ADMIN,
}
FIRST = Asked(synthesizer="mst", epsilon=3.0, delta=1e-6)
SECOND = Asked(synthesizer="mst", epsilon=1.0, delta=1e-6, rows=2000)


def demo_people(settings: Settings) -> str | None:
    """Enter the people of the demo, all with one new password; None where the installation has people already."""
    desk = open_desk(settings)
    try:
        with reading(desk.engine) as session:
            if session.scalar(select(func.count()).select_from(Person)):
                return None
        password = "-".join(secrets.token_hex(3) for _ in range(3))
        with deciding(desk.engine) as session:
            for name, role in PEOPLE.items():
                person = add_person(session, name, password)
                session.flush()
                give_role(session, person.id, role)
                record(session, SERVICE, "person added", person.id, role=str(role))
        return password
    finally:
        close_desk(desk)


def demo_releases(settings: Settings, told: Callable[[str], None], ended: threading.Event) -> None:
    """Register and upload the demo table, release it once, and leave a second release under review.

    Args:
        settings: of an installation with the people of the demo, whose worker runs.
        told: is told every step.
        ended: set when there is no more time.
    """
    desk = open_desk(settings)
    try:
        _story(desk, told, ended)
    finally:
        close_desk(desk)


def _story(desk: Desk, told: Callable[[str], None], ended: threading.Event) -> None:
    people = {name: _person(desk, name) for name in PEOPLE}
    told("registering and uploading the demo table")
    dataset = _dataset(desk, people["steward"])
    if not _until(lambda: datasets.dataset(desk, people["steward"], dataset).state == DatasetState.READY, ended):
        return
    told("training and auditing a release of it")
    words = {"policy": "internal", "recipient": "the methods group"}
    first = requests.request(desk, people["researcher"], dataset, FIRST, purpose="A course on survey methods.", **words)
    second = requests.request(desk, people["researcher"], dataset, SECOND, purpose="Trying out code.", **words)
    if not _until(lambda: _look(desk, people, first).state in (ReleaseState.REVIEW, ReleaseState.WITHHELD), ended):
        return
    told("approving it")
    for name in ("compliance", "compliance-2"):
        found = _look(desk, people, first)
        if found.state == ReleaseState.REVIEW:
            room.vote(desk, people[name], first.id, bundle=found.bundle, approve=True, reason="As the policy asks.")
    _until(lambda: _look(desk, people, first).state != ReleaseState.APPROVED, ended)
    if _until(lambda: _look(desk, people, second).state not in (ReleaseState.QUEUED, ReleaseState.RUNNING), ended):
        told("done: one release was decided on, another waits for it")


def _dataset(desk: Desk, steward: Principal) -> str:
    with tempfile.TemporaryDirectory() as folder:
        table, schema = write_demo_table(Path(folder))
        made = datasets.register(
            desk, steward, title="Redbook survey of 1974", schema=schema.read_text(), file_name=schema.name
        )
        with datasets.uploading(desk, steward, made.id, "csv") as writer, table.open("rb") as file:
            while block := file.read(1 << 16):
                writer.write(block)
    return made.id


def _person(desk: Desk, name: str) -> Principal:
    with reading(desk.engine) as session:
        found = principal(session, session.scalars(select(Person.id).where(Person.name == name)).one())
    if found is None:
        raise LookupError("a person of the demo was deactivated")
    return found


def _look(desk: Desk, people: dict[str, Principal], release: Release) -> Release:
    return releases.release(desk, people["steward"], release.id)


def _until(done: Callable[[], bool], ended: threading.Event) -> bool:
    while not done():
        if ended.wait(0.5):
            return False
    return True

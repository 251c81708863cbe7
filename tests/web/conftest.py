"""A service in this process: a database and a vault in a folder, a person of every role, and a client for each.

Jobs are done in this process too, when a test says so: what a worker does with them is tested in `tests.service`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Connection
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from api.access.keys import add_key
from api.access.passwords import hash_password
from api.access.persons import add_person, give_role
from api.access.roles import Role
from api.desk.checks import begin as begin_check
from api.desk.desk import Desk, Job
from api.desk.runs import begin
from api.settings import Settings
from api.store.database import connect, writing
from api.store.migrate import migrate
from api.vault.vault import open_vault
from api.web.app import create_app
from api.work.checking import check
from api.work.decisions import decide
from api.work.releasing import release
from api.work.tables import erase, ingest
from tests.end_to_end.scene import CLOSED, DOCUMENT, OPEN, REVIEWED, write_table
from tests.service.conftest import DATABASES, fresh_database

PASSWORD = "four random words here"  # noqa: S105
ORIGIN = "http://testserver"
RECIPE = {"synthesizer": "independent", "epsilon": 1.0, "delta": 1e-6, "policy": "open"}
WORDS = {"purpose": "to try it", "recipient": "the statistics department"}
PEOPLE = {**{str(role): role for role in Role}, "second": Role.COMPLIANCE, "stranger": Role.RESEARCHER}


@dataclass
class JobList:
    """Where a test looks for what was queued."""

    jobs: list[Job] = field(default_factory=list)

    def put(self, connection: Connection, job: Job) -> None:
        """Remember a job."""
        self.jobs.append(job)

    def waiting(self) -> dict[str, int]:
        """How many wait, by queue."""
        return dict(Counter(job.queue for job in self.jobs))


@dataclass(frozen=True)
class Service:
    """The app, its desk, and what tests do with them."""

    desk: Desk
    app: FastAPI
    people: dict[str, str]
    queue: JobList

    def browser(self) -> TestClient:
        """A browser that knows nobody."""
        headers = {"accept": "text/html", "origin": ORIGIN, "sec-fetch-site": "same-origin"}
        return TestClient(self.app, base_url=ORIGIN, headers=headers, follow_redirects=False)

    def signed_in(self, name: str) -> TestClient:
        """A browser after signing in, which sends the form token as htmx does."""
        client = self.browser()
        answer = client.post("/sign-in", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        client.headers["x-form-token"] = form_token(client)
        return client

    def program(self, name: str) -> TestClient:
        """A program with a key of a person."""
        with writing(self.desk.engine) as session:
            _, text = add_key(session, self.people[name], "tests", 1)
        return TestClient(self.app, base_url=ORIGIN, headers={"authorization": f"Bearer {text}"})

    def work(self) -> None:
        """Do every job that is queued."""
        doers: dict[str, Callable[[str], None]] = {
            "ingest_v1": lambda about: ingest(self.desk, about),
            "release_v1": self._release,
            "decide_v1": lambda about: decide(self.desk, about),
            "erase_v1": lambda about: erase(self.desk, about),
            "notify_v1": lambda _: None,
            "check_v1": self._check,
        }
        while self.queue.jobs:
            job = self.queue.jobs.pop(0)
            doers[job.kind](job.about)

    def _release(self, about: str) -> None:
        run = begin(self.desk, about, "this-process")
        if run is not None:
            release(self.desk, run)

    def _check(self, about: str) -> None:
        run = begin_check(self.desk, about, "this-process")
        if run is not None:
            check(self.desk, run)

    def registered(self, title: str = "A scene", population: str = "people-of-the-scene") -> str:
        """A dataset without a table; its id."""
        document = deepcopy(DOCUMENT)
        document["privacy"] |= {"population": population, "cap": {"epsilon": 10.0, "delta": 1e-4}}
        asked = {"title": title, "table_schema": json.dumps(document), "format": "json"}
        answer = self.program("steward").post("/v1/datasets", json=asked)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def ready(self, rows: int = 200, **about: str) -> str:
        """A dataset with its table; its id."""
        dataset = self.registered(**about)
        self.uploaded(dataset, rows)
        return dataset

    def uploaded(self, dataset: str, rows: int = 200) -> None:
        """Another version of a dataset's table, checked."""
        path = self.desk.settings.data.parent / "private.csv"
        write_table(path, rows)
        answer = self.program("steward").put(f"/v1/datasets/{dataset}/table?kind=csv", content=path.read_bytes())
        assert answer.status_code == 202, answer.text
        self.work()

    def compared(self, dataset: str, release: str) -> str:
        """A release with a monitor, compared with another version of its table; the check's id."""
        steward = self.program("steward")
        answer = steward.put(f"/v1/releases/{release}/monitor", json={"epsilon": 0.5, "delta": 1e-6})
        assert answer.status_code == 200, answer.text
        self.uploaded(dataset)
        answer = steward.post(f"/v1/releases/{release}/checks")
        assert answer.status_code == 202, answer.text
        self.work()
        return str(answer.json()["id"])

    def asked(self, dataset: str, by: str = "researcher", **changed: Any) -> str:
        """A release that was asked for; its id."""
        answer = self.program(by).post(f"/v1/datasets/{dataset}/releases", json=RECIPE | WORDS | changed)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def voted(self, release: str, by: str = "compliance", *, approve: bool = True) -> None:
        """Somebody's word on a release as it is."""
        client = self.program(by)
        bundle = client.get(f"/v1/releases/{release}").json()["bundle"]
        said = {"bundle": bundle, "approve": approve, "reason": "I looked at it."}
        answer = client.post(f"/v1/releases/{release}/votes", json=said)
        assert answer.status_code == 200, answer.text

    def published(self, dataset: str) -> str:
        """A release that is out; its id."""
        made = self.asked(dataset)
        self.work()
        self.voted(made)
        self.work()
        return made


def form_token(client: TestClient) -> str:
    """The token a page has in its forms."""
    found = re.search(r'name="form_token" value="([^"]+)"', client.get("/me").text)
    assert found is not None
    return found[1]


def make_service(folder: Path, **settings: Any) -> Service:
    """A service with a person of every role, and one without."""
    policies = folder / "policies"
    policies.mkdir()
    for name, rules in {"open": OPEN, "two": OPEN | {"approvers": 2}, "reviewed": REVIEWED, "closed": CLOSED}.items():
        (policies / f"{name}.yaml").write_text(json.dumps(rules | {"name": name}))
    chosen = Settings(data=folder / "service", policies=policies, **settings)
    engine = connect(chosen.database)
    migrate(engine)
    queue = JobList()
    desk = Desk(chosen, engine, open_vault(chosen, private=True), queue)
    people = {}
    with writing(engine) as session:
        for name, role in PEOPLE.items():
            people[name] = _entered(session, name)
            give_role(session, people[name], role)
        people["everything"] = _entered(session, "everything")
        for role in Role:
            give_role(session, people["everything"], role)
            session.flush()
        people["nobody"] = _entered(session, "nobody")
    return Service(desk, create_app(desk), people, queue)


def _entered(session: Session, name: str) -> str:
    person = add_person(session, name)
    person.password = _hashed()
    return person.id


@cache
def _hashed() -> str:
    """Of `PASSWORD`, once for all tests: argon2 takes its time on purpose."""
    return hash_password(PASSWORD)


@pytest.fixture(scope="module", autouse=True)
def _brief(brief_releases: None) -> None:
    """What is made here is looked at, not relied on."""


@pytest.fixture(params=DATABASES)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """One service a test."""
    with fresh_database(request.param) as url:
        made = make_service(tmp_path, database_url=url)
        yield made
        made.desk.engine.dispose()


@pytest.fixture(scope="module", params=DATABASES)
def open_house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One service for the tests of a file that only look: a released table that was compared, one under review."""
    with fresh_database(request.param) as url:
        service = make_service(tmp_path_factory.mktemp("house"), database_url=url)
        dataset = service.ready()
        published = service.published(dataset)
        reviewed = service.asked(dataset)
        service.work()
        yield House(service, dataset, published, reviewed, service.compared(dataset, published))
        service.desk.engine.dispose()


@dataclass(frozen=True)
class House:
    """A service with something in it."""

    service: Service
    dataset: str
    published: str
    reviewed: str
    check: str

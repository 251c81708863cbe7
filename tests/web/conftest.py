"""A service in this process: a database and a vault in a folder, a person of every role, and a client for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Connection
from starlette.testclient import TestClient

from api.access.keys import add_key
from api.access.persons import add_person, give_role
from api.access.roles import Role
from api.desk.desk import Desk, Job
from api.settings import Settings
from api.store.database import connect, writing
from api.store.migrate import migrate
from api.vault.vault import open_vault
from api.web.app import create_app

PASSWORD = "four random words here"  # noqa: S105
ORIGIN = "http://testserver"


@dataclass
class JobList:
    """Where a test looks for what was queued."""

    jobs: list[Job] = field(default_factory=list)

    def put(self, connection: Connection, job: Job) -> None:
        """Remember a job."""
        self.jobs.append(job)


@dataclass(frozen=True)
class Service:
    """The app, its desk, and what tests do with them."""

    desk: Desk
    app: FastAPI
    people: dict[str, str]

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


def form_token(client: TestClient) -> str:
    """The token a page has in its forms."""
    found = re.search(r'name="form_token" value="([^"]+)"', client.get("/me").text)
    assert found is not None
    return found[1]


def make_service(folder: Path, **settings: Any) -> Service:
    """A service with nobody in it but one person a role, and one without a role."""
    chosen = Settings(data=folder, **settings)
    engine = connect(chosen.database)
    migrate(engine)
    desk = Desk(chosen, engine, open_vault(chosen, private=True), JobList())
    people = {}
    with writing(engine) as session:
        for name in (*Role, "nobody"):
            person = add_person(session, str(name), PASSWORD)
            people[str(name)] = person.id
            if name != "nobody":
                give_role(session, person.id, Role(name))
    return Service(desk, create_app(desk), people)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """One service a test."""
    made = make_service(tmp_path)
    yield made
    made.desk.engine.dispose()


@pytest.fixture
def client_of(service: Service) -> Callable[[str], TestClient]:
    """A program's client of a person, by role."""
    return service.program

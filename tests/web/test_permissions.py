"""Every route by every role, against a table of its own (`permissions.txt`): what it does not allow is refused.

A route that is not in the table fails the test, and so does a line without a route.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from api.access.roles import MAY, Action, Role
from api.web import app as web
from api.web.app import create_app, routes
from tests.web.conftest import ORIGIN, House, Service

TABLE = Path(__file__).with_name("permissions.txt")
NOBODY_S = "0" * 28
LETTERS = {"S": "steward", "C": "compliance", "R": "researcher", "A": "auditor", "D": "admin"}


def _table() -> dict[tuple[str, str], frozenset[str] | None]:
    """Roles by method and path; None for everybody."""
    found: dict[tuple[str, str], frozenset[str] | None] = {}
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            letters, method, path = line.split()
            found[method, path] = None if letters == "everybody" else frozenset(LETTERS[c] for c in letters if c != ".")
    return found


def _routes() -> set[tuple[str, str]]:
    return {(method, route.path) for route in routes() for method in route.methods}


def _path(path: str) -> str:
    parts = [NOBODY_S if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


@pytest.fixture(scope="module")
def clients(open_house: House) -> dict[str, TestClient]:
    return {name: open_house.service.program(name) for name in (*Role, "nobody")}


def test_every_route_is_in_the_table() -> None:
    assert _routes() == set(_table())


@pytest.mark.parametrize(("method", "path"), sorted(_table()), ids=" ".join)
def test_who_may(clients: dict[str, TestClient], open_house: House, method: str, path: str) -> None:
    allowed = _table()[method, path]
    if allowed is None:
        return
    for name, client in clients.items():
        status = client.request(method, _path(path)).status_code
        assert (status == 403) == (name not in allowed), f"{name}: {status}"
        assert status not in (401, 500), f"{name}: {status}"
    stranger = TestClient(open_house.service.app, base_url=ORIGIN)
    assert stranger.request(method, _path(path)).status_code == 401
    browser = open_house.service.browser()
    answer = browser.request(method, _path(path))
    assert answer.status_code == (401 if path.startswith("/v1") else 303)


def test_every_action_is_in_the_table_of_permissions() -> None:
    assert set(MAY) == set(Action)


def test_a_role_for_one_dataset_is_none_for_another(service: Service) -> None:
    from api.access.persons import give_role, take_role
    from api.store.database import writing

    mine, other = service.ready(), service.registered(title="Another", population="others")
    with writing(service.desk.engine) as session:
        take_role(session, service.people["stranger"], Role.RESEARCHER)
        session.flush()
        give_role(session, service.people["stranger"], Role.RESEARCHER, mine)
    client = service.program("stranger")
    assert [one["id"] for one in client.get("/v1/datasets").json()["items"]] == [mine]
    assert client.get(f"/v1/datasets/{mine}").status_code == 200
    for path in ("", "/budget", "/mock"):
        assert client.get(f"/v1/datasets/{other}{path}").status_code == 404
    assert client.post("/v1/datasets", json={"title": "x", "table_schema": "{}"}).status_code == 403


def test_an_app_with_an_unguarded_route_is_not_built(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    careless = APIRouter()

    @careless.get("/v1/rows")
    def rows() -> str:
        return "every row"

    monkeypatch.setattr(web, "ROUTERS", (*web.ROUTERS, careless))
    with pytest.raises(RuntimeError, match="names no action"):
        create_app(service.desk)


def test_nothing_is_served_that_is_no_route_of_ours(service: Service) -> None:
    app: FastAPI = service.app
    ours = {route.path for route in routes()} | {"/static", "/openapi.json"}
    assert {path for route in app.routes if (path := getattr(route, "path", None))} <= ours

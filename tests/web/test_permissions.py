"""Every route by every role, against a table of its own (`permissions.txt`): what it does not allow is refused.

A route that is not in the table fails the test, and so does a line without a route. And an id is not a permission
(OWASP API1:2023): every route with an object in its address is tried by somebody with every role for another dataset.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from api.access.persons import add_person, give_role, take_role
from api.access.roles import MAY, Action, Role
from api.desk.releases import terms_digest
from api.store.database import writing
from api.web import app as web
from api.web.app import create_app, routes
from tests.service.conftest import database_text
from tests.web.conftest import ORIGIN, RECIPE, WORDS, House, Service

TABLE = Path(__file__).with_name("permissions.txt")
NOBODY_S = "0" * 28
LETTERS = {"S": "steward", "C": "compliance", "R": "researcher", "A": "auditor", "D": "admin"}

REASON = {"reason": "because"}
VOTE = {"bundle": "0" * 64, "reason": "because"}
SENT: dict[str, Any] = {
    "erasure": REASON,
    "cancellation": REASON,
    "withdrawal": REASON,
    "cap": {"epsilon": 50.0, "delta": 1e-4, **REASON},
    "quotes": RECIPE,
    "quote": RECIPE,
    "releases": RECIPE | WORDS,
    "acceptance": {"digest": terms_digest()},
    "terms": {"digest": terms_digest()},
    "end": {"at": "2030-01-01"},
    "monitor": {"epsilon": 0.5, "delta": 1e-6},
    "votes": VOTE | {"approve": True, "decision": "approve"},
}
"""What each route takes, by the end of its address; all of it well-formed, so that only the object is refused."""

OBJECT_ROUTES = sorted(
    (method, route.path)
    for route in routes()
    for method in route.methods
    if "{dataset}" in route.path or "{release}" in route.path
)


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


@pytest.fixture(scope="module")
def outsider(open_house: House) -> TestClient:
    service = open_house.service
    other = service.registered(title="Another", population="others")
    with writing(service.desk.engine) as session:
        service.people["outsider"] = add_person(session, "outsider").id
        for role in set(Role) - {Role.ADMIN}:
            session.flush()
            give_role(session, service.people["outsider"], role, other)
    return service.program("outsider")


@pytest.mark.parametrize(("method", "path"), OBJECT_ROUTES)
def test_nothing_of_another_dataset_is_there(open_house: House, outsider: TestClient, method: str, path: str) -> None:
    sent = SENT.get(path.rsplit("/", 1)[1], {})
    before = database_text(open_house.service.desk.engine)
    for release in (open_house.published, open_house.reviewed):
        address = path.replace("{name:path}", "README.txt").format(
            dataset=open_house.dataset, release=release, check=open_house.check, name="monitor.json"
        )
        if path.startswith("/v1"):
            said = {key: value for key, value in sent.items() if key != "decision"}
            body: dict[str, Any] = {"json": said} if method in ("POST", "PUT") and said else {}
        else:
            body = {"data": {key: value for key, value in sent.items() if key != "approve"}} if method == "POST" else {}
        if path.endswith("/table"):
            address, body = f"{address}?kind=csv", {"content": b"region\nn\n"}
        answer = outsider.request(method, address, **body)
        assert answer.status_code == 404, f"{answer.status_code} {answer.text}"
    assert database_text(open_house.service.desk.engine) == before


def test_nobody_reads_the_notice_of_another(open_house: House, outsider: TestClient) -> None:
    service = open_house.service
    researcher, steward = service.program("researcher"), service.program("steward")
    steward.post(f"/v1/releases/{open_house.published}/withdrawal", json=REASON)
    notice = researcher.get("/v1/me/notices").json()[0]["id"]
    assert outsider.post(f"/v1/me/notices/{notice}/reading").status_code == 404
    assert outsider.get("/v1/me/notices").json() == []
    assert researcher.get("/v1/me/notices").json()[0]["seen_at"] == ""

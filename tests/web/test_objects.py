"""An id is not a permission (OWASP API1:2023), by every route: somebody with every role, but for another dataset."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from api.access.persons import add_person, give_role
from api.access.roles import Role
from api.desk.releases import terms_digest
from api.store.database import writing
from api.web.app import routes
from tests.service.conftest import database_text
from tests.web.conftest import RECIPE, WORDS, House

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
    "votes": VOTE | {"approve": True, "decision": "approve"},
}
"""What each route takes, by the end of its address; all of it well-formed, so that only the object is refused."""

ROUTES = sorted(
    (method, route.path)
    for route in routes()
    for method in route.methods
    if "{dataset}" in route.path or "{release}" in route.path
)


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


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_of_another_dataset_is_there(open_house: House, outsider: TestClient, method: str, path: str) -> None:
    sent = SENT.get(path.rsplit("/", 1)[1], {})
    before = database_text(open_house.service.desk.engine)
    for release in (open_house.published, open_house.reviewed):
        address = path.replace("{name:path}", "README.txt").format(dataset=open_house.dataset, release=release)
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

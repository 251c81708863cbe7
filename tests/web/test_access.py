"""Who gets in, as whom, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from api.access.keys import add_key
from api.access.persons import deactivate, set_password
from api.access.roles import SCOPES, Action, Scope
from api.store.database import reading, writing
from api.store.identity import digest_of, text_of
from api.store.tables import Key, Login, Person
from tests.web.conftest import ORIGIN, PASSWORD, Service, form_token


def _cookie(client: TestClient) -> str:
    return client.cookies["tablegate"]


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(service: Service) -> None:
    answers = [
        service.browser().post("/sign-in", data={"name": name, "password": "not this one at all"})
        for name in ("steward", "stewarx")
    ]
    assert [a.status_code for a in answers] == [401, 401]
    assert answers[0].text.replace("steward", "stewarx") == answers[1].text
    assert "set-cookie" not in answers[0].headers


def test_signing_in_makes_a_new_token_and_ends_the_one_the_browser_came_with(service: Service) -> None:
    client = service.signed_in("steward")
    first = _cookie(client)
    client.post("/sign-in", data={"name": "steward", "password": PASSWORD})
    second = _cookie(client)
    assert first != second
    planted = service.browser()
    planted.cookies["tablegate"] = first
    assert planted.get("/me").status_code == 303
    with reading(service.desk.engine) as session:
        assert session.scalars(select(Login.digest)).all() == [digest_of(second)]


def test_a_planted_cookie_is_never_taken_over(service: Service) -> None:
    client = service.browser()
    client.cookies["tablegate"] = "planted-by-an-attacker"
    client.post("/sign-in", data={"name": "steward", "password": PASSWORD})
    attacker = service.browser()
    attacker.cookies["tablegate"] = "planted-by-an-attacker"
    assert attacker.get("/me").status_code == 303


def test_the_cookie_is_opaque_and_guarded(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.web.conftest import make_service

    service = make_service(tmp_path_factory.mktemp("https"), https=True)
    answer = service.browser().post("/sign-in", data={"name": "steward", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-tablegate=")
    for part in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie
    assert "max-age=31536000" in answer.headers["strict-transport-security"]
    service.desk.engine.dispose()


@pytest.mark.parametrize("column", ["seen_at", "expires_at"])
def test_a_session_ends_unused_and_in_any_case(service: Service, column: str) -> None:
    client = service.signed_in("steward")
    long_ago = text_of(datetime.now(UTC) - timedelta(days=1))
    with writing(service.desk.engine) as session:
        session.execute(update(Login).values({column: long_ago}))
    assert client.get("/me").headers["location"] == "/sign-in?next=%2Fme"


def test_use_keeps_a_session_alive(service: Service) -> None:
    client = service.signed_in("steward")
    before = text_of(datetime.now(UTC) - timedelta(minutes=5))
    with writing(service.desk.engine) as session:
        session.execute(update(Login).values(seen_at=before))
    assert client.get("/me").status_code == 200
    with reading(service.desk.engine) as session:
        assert session.scalars(select(Login.seen_at)).one() > before


def test_signing_out_ends_the_session_on_the_server(service: Service) -> None:
    client = service.signed_in("steward")
    token = _cookie(client)
    assert client.post("/sign-out").status_code == 303
    thief = service.browser()
    thief.cookies["tablegate"] = token
    assert thief.get("/me").status_code == 303


def test_another_password_and_deactivation_end_sessions_and_keys(service: Service) -> None:
    browser, program = service.signed_in("researcher"), service.program("researcher")
    with writing(service.desk.engine) as session:
        set_password(session, service.people["researcher"], "another four random words")
    assert browser.get("/me").status_code == 303
    assert program.get("/v1/me").status_code == 200
    with writing(service.desk.engine) as session:
        deactivate(session, service.people["researcher"])
    assert program.get("/v1/me").status_code == 401
    again = service.browser().post("/sign-in", data={"name": "researcher", "password": "another four random words"})
    assert again.status_code == 401


def test_a_key_is_stored_as_a_digest_and_shown_once(service: Service) -> None:
    client = service.program("steward")
    made = client.post("/v1/me/keys", json={"label": "nightly", "days": 3}).json()
    assert made["key"].startswith(f"tg_{made['id']}.")
    with reading(service.desk.engine) as session:
        stored = session.get_one(Key, made["id"])
        assert made["key"].split(".")[1] not in vars(stored).values()
    assert all("key" not in one for one in client.get("/v1/me/keys").json())


def test_keys_of_others_revoked_expired_or_mangled_open_nothing(service: Service) -> None:
    with writing(service.desk.engine) as session:
        key, text = add_key(session, service.people["steward"], "tests", 1)

    def status(text: str) -> int:
        client = TestClient(service.app, base_url=ORIGIN)
        return client.get("/v1/me", headers={"authorization": f"Bearer {text}"}).status_code

    assert status(text) == 200
    assert status(text[:-1] + ("A" if text[-1] != "A" else "B")) == 401
    assert status("") == status("tg_") == status(text + "x") == status("tg_" + "0" * 28 + text[31:]) == 401
    assert service.program("auditor").delete(f"/v1/me/keys/{key.id}").status_code == 422
    assert status(text) == 200
    with writing(service.desk.engine) as session:
        session.execute(update(Key).values(expires_at=text_of(datetime.now(UTC) - timedelta(seconds=5))))
    assert status(text) == 401


def test_a_revoked_key_opens_nothing(service: Service) -> None:
    client = service.program("steward")
    key = client.get("/v1/me/keys").json()[0]["id"]
    assert client.delete(f"/v1/me/keys/{key}").status_code == 204
    assert client.get("/v1/me").status_code == 401


def test_passwords_are_argon2_and_not_short(service: Service) -> None:
    with reading(service.desk.engine) as session:
        assert all(hash.startswith("$argon2id$") for hash in session.scalars(select(Person.password)))
    answer = service.program("admin").post("/v1/people", json={"name": "new", "password": "short"})
    assert answer.status_code == 422
    assert "12 to 512" in answer.json()["what"]


def test_guessing_a_password_is_slowed_down(service: Service) -> None:
    client = service.browser()
    statuses = [client.post("/sign-in", data={"name": "steward", "password": "x" * 12}).status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    again = client.post("/sign-in", data={"name": "steward", "password": PASSWORD})
    assert again.status_code == 429
    assert int(again.headers["retry-after"]) >= 1


class TestForgedRequests:
    """What another site makes a signed-in browser send is refused."""

    def _forged(self, service: Service, headers: dict[str, str], token: str | None = None) -> int:
        client = service.signed_in("steward")
        proper = client.headers.pop("x-form-token")
        for name in ("origin", "sec-fetch-site"):
            client.headers.pop(name)
        data = {"label": "x", "days": "3", "form_token": proper if token is None else token}
        return client.post("/me/keys", data=data, headers=headers).status_code

    def test_our_own_page_may(self, service: Service) -> None:
        assert self._forged(service, {"origin": ORIGIN, "sec-fetch-site": "same-origin"}) == 200

    def test_without_the_token(self, service: Service) -> None:
        assert self._forged(service, {"origin": ORIGIN}, token="") == 403

    def test_with_a_wrong_token(self, service: Service) -> None:
        assert self._forged(service, {"origin": ORIGIN}, token="ü-wrong") == 403  # noqa: S106

    @pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
    def test_from_another_site_even_with_the_token(self, service: Service, site: str) -> None:
        assert self._forged(service, {"sec-fetch-site": site}) == 403

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://testserver.evil.example"])
    def test_from_another_origin_even_with_the_token(self, service: Service, origin: str) -> None:
        assert self._forged(service, {"origin": origin}) == 403

    def test_the_token_of_somebody_else(self, service: Service) -> None:
        other = form_token(service.signed_in("researcher"))
        assert self._forged(service, {"origin": ORIGIN}, token=other) == 403

    def test_signing_in_from_elsewhere(self, service: Service) -> None:
        client = service.browser()
        form = {"name": "steward", "password": PASSWORD}
        answer = client.post("/sign-in", data=form, headers={"origin": "http://evil.example"})
        assert answer.status_code == 403
        assert not client.cookies

    def test_a_key_beats_a_cookie_and_needs_no_token(self, service: Service) -> None:
        client = service.signed_in("steward")
        del client.headers["x-form-token"]
        client.headers["authorization"] = "Bearer tg_nonsense"
        assert client.get("/v1/me").status_code == 401


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\nb"]
)
def test_signing_in_leads_nowhere_else(service: Service, target: str) -> None:
    answer = service.browser().post("/sign-in", data={"name": "steward", "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/"


def test_a_limited_key_may_what_its_scopes_say_and_makes_no_other(service: Service) -> None:
    """Even in the hands of somebody with every role, and a scope gives no role."""
    dataset = service.registered()
    full = service.program("everything")

    def limited(by: TestClient, *scopes: str) -> TestClient:
        made = by.post("/v1/me/keys", json={"label": "nightly", "days": 3, "scopes": list(scopes)}).json()
        assert made["scopes"] == sorted(scopes)
        return TestClient(service.app, base_url=ORIGIN, headers={"authorization": f"Bearer {made['key']}"})

    reading_one = limited(full, "read")
    assert reading_one.get(f"/v1/datasets/{dataset}").status_code == 200
    assert reading_one.get("/v1/records").status_code == 200
    for method, path in (
        ("POST", f"/v1/datasets/{dataset}/releases"), ("PUT", f"/v1/datasets/{dataset}/table"), ("GET", "/v1/people"),
        ("POST", "/v1/me/keys"), ("GET", "/metrics"),
    ):  # fmt: skip
        refused = reading_one.request(method, path)
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden"), path
    scraping = limited(full, "metrics")
    assert scraping.get("/metrics").status_code == 200
    assert scraping.get("/v1/datasets").status_code == 403
    both = limited(full, "metrics", "people")
    assert (both.get("/metrics").status_code, both.get("/v1/people").status_code) == (200, 200)
    assert limited(service.program("researcher"), "people").get("/v1/people").status_code == 403
    assert full.post("/v1/me/keys", json={"label": "x", "days": 3, "scopes": ["all"]}).status_code == 422


def test_every_action_is_in_a_scope_but_the_making_of_keys() -> None:
    assert set(Action) - set().union(*SCOPES.values()) == {Action.MANAGE_KEYS}
    assert set(SCOPES) == set(Scope)

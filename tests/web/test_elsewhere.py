"""Signing in with an identity provider: a real one that runs beside the test, and one that lies in every way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from pydantic import ValidationError
from sqlalchemy import select, update
from starlette.testclient import TestClient

from api.access.persons import add_person, deactivate
from api.settings import Settings
from api.store.database import reading, writing
from api.store.identity import text_of
from api.store.tables import Errand, Identity, Login
from api.web.app import create_app
from tests.web.conftest import PASSWORD, Service, make_service

PUBLIC = "https://tablegate.example"
CLIENT = {"public_url": PUBLIC, "oidc_client_id": "tablegate", "oidc_client_secret": "s3cret"}
PEOPLE = (
    {"sub": "77", "email": "ann@example.org", "email_verified": True},
    {"sub": "78", "email": "bob@example.org", "email_verified": False},
    {"sub": "79", "email": "cleo@example.org", "email_verified": True},
    {"sub": "80", "email": "steward", "email_verified": True},
    {"sub": "81", "email": "ann@example.org", "email_verified": True},
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """An OpenID provider in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce"]
    for person in PEOPLE:
        command += ["--user-claims", json.dumps(person)]
    provider = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    try:
        while True:
            assert provider.poll() is None
            assert time.monotonic() < deadline
            try:
                httpx2.get(f"{address}/.well-known/openid-configuration")
                break
            except httpx2.TransportError:
                time.sleep(0.1)
        yield address
    finally:
        provider.terminate()
        provider.wait(10)


@pytest.fixture
def service(tmp_path: Path, issuer: str) -> Iterator[Service]:
    made = make_service(tmp_path, oidc_issuer=issuer, **CLIENT)
    with writing(made.desk.engine) as session:
        for name in ("ann@example.org", "bob@example.org"):
            made.people[name] = add_person(session, name).id
    yield made
    made.desk.engine.dispose()


def sent(browser: TestClient, target: str = "/me") -> str:
    """Go to the provider; the address."""
    answer = browser.get("/sign-in/elsewhere", params={"next": target})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def agreed(address: str, subject: str) -> str:
    """Say to the provider who one is; the path it sends the browser back to."""
    answer = httpx2.post(address, data={"sub": subject})
    assert answer.status_code == 302, answer.text
    back = str(answer.headers["location"])
    assert back.startswith(f"{PUBLIC}/sign-in/answer?")
    return back.removeprefix(PUBLIC)


def test_somebody_an_administrator_entered_signs_in(service: Service) -> None:
    browser = service.browser()
    assert "/sign-in/elsewhere?next=" in browser.get("/sign-in?next=/me").text
    back = browser.get(agreed(sent(browser), "77"))
    assert (back.status_code, back.headers["location"]) == (303, "/me")
    assert "ann@example.org" in browser.get("/me").text
    with reading(service.desk.engine) as session:
        assert session.scalars(select(Identity.person)).all() == [service.people["ann@example.org"]]
        assert session.scalars(select(Errand)).all() == []
    assert set(browser.cookies) == {"tablegate"}


@pytest.mark.parametrize(
    ("subject", "why"),
    [("78", "an address nobody verified"), ("79", "nobody entered them"), ("80", "a local account of this name")],
)
def test_who_was_not_entered_stays_outside(service: Service, subject: str, why: str) -> None:
    browser = service.browser()
    answer = browser.get(agreed(sent(browser), subject))
    assert (answer.status_code, "nobody entered you here" in answer.text) == (401, True), why
    assert browser.get("/me").status_code == 303
    with reading(service.desk.engine) as session:
        assert session.scalars(select(Identity)).all() == []


def test_an_identity_stays_with_its_person_and_nobody_else_gets_in_by_their_address(service: Service) -> None:
    for _ in range(2):
        browser = service.browser()
        assert browser.get(agreed(sent(browser), "77")).status_code == 303
    impostor = service.browser()
    assert impostor.get(agreed(sent(impostor), "81")).status_code == 401
    with writing(service.desk.engine) as session:
        deactivate(session, service.people["ann@example.org"])
    again = service.browser()
    assert again.get(agreed(sent(again), "77")).status_code == 401


def test_an_answer_counts_once_in_the_browser_that_asked_and_in_time(service: Service) -> None:
    browser, other = service.browser(), service.browser()
    back = agreed(sent(browser), "77")
    assert other.get(back).status_code == 401  # of somebody who was sent a link
    planted = agreed(sent(other), "77")
    assert browser.get(planted).status_code == 401  # an attacker's answer in the victim's browser, and it ends hers
    assert browser.get(back).status_code == 401
    late = service.browser()
    back = agreed(sent(late), "77")
    with writing(service.desk.engine) as session:
        session.execute(update(Errand).values(expires_at=text_of(datetime.now(UTC) - timedelta(seconds=1))))
    assert late.get(back).status_code == 401
    denied = service.browser()
    sent(denied)
    assert denied.get("/sign-in/answer?error=access_denied&state=x").status_code == 401


def test_a_session_from_elsewhere_takes_over_no_other(service: Service) -> None:
    browser = service.browser()
    browser.post("/sign-in", data={"name": "steward", "password": PASSWORD})
    first = browser.cookies["tablegate"]
    browser.get(agreed(sent(browser), "77"))
    assert browser.cookies["tablegate"] != first
    with reading(service.desk.engine) as session:
        assert session.scalars(select(Login.person)).all() == [service.people["ann@example.org"]]


def test_where_a_browser_goes_on_to_is_within_the_service(service: Service) -> None:
    browser = service.browser()
    back = browser.get(agreed(sent(browser, "https://evil.example/"), "77"))
    assert back.headers["location"] == "/"


def test_there_is_no_other_door_unless_one_is_configured(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    browser = service.browser()
    assert browser.get("/sign-in/elsewhere").status_code == 404
    assert browser.get("/sign-in/answer?state=a&code=b").status_code == 404
    assert "elsewhere" not in browser.get("/sign-in").text
    service.desk.engine.dispose()


@pytest.mark.parametrize(
    "told",
    [{"oidc_issuer": "https://idp.example"}, {"oidc_issuer": "http://idp.example", **CLIENT},
     {"oidc_issuer": "https://idp.example", **CLIENT, "public_url": "http://tablegate.example"}],
)  # fmt: skip
def test_half_a_provider_or_an_open_way_to_it_is_refused(tmp_path: Path, told: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings(data=tmp_path, **told)  # type: ignore[arg-type]


@dataclass
class Liar:
    """A provider whose every answer a test may change."""

    issuer: str
    key: RSAKey
    nonce: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    token: Callable[[Liar], str] = field(default=lambda liar: liar.signed())

    def signed(self, key: RSAKey | None = None) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "tablegate", "sub": "77", "iat": now, "exp": now + 60, "nonce": self.nonce,
                  "email": "ann@example.org", "email_verified": True} | self.claims  # fmt: skip
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "RS256"}, kept, key or self.key)

    def answer(self, path: str) -> dict[str, Any]:
        if path.startswith("/.well-known"):
            places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
            return {"issuer": self.issuer, **{k: f"{self.issuer}/{v}" for k, v in places.items()}} | self.metadata
        if path == "/jwks":
            return {"keys": [self.key.as_dict(private=False)]}
        return {"access_token": "a", "token_type": "Bearer", "id_token": self.token(self)}


@pytest.fixture
def liar() -> Iterator[Liar]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(made.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            made.asked = {name: values[0] for name, values in parse_qs(body).items()}
            self.do_GET()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Liar(f"http://127.0.0.1:{server.server_address[1]}", RSAKey.generate_key(2048, {"kid": "one"}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


SHARED = encoded(b'{"alg":"HS256"}')


def confused(liar: Liar) -> str:
    """Signed with a secret that both sides know: the provider's public key (RFC 8725, section 2.1)."""
    body = f"{SHARED}.{liar.signed().split('.')[1]}"
    return f"{body}.{encoded(hmac.digest(liar.key.as_pem(private=False), body.encode(), 'sha256'))}"


OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one"})
UNSIGNED = encoded(b'{"alg":"none"}')
LIES: dict[str, Callable[[Liar], None]] = {
    "of another issuer": lambda liar: liar.claims.update(iss="https://evil.example"),
    "for another service": lambda liar: liar.claims.update(aud="another"),
    "for two services, given to the other": lambda liar: liar.claims.update(aud=["tablegate", "b"], azp="b"),
    "of another errand": lambda liar: liar.claims.update(nonce="another"),
    "of no errand": lambda liar: liar.claims.update(nonce=None),
    "of yesterday": lambda liar: liar.claims.update(exp=int(time.time()) - 3600),
    "without an end": lambda liar: liar.claims.update(exp=None),
    "of nobody": lambda liar: liar.claims.update(sub=None),
    "signed by another key": lambda liar: setattr(liar, "token", lambda liar: liar.signed(OTHER_KEY)),
    "signed with the public key": lambda liar: setattr(liar, "token", confused),
    "not signed": lambda liar: setattr(
        liar, "token", lambda liar: f"{UNSIGNED}.{liar.signed().split('.')[1]}."
    ),
    "no token": lambda liar: setattr(liar, "token", lambda _: ""),
    "metadata of another": lambda liar: liar.metadata.update(issuer="https://evil.example"),
    "an open way": lambda liar: liar.metadata.update({"token_endpoint": "http://192.0.2.1/token"}),
}  # fmt: skip


@pytest.fixture
def deceived(tmp_path: Path, liar: Liar) -> Iterator[Service]:
    made = make_service(tmp_path, oidc_issuer=liar.issuer, **CLIENT)
    with writing(made.desk.engine) as session:
        add_person(session, "ann@example.org")
    yield made
    made.desk.engine.dispose()


def returned(browser: TestClient, liar: Liar, further: str = "") -> int:
    """Sign in with a code of the liar's; the answer's status."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(sent(browser)).query).items()}
    liar.nonce, liar.asked = asked["nonce"], {}
    status = browser.get(f"/sign-in/answer?code=c&state={asked['state']}{further}").status_code
    if liar.asked:  # RFC 7636: the challenge went with the browser, the verifier from here
        digest = hashlib.sha256(liar.asked["code_verifier"].encode()).digest()
        assert (asked["code_challenge_method"], liar.asked["redirect_uri"]) == ("S256", f"{PUBLIC}/sign-in/answer")
        assert asked["code_challenge"] == encoded(digest)
    return status


def test_only_a_fitting_answer_is_believed(deceived: Service, liar: Liar) -> None:
    create_app(deceived.desk)  # nothing is asked of the provider when the service starts
    assert liar.asked == {}
    assert returned(deceived.browser(), liar) == 303
    for lie, tell in LIES.items():
        liar.claims, liar.metadata, liar.token = {}, {}, Liar.signed
        browser = deceived.browser()
        if lie == "metadata of another":
            tell(liar)
            assert browser.get("/sign-in/elsewhere").status_code == 502
            continue
        tell(liar)
        assert returned(browser, liar) == 502, lie
        assert browser.get("/me").status_code == 303, lie


def test_an_answer_that_names_another_issuer_is_not_believed(deceived: Service, liar: Liar) -> None:
    assert returned(deceived.browser(), liar, "&iss=https%3A%2F%2Fevil.example") == 502
    liar.metadata["authorization_response_iss_parameter_supported"] = True
    assert returned(deceived.browser(), liar) == 502
    assert returned(deceived.browser(), liar, f"&iss={liar.issuer}") == 303

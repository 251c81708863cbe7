"""What somebody tries who should not: other people's objects, forged headers, bombs, paths, formulas, and canaries."""

from __future__ import annotations

import gzip
import html
import json
import logging
from collections.abc import Iterator
from fractions import Fraction

import pytest
from starlette.testclient import TestClient

from api.web.guards import MAX_BODY_BYTES
from tests.end_to_end.scene import CANARY, write_table
from tests.service.conftest import database_text
from tests.web.conftest import ORIGIN, RECIPE, WORDS, House, Service, make_service


class TestOtherPeoplesObjects:
    """An id is not a permission: a researcher with no role for a dataset finds nothing of it, whatever they name."""

    @pytest.fixture(scope="class")
    def outsider(self, open_house: House) -> TestClient:
        return open_house.service.program("nobody")

    def test_a_release_of_somebody_else_is_not_there(self, open_house: House) -> None:
        stranger = open_house.service.program("stranger")
        for tail in ("", "/events", "/card", "/files", "/terms"):
            assert stranger.get(f"/v1/releases/{open_house.reviewed}{tail}").status_code in (403, 404)
        listed = [one["id"] for one in stranger.get("/v1/releases").json()["items"]]
        assert listed == [open_house.published]
        stopped = stranger.post(f"/v1/releases/{open_house.reviewed}/cancellation", json={"reason": "mine now"})
        assert stopped.status_code == 403
        page = open_house.service.signed_in("stranger").get(f"/releases/{open_house.reviewed}")
        assert page.status_code == 404

    def test_nobody_marks_the_notice_or_ends_the_key_of_another(self, open_house: House) -> None:
        steward, other = open_house.service.program("steward"), open_house.service.program("stranger")
        key = steward.post("/v1/me/keys", json={"label": "mine", "days": 1}).json()["id"]
        assert other.delete(f"/v1/me/keys/{key}").status_code == 422
        assert not next(one for one in steward.get("/v1/me/keys").json() if one["id"] == key)["revoked_at"]

    def test_nobody_decides_on_their_own_request(self, service: Service) -> None:
        from api.access.persons import give_role
        from api.access.roles import Role
        from api.store.database import writing

        with writing(service.desk.engine) as session:
            give_role(session, service.people["researcher"], Role.COMPLIANCE)
        release = service.asked(service.ready())
        service.work()
        client = service.program("researcher")
        bundle = client.get(f"/v1/releases/{release}").json()["bundle"]
        said = {"bundle": bundle, "approve": True, "reason": "I want it."}
        answer = client.post(f"/v1/releases/{release}/votes", json=said)
        assert (answer.status_code, answer.json()["what"]) == (403, "You may not decide on a release you asked for.")
        assert "somebody else decides" in service.signed_in("researcher").get(f"/releases/{release}/review").text

    def test_two_different_people_and_a_vote_on_this_very_bundle(self, service: Service) -> None:
        release = service.asked(service.ready(), policy="two")
        service.work()
        client = service.program("compliance")
        stale = {"bundle": "0" * 64, "approve": True, "reason": "Seen."}
        assert client.post(f"/v1/releases/{release}/votes", json=stale).status_code == 409
        service.voted(release)
        assert client.get(f"/v1/releases/{release}").json()["state"] == "review"
        second = service.program("second")
        assert second.get(f"/v1/releases/{release}/votes").json() == []
        twice = {"bundle": client.get(f"/v1/releases/{release}").json()["bundle"], "approve": True, "reason": "Again."}
        assert client.post(f"/v1/releases/{release}/votes", json=twice).status_code == 409
        service.voted(release, "second")
        assert client.get(f"/v1/releases/{release}").json()["state"] == "approved"


class TestBodies:
    """What is too large or of a wrong kind is refused unread."""

    def test_a_compressed_body_is_not_unpacked(self, open_house: House) -> None:
        client = open_house.service.program("steward")
        body = gzip.compress(b"0" * 50_000_000)
        answer = client.post("/v1/datasets", content=body, headers={"content-encoding": "gzip"})
        assert answer.status_code == 415

    def test_a_multipart_body_never_reaches_a_disk(self, open_house: House) -> None:
        client = open_house.service.program("steward")
        answer = client.post("/v1/datasets", files={"file": b"x" * 2_000_000})
        assert answer.status_code == 415

    def test_a_body_that_says_it_is_too_large(self, open_house: House) -> None:
        answer = open_house.service.program("steward").post("/v1/datasets", content=b"0" * (MAX_BODY_BYTES + 1))
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"

    def test_a_body_that_does_not_say_how_large_it_is(self, open_house: House) -> None:
        def endless() -> Iterator[bytes]:
            for _ in range(40):
                yield b"0" * 100_000

        answer = open_house.service.program("steward").post("/v1/datasets", content=endless())
        assert answer.status_code == 413

    @pytest.mark.parametrize("length", ["-1", "1e9", "9" * 40, "0x10"])
    def test_a_length_that_is_none(self, open_house: House, length: str) -> None:
        client = open_house.service.program("steward")
        answer = client.post("/v1/datasets", content=b"{}", headers={"content-length": length})
        assert answer.status_code == 413

    def test_a_table_beyond_the_limit_leaves_nothing(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        service = make_service(tmp_path_factory.mktemp("small"), max_upload_bytes=100_000)
        dataset = service.registered()

        def endless() -> Iterator[bytes]:
            for _ in range(1000):
                yield b"0" * 1_000

        answer = service.program("steward").put(f"/v1/datasets/{dataset}/table?kind=csv", content=endless())
        assert answer.status_code == 413
        assert service.program("steward").get(f"/v1/datasets/{dataset}").json()["state"] == "registered"
        assert [path for path in service.desk.settings.data.rglob("uploads/**/*") if path.is_file()] == []
        service.desk.engine.dispose()

    def test_a_bomb_in_a_gz_file_is_refused_by_the_check(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        service = make_service(tmp_path_factory.mktemp("bomb"), max_upload_bytes=1_000_000)
        dataset = service.registered()
        bomb = gzip.compress(b"region,note,age,income,approved\n" + b"n,,30,1,true\n" * 8_000_000, 9)
        assert len(bomb) < 1_000_000
        client = service.program("steward")
        assert client.put(f"/v1/datasets/{dataset}/table?kind=csv.gz", content=bomb).status_code == 202
        service.work()
        found = client.get(f"/v1/datasets/{dataset}").json()
        assert found["state"] == "refused"
        assert {"what", "why", "fix"} <= set(found["problem"])
        service.desk.engine.dispose()

    @pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
    def test_what_is_no_table_is_refused_and_not_kept(self, service: Service, kind: str) -> None:
        dataset, client = service.registered(), service.program("steward")
        for content in (b"", b"PAR1", b"\x1f\x8b", b"\x00" * 100, b"a,b\n1,2\n", b"\xff\xfe\x00"):
            assert client.put(f"/v1/datasets/{dataset}/table?kind={kind}", content=content).status_code == 202
            service.work()
            found = client.get(f"/v1/datasets/{dataset}").json()
            assert found["state"] == "refused", content
            assert {"what", "why", "fix"} <= set(found["problem"])
        assert [path for path in service.desk.settings.data.rglob("uploads/**/*") if path.is_file()] == []


class TestHeaders:
    """What leaves carries the headers browsers need, and headers that come in decide nothing."""

    @pytest.mark.parametrize("path", ["/", "/sign-in", "/v1/me", "/static/app.css", "/nowhere", "/healthz"])
    def test_every_answer_is_guarded(self, open_house: House, path: str) -> None:
        headers = open_house.service.browser().get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert "unsafe-eval" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"

    def test_forwarded_headers_and_method_overrides_are_not_believed(self, open_house: House) -> None:
        client = open_house.service.program("researcher")
        forged = {"x-forwarded-user": "admin", "x-original-url": "/v1/people", "x-http-method-override": "DELETE"}
        assert client.get("/v1/people", headers=forged).status_code == 403
        assert client.get("/v1/me", headers=forged).json()["name"] == "researcher"

    def test_a_header_cannot_be_smuggled_through_a_file_name(self, open_house: House) -> None:
        client = open_house.service.program("researcher")
        answer = client.get(f"/v1/releases/{open_house.published}/files/x%0d%0aSet-Cookie:%20a=b")
        assert answer.status_code == 404
        assert "set-cookie" not in answer.headers

    def test_a_report_has_no_rights_of_our_pages(self, open_house: House) -> None:
        for name, path in (("researcher", "report"), ("compliance", "findings")):
            release = open_house.published if path == "report" else open_house.reviewed
            headers = open_house.service.signed_in(name).get(f"/releases/{release}/{path}").headers
            assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")

    @pytest.mark.parametrize("path", ["/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "//etc/passwd"])
    def test_static_files_are_those_of_their_folder(self, open_house: House, path: str) -> None:
        assert open_house.service.browser().get(f"/static{path}").status_code in (404, 405)


class TestPages:
    """What people write is shown as they wrote it, and never as markup."""

    EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"

    def test_texts_are_escaped_everywhere(self, service: Service) -> None:
        dataset = service.ready(title=self.EVIL)
        release = service.asked(dataset, purpose=self.EVIL, recipient=self.EVIL)
        service.work()
        pages = {
            "compliance": ["", f"datasets/{dataset}", "releases", f"releases/{release}", f"releases/{release}/review",
                           "records"],
            "researcher": [f"datasets/{dataset}/request"],
        }  # fmt: skip
        for name, paths in pages.items():
            client = service.signed_in(name)
            for path in paths:
                text = client.get(f"/{path}").text
                assert self.EVIL not in text, path
                assert "<script>alert" not in text, path
                assert html.escape("<script>alert(1)") in text, path

    def test_a_form_is_shown_again_as_it_was_filled_in(self, service: Service) -> None:
        dataset = service.ready()
        form = {**RECIPE, **WORDS, "epsilon": "999", "purpose": self.EVIL}
        answer = service.signed_in("researcher").post(f"/datasets/{dataset}/releases", data=form)
        assert answer.status_code in (409, 422)
        assert "What to do:" in answer.text
        assert 'value="999"' in answer.text
        assert "<script>alert" not in answer.text


def test_no_cell_of_the_private_table_is_in_any_answer_log_or_file(
    service: Service, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both marks, a text and an exact number, stand in the uploaded table, and nowhere else afterwards."""
    caplog.set_level(logging.DEBUG)
    dataset = service.registered()
    path = service.desk.settings.data.parent / "private.csv"
    write_table(path, 300)
    lines = path.read_text().splitlines()
    number = "1234.5678901"
    lines[1] = f"n,{CANARY} 0,30,{number},true"
    content = "\n".join(lines).encode()
    path.unlink()
    service.program("steward").put(f"/v1/datasets/{dataset}/table?kind=csv", content=content)
    service.work()
    release = service.published(dataset)
    researcher = service.program("researcher")
    digest = researcher.get(f"/v1/releases/{release}/terms").json()["digest"]
    researcher.post(f"/v1/releases/{release}/terms/acceptance", json={"digest": digest})
    answers = [
        researcher.get(path).content
        for path in (
            "/v1/datasets", f"/v1/datasets/{dataset}", f"/v1/datasets/{dataset}/budget", f"/v1/datasets/{dataset}/mock",
            "/v1/releases", f"/v1/releases/{release}", f"/v1/releases/{release}/card", f"/v1/releases/{release}/events",
        )
    ]  # fmt: skip
    for file in researcher.get(f"/v1/releases/{release}/files").json():
        answers.append(researcher.get(f"/v1/releases/{release}/files/{file['name']}").content)
    browser = service.signed_in("researcher")
    pages = ("/", f"/datasets/{dataset}", f"/releases/{release}", f"/releases/{release}/report")
    answers += [browser.get(path).content for path in pages]
    files = {path: path.read_bytes() for path in service.desk.settings.data.rglob("*") if path.is_file()}
    logged = caplog.text + "".join(capfd.readouterr())
    assert '"event": "request"' in logged
    for mark in (CANARY, number):
        assert [a[:80] for a in answers if mark.encode() in a] == []
        assert mark not in logged
        assert mark not in database_text(service.desk.engine)
        assert [str(path) for path, held in files.items() if mark.encode() in held] == []


def _is_share(number: float) -> bool:
    """Whether a number is a share of some hundred rows: shares of synthetic rows, which are public, may equal it."""
    return abs(number - Fraction(number).limit_denominator(1000)) < 1e-12


def test_a_researcher_gets_no_internal_number(open_house: House) -> None:
    """Neither the findings nor the gate's word on a release that is not out, by any address."""
    researcher = open_house.service.program("researcher")
    compliance = open_house.service.program("compliance")
    internal = compliance.get(f"/v1/releases/{open_house.reviewed}/findings").json()["scorecard"]
    estimates = [f["estimate"] for f in internal["findings"] if isinstance(f["estimate"], float)]
    precise = {repr(one) for one in estimates if not _is_share(one)}
    assert len(precise) >= 2  # or there would be nothing to find
    mine = researcher.get(f"/v1/releases/{open_house.reviewed}").json()
    assert not {"verdict", "bundle", "run", "charge", "asked_by"} & set(mine)
    seen = json.dumps(mine) + researcher.get("/v1/releases").text
    seen += open_house.service.signed_in("researcher").get(f"/releases/{open_house.reviewed}").text
    for release in (open_house.reviewed, open_house.published):
        assert researcher.get(f"/v1/releases/{release}/findings").status_code == 403
        seen += researcher.get(f"/v1/releases/{release}/card").text
    assert [text for text in precise if text in seen] == []


def test_a_defect_shows_nothing_of_itself(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def broken(*_: object) -> None:
        raise ValueError(f"could not parse '{CANARY}'")

    monkeypatch.setattr("api.desk.datasets.catalogue", broken)
    caplog.set_level(logging.INFO)
    client = TestClient(service.app, base_url=ORIGIN, headers=service.program("steward").headers)
    answer = client.get("/v1/datasets")
    assert answer.status_code == 500
    assert answer.json()["title"] == "The service failed"
    logged = caplog.text + "".join(capfd.readouterr())
    assert CANARY not in answer.text + logged
    assert '"failure": "ValueError"' in logged

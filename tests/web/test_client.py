"""The Python client against the service, in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from api.calls import ServiceError
from api.client import Client
from audits.release.verify import verify
from tests.end_to_end.scene import DOCUMENT, write_table
from tests.web.conftest import ORIGIN, House, Service


class InProcess(httpx2.BaseTransport):
    """The client's requests handed to the app, as a network would."""

    def __init__(self, service: Service) -> None:
        self._inner = TestClient(service.app, base_url=ORIGIN)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._inner.request(
            request.method, str(request.url), headers=dict(request.headers), content=request.read()
        )
        kept = {k: v for k, v in answer.headers.items() if k not in ("content-length", "content-encoding")}
        return httpx2.Response(answer.status_code, headers=kept, content=answer.content)


def client(service: Service, name: str) -> Client:
    key = service.program(name).headers["authorization"].removeprefix("Bearer ")
    return Client(ORIGIN, key, transport=InProcess(service))


@pytest.fixture
def reader(open_house: House) -> Iterator[Client]:
    with client(open_house.service, "researcher") as made:
        yield made


def test_the_story_with_the_client(service: Service, tmp_path: Path) -> None:
    steward, researcher, compliance = (client(service, name) for name in ("steward", "researcher", "compliance"))
    schema, table = tmp_path / "schema.json", tmp_path / "table.csv"
    schema.write_text(json.dumps(DOCUMENT))
    write_table(table, 200)
    dataset = steward.register("A survey", schema).id
    assert steward.upload(dataset, table).size == table.stat().st_size
    service.work()
    assert researcher.dataset(dataset).state == "ready"
    assert researcher.mock(dataset, 3).count(b"\n") == 4
    asked = {"epsilon": 1.0, "delta": 1e-6, "policy": "open", "synthesizer": "independent"}
    assert researcher.price(dataset, **asked).fits
    release = researcher.request(dataset, **asked, purpose="to try", recipient="me", once="one").id
    assert researcher.request(dataset, **asked, purpose="to try", recipient="me", once="one").id == release
    service.work()
    assert [step.step for step in researcher.progress(release)][-1] == "sealing the bundle"
    held = compliance.release(release)
    assert held.state == "review"
    compliance.vote(release, bundle=held.bundle, approve=True, reason="Seen.")
    service.work()
    assert researcher.wait(release).state == "published"
    researcher.accept_terms(release, researcher.terms(release).digest)
    assert verify(researcher.download_all(release, tmp_path / "bundle")).ok
    assert researcher.budget(dataset).spent == pytest.approx(1.0)
    assert [one.id for one in researcher.releases(dataset)] == [release]


def test_a_download_that_broke_off_is_taken_up(reader: Client, open_house: House, tmp_path: Path) -> None:
    release = open_house.published
    reader.accept_terms(release, reader.terms(release).digest)
    whole = reader.download(release, "data/synthetic.csv", tmp_path / "whole.csv").read_bytes()
    (tmp_path / "broken.csv.part").write_bytes(whole[:100])
    assert reader.download(release, "data/synthetic.csv", tmp_path / "broken.csv").read_bytes() == whole
    assert not (tmp_path / "broken.csv.part").exists()


def test_a_refusal_keeps_its_words_status_and_kind(reader: Client) -> None:
    with pytest.raises(ServiceError, match="There is no such dataset") as caught:
        reader.dataset("0" * 28)
    assert (caught.value.status, caught.value.kind) == (404, "not-found")
    with pytest.raises(ServiceError, match="takes one of these roles: steward") as caught:
        reader.erase("0" * 28, "because")
    assert caught.value.kind == "forbidden"


def test_nothing_that_answers_is_a_refusal_too() -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no")

    with pytest.raises(ServiceError, match="does not answer"):
        Client("http://nowhere.invalid", "tg_x", transport=httpx2.MockTransport(fail)).me()


def test_an_answer_from_something_in_between_is_a_refusal(tmp_path: Path) -> None:
    def proxy(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(502, text="<html>bad gateway</html>")

    with pytest.raises(ServiceError, match="HTTP 502"):
        Client("http://x.invalid", "tg_x", transport=httpx2.MockTransport(proxy)).me()


def test_a_bundle_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    def hostile(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=[{"name": "../escaped", "size": 1}])

    with pytest.raises(ServiceError, match="leads elsewhere"):
        Client("http://x.invalid", "tg_x", transport=httpx2.MockTransport(hostile)).download_all("r", tmp_path / "b")
    assert not (tmp_path / "escaped").exists()


def test_the_key_is_in_no_text_of_the_client() -> None:
    assert "tg_secret" not in repr(Client("http://x.invalid", "tg_secret"))

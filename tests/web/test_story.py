"""The whole story over the REST interface: register, upload, price, ask, train, review, publish, take, withdraw."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from audits.release.verify import verify
from tests.web.conftest import RECIPE, WORDS, House, Service


def _taken(client: TestClient, release: str, folder: Path) -> Path:
    for file in client.get(f"/v1/releases/{release}/files").json():
        path = folder / file["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.get(f"/v1/releases/{release}/files/{file['name']}").content)
        assert path.stat().st_size == file["size"]
    return folder


def test_a_table_goes_in_and_a_verified_bundle_comes_out(service: Service, tmp_path: Path) -> None:
    researcher, compliance = service.program("researcher"), service.program("compliance")
    dataset = service.ready()
    price = researcher.post(f"/v1/datasets/{dataset}/quotes", json=RECIPE).json()
    assert price["fits"]
    assert price["total_after"] == pytest.approx(1.0)
    assert researcher.get(f"/v1/datasets/{dataset}/budget").json()["spent"] == 0
    once = {"Idempotency-Key": "mine"}
    answers = [researcher.post(f"/v1/datasets/{dataset}/releases", json=RECIPE | WORDS, headers=once) for _ in range(2)]
    assert [a.status_code for a in answers] == [202, 202]
    release = answers[0].json()["id"]
    assert answers[1].json()["id"] == release
    other = researcher.post(f"/v1/datasets/{dataset}/releases", json=RECIPE | WORDS | {"purpose": "x"}, headers=once)
    assert other.status_code == 409
    service.work()
    assert researcher.get(f"/v1/releases/{release}").json()["state"] == "review"
    assert researcher.get(f"/v1/releases/{release}/files").status_code == 404
    assert compliance.get(f"/v1/releases/{release}").json()["verdict"] == "PASS"
    service.voted(release)
    service.work()
    assert researcher.get(f"/v1/releases/{release}").json()["state"] == "published"
    refused = researcher.get(f"/v1/releases/{release}/files/data/synthetic.csv")
    assert (refused.status_code, refused.json()["what"]) == (409, "The terms of use have not been accepted.")
    terms = researcher.get(f"/v1/releases/{release}/terms").json()
    researcher.post(f"/v1/releases/{release}/terms/acceptance", json={"digest": terms["digest"]})
    assert verify(_taken(researcher, release, tmp_path / "bundle")).ok
    compliance.post(f"/v1/releases/{release}/withdrawal", json={"reason": "A column was declared wrongly."})
    assert researcher.get(f"/v1/releases/{release}/files").status_code == 404
    notice = researcher.get("/v1/me/notices").json()[0]
    assert release in notice["text"]
    assert researcher.post(f"/v1/me/notices/{notice['id']}/reading").status_code == 204
    chains = service.program("auditor").get("/v1/records/verification").json()
    assert [chain["name"] for chain in chains] == ["audit", "ledger"]
    acts = [e["body"]["act"] for e in service.program("auditor").get("/v1/records?limit=500").json()["items"]]
    assert {"register", "upload", "request", "vote to approve", "publish", "download", "withdraw"} <= set(acts)


def test_the_upload_is_compared_by_digest_and_never_lies_open(service: Service, tmp_path: Path) -> None:
    dataset = service.registered()
    content = b"needle-in-a-table," * 400_000
    answer = service.program("steward").put(f"/v1/datasets/{dataset}/table?kind=csv", content=content)
    assert answer.json() == {"size": len(content), "digest": hashlib.sha256(content).hexdigest()}
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"needle-in" in path.read_bytes()]
    assert found == []


def test_progress_is_streamed_and_resumed(open_house: House) -> None:
    client = open_house.service.program("researcher")
    answer = client.get(f"/v1/releases/{open_house.published}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in part.splitlines()) for part in answer.text.strip().split("\n\n")]
    steps = [json.loads(event["data"])["step"] for event in events[:-1]]
    assert "sealing the bundle" in steps
    assert (events[-1]["event"], json.loads(events[-1]["data"])) == ("rest", {"state": "published"})
    last = events[-2]["id"]
    rest = client.get(f"/v1/releases/{open_house.published}/events", headers={"Last-Event-ID": last})
    assert rest.text.count("event: step") == 0


class TestRanges:
    """A download takes one range, as RFC 9110 says."""

    @pytest.fixture
    def taker(self, open_house: House) -> TestClient:
        client = open_house.service.program("researcher")
        digest = client.get(f"/v1/releases/{open_house.published}/terms").json()["digest"]
        client.post(f"/v1/releases/{open_house.published}/terms/acceptance", json={"digest": digest})
        return client

    def test_parts_are_the_whole(self, open_house: House, taker: TestClient) -> None:
        address = f"/v1/releases/{open_house.published}/files/data/synthetic.csv"
        whole = taker.get(address)
        assert whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["content-disposition"] == 'attachment; filename="data-synthetic.csv"'
        n = len(whole.content)
        for asked, expected in {
            "bytes=0-9": whole.content[:10],
            "bytes=10-": whole.content[10:],
            "bytes=-7": whole.content[-7:],
            f"bytes=5-{n + 100}": whole.content[5:],
        }.items():
            part = taker.get(address, headers={"range": asked})
            assert (part.status_code, part.content) == (206, expected)
            assert part.headers["content-range"].endswith(f"/{n}")

    @pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=5-2", "bytes=-0"])
    def test_outside_is_refused(self, open_house: House, taker: TestClient, asked: str) -> None:
        address = f"/v1/releases/{open_house.published}/files/data/synthetic.csv"
        answer = taker.get(address, headers={"range": asked})
        assert answer.status_code == 416
        assert answer.headers["content-range"].startswith("bytes */")

    @pytest.mark.parametrize("asked", ["lines=0-5", "bytes=0-1,3-4", "bytes=a-b", "bytes=-"])
    def test_what_is_no_single_range_gets_the_whole(self, open_house: House, taker: TestClient, asked: str) -> None:
        address = f"/v1/releases/{open_house.published}/files/data/synthetic.csv"
        assert taker.get(address, headers={"range": asked}).status_code == 200

    @pytest.mark.parametrize(
        "name", ["../bundle.internal/findings.json", "..%2Fbundle.internal%2Ffindings.json", "/etc/passwd", "data", "x"]
    )
    def test_no_other_file_can_be_named(self, open_house: House, taker: TestClient, name: str) -> None:
        answer = taker.get(f"/v1/releases/{open_house.published}/files/{name}")
        assert answer.status_code == 404

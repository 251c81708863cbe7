"""Monitors over REST, with the client, on the pages and on the command line: set, checked, told, proposed, ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from api import cli_client
from api.calls import ServiceError
from api.cli import app
from api.desk import monitors
from api.store.database import writing
from api.store.tables import Check
from tests.end_to_end.scene import CANARY
from tests.web.conftest import House, Service
from tests.web.test_client import client

HOW = {"epsilon": 0.5, "delta": 1e-6}


def drifted(service: Service, release: str, check: str) -> None:
    """As if drift had been proven: what decides is tested where many rows are."""
    name = f"checks/{release}/{check}/monitor.json"
    with service.desk.vault.files.open(name) as stream:
        facts = json.loads(stream.read())
    facts |= {"drift": ["approved"], "state": "drift", "proposes_release": True}
    with service.desk.vault.files.writing(name) as sink:
        sink.write(json.dumps(facts).encode())
    with writing(service.desk.engine) as session:
        session.execute(update(Check).where(Check.id == check).values(verdict="drift"))


def test_the_story_with_the_client(service: Service) -> None:
    steward, auditor, researcher = (client(service, name) for name in ("steward", "auditor", "researcher"))
    dataset = service.ready()
    release = service.published(dataset)
    with pytest.raises(ServiceError, match="no such monitor"):
        steward.monitor(release)
    with pytest.raises(ServiceError, match="no such monitor"):
        steward.end_monitor(release)
    made = steward.set_monitor(release, **HOW, days=7)
    assert (made.epsilon, made.tolerance, made.false_alarms, made.days, made.fits) == (0.5, 0.02, 0.05, 7, True)
    assert auditor.monitor(release).total_after == made.total_after
    with pytest.raises(ServiceError, match="no new version") as caught:
        steward.compare(release)
    assert (caught.value.status, caught.value.kind) == (409, "conflict")
    service.uploaded(dataset)
    asked = steward.compare(release)
    assert steward.compare(release).id == asked.id  # the same version is asked of once
    assert (asked.state, asked.version, asked.verdict) == ("queued", 2, "")
    assert auditor.check(release, asked.id).found is None
    service.work()
    told = auditor.check(release, asked.id)
    assert (told.state, told.steps[-1].step) == ("done", "keeping the result")
    assert told.found is not None
    assert told.found["state"] == told.verdict
    assert told.found["renewal"]["epsilon"] == 1.0
    assert [one.id for one in auditor.checks(release)] == [asked.id]
    assert auditor.check_file(release, asked.id, "report.html").startswith(b"<!doctype html>")
    assert auditor.check_file(release, asked.id, "weights.csv").startswith(b"weight\n")
    gauge = steward.budget(dataset)
    assert gauge.spent == pytest.approx(made.total_after)
    for refused in (researcher.checks, researcher.monitor, lambda one: researcher.check(one, asked.id)):
        with pytest.raises(ServiceError, match="internal findings"):
            refused(release)
    with pytest.raises(ServiceError, match="compared with new versions"):
        auditor.set_monitor(release, **HOW)
    with pytest.raises(ServiceError) as caught:
        steward.cancel_check(release, asked.id, "too late")
    assert caught.value.kind == "conflict"
    steward.end_monitor(release)
    acts = [entry.body["act"] for entry in auditor.records() if entry.body["about"] == release]
    # Both versions are of one population, so that drift is a false alarm: rare, allowed, and then proposed for.
    proposed = ["release proposed"] if told.verdict == "drift" else []
    started = acts.index("monitor set")
    assert acts[started:] == ["monitor set", "check asked", "check started", "check", *proposed, "monitor ended"]


def test_a_check_that_is_queued_is_cancelled(service: Service) -> None:
    steward, dataset = client(service, "steward"), service.ready()
    release = service.published(dataset)
    steward.set_monitor(release, **HOW)
    service.uploaded(dataset)
    asked = steward.compare(release)
    assert steward.cancel_check(release, asked.id, "not now").state == "cancelled"
    service.work()
    assert steward.check(release, asked.id).state == "cancelled"
    assert steward.budget(dataset).reserved == 0


def test_a_budget_that_does_not_allow_it_is_a_problem(service: Service) -> None:
    steward, dataset = client(service, "steward"), service.ready()
    release = service.published(dataset)
    assert not steward.set_monitor(release, epsilon=50.0, delta=1e-6).fits
    service.uploaded(dataset)
    with pytest.raises(ServiceError) as caught:
        steward.compare(release)
    assert (caught.value.status, caught.value.kind) == (409, "budget-exceeded")


def test_the_pages_show_what_was_found_to_those_who_may_see_it(service: Service) -> None:
    dataset = service.ready()
    release = service.published(dataset)
    steward = service.signed_in("steward")
    assert "Set a monitor" in steward.get(f"/releases/{release}").text
    answer = steward.post(f"/releases/{release}/monitor", data={"epsilon": "0.4", "delta": "1e-6", "days": "0"})
    assert answer.headers["location"] == f"/releases/{release}#monitor"
    assert "whenever it comes" in steward.get(f"/releases/{release}").text
    service.uploaded(dataset)
    assert "Check the version at hand" in steward.get(f"/releases/{release}").text
    assert steward.post(f"/releases/{release}/checks").status_code == 303
    (check,) = (one.id for one in client(service, "steward").checks(release))
    state = f"/releases/{release}/checks/{check}/state"
    assert "every 2s" in steward.get(state).text
    service.work()
    assert steward.get(state).headers["hx-refresh"] == "true"
    assert "Check the version at hand" not in steward.get(f"/releases/{release}").text
    drifted(service, release, check)
    for name in ("steward", "compliance", "auditor"):
        browser = service.signed_in(name)
        for address in (f"/releases/{release}", f"/datasets/{dataset}"):
            text = browser.get(address).text
            assert "a new release is proposed" in text, (name, address)
            assert ("Fill in the request" in text) == (name == "steward")
            assert CANARY not in text
        report = browser.get(f"/releases/{release}/checks/{check}/report")
        assert report.text.startswith("<!doctype html>")
        assert "sandbox" in report.headers["content-security-policy"]
    researcher = service.signed_in("researcher")
    for address in (f"/releases/{release}", f"/datasets/{dataset}"):
        text = researcher.get(address).text
        assert "proposed" not in text
        assert "Has the table moved on?" not in text
    assert researcher.get(f"/releases/{release}/checks/{check}/report").status_code == 403
    assert steward.post(f"/releases/{release}/monitor/end").status_code == 303
    assert "Nobody looks" in steward.get(f"/releases/{release}").text


def test_a_proposal_fills_in_the_ordinary_form_and_asking_is_left_to_people(service: Service) -> None:
    dataset = service.ready()
    release = service.published(dataset)
    check = service.compared(dataset, release)
    drifted(service, release, check)
    steward = service.signed_in("steward")
    address = f"/datasets/{dataset}/request?like={release}"
    assert address in steward.get(f"/datasets/{dataset}").text
    form = steward.get(address).text
    for text in ("<option selected>independent", "<option selected>open", 'value="1.0"', "to try it",
                 "the statistics department"):  # fmt: skip
        assert text in form
    assert len(list(client(service, "steward").releases(dataset))) == 1
    other = service.registered(title="Another", population="others")
    assert steward.get(f"/datasets/{other}/request?like={release}").status_code == 404
    assert steward.get(f"/datasets/{dataset}/request?like={'0' * 28}").status_code == 404
    service.asked(dataset)
    assert "is proposed" not in steward.get(f"/datasets/{dataset}").text  # somebody did


def test_the_command_line(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = service.ready()
    release = service.published(dataset)
    monkeypatch.setattr(cli_client, "_client", lambda: client(service, "steward"))

    def run(*words: object) -> dict[str, object]:
        ended = CliRunner().invoke(app, ["watch", *map(str, words), "--json"])
        assert ended.exit_code == 0, ended.output
        found: dict[str, object] = json.loads(ended.stdout)
        return found

    assert run("set", release, "--epsilon", 0.5, "--delta", 1e-6, "--days", 3)["days"] == 3
    assert run("show", release)["problem"] is None
    service.uploaded(dataset)
    check = run("now", release)["id"]
    service.work()
    assert run("checks", release)["items"][0]["state"] == "done"  # type: ignore[index]
    run("take", release, check, "--out", tmp_path / "found")
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        monitors.FACTS, monitors.REPORT, "weights.csv", "weights.parquet"}  # fmt: skip
    assert run("end", release) == {"release": release}


def test_an_id_of_another_release_is_none(open_house: House) -> None:
    auditor = open_house.service.program("auditor")
    assert auditor.get(f"/v1/releases/{open_house.published}/checks/{open_house.check}").status_code == 200
    assert auditor.get(f"/v1/releases/{open_house.reviewed}/checks/{open_house.check}").status_code == 404

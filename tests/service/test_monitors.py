"""A monitor: when a check falls due, what it costs, who is told, and that it starts nothing."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update

from api.access.roles import ForbiddenError
from api.desk import checks, datasets, monitors, notices, proposals, releases, requests, room
from api.desk.checks import KEEPING, CheckRun, begin, open_charge, step
from api.desk.errors import ConflictError, NotFoundError
from api.desk.monitors import Comparing
from api.desk.record import entries
from api.desk.runs import MOST_RUNS, OutdatedRunError
from api.desk.states import CheckState, DatasetState, ReleaseState
from api.store.database import lock_chains, reading, writing
from api.store.tables import Check, Release
from api.work.checking import check as carry_out
from api.work.checking import folder_of
from api.work.decisions import decide
from api.work.tables import ingest
from api.work.worker import fail_lost, tidy
from privacy.errors import BudgetExceededError, RequestError
from privacy.noise import system_noise
from privacy.schema import Budget
from tests.end_to_end.scene import CANARY, marked
from tests.service.conftest import database_text
from tests.service.scene import Scene, working
from tests.service.test_requests import jobs, kinds

ROWS = 1500
CHEAP = Comparing(epsilon=0.5, delta=1e-7)
DEAR = Comparing(epsilon=8.0, delta=1e-6)
RELEASED = ["cap", "charge", "opened", "candidate", "verdict", "review"]


@pytest.fixture(scope="module", autouse=True)
def _brief(brief_releases: None) -> None:
    """What is released here is compared, not relied on."""


def upload(scene: Scene, dataset: str, *, changed: bool) -> None:
    """Another version of the table: the same rows, or the label turned for many of them."""
    rows = list(csv.reader(marked(ROWS).splitlines()))
    rng = np.random.default_rng(3)
    for row in rows[1:] if changed else ():
        row[-1] = "true" if rng.random() < 0.9 else row[-1]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    with datasets.uploading(scene.desk, scene["steward"], dataset, "csv") as writer:
        writer.write(text.getvalue().encode())


def renewed(scene: Scene, dataset: str, *, changed: bool = True) -> None:
    """Another version, checked."""
    upload(scene, dataset, changed=changed)
    ingest(scene.desk, dataset)
    assert scene.state_of_dataset(dataset) == DatasetState.READY


def released(scene: Scene, cap: float = 100.0) -> Release:
    """A release that is out, of the unchanged table."""
    dataset = scene.dataset(cap=cap)
    renewed(scene, dataset, changed=False)
    made = scene.made(dataset)
    room.vote(scene.desk, scene["carl"], made.id, bundle=made.bundle, approve=True, reason="fine")
    decide(scene.desk, made.id)
    assert kinds(scene) == RELEASED
    return scene.look(made.id)


def watched(scene: Scene, comparing: Comparing = CHEAP, *, days: int = 0, cap: float = 100.0) -> Release:
    """The same with a monitor."""
    release = released(scene, cap)
    monitors.set_monitor(scene.desk, scene["steward"], release.id, comparing, days)
    return release


def look(scene: Scene, release: str) -> list[Check]:
    return monitors.checks(scene.desk, scene["auditor"], release)


def due(scene: Scene) -> list[str]:
    """What the sweep finds to be due, asked for; the checks."""
    made = [monitors.ask_due(scene.desk, release) for release in monitors.put_due(scene.desk)]
    return [one.id for one in made if one is not None]


def started(scene: Scene, check: str) -> CheckRun:
    run = begin(scene.desk, check, "here")
    assert run is not None
    return run


def acts(scene: Scene, release: str) -> list[str]:
    return [entry.body["act"] for entry in entries(scene.desk.engine, 0, 1000, release)]


def test_a_check_falls_due_with_a_new_version_and_is_asked_for_once(scene: Scene) -> None:
    release = watched(scene)
    assert due(scene) == []  # the release was made from the very table
    renewed(scene, release.dataset)
    queued = jobs(scene)
    for _ in range(2):
        assert monitors.put_due(scene.desk) == [release.id]
    assert (jobs(scene), kinds(scene)) == (queued + 1, RELEASED)  # nothing is charged by a sweep
    (made,) = due(scene)
    assert (jobs(scene), kinds(scene)) == (queued + 2, [*RELEASED, "charge"])
    assert monitors.ask_due(scene.desk, release.id) is None
    assert due(scene) == []
    assert monitors.ask(scene.desk, scene["steward"], release.id).id == made
    with pytest.raises(ConflictError, match="or a check of one"):
        upload(scene, release.dataset, changed=True)
    with pytest.raises(ConflictError, match="or a check of one"):
        datasets.erase(scene.desk, scene["steward"], release.dataset, "now")
    (found,) = look(scene, release.id)
    assert (found.state, found.asked_by, found.version) == (CheckState.QUEUED, "service", 2)


def test_drift_is_told_and_a_release_proposed_and_none_started(scene: Scene) -> None:
    release = watched(scene, DEAR)
    renewed(scene, release.dataset)
    (made,) = due(scene)
    carry_out(scene.desk, started(scene, made))
    (found,) = look(scene, release.id)
    assert (found.state, found.verdict) == (CheckState.DONE, "drift")
    assert [one["step"] for one in found.steps][-1] == KEEPING
    assert kinds(scene) == [*RELEASED, "charge", "opened"]
    assert acts(scene, release.id)[-2:] == ["check", "release proposed"]
    (told,) = notices.notices(scene.desk, scene["steward"])
    assert "drift is proven" in told.text
    assert notices.notices(scene.desk, scene["researcher"]) == []
    (proposal,) = proposals.proposals(scene.desk, scene["steward"], release.dataset)
    assert (proposal.release.id, proposal.check.id) == (release.id, made)
    assert "approved" in proposal.drift
    assert proposal.renewal["fits"]
    assert proposal.renewal["epsilon"] == release.asked["epsilon"]
    with reading(scene.desk.engine) as session:
        assert list(session.scalars(select(Release.id))) == [release.id]  # people ask, or nobody
    scene.request(release.dataset)
    assert proposals.proposals(scene.desk, scene["steward"], release.dataset) == []
    assert not folder_of(scene.desk, made).exists()


def test_no_cell_is_in_what_a_check_leaves(scene: Scene) -> None:
    release = watched(scene, DEAR)
    renewed(scene, release.dataset)
    (made,) = due(scene)
    carry_out(scene.desk, started(scene, made))
    assert CANARY not in database_text(scene.desk.engine)
    for name in (monitors.FACTS, monitors.REPORT, "weights.csv", "weights.parquet"):
        with monitors.file(scene.desk, scene["auditor"], release.id, made, name).stream as stream:
            assert CANARY.encode() not in stream.read()
    assert monitors.facts(scene.desk, scene["carl"], release.id, made)["state"] == "drift"


def test_who_sets_a_monitor_and_who_sees_it(scene: Scene) -> None:
    release = watched(scene)
    renewed(scene, release.dataset)
    (made,) = due(scene)
    for name in ("carl", "auditor", "researcher", "admin"):
        with pytest.raises(ForbiddenError):
            monitors.set_monitor(scene.desk, scene[name], release.id, CHEAP)
        with pytest.raises(ForbiddenError):
            monitors.cancel(scene.desk, scene[name], release.id, made, "no")
    for name in ("researcher", "admin"):
        with pytest.raises(ForbiddenError):
            monitors.checks(scene.desk, scene[name], release.id)
        assert proposals.proposals(scene.desk, scene[name], release.dataset) == []
    nobody = replace(scene["steward"], grants=frozenset())
    with pytest.raises(NotFoundError):
        monitors.monitor(scene.desk, nobody, release.id)
    for name in ("carl", "auditor", "steward"):
        assert monitors.monitor(scene.desk, scene[name], release.id).days == 0
        with pytest.raises(NotFoundError):
            monitors.facts(scene.desk, scene[name], release.id, made)  # not done yet
    with pytest.raises(NotFoundError):
        monitors.check(scene.desk, scene["auditor"], "0" * 28, made)


def test_what_the_ledger_refuses_pauses_the_monitor_until_it_is_set_anew(scene: Scene) -> None:
    release = watched(scene, replace(CHEAP, epsilon=1.0, delta=1e-6), cap=1.2)
    renewed(scene, release.dataset)
    assert not monitors.prospect(scene.desk, scene["steward"], release.id).fits
    before = kinds(scene)
    for _ in range(2):
        assert due(scene) == []
    found = monitors.monitor(scene.desk, scene["auditor"], release.id)
    assert found.problem is not None
    assert found.problem["code"] == "budget-exceeded"
    assert (kinds(scene), look(scene, release.id)) == (before, [])
    assert acts(scene, release.id)[-1] == "monitor paused"
    assert len(notices.notices(scene.desk, scene["steward"])) == 1
    with pytest.raises(BudgetExceededError):
        monitors.ask(scene.desk, scene["steward"], release.id)
    datasets.set_cap(scene.desk, scene["steward"], release.dataset, Budget(epsilon=5.0, delta=1e-4), "more")
    monitors.set_monitor(scene.desk, scene["steward"], release.id, CHEAP, 0)
    assert len(due(scene)) == 1


def test_no_lock_is_held_while_a_check_is_priced(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker could not beat meanwhile, and nobody decide anything."""
    release = watched(scene)
    renewed(scene, release.dataset)
    original = monitors.priced

    def patient(*asked: Any) -> Any:
        with writing(scene.desk.engine) as session:  # as a beat does; it waits for whoever else writes
            session.execute(update(Check).values(version=1))
            lock_chains(session.connection())
        return original(*asked)

    monkeypatch.setattr(monitors, "priced", patient)
    monitors.set_monitor(scene.desk, scene["steward"], release.id, CHEAP, 0)
    assert len(due(scene)) == 1
    monitors.cancel(scene.desk, scene["steward"], release.id, look(scene, release.id)[0].id, "again")
    monitors.ask(scene.desk, scene["steward"], release.id)


def test_days_pass_between_two_checks(scene: Scene) -> None:
    release = watched(scene, days=30)
    renewed(scene, release.dataset)
    (first,) = due(scene)
    carry_out(scene.desk, started(scene, first))
    renewed(scene, release.dataset)
    assert due(scene) == []
    with writing(scene.desk.engine) as session:
        session.execute(update(Check).values(asked_at="2020-01-01T00:00:00+00:00"))
    assert len(due(scene)) == 1


def test_a_cancelled_check_gives_back_what_was_not_opened_and_comes_again_only_when_asked(scene: Scene) -> None:
    release = watched(scene)
    renewed(scene, release.dataset)
    (made,) = due(scene)
    monitors.cancel(scene.desk, scene["steward"], release.id, made, "not now")
    assert kinds(scene)[-2:] == ["charge", "void"]
    assert begin(scene.desk, made, "here") is None
    assert due(scene) == []
    with pytest.raises(ConflictError):
        monitors.cancel(scene.desk, scene["steward"], release.id, made, "twice")
    again = monitors.ask(scene.desk, scene["steward"], release.id)
    run = started(scene, again.id)
    open_charge(scene.desk, run, system_noise())
    monitors.cancel(scene.desk, scene["steward"], release.id, again.id, "not now either")
    assert checks.over(scene.desk, run)
    with pytest.raises(OutdatedRunError):
        step(scene.desk, run, KEEPING)
    checks.cancelled(scene.desk, run)
    assert look(scene, release.id)[0].state == CheckState.CANCELLED
    assert kinds(scene)[-2:] == ["charge", "opened"]  # rows may have been read


def test_a_run_that_died_is_run_again_on_its_charge_until_something_may_have_left(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = watched(scene)
    renewed(scene, release.dataset)
    (made,) = due(scene)
    first = started(scene, made)
    open_charge(scene.desk, first, system_noise())

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("api.work.checking.settle", die)
        with pytest.raises(KeyboardInterrupt):
            carry_out(scene.desk, started(scene, made))
    with pytest.raises(OutdatedRunError):
        open_charge(scene.desk, first, system_noise())
    with pytest.raises(NotFoundError):
        monitors.facts(scene.desk, scene["auditor"], release.id, made)
    last = started(scene, made)
    with pytest.raises(OutdatedRunError, match="result is not whole"):
        open_charge(scene.desk, last, system_noise())
    carry_out(scene.desk, last)  # from what the run before wrote
    assert kinds(scene) == [*RELEASED, "charge", "opened", "reopened"]
    assert look(scene, release.id)[0].state == CheckState.DONE


def test_a_check_that_dies_every_time_pauses_its_monitor_and_gives_the_charge_back(scene: Scene) -> None:
    release = watched(scene)
    renewed(scene, release.dataset)
    (made,) = due(scene)
    for _ in range(MOST_RUNS):
        started(scene, made)
    folder_of(scene.desk, made).mkdir(parents=True)
    tidy(scene.desk)
    assert folder_of(scene.desk, made).exists()
    assert begin(scene.desk, made, "here") is None
    tidy(scene.desk)
    assert not folder_of(scene.desk, made).exists()
    assert look(scene, release.id)[0].state == CheckState.FAILED
    assert kinds(scene)[-1] == "void"
    assert monitors.monitor(scene.desk, scene["steward"], release.id).problem is not None
    assert due(scene) == []
    monitors.set_monitor(scene.desk, scene["steward"], release.id, CHEAP, 30)
    (again,) = due(scene)
    scene.desk.jobs._client.cancel_workflow(monitors.job_of(again))  # type: ignore[attr-defined]
    assert fail_lost(scene.desk, scene.desk.jobs) == [again]  # type: ignore[arg-type]
    assert look(scene, release.id)[0].state == CheckState.FAILED


def test_a_monitor_that_is_ended_or_whose_release_is_withdrawn_asks_for_nothing(scene: Scene) -> None:
    release = watched(scene)
    renewed(scene, release.dataset)
    monitors.end_monitor(scene.desk, scene["steward"], release.id)
    assert due(scene) == []
    with pytest.raises(NotFoundError):
        monitors.ask(scene.desk, scene["steward"], release.id)
    monitors.set_monitor(scene.desk, scene["steward"], release.id, CHEAP, 0)
    releases.withdraw(scene.desk, scene["steward"], release.id, "no longer")
    assert due(scene) == []
    with pytest.raises(ConflictError):
        monitors.ask(scene.desk, scene["steward"], release.id)
    with pytest.raises(ConflictError):
        monitors.set_monitor(scene.desk, scene["steward"], release.id, CHEAP, 0)


@pytest.mark.parametrize("changes", [{"tolerance": -0.1}, {"false_alarms": 1.0}, {"epsilon": 0.0}, {"delta": 2.0}])
def test_figures_out_of_range_are_refused(scene: Scene, changes: dict[str, float]) -> None:
    release = released(scene)
    with pytest.raises(RequestError):
        monitors.set_monitor(scene.desk, scene["steward"], release.id, replace(CHEAP, **changes))
    with pytest.raises(RequestError):
        monitors.set_monitor(scene.desk, scene["steward"], release.id, CHEAP, -1)


@pytest.mark.service
def test_a_worker_asks_for_what_is_due_and_carries_it_out(scene: Scene) -> None:
    """The real path: the sweep of a worker, its child, and what people are shown."""
    release = watched(scene, DEAR)
    with working(scene):
        upload(scene, release.dataset, changed=True)
        scene.wait(lambda: bool(look(scene, release.id)), "the check is asked for")
        scene.wait(lambda: look(scene, release.id)[0].state not in ("queued", "running"), "it is done")
        (found,) = look(scene, release.id)
        assert (found.state, found.verdict) == (CheckState.DONE, "drift")
        renewal = monitors.facts(scene.desk, scene["steward"], release.id, found.id)["renewal"]
        gauge = datasets.budget(scene.desk, scene["steward"], release.dataset)
        assert gauge.spent < renewal["population_epsilon_after"] <= gauge.cap.epsilon
        assert requests.price(scene.desk, scene["steward"], release.dataset, replace_asked(release), "open").fits
    assert kinds(scene) == [*RELEASED, "charge", "opened"]
    assert scene.look(release.id).state == ReleaseState.PUBLISHED
    log = (scene.folder.parent / "worker-one.log").read_text()
    assert CANARY not in log
    assert json.loads(log.splitlines()[0])["event"] == "worker started"


def replace_asked(release: Release) -> requests.Asked:
    asked = release.asked
    return requests.Asked(synthesizer=asked["synthesizer"], epsilon=asked["epsilon"], delta=asked["delta"])

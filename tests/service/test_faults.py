"""kill -9 at every commit and stored object of a release, a check, a vote, a decision, an upload or a request.

What must hold whatever the point: the ledger has one charge and it was opened at most once for every run that may have
read; there is at most one verdict; no table is out that nobody approved; nothing is lost, every release ends in a state
it may end in.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from api.desk import checks, datasets, monitors, requests, room
from api.desk.desk import Desk
from api.desk.runs import OutdatedRunError, begin, fail, problem_of
from api.desk.states import CheckState, DatasetState, ReleaseState
from api.store.tables import Release
from api.work.checking import check as carry_out_check
from api.work.decisions import decide
from api.work.releasing import release as carry_out
from api.work.tables import erase, ingest
from privacy.errors import BudgetExceededError
from tests.service.faults import killed_at, sampled
from tests.service.scene import SMALL, Scene
from tests.service.test_monitors import CHEAP, due, look, renewed
from tests.service.test_requests import jobs, kinds

pytestmark = pytest.mark.service


def run_on(scene: Scene, asked: Release, point: int | None) -> tuple[int, list[str]]:
    """One run in a fork, killed at a point."""
    run = begin(scene.desk, asked.id, "here")
    if run is None:
        return 0, []
    return killed_at(scene.desk, point, lambda desk: carry_out(desk, run))


def finish(scene: Scene, asked: Release) -> Release:
    """Another run, to its end, as a worker would do it.

    In a fork too: what draws charts starts threads of its own, and a process that has them is not one to fork from.
    """
    run = begin(scene.desk, asked.id, "here")

    def job(desk: Desk) -> None:
        assert run is not None
        try:
            carry_out(desk, run)
        except OutdatedRunError as error:
            fail(desk, asked.id, problem_of(error), run)

    if run is not None:
        assert killed_at(scene.desk, None, job)[0] == 0
    return scene.look(asked.id)


def out(scene: Scene, release: str) -> bool:
    """Whether a table of a release lies where downloads are taken from."""
    return any("data/" in name for name in scene.desk.vault.files.names(f"bundles/{release}"))


def test_a_release_killed_at_every_commit_is_charged_once_and_ends_well(scene: Scene) -> None:
    dataset = scene.taken_in(cap=100.0)
    status, points = run_on(scene, scene.request(dataset), None)
    assert status == 0
    assert len(points) > 40
    ends: Counter[str] = Counter()
    charges = kinds(scene).count("charge")
    for point in sampled(points):
        asked = scene.request(dataset)
        status, passed = run_on(scene, asked, point)
        assert status == -9, points[point]
        assert len(passed) == point + 1
        found = finish(scene, asked)
        ends[found.state] += 1
        assert found.state in (ReleaseState.REVIEW, ReleaseState.FAILED), passed[-1]
        assert not out(scene, asked.id)
        charges += 1
        counts = Counter(kinds(scene))
        assert counts["charge"] == charges
        assert counts["opened"] == charges
    print(f"\n{scene.desk.engine.dialect.name}: {len(points)} points, {dict(ends)}")  # noqa: T201 (figures for the documents)
    assert ends[ReleaseState.REVIEW] >= ends[ReleaseState.FAILED]
    counts = Counter(kinds(scene))
    assert counts["verdict"] == 1 + ends[ReleaseState.REVIEW]
    assert counts["void"] == 0


def test_a_check_killed_at_every_commit_is_charged_once_and_ends_well(scene: Scene) -> None:
    """As a release: what was bought of a new version is bought once, and kept whole or not at all."""
    dataset = scene.dataset()
    renewed(scene, dataset, changed=False)
    release = finish(scene, scene.request(dataset))
    decided(scene, release, True, None)
    monitors.set_monitor(scene.desk, scene["steward"], release.id, CHEAP, 0)
    renewed(scene, dataset, changed=False)
    points = check_on(scene, due(scene)[0], None)[1]
    assert points[-1] == "after commit"
    ends: Counter[str] = Counter()
    bought = Counter(kinds(scene))["charge"]
    for point in sampled(points):
        renewed(scene, dataset, changed=False)
        (asked,) = due(scene)
        status, passed = check_on(scene, asked, point)
        assert status == -9, points[point]
        assert len(passed) == point + 1
        check_on(scene, asked, None)
        found = look(scene, release.id)[0]
        assert found.id == asked
        ends[found.state] += 1
        assert found.state in (CheckState.DONE, CheckState.FAILED), passed[-1]
        kept = scene.desk.vault.files.names(monitors.place(found))
        assert (monitors.FACTS in kept) is (found.state == CheckState.DONE)
        bought += 1
        counts = Counter(kinds(scene))
        assert (counts["charge"], counts["opened"], counts["void"]) == (bought, bought, 0)
        if found.state == CheckState.FAILED:  # the monitor is paused until a steward has seen it
            monitors.set_monitor(scene.desk, scene["steward"], release.id, CHEAP, 0)
    print(f"\n{scene.desk.engine.dialect.name}: {len(points)} points, {dict(ends)}")  # noqa: T201 (figures for the documents)
    assert ends[CheckState.DONE] >= ends[CheckState.FAILED]


def check_on(scene: Scene, check: str, point: int | None) -> tuple[int, list[str]]:
    """One run of a check in a fork, killed at a point or to its end; nothing where it is over."""
    run = checks.begin(scene.desk, check, "here")

    def job(desk: Desk) -> None:
        assert run is not None
        try:
            carry_out_check(desk, run)
        except OutdatedRunError as error:
            checks.fail(desk, check, problem_of(error), run)

    return (0, []) if run is None else killed_at(scene.desk, point, job)


@pytest.mark.parametrize("approve", [True, False])
def test_a_decision_killed_at_every_point_is_carried_out_as_decided(scene: Scene, approve: bool) -> None:
    dataset = scene.taken_in()
    found = finish(scene, scene.request(dataset))
    points = decided(scene, found, approve, None)
    removed = [point for point, name in enumerate(points) if name == "before removing"]
    tried = sorted(
        {*sampled(points), removed[1]}
    )  # there the key that opens the table is overwritten, and not yet gone
    for point in tried:
        found = finish(scene, scene.request(dataset))
        decided(scene, found, approve, point)
        assert approve or not out(scene, found.id)
        assert killed_at(scene.desk, None, lambda desk, release=found.id: decide(desk, release))[0] == 0, points[point]
        ended = scene.look(found.id)
        assert ended.state == (ReleaseState.PUBLISHED if approve else ReleaseState.REJECTED), points[point]
        assert out(scene, found.id) is approve
        assert scene.desk.vault.keys.names("quarantine") == [], points[point]
    assert Counter(kinds(scene))["review"] == len(tried) + 1


def decided(scene: Scene, found: Release, approve: bool, point: int | None) -> list[str]:
    """Decide on a release, and carry it out in a fork killed at a point; the points passed."""
    room.vote(scene.desk, scene["carl"], found.id, bundle=found.bundle, approve=approve, reason="so be it")
    return killed_at(scene.desk, point, lambda desk: decide(desk, found.id))[1]


def test_an_api_killed_in_a_vote_leaves_the_vote_and_its_job_or_neither(scene: Scene) -> None:
    """The last vote of two: with it the release is approved, and the job that lets it out is queued."""
    dataset = scene.taken_in()

    def once(point: int | None) -> list[str]:
        found = finish(scene, scene.request(dataset, "two"))
        scene.approve(found.id, "carl")
        before = jobs(scene)
        passed = killed_at(scene.desk, point, lambda desk: Scene(desk, scene.people).approve(found.id, "cora"))[1]
        ended = scene.look(found.id)
        done = ended.state == ReleaseState.APPROVED
        assert done or ended.state == ReleaseState.REVIEW
        assert jobs(scene) == before + done
        assert not out(scene, found.id)
        if not done:
            scene.approve(found.id, "cora")
        assert jobs(scene) == before + 1
        assert scene.look(found.id).state == ReleaseState.APPROVED
        return passed

    for point in sampled(once(None)):
        once(point)


def test_an_upload_killed_at_every_point_is_taken_in_once(scene: Scene) -> None:
    dataset = scene.dataset()
    scene.upload(dataset)
    points = killed_at(scene.desk, None, lambda desk: ingest(desk, dataset))[1]
    for point in range(len(points)):
        scene.upload(dataset)
        killed_at(scene.desk, point, lambda desk: ingest(desk, dataset))
        ingest(scene.desk, dataset)
        found = datasets.dataset(scene.desk, scene["steward"], dataset)
        assert found.state == DatasetState.READY
        assert scene.desk.vault.files.exists(found.table_name)


def test_an_erasure_killed_at_every_point_leaves_no_key(scene: Scene) -> None:
    dataset = scene.taken_in()
    datasets.erase(scene.desk, scene["steward"], dataset, "asked for")
    points = range(len(killed_at(scene.desk, None, lambda desk: erase(desk, dataset))[1]))
    for point in points:
        dataset = scene.taken_in()
        datasets.erase(scene.desk, scene["steward"], dataset, "asked for")
        killed_at(scene.desk, point, lambda desk, dataset=dataset: erase(desk, dataset))
        erase(scene.desk, dataset)
        assert scene.state_of_dataset(dataset) == DatasetState.ERASED
        assert scene.desk.vault.keys.names(f"tables/{dataset}") == []
        assert scene.desk.vault.files.names(f"tables/{dataset}") == []


def test_an_api_killed_in_a_request_leaves_all_of_it_or_nothing(scene: Scene) -> None:
    dataset = scene.taken_in()
    points = killed_at(scene.desk, None, lambda desk: ask(scene, desk, dataset, "0"))[1]
    assert "before commit" in points
    for point, name in enumerate(points):
        before = Counter(kinds(scene))["charge"], jobs(scene)
        once = f"again-{point}"
        killed_at(scene.desk, point, lambda desk, once=once: ask(scene, desk, dataset, once))
        after = Counter(kinds(scene))["charge"], jobs(scene)
        assert after[0] - before[0] == after[1] - before[1], name
        scene.request(dataset, once=once)
        assert (Counter(kinds(scene))["charge"], jobs(scene)) == (before[0] + 1, before[1] + 1)


def test_forty_people_at_four_servers_get_what_the_budget_allows_and_not_one_more(scene: Scene) -> None:
    """As `test_requests.py` has it in one process, over four that share nothing but the database."""
    dataset = scene.taken_in(cap=2.5)

    def server(desk: Desk) -> None:
        def one(_: int) -> None:
            with suppress(BudgetExceededError):
                ask(scene, desk, dataset, "")

        with ThreadPoolExecutor(10) as pool:
            list(pool.map(one, range(10)))

    with ThreadPoolExecutor(4) as servers:
        ended = list(servers.map(lambda _: killed_at(scene.desk, None, server)[0], range(4)))
    assert ended == [0, 0, 0, 0]
    granted = kinds(scene).count("charge")
    assert 1 < granted < 40
    assert jobs(scene) == granted + 1  # and the check of the upload
    gauge = datasets.budget(scene.desk, scene["steward"], dataset)
    assert gauge.reserved <= 2.5
    assert not requests.price(scene.desk, scene["researcher"], dataset, SMALL, "open").fits


def ask(scene: Scene, desk: object, dataset: str, once: str) -> None:
    """The researcher's request, made in a fork."""
    Scene(desk, scene.people).request(dataset, once=once)  # type: ignore[arg-type]

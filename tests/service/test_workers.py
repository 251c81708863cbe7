"""One worker a slot; the jobs of a dead one are done by the living; no cell of the table lies anywhere in the clear."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text, update

from api.desk import releases, requests
from api.desk.errors import ConflictError
from api.desk.record import entries
from api.desk.requests import job_of
from api.desk.states import ReleaseState
from api.store.database import reading, writing
from api.store.journal import AUDIT
from api.store.tables import ChainEntry, Worker
from api.work import lease
from api.work.checkpoints import stored, verify_checkpoints, write_checkpoint
from api.work.engine import Client
from api.work.releasing import folder_of
from api.work.worker import fail_lost, tidy
from privacy.errors import RequestError
from tests.end_to_end.scene import CANARY, TABLE
from tests.service.conftest import database_text
from tests.service.scene import LONG, Scene, start_worker, stop_worker, working
from tests.service.test_requests import kinds

QUEUES = ("cpu",)


def test_a_second_worker_of_a_slot_is_refused_on_the_same_machine(scene: Scene) -> None:
    held = lease.take(scene.desk, "one", QUEUES)
    with pytest.raises(RequestError, match="held by another"):
        lease.take(scene.desk, "one", QUEUES)
    assert lease.beat(scene.desk, held)
    lease.leave(scene.desk, held)
    lease.leave(scene.desk, lease.take(scene.desk, "one", QUEUES))


def test_a_second_worker_of_a_slot_is_refused_on_another_machine_as_long_as_the_first_beats(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = scene.desk.settings
    quick = replace(scene.desk, settings=settings.model_copy(update={"lease_seconds": 0.4}))
    elsewhere = replace(quick, settings=quick.settings.model_copy(update={"data": tmp_path / "elsewhere"}))
    held = lease.take(quick, "one", QUEUES)
    monkeypatch.setattr(lease, "_host", lambda: "elsewhere")
    beats = iter(lambda: lease.beat(quick, held), None)
    original = time.sleep
    monkeypatch.setattr(lease.time, "sleep", lambda seconds: (next(beats), original(seconds)))
    with pytest.raises(RequestError, match="held by another"):
        lease.take(elsewhere, "one", QUEUES)
    monkeypatch.setattr(lease.time, "sleep", original)
    taken = lease.take(elsewhere, "one", QUEUES)  # the first is silent now
    assert not lease.beat(quick, held)
    lease.leave(elsewhere, taken)


def test_a_silent_worker_is_swept_by_one_alone(scene: Scene) -> None:
    quick = replace(scene.desk, settings=scene.desk.settings.model_copy(update={"lease_seconds": 0.05}))
    lease.take(quick, "one", QUEUES)
    time.sleep(0.2)
    first, second = lease.claim_dead(quick), lease.claim_dead(quick)
    assert ([one.slot for one in first], second) == (["one"], [])
    lease.drop(quick, first[0], [])
    with reading(quick.engine) as session:
        assert session.get(Worker, "one") is None


def test_a_release_whose_job_is_over_does_not_wait_for_ever(scene: Scene) -> None:
    asked = scene.request(scene.taken_in())
    assert isinstance(scene.desk.jobs, Client)
    assert fail_lost(scene.desk, scene.desk.jobs) == []
    scene.desk.jobs._client.cancel_workflow(job_of(asked.id))  # as if the engine had given it up
    assert fail_lost(scene.desk, scene.desk.jobs) == [asked.id]
    assert scene.look(asked.id).state == ReleaseState.FAILED
    assert kinds(scene) == ["cap", "charge", "void"]


def test_what_a_run_left_is_removed_once_its_release_is_over(scene: Scene) -> None:
    over, at_work = (scene.request(scene.taken_in()).id for _ in range(2))
    requests.cancel(scene.desk, scene["researcher"], over, "a mistake")
    for release in (over, at_work):
        folder_of(scene.desk, release).mkdir(parents=True)
    tidy(scene.desk)
    assert [folder_of(scene.desk, one).exists() for one in (over, at_work)] == [False, True]


def test_a_checkpoint_shows_a_chain_that_was_rewritten(scene: Scene) -> None:
    assert write_checkpoint(scene.desk) == 0  # nothing has happened, so nothing is signed
    scene.dataset()
    write_checkpoint(scene.desk)
    write_checkpoint(scene.desk)
    scene.dataset()
    assert verify_checkpoints(scene.desk, stored(scene.desk)) == 1
    with writing(scene.desk.engine) as session:
        lite = session.connection().dialect.name == "sqlite"
        off = "DROP TRIGGER chain_entry_no_update" if lite else "ALTER TABLE chain_entry DISABLE TRIGGER USER"
        session.execute(text(off))
        session.execute(
            update(ChainEntry).where(ChainEntry.chain == AUDIT, ChainEntry.seq == 1).values(digest="0" * 64)
        )
    with pytest.raises(ConflictError, match="audit"):
        verify_checkpoints(scene.desk, stored(scene.desk))


@pytest.mark.service
def test_the_jobs_of_a_worker_killed_on_another_machine_are_done_by_the_living(scene: Scene) -> None:
    scene = scene.with_lease(6.0)
    first = start_worker(scene, "one")
    try:
        asked = scene.request(scene.ready(), asked=LONG)
        scene.wait(lambda: steps(scene, asked.id) > 0, "the first worker runs it")
        stop_worker(first, signal.SIGKILL)
        with working(scene, "two"):
            found = scene.settled(asked.id)
    finally:
        first.kill()
        first.wait()
    assert found.state == ReleaseState.REVIEW
    assert kinds(scene) == ["cap", "charge", "opened", "reopened", "candidate", "verdict"]
    acts = [entry.kind for entry in entries(scene.desk.engine, 0, 1000)]
    assert acts.count("worker swept") == 1


@pytest.mark.service
def test_a_worker_started_anew_takes_its_jobs_up_again(scene: Scene) -> None:
    first = start_worker(scene, "one")
    try:
        asked = scene.request(scene.ready(), asked=LONG)
        scene.wait(lambda: steps(scene, asked.id) > 0, "the worker runs it")
    finally:
        stop_worker(first, signal.SIGKILL)
    with working(scene, "one"):
        found = scene.settled(asked.id)
    assert found.state == ReleaseState.REVIEW
    assert kinds(scene) == ["cap", "charge", "opened", "reopened", "candidate", "verdict"]


@pytest.mark.service
def test_a_running_release_is_stopped_when_somebody_asks(scene: Scene) -> None:
    with working(scene):
        asked = scene.request(scene.ready(), asked=LONG)
        scene.wait(lambda: steps(scene, asked.id) > 0, "the worker runs it")
        requests.cancel(scene.desk, scene["researcher"], asked.id, "no longer needed")
        found = scene.settled(asked.id)
    assert found.state == ReleaseState.CANCELLED
    assert kinds(scene) == ["cap", "charge", "opened"]


def test_no_cell_is_found_anywhere_but_in_what_was_sent(scene: Scene) -> None:
    """Every file of the installation, the database included, before and after a release."""
    scene.approve(scene.made(scene.taken_in()).id, "carl")
    assert CANARY not in database_text(scene.desk.engine)
    scene.desk.engine.dispose()
    looked_at = [path for path in scene.folder.parent.rglob("*") if path.is_file() and path.name != TABLE]
    assert len(looked_at) > 20
    assert [path.name for path in looked_at if CANARY.encode() in path.read_bytes()] == []


def steps(scene: Scene, release: str) -> int:
    """How many steps of a release were announced."""
    return len(releases.progress(scene.desk, scene["researcher"], release))

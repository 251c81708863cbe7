"""What the service stands on gives way: its database is restarted, its disk is full, its program is replaced."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from api.desk import datasets
from api.desk.desk import CPU, LIGHT
from api.desk.states import DatasetState, ReleaseState
from api.processes import keep_worker
from api.service import close_desk, prepare
from api.store.database import is_full
from api.store.migrate import downgrade
from tests.service.cluster import PROGRAMS, Cluster, cluster
from tests.service.conftest import SERVER
from tests.service.scene import Scene, make_scene, working
from tests.service.test_requests import jobs, kinds
from tests.service.test_workers import steps

MADE = ["cap", "charge", "opened", "candidate", "verdict"]


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    if not SERVER or not PROGRAMS:
        pytest.skip("`make test-service` asks for it, where PostgreSQL's programs are installed")
    with cluster() as made:
        yield made


@pytest.mark.service
def test_a_database_that_crashes_in_the_middle_of_a_job_costs_no_second_charge(server: Cluster, tmp_path: Path) -> None:
    scene = make_scene(tmp_path, server.url)
    try:
        with kept(scene):
            asked = scene.request(scene.ready())
            scene.wait(lambda: steps(scene, asked.id) > 1, "the worker runs it")
            server.crash(away_seconds=2.0)
            scene.wait(lambda: reachable(scene), "the database is back")
            found = scene.settled(asked.id)
            assert found.state == ReleaseState.REVIEW
            counts = Counter(kinds(scene))
            assert (counts["charge"], counts["opened"], counts["verdict"], counts["void"]) == (1, 1, 1, 0)
            server.crash(away_seconds=0.5)
            scene.wait(lambda: reachable(scene), "the database is back")
            scene.approve(asked.id, "carl")
            assert scene.settled(asked.id).state == ReleaseState.PUBLISHED
    finally:
        close_desk(scene.desk)


@contextmanager
def kept(scene: Scene) -> Iterator[None]:
    """A worker that is started again when it ends, as it does where the database is away for longer than a lease."""
    ended = threading.Event()
    keeper = threading.Thread(target=keep_worker, args=(scene.desk.settings, (CPU, LIGHT), ended))
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def reachable(scene: Scene) -> bool:
    """Whether the database answers."""
    try:
        with scene.desk.engine.connect() as connection:
            return connection.execute(text("SELECT 1")).scalar() == 1
    except DBAPIError:
        return False


@pytest.mark.service
def test_a_program_that_is_replaced_does_the_jobs_that_wait(scene: Scene) -> None:
    """The database goes back to the tables of the version before, with a job in its queue; then the new one starts."""
    dataset = scene.taken_in()
    asked = scene.request(dataset)
    scene.upload(scene.dataset(population="others"))
    waiting = jobs(scene)
    downgrade(scene.desk.engine, "v1")
    prepare(scene.desk.settings)
    assert jobs(scene) == waiting
    with working(scene):
        found = scene.settled(asked.id)
        scene.wait(lambda: all(state == DatasetState.READY for state in states(scene)), "the upload is checked")
    assert found.state == ReleaseState.REVIEW
    assert kinds(scene) == MADE


def states(scene: Scene) -> list[str]:
    """Of every dataset."""
    return [one.state for one in datasets.catalogue(scene.desk, scene["steward"])]


def test_a_database_without_room_refuses_a_request_whole(tmp_path: Path) -> None:
    """SQLite says so itself, at the size its file may have."""
    scene = make_scene(tmp_path, "")
    try:
        dataset = scene.taken_in()
        before = jobs(scene)

        def limit(connection: object, *_: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {allowed}")  # type: ignore[attr-defined]

        allowed = 1  # SQLite takes the size the file has
        scene.desk.engine.dispose()
        event.listen(scene.desk.engine, "connect", limit)
        granted = 0

        def fill() -> None:
            nonlocal granted
            while True:  # until what is left of the last pages is used up
                scene.request(dataset, once=f"a-{granted}")
                granted += 1

        with pytest.raises(DBAPIError) as refused:
            fill()
        assert is_full(refused.value)
        charged = kinds(scene).count("charge")
        assert (charged, jobs(scene) - before) == (granted, granted)
        allowed = 1 << 30
        scene.desk.engine.dispose()
        scene.request(dataset, once=f"a-{granted}")
        assert kinds(scene).count("charge") == granted + 1
    finally:
        close_desk(scene.desk)

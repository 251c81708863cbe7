"""Asking: one commit, charged once, refused whole; taken back as long as no row was read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, text

from api.access.roles import ForbiddenError
from api.desk import datasets, requests
from api.desk.errors import ConflictError, NotFoundError
from api.desk.record import entries
from api.desk.runs import begin, cancelled, open_charge
from api.desk.states import ReleaseState
from api.store.database import reading
from api.store.journal import LEDGER, DatabaseJournal
from api.store.tables import Release
from privacy.errors import BudgetExceededError, ReleaseError
from privacy.ledger import Ledger
from privacy.noise import system_noise
from tests.service.scene import SMALL, Scene


def ledger(scene: Scene) -> Ledger:
    return Ledger(journal=DatabaseJournal(scene.desk.engine, LEDGER))


def kinds(scene: Scene) -> list[str]:
    """Kinds of the ledger's entries, in order."""
    with ledger(scene).journal.transaction() as transaction:
        return [entry.kind for entry in transaction.entries()]


def jobs(scene: Scene) -> int:
    """How many jobs were ever queued."""
    table = "dbos.workflow_status" if scene.desk.engine.dialect.name == "postgresql" else "workflow_status"
    with reading(scene.desk.engine) as session:
        return int(session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608 (one of two names)


def test_a_price_is_what_the_charge_will_be_and_leaves_nothing(scene: Scene) -> None:
    dataset = scene.taken_in(cap=1.2)
    before = kinds(scene)
    quoted = requests.price(scene.desk, scene["researcher"], dataset, SMALL, "open")
    assert kinds(scene) == before
    scene.request(dataset)
    gauge = datasets.budget(scene.desk, scene["researcher"], dataset)
    assert quoted.fits
    assert (quoted.total_after, quoted.left_after) == (gauge.spent + gauge.reserved, gauge.left)
    too_much = requests.price(scene.desk, scene["researcher"], dataset, replace(SMALL, epsilon=1.1), "open")
    assert (too_much.fits, too_much.total_after, too_much.left_after) == (False, None, None)


def test_the_same_request_again_is_one_release_and_one_charge(scene: Scene) -> None:
    dataset = scene.taken_in()
    first = scene.request(dataset, once="a")
    queued = jobs(scene)
    assert scene.request(dataset, once="a").id == first.id
    assert (kinds(scene), jobs(scene)) == (["cap", "charge"], queued)
    with pytest.raises(ConflictError):
        scene.request(dataset, policy="two", once="a")


def test_what_is_refused_leaves_neither_charge_nor_release_nor_job(scene: Scene) -> None:
    dataset = scene.taken_in(cap=1.2)
    scene.request(dataset)
    before = kinds(scene), jobs(scene), len(entries(scene.desk.engine, 0, 1000))
    with pytest.raises(BudgetExceededError):
        scene.request(dataset)
    assert (kinds(scene), jobs(scene), len(entries(scene.desk.engine, 0, 1000))) == before


def test_forty_people_at_once_get_what_the_budget_allows_and_not_one_more(scene: Scene) -> None:
    dataset = scene.taken_in(cap=2.5)
    start = threading.Barrier(40, timeout=60)

    def ask(_: int) -> bool:
        start.wait()
        try:
            scene.request(dataset)
        except BudgetExceededError:
            return False
        return True

    with ThreadPoolExecutor(40) as pool:
        granted = sum(pool.map(ask, range(40)))
    gauge = datasets.budget(scene.desk, scene["steward"], dataset)
    assert 1 < granted < 40
    assert kinds(scene).count("charge") == granted
    assert gauge.reserved <= 2.5
    assert not requests.price(scene.desk, scene["researcher"], dataset, SMALL, "open").fits
    with reading(scene.desk.engine) as session:
        assert len(list(session.scalars(select(Release.id)))) == granted


def test_a_queued_request_is_taken_back_with_its_charge(scene: Scene) -> None:
    dataset = scene.taken_in()
    asked = scene.request(dataset)
    requests.cancel(scene.desk, scene["researcher"], asked.id, "a mistake")
    assert scene.look(asked.id).state == ReleaseState.CANCELLED
    assert kinds(scene) == ["cap", "charge", "void"]
    assert begin(scene.desk, asked.id, "here") is None


@pytest.mark.parametrize("opened", [False, True])
def test_a_running_one_is_stopped_and_keeps_its_charge_if_it_was_opened(scene: Scene, opened: bool) -> None:
    dataset = scene.taken_in()
    asked = scene.request(dataset)
    run = begin(scene.desk, asked.id, "here")
    assert run is not None
    if opened:
        open_charge(scene.desk, run, system_noise())
    requests.cancel(scene.desk, scene["researcher"], asked.id, "a mistake")
    cancelled(scene.desk, run)
    assert scene.look(asked.id).state == ReleaseState.CANCELLED
    assert kinds(scene) == ["cap", "charge", "opened" if opened else "void"]
    with pytest.raises(ReleaseError):
        open_charge(scene.desk, run, system_noise())


def test_only_whoever_asked_and_the_steward_take_it_back(scene: Scene) -> None:
    asked = scene.request(scene.taken_in())
    for name in ("carl", "auditor", "admin"):
        with pytest.raises(ForbiddenError):
            requests.cancel(scene.desk, scene[name], asked.id, "not mine")
    requests.cancel(scene.desk, scene["steward"], asked.id, "the steward may")


def test_somebody_without_a_role_sees_nothing(scene: Scene) -> None:
    dataset = scene.taken_in()
    nobody = replace(scene["researcher"], id="nobody", grants=frozenset())
    with pytest.raises(NotFoundError):
        datasets.dataset(scene.desk, nobody, dataset)
    with pytest.raises(NotFoundError):
        requests.price(scene.desk, nobody, dataset, SMALL, "open")
    assert datasets.catalogue(scene.desk, nobody) == []

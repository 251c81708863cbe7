"""A run and its rights: one at a time, again only while nothing left, and never twice for one charge."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from api.desk import reaudits, releases, room
from api.desk.errors import ConflictError
from api.desk.runs import MOST_RUNS, SEALING, OutdatedRunError, Run, begin, fail, open_charge, problem_of, settle, step
from api.desk.states import ReleaseState
from api.store.database import reading
from api.store.tables import Vote
from api.work.decisions import decide
from api.work.reauditing import reaudit
from api.work.releasing import folder_of
from api.work.releasing import release as carry_out
from audits.release.gate import Verdict
from privacy.errors import ReleaseError
from privacy.noise import system_noise
from tests.service.scene import Scene
from tests.service.test_requests import kinds


def started(scene: Scene, release: str) -> Run:
    run = begin(scene.desk, release, "here")
    assert run is not None
    return run


def test_a_run_that_died_before_its_sealing_is_run_again_on_the_same_charge(scene: Scene) -> None:
    asked = scene.request(scene.taken_in())
    first = started(scene, asked.id)
    open_charge(scene.desk, first, system_noise())
    step(scene.desk, first, "sampling")
    second = started(scene, asked.id)
    carry_out(scene.desk, second)
    assert kinds(scene) == ["cap", "charge", "opened", "reopened", "candidate", "verdict"]
    assert scene.look(asked.id).state == ReleaseState.REVIEW
    for act in (lambda: step(scene.desk, first, SEALING), lambda: open_charge(scene.desk, first, system_noise()),
                lambda: settle(scene.desk, first, Verdict.PASS, "0")):  # fmt: skip
        with pytest.raises(OutdatedRunError):
            act()


def test_a_run_that_died_behind_its_bundle_is_finished_from_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = scene.request(scene.taken_in())
    first = started(scene, asked.id)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("api.work.releasing.put_bundle", die)
        with pytest.raises(KeyboardInterrupt):
            carry_out(scene.desk, first)
    carry_out(scene.desk, started(scene, asked.id))
    found = scene.look(asked.id)
    assert (found.state, found.verdict) == (ReleaseState.REVIEW, "PASS")
    assert kinds(scene) == ["cap", "charge", "opened", "candidate", "verdict"]
    assert not folder_of(scene.desk, asked.id).exists()


@pytest.mark.service
def test_a_full_disk_loses_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object store's disk: the kernel says so itself, through /dev/full."""
    dataset = scene.taken_in()
    asked = scene.request(dataset)
    files = scene.desk.vault.files.filesystem
    original = files.open

    def full(path: str, mode: str) -> object:
        return open("/dev/full", "wb", buffering=0) if mode == "wb" else original(path, mode)

    with monkeypatch.context() as patched:
        patched.setattr(type(files), "open", lambda _, path, mode: full(path, mode))
        with pytest.raises(OSError, match="No space left"):
            carry_out(scene.desk, started(scene, asked.id))
        with pytest.raises(OSError, match="No space left"):
            scene.upload(scene.dataset())
    carry_out(scene.desk, started(scene, asked.id))
    assert scene.look(asked.id).state == ReleaseState.REVIEW
    assert kinds(scene) == ["cap", "charge", "opened", "candidate", "verdict"]


def test_a_run_that_died_while_sealing_fails_and_its_charge_stands(scene: Scene) -> None:
    asked = scene.request(scene.taken_in())
    first = started(scene, asked.id)
    open_charge(scene.desk, first, system_noise())
    step(scene.desk, first, SEALING)
    second = started(scene, asked.id)
    with pytest.raises(OutdatedRunError) as refused:
        carry_out(scene.desk, second)
    fail(scene.desk, asked.id, problem_of(refused.value), second)
    assert scene.look(asked.id).state == ReleaseState.FAILED
    assert kinds(scene) == ["cap", "charge", "opened"]


def test_a_run_that_dies_every_time_is_given_up(scene: Scene) -> None:
    asked = scene.request(scene.taken_in())
    for _ in range(MOST_RUNS):
        started(scene, asked.id)
    assert begin(scene.desk, asked.id, "here") is None
    assert scene.look(asked.id).state == ReleaseState.FAILED
    assert kinds(scene) == ["cap", "charge", "void"]


@pytest.mark.service
def test_what_is_withheld_keeps_no_table(scene: Scene) -> None:
    found = scene.made(scene.taken_in(), "closed")
    assert (found.state, found.verdict) == (ReleaseState.WITHHELD, "WITHHOLD")
    stored = scene.desk.vault.files.names("bundles")
    assert stored
    assert not [name for name in stored if "data/" in name]
    assert scene.desk.vault.files.names("quarantine") == []


def test_two_people_approve_and_only_then_is_there_a_table(scene: Scene) -> None:
    found = scene.made(scene.taken_in(), "two")
    assert found.state == ReleaseState.REVIEW
    vote = {"bundle": found.bundle, "approve": True, "reason": "fine"}
    room.vote(scene.desk, scene["carl"], found.id, **vote)
    decide(scene.desk, found.id)
    assert scene.look(found.id).state == ReleaseState.REVIEW
    assert not [name for name in scene.desk.vault.files.names("bundles") if "data/" in name]
    assert [name for _, name in room.votes(scene.desk, scene["cora"], found.id)] == []
    with pytest.raises(ConflictError, match="voted"):
        room.vote(scene.desk, scene["carl"], found.id, **vote)
    room.vote(scene.desk, scene["cora"], found.id, **vote)
    decide(scene.desk, found.id)
    published = scene.look(found.id)
    assert published.state == ReleaseState.PUBLISHED
    assert [name for _, name in room.votes(scene.desk, scene["auditor"], found.id)] == ["carl", "cora"]
    names = scene.desk.vault.files.names(f"bundles/{found.id}")
    assert {name.split("/")[0] for name in names} == {published.bundle}
    assert f"{published.bundle}/bundle/data/synthetic.csv" in names
    assert scene.desk.vault.files.names("quarantine") == []
    assert scene.desk.vault.keys.names("quarantine") == []
    decide(scene.desk, found.id)  # once more, as after a crash
    assert scene.look(found.id).bundle == published.bundle


@pytest.mark.service
def test_a_released_table_is_audited_again_against_the_same_rows(scene: Scene) -> None:
    found = scene.made(scene.taken_in())
    room.vote(scene.desk, scene["carl"], found.id, bundle=found.bundle, approve=True, reason="fine")
    with pytest.raises(ConflictError):
        reaudits.reaudit(scene.desk, scene["carl"], found.id)  # not out yet
    decide(scene.desk, found.id)
    identity = reaudits.reaudit(scene.desk, scene["carl"], found.id)
    for _ in range(2):  # the second time, as after a crash, nothing is done
        reaudit(scene.desk, f"{found.id}/{identity}")
    told = reaudits.reaudits(scene.desk, scene["auditor"], found.id)
    assert [(name, decision["verdict"]) for name, decision in told.items()] == [(identity, "PASS")]
    assert kinds(scene) == [
        "cap",
        "charge",
        "opened",
        "candidate",
        "verdict",
        "review",
        "attempt",
        "candidate",
        "verdict",
    ]
    assert scene.look(found.id).state == ReleaseState.PUBLISHED
    assert not list(scene.desk.settings.work.glob("reaudit-*"))


@pytest.mark.service
def test_the_tables_of_the_population_that_are_out_are_held_beside_the_next(scene: Scene) -> None:
    """Published and withdrawn ones, of other datasets too; not those that still wait, nor another population's."""
    dataset = scene.taken_in()
    published, withdrawn, waiting = (scene.made(dataset) for _ in range(3))
    for found in (published, withdrawn):
        room.vote(scene.desk, scene["carl"], found.id, bundle=found.bundle, approve=True, reason="fine")
        decide(scene.desk, found.id)
    releases.withdraw(scene.desk, scene["carl"], withdrawn.id, "no longer")
    for other, held in ((scene.taken_in(), (published, withdrawn)), (scene.taken_in(population="others"), ())):
        card = releases.scorecard(scene.desk, scene["carl"], scene.made(other).id)
        digests = ", ".join(scene.look(found.id).bundle for found in held)
        assert card["reproducibility"]["earlier releases held beside it"] == (digests or "none")
    assert waiting.state == ReleaseState.REVIEW


def test_a_rejection_destroys_the_table(scene: Scene) -> None:
    found = scene.made(scene.taken_in(), "two")
    assert scene.desk.vault.keys.names("quarantine")
    room.vote(scene.desk, scene["carl"], found.id, bundle=found.bundle, approve=False, reason="not like this")
    decide(scene.desk, found.id)
    assert scene.look(found.id).state == ReleaseState.REJECTED
    assert scene.desk.vault.keys.names("quarantine") == []
    assert not [name for name in scene.desk.vault.files.names("bundles") if "data/" in name]


def test_overriding_the_checks_takes_two_people_whatever_the_policy_says(scene: Scene) -> None:
    found = scene.made(scene.taken_in(), "reviewed")
    assert (found.verdict, found.approvers) == ("REVIEW", 2)


def test_nobody_decides_on_what_they_asked_for(scene: Scene) -> None:
    """Even with the role."""
    both = type(scene["carl"])(scene["researcher"].id, "researcher", scene["researcher"].grants | scene["carl"].grants)
    found = scene.made(scene.taken_in())
    with pytest.raises(ReleaseError, match="asked for"):
        room.vote(scene.desk, both, found.id, bundle=found.bundle, approve=True, reason="mine")


@pytest.mark.service
def test_a_vote_on_another_bundle_does_not_count(scene: Scene) -> None:
    found = scene.made(scene.taken_in())
    with pytest.raises(ConflictError, match="anew"):
        room.vote(scene.desk, scene["carl"], found.id, bundle="0" * 64, approve=True, reason="fine")
    with reading(scene.desk.engine) as session:
        assert list(session.scalars(select(Vote))) == []


def test_a_researcher_sees_no_finding(scene: Scene) -> None:
    found = scene.made(scene.taken_in())
    for look in (releases.findings, releases.decision, releases.internal_report, releases.scorecard):
        with pytest.raises(ReleaseError):
            look(scene.desk, scene["researcher"], found.id)
    assert releases.findings(scene.desk, scene["carl"], found.id)

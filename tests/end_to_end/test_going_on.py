"""kill -9 in the middle of a training: the same command goes on, under one charge, and no answer is drawn twice.

The generators of the registry with training cut short (`bench.short`), every run taken for one worth keeping.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from api import charging, pipeline
from api.home import Home
from api.pipeline import release
from api.recipe import Recipe, place
from api.steps import Steps, StoppedError
from audits.release.gate import Verdict
from audits.release.verify import verify
from bench.short import SHORT
from privacy.checkpoint import ANSWERS, RunningError
from privacy.cost import PrivacyCost
from privacy.errors import RequestError
from privacy.noise import system_noise
from privacy.transcript import CheckpointError
from synthesizers import registry
from tests.end_to_end.forks import Forks
from tests.end_to_end.scene import CANARY, FEW, HEADER, OPEN, POPULATION, as_json, kinds, plaintext, scene

pytestmark = pytest.mark.usefixtures("brief_releases")

POINTS = {
    # While, before and after an answer is written; before a state is; fitted; and half sealed.
    "dp-ctgan": ["before answer 2", "answer torn 20", "before state 2", "fitted committed", "before rename in seal"],
    "pate-gan": ["opened committed", "answer torn 3", "answer kept 12"],
}
"""In the order a run passes them; an answer's number is counted within its own process."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as server:
        yield server


@pytest.fixture
def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same here as in the processes that are killed."""
    monkeypatch.setattr(registry, "SYNTHESIZERS", SHORT)
    monkeypatch.setattr(charging, "WORTH_KEEPING", 0.0)


def killed(forks: Forks, recipe: Recipe, home: Home, point: str) -> int:
    """Run the release up to a point, with short trainings; the exit status."""
    folder = recipe.out.parent
    job = {"do": "kill", "folder": str(folder), "recipe": as_json(recipe), "point": point, "short": True}
    return forks.run(job | {"passed": str(folder / "passed.txt"), "ledger": str(home.path)})[0]


def again(recipe: Recipe, home: Home) -> Verdict:
    """The same request once more, here."""
    return release(recipe, home, Steps(lambda _: None)).decision.verdict


def answers(home: Home) -> Path:
    """The one file answers are in."""
    (found,) = home.path.with_name("ledger.checkpoints").glob(f"*/{ANSWERS}")
    return found


@pytest.mark.usefixtures("shortened")
@pytest.mark.parametrize("name", list(POINTS))
def test_killed_over_and_over_it_is_one_release(tmp_path: Path, forks: Forks, name: str) -> None:
    recipe, home = scene(tmp_path, OPEN, rows=FEW)
    recipe = replace(recipe, synthesizer=name)
    opened = fitted = 0
    for point in POINTS[name]:
        assert killed(forks, recipe, home, point) == -signal.SIGKILL, point
        found = kinds(home)
        assert (found["charge"], found["opened"], found["verdict"]) == (1, 1, 0), point
        assert found["reopened"] == opened, point
        opened += 1
        assert plaintext(tmp_path, CANARY) == [], point
        assert not recipe.out.exists(), point
        fitted = found["fitted"]
    said: list[str] = []
    made = release(replace(recipe, seed=recipe.seed + 1), home, Steps(said.append))  # the seed it was begun with stands
    assert made.decision.verdict is Verdict.PASS
    assert not (fitted and any(" 0 of" in line for line in said))  # what was trained is not trained again
    found = kinds(home)
    assert (found["charge"], found["opened"], found["verdict"]) == (1, 1, 1)
    statement = json.loads((recipe.out / "statement.json").read_text())
    planned = place(replace(recipe, out=tmp_path / "other")).plan.cost
    assert PrivacyCost.from_json(statement["emitted"]).merged == planned.merged
    assert home.ledger.total(POPULATION) == pytest.approx(1.0, rel=1e-3)
    assert home.ledger.attempts(POPULATION) == statement["attempts"] == 1 + fitted
    assert verify(recipe.out, lambda seq, digest: home.ledger.contains((seq, digest))).ok
    assert list(home.path.with_name("ledger.checkpoints").iterdir()) == []
    assert (recipe.out / "data" / "synthetic.csv").read_text().startswith(HEADER)


@pytest.fixture
def left(shortened: None, tmp_path: Path) -> tuple[Recipe, Home]:
    """A training somebody stopped between two steps, after its first answers."""
    recipe, home = scene(tmp_path, OPEN)
    recipe = replace(recipe, synthesizer="pate-gan")
    told: list[str] = []
    with pytest.raises(StoppedError):
        release(recipe, home, Steps(told.append, lambda: any("2 of" in step for step in told)))
    found = kinds(home)
    assert (found["charge"], found["opened"], found["verdict"]) == (1, 1, 0)
    return recipe, home


def test_stopped_it_goes_on_and_the_charge_stands(left: tuple[Recipe, Home]) -> None:
    recipe, home = left
    total = home.ledger.total(POPULATION)
    assert total > 0.9
    assert plaintext(recipe.out.parent, CANARY) == []
    assert again(recipe, home) is Verdict.PASS
    assert home.ledger.total(POPULATION) == total
    assert (kinds(home)["charge"], kinds(home)["reopened"]) == (1, 1)
    with pytest.raises(RequestError):
        again(recipe, home)  # OUT is taken; free of charge
    assert kinds(home)["charge"] == 1


def test_another_table_is_refused(left: tuple[Recipe, Home]) -> None:
    recipe, home = left
    whole = recipe.table.read_bytes()
    recipe.table.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    with pytest.raises(CheckpointError, match="not the one"):
        again(recipe, home)
    recipe.table.write_bytes(whole)
    assert again(recipe, home) is Verdict.PASS
    assert kinds(home)["charge"] == 1


def test_another_program_is_refused(left: tuple[Recipe, Home], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, home = left
    before = kinds(home)
    monkeypatch.setattr(charging, "code_digest", lambda _: "another")
    with pytest.raises(CheckpointError, match="program"):
        again(recipe, home)
    assert kinds(home) == before


def test_answers_put_back_from_before_are_refused(left: tuple[Recipe, Home], monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup of the folder, restored after the run had gone on and was stopped again."""
    recipe, home = left
    older = answers(home).read_bytes()
    with monkeypatch.context() as dying:
        dying.setattr(pipeline, "draw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            again(recipe, home)
    assert kinds(home)["fitted"] == 1
    newer = answers(home).read_bytes()
    assert len(newer) > len(older)
    answers(home).write_bytes(older)
    with pytest.raises(CheckpointError, match="not those"):
        again(recipe, home)
    assert (kinds(home)["charge"], kinds(home)["verdict"]) == (1, 0)


def interrupted(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def test_the_same_request_is_not_run_twice_at_once(left: tuple[Recipe, Home]) -> None:
    recipe, home = left
    with charging.opened(place(recipe), home, system_noise()), pytest.raises(RunningError):
        again(recipe, home)
    assert kinds(home)["charge"] == 1


def test_another_request_has_a_charge_and_answers_of_its_own(left: tuple[Recipe, Home]) -> None:
    recipe, home = left
    kept = answers(home)
    content = kept.read_bytes()
    assert again(replace(recipe, request="another"), home) is Verdict.PASS
    assert kinds(home)["charge"] == 2
    assert kept.read_bytes() == content


def test_a_quick_run_keeps_nothing(tmp_path: Path) -> None:
    recipe, home = scene(tmp_path, OPEN)
    assert again(recipe, home) is Verdict.PASS
    assert not home.path.with_name("ledger.checkpoints").exists()
    assert kinds(home)["fitted"] == 0

"""kill -9 at every step of a release: the ledger holds, nothing is charged twice, no half bundle, nothing in the clear.

The points are those a run really passes: every step it announces, every entry before it is written, when written and
when committed, and what sealing does to folders. None is left out but repeats of the same call.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.home import Home
from api.pipeline import release
from api.recipe import Recipe
from api.steps import Steps
from audits.registry import STANDARD
from audits.release.gate import Verdict
from audits.release.verify import verify
from privacy.errors import RequestError
from tests.end_to_end.forks import Forks
from tests.end_to_end.scene import (
    CANARY,
    FEW,
    HEADER,
    LEDGER,
    OPEN,
    OUT,
    REVIEWED,
    SCHEMA,
    TABLE,
    as_json,
    kinds,
    plaintext,
    scene,
)

ENTRIES = ["before cap", "cap written", "before charge", "charge written", "charge committed"]
ENTRIES += ["before opened", "opened written", "opened committed"]
CANDIDATE = ["before candidate", "candidate written", "candidate committed"]
STEPS = ["reading the table", "measuring one-way marginals", "sampling"]
AUDITS = [audit.title for audit in STANDARD]
SEALING = ["before mkdir in seal", "before rename in seal", "before rename in seal 2"]
SETTLED = ["before rmdir in seal", "before verdict", "verdict written", "verdict committed"]
IN_ORDER = ["step: checking the request", *ENTRIES, *(f"step: {name}" for name in STEPS), *CANDIDATE]
IN_ORDER += [*(f"step: audit: {name}" for name in AUDITS), "step: judging", "step: sealing the bundle"]
EXPECTED_HERE = {TABLE, SCHEMA, LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", "policy.json", "ledger.keys", "passed.txt"}
EXPECTED_HERE |= {"ledger.quarantine", "out-0.txt"}


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as server:
        yield server


def job(recipe: Recipe, home: Home, point: str) -> dict[str, Any]:
    """A release that ends at a point."""
    folder = recipe.out.parent
    asked = {"do": "kill", "folder": str(folder), "recipe": as_json(recipe), "point": point}
    return asked | {"passed": str(folder / "passed.txt"), "ledger": str(home.path)}


def killed(forks: Forks, recipe: Recipe, home: Home, point: str) -> int:
    """Run the release up to a point; the exit status."""
    return forks.run(job(recipe, home, point))[0]


def again(recipe: Recipe, home: Home) -> Verdict:
    """The same request once more, here."""
    return release(recipe, home, Steps(lambda _: None)).decision.verdict


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - EXPECTED_HERE


def test_killed_at_every_step_of_one_request_and_then_done(tmp_path: Path, forks: Forks) -> None:
    """One request, killed at every point in turn: each run takes up what the last one left, and passes its point.

    Under review throughout, so that no row of the synthetic table may be on the disk in the clear either.
    """
    recipe, home = scene(tmp_path, REVIEWED, rows=FEW)
    points = [*IN_ORDER, *SEALING]
    charges = opened = 0
    for point in points:
        assert killed(forks, recipe, home, point) == -signal.SIGKILL, point
        if charges == opened and points.index(point) >= points.index("charge committed"):
            charges += 1
        if points.index(point) >= points.index("opened committed"):
            opened += 1
        found = kinds(home)
        assert (found["charge"], found["opened"], found["verdict"]) == (charges, opened, 0), point
        assert found["cap"] == min(charges, 1), point
        assert not recipe.out.exists(), point
        assert all(name.startswith(f".{OUT}.seal-") or name == f"{OUT}.internal" for name in leftovers(tmp_path)), point
        assert plaintext(tmp_path, CANARY, HEADER, "PAR1") == [], point
    assert (tmp_path / f"{OUT}.internal").is_dir()  # the last one died between the two halves
    assert again(recipe, home) is Verdict.REVIEW
    found = kinds(home)
    assert (found["charge"], found["opened"], found["verdict"]) == (opened + 1, opened + 1, 1)
    assert verify(recipe.out, lambda seq, digest: home.ledger.contains((seq, digest))).ok
    assert leftovers(tmp_path) == {OUT, f"{OUT}.internal"}
    waiting = json.loads((tmp_path / f"{OUT}.internal" / "decision.json").read_text())["quarantine"]
    assert [path.name for path in (tmp_path / "ledger.quarantine").iterdir()] == [waiting]
    assert plaintext(tmp_path, CANARY, HEADER, "PAR1") == []
    assert home.ledger.attempts(next(iter(home.ledger.populations()))) == opened + 1


def test_the_points_are_all_a_run_passes(tmp_path: Path, forks: Forks) -> None:
    """Nothing a release announces, writes or renames is missing from the list above."""
    recipe, home = scene(tmp_path, REVIEWED, rows=FEW)
    assert killed(forks, recipe, home, "") == 0
    passed = (tmp_path / "passed.txt").read_text().splitlines()
    assert [p for p in passed if p.startswith("step: ")] == [p for p in IN_ORDER if p.startswith("step: ")]
    assert {*IN_ORDER, *SEALING, *SETTLED} <= set(passed)
    repeats = {p for p in passed if "mkdir in seal" in p}
    assert set(passed) - repeats == {*IN_ORDER, *SEALING, *SETTLED, "cap committed"} - repeats


@pytest.mark.parametrize(("point", "charges"), [("charge committed", 1), ("opened committed", 2)])
def test_only_an_unopened_charge_is_taken_up_again(tmp_path: Path, forks: Forks, point: str, charges: int) -> None:
    recipe, home = scene(tmp_path, OPEN, rows=FEW)
    assert killed(forks, recipe, home, point) == -signal.SIGKILL
    assert again(recipe, home) is Verdict.PASS
    assert (kinds(home)["charge"], kinds(home)["opened"]) == (charges, charges)
    assert verify(recipe.out, lambda seq, digest: home.ledger.contains((seq, digest))).ok


def test_killed_once_the_bundle_is_there(tmp_path: Path, forks: Forks) -> None:
    """The bundle is whole, verifies and names its place in the ledger; the same request is refused, free of charge.

    Right after the second rename, and with the verdict written and not committed; the others lie between or after.
    """
    points = ("before rmdir in seal", "verdict written")
    assert set(points) < set(SETTLED)
    scenes = {point: scene(tmp_path / point.replace(" ", "-"), OPEN, rows=FEW) for point in points}
    statuses = forks.run(*(job(recipe, home, point) for point, (recipe, home) in scenes.items()))
    assert statuses == [-signal.SIGKILL] * len(points)
    for recipe, home in scenes.values():
        found = kinds(home)
        assert (found["charge"], found["opened"], found["verdict"]) == (1, 1, 0)
        assert (recipe.out / "data" / "synthetic.csv").read_text().startswith(HEADER)
        assert plaintext(recipe.out.parent, CANARY) == []
        report = verify(recipe.out, lambda seq, digest, home=home: home.ledger.contains((seq, digest)))
        assert {status for _, status, _ in report.checks} == {"ok"}
        with pytest.raises(RequestError):
            again(recipe, home)
        assert kinds(home) == found

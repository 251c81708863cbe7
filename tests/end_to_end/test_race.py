"""Processes racing for the last of a budget: one gets it, the others are told no, and the cap holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api.charging import charge_and_open
from api.home import Home
from api.recipe import Recipe, place
from audits.release.verify import verify
from privacy.noise import system_noise
from tests.end_to_end.forks import Forks
from tests.end_to_end.scene import CANARY, FEW, OPEN, POPULATION, kinds, plaintext, scene

CAP = (1.8, 1e-6)
"""Two releases at epsilon 1 and delta 1e-6 fit (1.56 in all), a third (1.98) does not."""

RELEASED, REFUSED = 0, 5


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as server:
        yield server


def command(recipe: Recipe, home: Home) -> dict[str, object]:
    """A racer's command line."""
    options = {
        "--schema": recipe.schema, "--synthesizer": recipe.synthesizer, "--epsilon": recipe.epsilon,
        "--delta": recipe.delta, "--policy": recipe.policy, "--out": recipe.out, "--ledger": home.path,
    }  # fmt: skip
    words = [str(word) for option in options.items() for word in option]
    return {"do": "race", "folder": str(recipe.out.parent), "arguments": ["release", str(recipe.table), *words]}


def half_spent(folder: Path) -> tuple[Recipe, Home]:
    """A population with room for one more release."""
    recipe, home = scene(folder, OPEN, rows=FEW, cap=CAP)
    charge_and_open(place(replace(recipe, request="the one before")), home, system_noise())
    return recipe, home


def check_ledger(home: Home) -> None:
    """One charge more than before the race, opened once, and the total within the cap."""
    found = kinds(home)
    assert (found["charge"], found["opened"], found["verdict"], found["cap"]) == (2, 2, 1, 1)
    assert home.ledger.total(POPULATION) <= CAP[0]


@pytest.mark.parametrize("racers", [2, 4])
def test_one_gets_the_last_of_the_budget(tmp_path: Path, forks: Forks, racers: int) -> None:
    recipe, home = half_spent(tmp_path)
    outs = [tmp_path / f"bundle-{i}" for i in range(racers)]
    codes = forks.run(*(command(replace(recipe, out=out), home) for out in outs))
    assert sorted(codes) == [RELEASED] + [REFUSED] * (racers - 1)
    check_ledger(home)
    for out, code, i in zip(outs, codes, range(racers), strict=True):
        assert out.exists() is (code == RELEASED)
        assert out.with_name(out.name + ".internal").exists() is (code == RELEASED)
        if code == REFUSED:
            assert "budget" in (tmp_path / f"out-{i}.txt").read_text()
    assert verify(outs[codes.index(RELEASED)], lambda seq, digest: home.ledger.contains((seq, digest))).ok
    assert plaintext(tmp_path, CANARY) == []


def test_the_same_command_twice_at_once_pays_once(tmp_path: Path, forks: Forks) -> None:
    """Equal requests may be handed the same unopened charge; only one of them opens it.

    There is no ledger yet, so they also race to make the file, its tables and the population's cap.
    """
    recipe, home = scene(tmp_path, OPEN, rows=FEW, cap=(1.0, 1e-6))
    codes = forks.run(command(recipe, home), command(recipe, home))
    assert sorted(codes) == [RELEASED, REFUSED]
    found = kinds(home)
    assert (found["cap"], found["charge"], found["opened"], found["verdict"]) == (1, 1, 1, 1)
    assert verify(recipe.out).ok

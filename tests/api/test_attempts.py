"""Attempts on a version of a table: counted whatever the file is called, capped, and under one policy."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from api.attempts import check_room, put_forward
from api.charging import charge_and_open
from api.recipe import Recipe, place
from audits.release.gate import Attempt
from audits.release.policy import PRICED, load_policy, parse_policy
from privacy.errors import RequestError
from privacy.noise import system_noise
from tests.end_to_end.scene import OPEN, kinds, scene


def put(recipe: Recipe, home: object, out: str) -> Attempt | None:
    """Charge a release, open it and put its table before the gate; nothing is fitted."""
    order = place(replace(recipe, out=recipe.out.with_name(out)))
    charge, _ = charge_and_open(order, home, system_noise())  # type: ignore[arg-type]
    return put_forward(home, charge, order.schema, order.recipe.table, order.policy)  # type: ignore[arg-type]


def test_a_version_is_the_file_whatever_it_is_called(tmp_path: Path) -> None:
    recipe, home = scene(tmp_path, {**OPEN, "attempts": 3}, rows=20)
    assert put(recipe, home, "one") == Attempt(number=1, same_policy=True)
    copied = replace(recipe, table=tmp_path / "copied.csv")
    shutil.copy(recipe.table, copied.table)
    assert put(copied, home, "two") == Attempt(number=2, same_policy=True)
    assert put(recipe, home, "three") == Attempt(number=3, same_policy=True)
    # Under another name the fourth is charged, counted and withheld; under a known one it is refused before that.
    again = replace(recipe, table=tmp_path / "again.csv")
    shutil.copy(recipe.table, again.table)
    assert put(again, home, "four") == Attempt(number=4, same_policy=True)
    before = kinds(home)
    for known in (recipe, copied, again):
        with pytest.raises(RequestError, match="was put before the gate"):
            put(known, home, "five")
    assert kinds(home) == before


def test_a_changed_file_under_a_new_name_is_a_new_version(tmp_path: Path) -> None:
    recipe, home = scene(tmp_path, {**OPEN, "attempts": 1}, rows=20)
    assert put(recipe, home, "one") == Attempt(number=1, same_policy=True)
    other = replace(recipe, table=tmp_path / "other.csv")
    other.table.write_bytes(recipe.table.read_bytes() + b"n,x,30,1.0,true\n")
    assert put(other, home, "two") == Attempt(number=1, same_policy=True)


def test_the_policy_stands_from_the_first_attempt_on(tmp_path: Path) -> None:
    recipe, home = scene(tmp_path, OPEN, rows=20)
    put(recipe, home, "one")
    (tmp_path / "wider.json").write_text(json.dumps({**OPEN, "max_epsilon": 15.0}))
    wider = replace(recipe, policy=str(tmp_path / "wider.json"))
    before = kinds(home)
    with pytest.raises(RequestError, match="first judged by another policy"):
        put(wider, home, "two")
    assert kinds(home) == before
    copied = replace(wider, table=tmp_path / "copied.csv")
    shutil.copy(recipe.table, copied.table)
    assert put(copied, home, "three") == Attempt(number=2, same_policy=False)


def test_a_priced_gate_counts_nothing_and_looks_at_no_file(tmp_path: Path) -> None:
    recipe, home = scene(tmp_path, {**OPEN, "attempts": 1}, rows=20)
    put(recipe, home, "one")
    order = place(recipe)
    charge = home.ledger.charge_of(home.ledger.show(order.schema.population)[1]["charge"])
    gone = tmp_path / "gone.csv"
    check_room(home, order.schema, recipe.table, load_policy(PRICED))
    assert put_forward(home, charge, order.schema, gone, load_policy(PRICED)) is None


def test_the_ledger_holds_no_plain_digest_and_no_path(tmp_path: Path) -> None:
    """A plain digest could be tried against guessed tables: two installations code the same file differently."""
    found = []
    for name in ("a", "b"):
        recipe, home = scene(tmp_path / name, OPEN, rows=20)
        put(recipe, home, "one")
        (_, facts), *_ = home.ledger.candidates(place(recipe).schema.population)
        assert set(facts) == {"version", "file", "policy"}
        assert facts["policy"] == parse_policy(OPEN).digest
        assert str(tmp_path) not in json.dumps(dict(facts))
        found.append(facts["version"])
    assert found[0] != found[1]

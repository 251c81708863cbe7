"""The adversarial generators through a whole release, and further rows of what they learnt. Training is cut short."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.further_rows import sample
from api.home import Home
from api.pipeline import release
from api.recipe import Recipe
from api.steps import Steps
from audits.release.bundle import MODEL
from audits.release.verify import verify
from bench.short import SHORT
from privacy.accounting import epsilon_of
from privacy.cost import PrivacyCost
from privacy.schema_file import load_schema
from privacy.table import read_table
from synthesizers import registry
from tests.end_to_end.scene import CANARY, OPEN, further, request, scene
from tests.tables import MIXED_DOCUMENT, people, population

pytestmark = pytest.mark.usefixtures("brief_releases")


@pytest.fixture(params=["dp-ctgan", "pate-gan"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(registry, "SYNTHESIZERS", SHORT)
    chosen: str = request.param
    return chosen


def written(folder: Path, document: Any, rows: bytes, name: str) -> tuple[Recipe, Home, list[str]]:
    recipe, home = request(folder, rows, document, OPEN, synthesizer=name, epsilon=2.0)
    said: list[str] = []
    release(recipe, home, Steps(said.append))
    return recipe, home, said


def test_a_release_verifies_and_gives_more_rows(name: str, tmp_path: Path) -> None:
    recipe, home, said = written(tmp_path, MIXED_DOCUMENT, population(2_000, 1).csv(), name)
    assert verify(recipe.out, lambda seq, digest: home.ledger.contains((seq, digest))).ok
    statement = json.loads((recipe.out / "statement.json").read_text())
    assert statement["accountant"] == "PLD"
    assert epsilon_of(PrivacyCost.from_json(statement["emitted"]), 1e-6) <= 2.0
    schema = load_schema(recipe.schema)
    assert len(read_table(recipe.out / "data" / "synthetic.csv", schema)) > 1_000
    assert any("step" in line or "round" in line for line in said)
    assert not any("loss" in line for line in said)

    before = home.ledger.total(schema.population)
    sample(further(recipe, "women", where=("sex=female",)), home, Steps(lambda _: None))
    women = read_table(tmp_path / "women" / "data" / "synthetic.csv", schema)
    assert len(women) == 1_200
    assert (women.codes("sex") == 0).all()
    assert home.ledger.total(schema.population) == before


def test_nothing_marked_is_written_down(name: str, tmp_path: Path) -> None:
    recipe, home = scene(tmp_path, OPEN)
    release(replace(recipe, synthesizer=name), home, Steps(lambda _: None))
    model = recipe.out.with_name(recipe.out.name + ".internal") / MODEL
    assert model.is_file()
    for path in tmp_path.rglob("*"):
        if path.is_file() and path != recipe.table:
            assert CANARY.encode() not in path.read_bytes()


def test_persons_with_several_rows(name: str, tmp_path: Path) -> None:
    table = people(500, 1)
    rows = table.csv().decode().splitlines()
    with_person = [f"person,{rows[0]}", *(f"p{u},{row}" for u, row in zip(table.units, rows[1:], strict=True))]
    fields = [{"name": "person", "type": "string", "role": "identifier"}, *MIXED_DOCUMENT["fields"]]
    privacy = MIXED_DOCUMENT["privacy"] | {"unit": {"field": "person", "max_rows": 5}}
    document = {**MIXED_DOCUMENT, "fields": fields, "privacy": privacy}
    recipe, _, _ = written(tmp_path, document, "\n".join(with_person).encode(), name)
    statement = json.loads((recipe.out / "statement.json").read_text())
    assert statement["unit"]["max_rows"] == 5
    assert any("number of persons" in line["purpose"] for line in statement["bought"]) == (name == "dp-ctgan")

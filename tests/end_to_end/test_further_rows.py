"""More rows of a released model: at no further budget, on the same evidence, through the same gate."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.further_rows import sample
from api.home import Home
from api.pipeline import release
from api.recipe import Recipe
from api.steps import Steps
from audits.errors import BundleError
from audits.release.gate import Verdict
from audits.release.verify import verify
from privacy.errors import ReleaseError, RequestError, TableError
from privacy.schema_file import load_schema
from privacy.table import read_table
from tests.end_to_end.scene import CLOSED, OPEN, REVIEWED, further, request
from tests.tables import MIXED_DOCUMENT, population

POPULATION = MIXED_DOCUMENT["privacy"]["population"]
pytestmark = pytest.mark.usefixtures("brief_releases")


def quiet() -> Steps:
    return Steps(lambda _: None)


def released(folder: Path, rules: Any = OPEN, **changes: Any) -> tuple[Recipe, Home]:
    recipe, home = request(folder, population(3_000, 1).csv(), MIXED_DOCUMENT, rules, epsilon=2.0, **changes)
    release(recipe, home, quiet())
    return recipe, home


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Home]:
    return released(tmp_path_factory.mktemp("first"))


def test_more_rows_cost_nothing_and_verify(first: tuple[Recipe, Home]) -> None:
    recipe, home = first
    before = home.ledger.total(POPULATION), home.ledger.attempts(POPULATION)
    result = sample(further(recipe, "more"), home, quiet())
    assert result.decision.verdict is Verdict.PASS
    assert home.ledger.total(POPULATION) == before[0]
    assert home.ledger.attempts(POPULATION) == before[1] + 1
    report = verify(
        recipe.out.with_name("more"),
        lambda seq, digest: home.ledger.contains((seq, digest)),
        home.signing_key.fingerprint,
    )
    assert {status for _, status, _ in report.checks} == {"ok"}
    rows = read_table(recipe.out.with_name("more") / "data" / "synthetic.csv", load_schema(recipe.schema))
    assert len(rows) == 1_200
    kinds = [entry["kind"] for entry in home.ledger.show(POPULATION)]
    once = ["candidate", "verdict"]
    assert kinds[:8] == ["cap", "charge", "opened", *once, "attempt", *once]


def test_reweighted_rows_are_as_asked_and_say_so(first: tuple[Recipe, Home]) -> None:
    recipe, home = first
    wish = further(recipe, "women", where=("sex=female",), balance=("ethnicity",), rows=1_000)
    assert sample(wish, home, quiet()).decision.verdict is Verdict.PASS
    rows = read_table(wish.out / "data" / "synthetic.csv", load_schema(recipe.schema))
    assert (rows.codes("sex") == 0).all()
    assert np.bincount(rows.codes("ethnicity"), minlength=4).tolist() == [250] * 4
    card = json.loads((wish.out / "scorecard.json").read_text())
    assert card["release"]["reweighted"] == [
        "only rows where sex is female", "equal shares of every combination of ethnicity",
    ]  # fmt: skip
    assert "This is not the distribution of the population" in (wish.out / "report.html").read_text()
    assert "This is not the distribution" not in (recipe.out / "report.html").read_text()


def test_a_release_takes_the_same_wishes(tmp_path: Path) -> None:
    recipe, _ = released(tmp_path, where=("age>=40",))
    rows = read_table(recipe.out / "data" / "synthetic.csv", load_schema(recipe.schema))
    assert (rows.numbers("age") >= 40).all()
    older = (population(3_000, 1).numbers("age") >= 40).mean()
    assert len(rows) == pytest.approx(3_000 * older, rel=0.15)


def test_a_closed_gate_is_closed_to_more_rows(first: tuple[Recipe, Home], tmp_path: Path) -> None:
    """Another policy than the release's is refused, and so are more attempts than it allows, under any file name."""
    recipe, home = first
    closed = tmp_path / "closed.json"
    closed.write_text(json.dumps(CLOSED))
    with pytest.raises(RequestError, match="first judged by another policy"):
        sample(further(recipe, "shut", policy=str(closed)), home, quiet())
    recipe, home = released(tmp_path, {**OPEN, "attempts": 1})
    wish = further(recipe, "second")
    with pytest.raises(RequestError, match="was put before the gate 1 times"):
        sample(wish, home, quiet())
    renamed = tmp_path / "renamed.csv"
    shutil.copy(recipe.table, renamed)
    made = sample(replace(wish, table=renamed), home, quiet())
    assert made.decision.verdict is Verdict.WITHHOLD
    assert [check.quantity for check in made.decision.objections] == ["attempts within the policy"]
    assert not (wish.out / "data").exists()
    card = json.loads((wish.out / "scorecard.json").read_text())
    assert (card["attempt"]["number"], card["attempt"]["allowed"]) == (2, 1)


@pytest.mark.parametrize("rules", [CLOSED, REVIEWED], ids=["withheld", "under review"])
def test_no_rows_of_a_model_that_was_not_let_out(rules: Any, tmp_path: Path) -> None:
    recipe, home = released(tmp_path, rules)
    assert (tmp_path / "bundle.internal" / "model.tablegate").exists()
    with pytest.raises(BundleError, match="not let out"):
        sample(further(recipe, "more"), home, quiet())
    assert not (tmp_path / "more").exists()


def test_without_evidence_nothing_leaves(first: tuple[Recipe, Home], tmp_path: Path) -> None:
    recipe, home = first
    other = tmp_path / "table.csv"
    other.write_bytes(recipe.table.read_bytes() + b"\n")
    entries = len(home.ledger.show(POPULATION))
    for table in (other, tmp_path / "gone.csv"):
        with pytest.raises(TableError, match="not the file"):
            sample(further(recipe, "blind", table=table), home, quiet())
    assert not recipe.out.with_name("blind").exists()
    assert len(home.ledger.show(POPULATION)) == entries
    moved = tmp_path / "moved.csv"
    shutil.copy(recipe.table, moved)
    assert sample(further(recipe, "moved", table=moved), home, quiet()).bundle.released


def test_another_model_file_is_refused(tmp_path: Path) -> None:
    recipe, home = released(tmp_path)
    file = tmp_path / "bundle.internal" / "model.tablegate"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ReleaseError):
        sample(further(recipe, "more", model=file), home, quiet())
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 0},
        {"where": ("nobody=x",)},
        {"balance": ("age",)},
        {"balance": ("sex",), "given": Path("x.yaml")},
        {"given": Path("absent.yaml")},
    ],
)
def test_bad_wishes(first: tuple[Recipe, Home], changes: dict[str, Any]) -> None:
    recipe, home = first
    with pytest.raises(RequestError):
        sample(further(recipe, "bad", **changes), home, quiet())


@pytest.mark.parametrize(
    "groups",
    [
        "just words",
        "[]",
        "[{sex: female, share: 0.5}]",
        "[{sex: female, share: 1.5}]",
        "[{share: 1}]",
        "[{sex: female, share: 0.5}, {sex: [female, male], share: 0.5}]",
        "[{sex: female, share: 0.5}, {region: north, share: 0.5}]",
        "[{sex: nobody, share: 1}]",
        "[{sex: female, share: 0.5}, {sex: male, share: 0.4}]",
        "{",
    ],
)
def test_bad_shares(first: tuple[Recipe, Home], groups: str, tmp_path: Path) -> None:
    recipe, home = first
    (tmp_path / "shares.yaml").write_text(groups)
    with pytest.raises(RequestError):
        sample(further(recipe, "bad", given=tmp_path / "shares.yaml"), home, quiet())


def test_given_shares(first: tuple[Recipe, Home], tmp_path: Path) -> None:
    recipe, home = first
    (tmp_path / "shares.yaml").write_text(
        "[{sex: female, age: {maximum: 40}, share: 0.1}, {sex: female, age: {minimum: 41}, share: 0.9}]"
    )
    wish = further(recipe, "shares", given=tmp_path / "shares.yaml", rows=1_000)
    assert sample(wish, home, quiet()).bundle.released
    rows = read_table(wish.out / "data" / "synthetic.csv", load_schema(recipe.schema))
    assert int((rows.numbers("age") <= 40).sum()) == 100

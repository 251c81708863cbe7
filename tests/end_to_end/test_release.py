"""Whole releases, in this process, through the pipeline: let out, withheld, and under review."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from api.commands import EXIT
from api.further_rows import sample
from api.home import Home
from api.pipeline import Release, release
from api.recipe import Recipe, place
from api.steps import Steps
from audits.errors import BundleError
from audits.registry import STANDARD
from audits.release.gate import Verdict
from audits.release.review import Said, review
from audits.release.verify import VerifyReport, signed_predicate, verify
from privacy.accounting import epsilon_of
from privacy.cost import PrivacyCost
from privacy.schema_file import load_schema
from privacy.table import read_table
from tests.brief import brief
from tests.end_to_end.scene import (
    CLOSED,
    LEDGER,
    OPEN,
    OUT,
    POLICY,
    REVIEWED,
    SCHEMA,
    TABLE,
    further,
    kinds,
    plaintext,
    request,
)
from tests.tables import MIXED_DOCUMENT, population

ROWS = 2_500
COUNTED = ("copies", "membership inference", "attribute inference")
SAID = [Said(reviewer="A. Steward", role="compliance", reason="known recipient", time="2026-01-01T00:00:00Z")]


def asked(folder: Path, rules: Any) -> tuple[Recipe, Home]:
    """A release of 2,500 rows of the made-up population by MST."""
    return request(folder, population(ROWS, 1).csv(), MIXED_DOCUMENT, rules)


def made(folder: Path, rules: Any) -> tuple[Release, Recipe, Home]:
    recipe, home = asked(folder, rules)
    return release(recipe, home, quiet()), recipe, home


def quiet() -> Steps:
    return Steps(lambda _: None)


def checked(out: Path, home: Home) -> VerifyReport:
    return verify(out, lambda seq, digest: home.ledger.contains((seq, digest)), home.signing_key.fingerprint)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Recipe, Home]:
    return made(tmp_path_factory.mktemp("released"), OPEN)


def test_a_release_is_let_out_whole(released: tuple[Release, Recipe, Home]) -> None:
    result, recipe, home = released
    assert result.decision.verdict is Verdict.PASS
    assert result.bundle.released
    assert EXIT[result.decision.verdict] == 0
    report = checked(recipe.out, home)
    assert {status for _, status, _ in report.checks} == {"ok"}
    assert {p.name for p in recipe.out.parent.iterdir()} == {
        TABLE, SCHEMA, POLICY, LEDGER, OUT, "ledger.keys", "bundle.internal",
    }  # fmt: skip


def test_what_was_emitted_is_what_was_planned_and_charged(released: tuple[Release, Recipe, Home]) -> None:
    result, recipe, home = released
    plan = place(replace(recipe, out=recipe.out.with_name("another"))).plan
    written = json.loads((recipe.out / "statement.json").read_text())
    emitted = PrivacyCost.from_json(written["emitted"])
    assert emitted.merged == plan.cost.merged == result.statement.emitted.merged
    assert written["dp_valid"] is True
    assert (written["epsilon"], written["delta"]) == (1.0, 1e-6)
    assert 0.999 < epsilon_of(emitted, 1e-6) <= 1.0
    population_name = MIXED_DOCUMENT["privacy"]["population"]
    entries = home.ledger.show(population_name)
    assert [entry["kind"] for entry in entries] == ["cap", "charge", "opened", "candidate", "verdict"]
    assert PrivacyCost.from_json(entries[1]["body"]["cost"]).merged == emitted.merged
    assert entries[4]["body"]["facts"] == {"verdict": "PASS", "bundle": result.bundle.digest}
    assert home.ledger.total(population_name) == 1.0
    head = written_head(recipe.out)
    assert head == (4, home_head(home, 4))


def written_head(out: Path) -> tuple[int, str]:
    head = signed_predicate(out)["ledger_head"]
    return head["seq"], head["digest"]


def home_head(home: Home, seq: int) -> str:
    with home.ledger.journal.transaction() as transaction:
        return next(entry.digest for entry in transaction.entries() if entry.seq == seq)


def test_the_table_that_left_conforms_to_its_schema(released: tuple[Release, Recipe, Home]) -> None:
    """Both files hold the same cells, and reading them back by the schema that left with them moves none of them."""
    _, recipe, _ = released
    schema = load_schema(recipe.schema)
    texts = list(csv.DictReader(StringIO((recipe.out / "data" / "synthetic.csv").read_text())))
    assert list(texts[0]) == list(schema.names)
    assert 0.8 * ROWS < len(texts) < 1.2 * ROWS
    from_csv = read_table(recipe.out / "data" / "synthetic.csv", schema)
    from_parquet = read_table(recipe.out / "data" / "synthetic.parquet", schema)
    assert from_csv.csv() == (recipe.out / "data" / "synthetic.csv").read_bytes() == from_parquet.csv()
    left_with_it = json.loads((recipe.out / "schema.json").read_text())
    assert [field["name"] for field in left_with_it["fields"]] == list(schema.names)


def test_the_card_says_what_is_promised_and_the_internal_half_what_was_found(
    released: tuple[Release, Recipe, Home],
) -> None:
    _, recipe, _ = released
    card = json.loads((recipe.out / "scorecard.json").read_text())
    assert "differential privacy" in card["statement"]["promise"]
    assert card["statement"]["not_covered"]
    inside = json.loads((recipe.out.parent / "bundle.internal" / "findings.json").read_text())
    assert {finding["audit"] for finding in inside["findings"]} == {audit.name for audit in STANDARD}
    shown = {finding["audit"] for finding in card.get("findings", [])}
    assert not shown & {"copies", "membership inference"}
    assert (recipe.out / "report.html").read_text().count("<html") == 1


def test_further_rows_are_held_against_the_same_rows(released: tuple[Release, Recipe, Home]) -> None:
    """The audits of both tables saw equally many targets: the coins fell the same way.

    A table may leave an attack fewer rows than a recall needs; what both report has to agree.
    """
    _, recipe, home = released
    sample(further(recipe, "again"), home, quiet())
    counts = []
    for name in ("bundle", "again"):
        card = json.loads((recipe.out.with_name(f"{name}.internal") / "findings.json").read_text())
        counts.append({(f["quantity"], f["subject"]): f["n"] for f in card["findings"] if f["audit"] in COUNTED})
    whole, again = ({k: n for k, n in c.items() if k[1] in ("", "calibrated", "any column")} for c in counts)
    both = whole.keys() & again.keys()
    assert len(both) >= 12
    assert {k: whole[k] for k in both} == {k: again[k] for k in both}


def test_the_table_itself_is_in_no_file_but_its_own(released: tuple[Release, Recipe, Home]) -> None:
    """No private row is anywhere in the clear: not in the bundle, the internal half, the ledger or its keys."""
    _, recipe, _ = released
    lines = recipe.table.read_text().splitlines()
    assert plaintext(recipe.out.parent, lines[7], lines[1_000], lines[-1]) == []


def test_a_withheld_release_leaves_no_data(tmp_path: Path) -> None:
    with brief():
        result, recipe, home = made(tmp_path, CLOSED)
    assert result.decision.verdict is Verdict.WITHHOLD
    assert EXIT[result.decision.verdict] == 3
    assert not result.bundle.released
    assert not (recipe.out / "data").exists()
    assert not home.quarantine.folder.exists()
    assert checked(recipe.out, home).ok
    assert in_the_clear(tmp_path) == []
    assert kinds(home) == {"cap": 1, "charge": 1, "opened": 1, "candidate": 1, "verdict": 1}
    with pytest.raises(BundleError):
        review(recipe.out, approve=True, quarantine=home.quarantine, key=home.signing_key, said=SAID)


@pytest.mark.parametrize("approve", [True, False])
def test_a_release_under_review_waits_encrypted_and_leaves_or_is_gone(tmp_path: Path, approve: bool) -> None:
    with brief():
        result, recipe, home = made(tmp_path, REVIEWED)
    assert result.decision.verdict is Verdict.REVIEW
    assert EXIT[result.decision.verdict] == 4
    assert not (recipe.out / "data").exists()
    waiting = list(home.quarantine.folder.rglob("*.sealed"))
    assert len(waiting) == 2
    assert in_the_clear(tmp_path) == []
    decided = review(recipe.out, approve=approve, quarantine=home.quarantine, key=home.signing_key, said=SAID)
    assert decided.released is approve
    assert (recipe.out / "data" / "synthetic.csv").exists() is approve
    assert checked(recipe.out, home).ok
    assert list(home.quarantine.folder.iterdir()) == []
    if approve:
        assert (recipe.out / "data" / "synthetic.csv").read_text().count("\n") > 0.8 * ROWS
    else:
        assert in_the_clear(tmp_path) == []
    with pytest.raises(BundleError):
        review(recipe.out, approve=not approve, quarantine=home.quarantine, key=home.signing_key, said=SAID)


def in_the_clear(folder: Path) -> list[str]:
    """Where a table's header line or Parquet's mark is found, the private table apart."""
    return plaintext(folder, ",".join(field["name"] for field in MIXED_DOCUMENT["fields"]), "PAR1")

"""`tablegate lab` from three files to a report: internal, repeatable, and nothing half-written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from api.cli import app
from api.foreign import read_evidence
from api.home import Home
from api.lab import LabRequest, lab
from api.lab_counts import release_counts
from api.pipeline import release
from api.steps import Steps
from audits.lab.costs import Costs
from audits.lab.counted import Counted
from audits.lab.imperfections import Imperfections
from audits.lab.label_noise import LabelNoise
from audits.protocol import Audit
from privacy.columns import LevelColumn
from privacy.errors import BudgetExceededError, RequestError
from privacy.schema_file import load_schema
from privacy.table import read_table
from tests.brief import brief
from tests.end_to_end.scene import CANARY, LEDGER, OPEN, SCHEMA, TABLE, kinds, plaintext, scene, write_table

SOME: tuple[Audit, ...] = (LabelNoise(repeats=2, max_rows=300), Costs(max_rows=300))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabRequest:
    """Tables of the scene, and two experiments instead of thirteen: each is tried where it lives."""
    monkeypatch.setattr("api.lab.experiments", lambda **_: SOME)
    scene(tmp_path, OPEN, rows=600)
    write_table(tmp_path / "holdout.csv", 500)
    lines = (tmp_path / TABLE).read_text().splitlines()
    kept = [",".join(cell for j, cell in enumerate(line.split(",")) if j != 1) for line in lines]
    (tmp_path / "synthetic.csv").write_text("\n".join(kept) + "\n")
    return LabRequest(
        synthetic=tmp_path / "synthetic.csv",
        train=tmp_path / TABLE,
        holdout=tmp_path / "holdout.csv",
        schema=tmp_path / SCHEMA,
        out=tmp_path / "lab",
        seed=3,
        repeats=2,
        max_rows=500,
    )


def _run(asked: LabRequest, *more: object) -> Result:
    words = (
        "lab", asked.synthetic, "--train", asked.train, "--holdout", asked.holdout, "--schema", asked.schema,
        "--seed", asked.seed, "--repeats", 2, "--max-rows", 500, *more,
    )  # fmt: skip
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_report_is_internal_and_a_seed_repeats_it(asked: LabRequest) -> None:
    told = _run(asked, "--out", asked.out, "--json")
    assert told.exit_code == 0
    assert json.loads(told.stdout)["audience"] == "internal"
    facts = json.loads((asked.out / "lab.json").read_text())
    assert [one["name"] for one in facts["experiments"]] == ["label noise", "costs"]
    assert facts["reproducibility"]["seed"] == 3
    assert set(facts["reproducibility"]["versions"]) >= {"tablegate", "numpy", "scikit-learn"}
    page = (asked.out / "report.html").read_text()
    assert "INTERNAL" in page
    assert "<script" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert oct(asked.out.stat().st_mode)[-3:] == "700"
    assert plaintext(asked.out, CANARY) == []
    assert _run(asked, "--out", asked.out.with_name("again")).exit_code == 0
    again = json.loads((asked.out.with_name("again") / "lab.json").read_text())
    assert again["experiments"][0]["findings"] == facts["experiments"][0]["findings"]


def test_bad_input_is_refused_and_nothing_is_written(asked: LabRequest, tmp_path: Path) -> None:
    assert _run(asked, "--out", tmp_path).exit_code == 2
    (tmp_path / "synthetic.csv").write_text("age\n3\n")
    assert _run(asked, "--out", asked.out).exit_code == 2
    assert not asked.out.exists()


def test_one_repeat_is_too_few(asked: LabRequest) -> None:
    with pytest.raises(RequestError, match="fewer than 2 repeats"):
        lab(replace(asked, repeats=1), Home(asked.out.with_name(LEDGER)), Steps(str))


@pytest.fixture
def of_release(asked: LabRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[LabRequest, Home]:
    """The same of a release, whose own rows are tried, with the experiment on imperfections alone."""
    monkeypatch.setattr("api.lab.experiments", _planted)
    folder = asked.out.parent / "released"
    recipe, home = scene(folder, OPEN, rows=2_000, cap=(30.0, 1e-4))
    with brief():
        assert release(replace(recipe, epsilon=4.0), home, Steps(lambda _: None)).bundle.released
    synthetic = recipe.out / "data" / "synthetic.parquet"
    own = {"synthetic": synthetic, "train": recipe.table, "schema": recipe.schema, "release": recipe.out}
    return replace(asked, **own), home


def _planted(*, known: Counted | None, **_: object) -> tuple[Audit, ...]:
    return (Imperfections(known=known, missing=(), noise=(), confusion=(), repeats=2, max_rows=500),)


def _lacking(folder: Path) -> tuple[str, dict[str, float]]:
    facts = json.loads((folder / "lab.json").read_text())
    (experiment,) = facts["experiments"]
    assert not experiment["error"]
    own = [f for f in experiment["findings"] if "lack" in f["quantity"] and " against " not in f["quantity"]]
    return facts["imperfections_from"], {f"{f['quantity']}: {f['subject']}": f["estimate"] for f in own}


def test_what_a_release_bought_tells_the_same_whatever_the_training_rows_are(
    of_release: tuple[LabRequest, Home],
) -> None:
    asked, home = of_release
    before = kinds(home)
    lab(asked, home, Steps(str))
    lab(replace(asked, train=asked.holdout, out=asked.out.with_name("other")), home, Steps(str))
    found, again = (_lacking(folder) for folder in (asked.out, asked.out.with_name("other")))
    assert found == again
    assert "at no further price" in found[0]
    assert kinds(home) == before


def test_counts_by_label_are_charged_before_a_row_is_read(of_release: tuple[LabRequest, Home]) -> None:
    asked, home = of_release
    before = kinds(home)
    lab(replace(asked, epsilon=2.0, delta=1e-6), home, Steps(str))
    after = kinds(home)
    assert after["charge"] - before["charge"] == after["opened"] - before["opened"] == 1
    assert "bought at epsilon 2 and delta 1e-06" in _lacking(asked.out)[0]
    with pytest.raises(BudgetExceededError):
        lab(replace(asked, epsilon=100.0, delta=1e-6, out=asked.out.with_name("dear")), home, Steps(str))
    assert not asked.out.with_name("dear").exists()
    with pytest.raises(RequestError, match="a release, an epsilon and a delta"):
        lab(replace(asked, epsilon=1.0, out=asked.out.with_name("half")), home, Steps(str))
    assert kinds(home) == after


def test_a_row_is_in_the_same_cells_however_its_levels_are_coded(of_release: tuple[LabRequest, Home]) -> None:
    """As its file has it, which is what is bought, and by lists of all three tables, which is what is planted."""
    asked, home = of_release
    assert asked.release is not None
    schema = load_schema(asked.schema)
    known = release_counts(asked.release, schema, home, 1)
    region = schema["region"]
    assert isinstance(region, LevelColumn)
    schema = schema.with_columns({"region": replace(region, levels=None)})
    evidence, _ = read_evidence(asked.synthetic, asked.train, asked.holdout, schema, 1)
    raw = read_table(asked.train, schema)
    assert raw.vocabularies
    for by_file, by_lists in zip(known.cuts.of(raw), known.cuts.of(evidence.train), strict=True):
        assert (by_file == by_lists).all()

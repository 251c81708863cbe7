"""`tablegate lab` from three files to a report: internal, repeatable, and nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from api.cli import app
from api.lab import LabRequest, lab
from api.steps import Steps
from audits.lab.costs import Costs
from audits.lab.label_noise import LabelNoise
from audits.protocol import Audit
from privacy.errors import RequestError
from tests.end_to_end.scene import CANARY, OPEN, SCHEMA, TABLE, plaintext, scene, write_table

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
        lab(LabRequest(**{**{f: getattr(asked, f) for f in LabRequest.__dataclass_fields__}, "repeats": 1}), Steps(str))

"""SDV, SDMetrics, ydata-profiling, Evidently and MLflow, each the real one: `make test-integrations`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("sdmetrics")

from api.integrations.evidently import Drift
from api.integrations.frames import frame_of
from api.integrations.sdmetrics import Reports
from api.integrations.sdv import export_metadata, import_metadata
from audits.assignment import assign, design_for
from audits.evidence import Evidence
from audits.finding import Finding
from privacy.draft import draft_schema
from privacy.noise import seeded_noise
from privacy.schema_file import parse_schema
from tests.api.conftest import Desk, call, clean_rows, csv_of, document, only_object
from tests.tables import mixed_schema, population


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = Desk(folder=tmp_path)
    # A twentieth is the reference sample, of which membership inference wants 50.
    made.table.write_text(csv_of(clean_rows(2_000, 1)), encoding="utf-8")
    made.describe(document())
    return made


def evidence(shift: float) -> Evidence:
    """A fresh draw of the population as the synthetic rows, some of them moved."""
    table = population(3_000, 1)
    parts = assign(table, design_for(None), seeded_noise(1))
    synthetic = population(1_500, 2)
    ages = synthetic.columns["age"]
    columns = {**synthetic.columns, "age": np.where(np.arange(len(ages)) < shift * len(ages), 90.0, ages)}
    return Evidence(
        schema=table.schema,
        train=parts.train,
        pooled=parts.pooled,
        control=parts.control,
        reference=parts.reference,
        synthetic=type(synthetic)(synthetic.schema, columns, {}, synthetic.units),
    )


def by_name(findings: tuple[Finding, ...]) -> dict[tuple[str, str], Finding]:
    assert {str(f.audience) for f in findings} == {"internal"}
    return {(f.quantity, f.subject): f for f in findings}


def test_sdv_takes_what_is_exported_and_its_own_metadata_is_taken(tmp_path: Path) -> None:
    from sdv.metadata import Metadata

    schema = mixed_schema()
    metadata = Metadata.load_from_dict(export_metadata(schema))
    metadata.validate()
    rows = frame_of(population(300, 1))
    metadata.validate_data({schema.name: rows})
    metadata.save_to_json(tmp_path / "saved.json")
    assert parse_schema(import_metadata(tmp_path / "saved.json")).names == schema.names

    detected = Metadata.detect_from_dataframes({"people": rows})
    detected.save_to_json(tmp_path / "detected.json")
    found = parse_schema(import_metadata(tmp_path / "detected.json"))
    assert set(found.header) == set(rows.columns)
    assert "income" in found.observed  # its range was read off the rows


def test_sdmetrics_scores_stand_beside_those_of_control_rows() -> None:
    fair = by_name(Reports().run(evidence(0.0), np.random.default_rng(1)))
    assert fair["quality score", ""].estimate == pytest.approx(fair["quality score", ""].baseline, abs=0.05)
    assert fair["diagnostic score", ""].estimate > 0.95
    moved = by_name(Reports().run(evidence(0.5), np.random.default_rng(1)))
    assert moved["quality: KSComplement", "age"].estimate < fair["quality: KSComplement", "age"].estimate - 0.3


def test_evidently_finds_the_column_that_moved() -> None:
    fair = by_name(Drift().run(evidence(0.0), np.random.default_rng(1)))
    moved = by_name(Drift().run(evidence(0.5), np.random.default_rng(1)))
    assert fair["share of drifted columns", ""].estimate <= 0.2
    assert moved["share of drifted columns", ""].estimate > fair["share of drifted columns", ""].estimate
    (age,) = [finding for (_, subject), finding in moved.items() if subject == "age"]
    assert age.estimate < 0.05 if age.quantity.endswith("p_value") else age.estimate > 0.1


def test_a_profile_of_ydata_drafts_the_schema_of_its_table(tmp_path: Path, desk: Desk) -> None:
    import pandas as pd
    from ydata_profiling import ProfileReport

    rows = pd.read_csv(desk.table)
    path = tmp_path / "profile.json"
    path.write_text(ProfileReport(rows, minimal=True, progress_bar=False).to_json())
    done = call("schema", "draft", path)
    assert done.exit_code == 0, done.output
    drafted = {field["name"]: field for field in yaml.safe_load(done.stdout)["fields"]}
    for field in draft_schema(desk.table)["fields"]:
        assert drafted[field["name"]].get("source") == field.get("source")
        assert drafted[field["name"]]["type"] == field["type"]
        assert drafted[field["name"]].get("constraints") == field.get("constraints")
    assert call("schema", "check", _saved(tmp_path, done.stdout)).exit_code == 0


def _saved(folder: Path, text: str) -> Path:
    path = folder / "drafted.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A tracking server on this machine, over a SQLite store."""
    port = 5_000 + int(np.random.default_rng().integers(10_000))
    store = f"sqlite:///{tmp_path}/mlflow.db"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", store, "--default-artifact-root", str(tmp_path / "artifacts"),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def test_a_release_is_logged_to_a_server_and_no_cell_of_it(desk: Desk, server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    quiet = desk.release("--json", out=desk.folder / "quiet")
    assert MlflowClient(tracking_uri=server).search_experiments(filter_string="name = 'tablegate'") == []
    assert quiet.exit_code in (0, 3, 4)

    done = desk.release("--json", "--track", server, "--beside", "sdmetrics", "--beside", "evidently")
    facts = only_object(done)
    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("tablegate")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["synthesizer"] == "independent"
    assert run.data.metrics["epsilon"] == pytest.approx(1.0)
    assert run.data.tags["verdict"] == facts["verdict"]
    assert run.data.tags["bundle"] == facts["digest"]
    assert run.data.tags["guarantee"] == "proven"
    assert {"mlflow.user", "mlflow.source.name"}.isdisjoint(run.data.tags)
    assert any(name.startswith("membership inference/AUC") for name in run.data.metrics)
    assert "sdmetrics/quality score" in run.data.metrics
    assert "evidently/share of drifted columns" in run.data.metrics
    assert str(desk.folder) not in json.dumps([run.data.params, run.data.tags])
    card = json.loads((desk.out / "scorecard.json").read_text())
    assert not any(finding["audit"] in ("sdmetrics", "evidently") for finding in card["findings"])


def test_a_server_that_is_not_there_costs_only_the_record(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = desk.release("--track", "http://127.0.0.1:9")
    assert done.exit_code in (0, 3, 4)
    assert "did not take the run" in done.stderr
    assert desk.out.is_dir()

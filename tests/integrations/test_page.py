"""What docs/integrations.md says of tools that are installed by `make test-integrations`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sdmetrics")

from tests.integrations.page import SECTIONS, furnish, run


@pytest.fixture(autouse=True)
def _furnished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    furnish(tmp_path)


@pytest.mark.parametrize("section", ["SDV", "ydata-profiling", "SDMetrics and Evidently", "Dask and Ray"])
def test_a_section_runs(section: str) -> None:
    assert run(section) > 0


def test_mlflow_runs(tmp_path: Path) -> None:
    assert run("MLflow", replace={"http://127.0.0.1:5000": f"sqlite:///{tmp_path}/runs.db"}) > 0


def test_every_section_is_run_somewhere() -> None:
    here = {"SDV", "ydata-profiling", "SDMetrics and Evidently", "Dask and Ray", "MLflow"}
    assert set(SECTIONS) - here == {"scikit-learn", "synthcity", "Which versions"}

"""What the monitor found, loaded by the real Evidently: into a workspace, and on a page. `make test-integrations`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("evidently")

from api.integrations.evidently_snapshot import METHOD
from tests.integrations.page import FOUND, furnish


def test_evidently_loads_what_the_monitor_found(tmp_path: Path) -> None:
    """The values are the monitor's, and what drifted is what its test says."""
    from evidently.core.report import Snapshot
    from evidently.ui.workspace import Workspace

    furnish(tmp_path)
    loaded = Snapshot.load(tmp_path / "drift" / "evidently.json")
    told = {metric["config"]["column"]: metric for metric in loaded.dict()["metrics"]}
    assert {name: metric["value"] for name, metric in told.items()} == {
        ", ".join(one["columns"]): one["distance"] for one in FOUND["histograms"]
    }
    assert {metric["config"]["method"] for metric in told.values()} == {METHOD}
    workspace = Workspace.create(str(tmp_path / "workspace"))
    project = workspace.create_project("monitored")
    workspace.add_run(project.id, loaded)
    assert len(workspace.list_runs(project.id)) == 1
    page = tmp_path / "page.html"
    loaded.save_html(str(page))
    assert "Drift: drift. Observed 0.070" in page.read_text()

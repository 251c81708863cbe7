"""What docs/integrations.md says of synthcity."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("synthcity")

from tests.integrations.page import furnish, run


def test_the_section_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    furnish(tmp_path)
    assert run("synthcity") > 0

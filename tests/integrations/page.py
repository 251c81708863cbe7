"""The page docs/integrations.md, section by section: its commands run, and so does its Python, in order."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from api.integrations.evidently_snapshot import snapshot
from tests.api.conftest import call, clean_rows, csv_of, document

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
FOUND: dict[str, Any] = {
    "table": "patients",
    "release": {"digest": "0" * 64},
    "charge": "c",
    "asked": {"epsilon": 1.0, "delta": 1e-6, "tolerance": 0.02},
    "proposes_release": True,
    "histograms": [
        {"columns": ["age"], "distance": 0.03, "interval": [0.0, 0.05], "floor": 0.02, "state": "unclear"},
        {"columns": ["age", "sex"], "distance": 0.07, "interval": [0.04, 0.09], "floor": 0.02, "state": "drift"},
    ],
}
"""What a monitor might have found: the facts of `monitor.json` that a snapshot is made of."""

WELL = (0, 3, 4)
"""Exit codes of a release that ran to its end: what the audits find of a thousand rows is not the page's to say."""


def furnish(folder: Path) -> None:
    """The files the page names."""
    (folder / "patients.csv").write_text(csv_of(clean_rows(1_000, 1)), encoding="utf-8")
    (folder / "other_patients.csv").write_text(csv_of(clean_rows(1_000, 2)), encoding="utf-8")
    (folder / "synthetic.csv").write_text(csv_of(clean_rows(1_000, 3)), encoding="utf-8")
    (folder / "schema.yaml").write_text(yaml.safe_dump(document(), sort_keys=False), encoding="utf-8")
    (folder / "drift").mkdir()
    told = json.dumps(snapshot(FOUND, datetime(2026, 1, 2, tzinfo=UTC)))
    (folder / "drift" / "evidently.json").write_text(told, encoding="utf-8")


def run(section: str, *, replace: dict[str, str] | None = None) -> int:
    """Run a section in the working folder; returns how many blocks it had."""
    found = re.findall(r"```(sh|python)\n(.*?)```", SECTIONS[section], re.DOTALL)
    names: dict[str, Any] = {}
    for kind, block in found:
        for old, new in (replace or {}).items():
            block = block.replace(old, new)
        if kind == "python":
            exec(compile(block, section, "exec"), names)  # noqa: S102 - our own page
            continue
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["tablegate"]:
                done = call(*words[1:])
                assert done.exit_code in WELL, f"{line}: {done.output}"
    return len(found)

"""The page docs/integrations.md, section by section: its commands run, and so does its Python, in order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from tests.api.conftest import call, clean_rows, csv_of, document

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
WELL = (0, 3, 4)
"""Exit codes of a release that ran to its end: what the audits find of a thousand rows is not the page's to say."""


def furnish(folder: Path) -> None:
    """The files the page names."""
    (folder / "patients.csv").write_text(csv_of(clean_rows(1_000, 1)), encoding="utf-8")
    (folder / "other_patients.csv").write_text(csv_of(clean_rows(1_000, 2)), encoding="utf-8")
    (folder / "synthetic.csv").write_text(csv_of(clean_rows(1_000, 3)), encoding="utf-8")
    (folder / "schema.yaml").write_text(yaml.safe_dump(document(), sort_keys=False), encoding="utf-8")


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

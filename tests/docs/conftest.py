"""A reader who follows the tutorial word by word, in an empty folder, with a home of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS, ROOT, blocks

ATTEMPTS = 3
"""A harmless table is let out in more than 19 of 20 runs; three that are not in a row would be a defect."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What the reader has in the end: a folder, what was told, and the processor seconds it took."""

    folder: Path
    told: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def run(self, *command: str) -> int:
        """One program; its standard output and error are kept."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(self.folder), "NO_COLOR": "1"}
        before = os.times()
        ended = subprocess.run(command, cwd=self.folder, env=environment, text=True, capture_output=True, check=False)
        after = os.times()
        self.seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
        self.told.append(ended.stdout + ended.stderr)
        return ended.returncode

    def tablegate(self, *words: str) -> int:
        """One command."""
        return self.run(sys.executable, "-m", "api.cli", *words)

    def python(self, program: str) -> int:
        """One program of a page."""
        return self.run(sys.executable, "-c", program)


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """The tutorial, done. Every block but the one that sets the environment up, in order."""
    made = Reader(tmp_path_factory.mktemp("reader"))
    for block in blocks(DOCS / "tutorial.md"):
        match block.language:
            case "python":
                assert made.python(block.text) == 0, (str(block), made.told[-1])
            case "yaml":
                (made.folder / block.title).write_text(block.text, encoding="utf-8")
            case "sh":
                for program, *words in block.commands:
                    assert program == "tablegate"
                    code = made.tablegate(*words)
                    for _ in range(ATTEMPTS - 1):
                        if words[0] == "release" and code in (3, 4):
                            for half in ("bundle", "bundle.internal"):
                                shutil.rmtree(made.folder / half)
                            code = made.tablegate(*words)
                    assert code == 0, (str(block), words, made.told[-1])
            case "text":
                assert "make .venv/.ready" in block.text
    return made

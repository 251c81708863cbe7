"""Every code block of every page: commands are understood, programs run, files parse, the reference is current."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from api.cli import app
from privacy.field_file import column_of, role_of
from privacy.publication import publication_of
from tests.docs.blocks import DOCS, PAGES, ROOT, Block, blocks
from tests.docs.conftest import Reader

ALL = list(blocks())
LANGUAGES = {"sh", "python", "yaml", "json", "text", "console", "mermaid", "r", ""}
SYSTEM = {"export", "make", "python", ".venv/bin/python", "sha256sum"}
"""Other programs that shell blocks call."""


def of(language: str, but: str = "") -> Any:
    found = [block for block in ALL if block.language == language and block.page not in ("tutorial.md", but)]
    return pytest.mark.parametrize("block", found, ids=map(str, found))


def test_every_block_says_what_it_is() -> None:
    assert {block.language for block in ALL} <= LANGUAGES
    # One without a language is a drawing or an output.
    assert [str(b) for b in ALL if not b.language and "tablegate " in b.text] == []


def test_a_page_with_a_diagram_loads_what_draws_it_from_the_site_itself() -> None:
    """The theme would fetch it from elsewhere."""
    drawn = {block.page for block in ALL if block.language == "mermaid"}
    assert drawn
    for page in drawn:
        (script,) = re.findall(r'<script src="(vendor/mermaid-[^"]*)"></script>', (DOCS / page).read_text())
        assert (DOCS / script).is_file()


@of("sh")
def test_every_command_is_understood(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tablegate` commands are parsed in full, options and their types included; targets of make exist."""
    monkeypatch.chdir(tmp_path)
    # Some commands ask whether their file is there before they do anything.
    for word in (word for words in block.commands for word in words if word.endswith((".yaml", ".json", ".csv"))):
        (tmp_path / word).touch()
    for words in block.commands:
        match words:
            case ["tablegate", *rest]:
                understood(rest)
            case ["make", target, *_]:
                dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
                assert dry.returncode == 0, dry.stderr
            case [("python" | ".venv/bin/python"), "-m", module, *_]:
                assert module == "pytest" or importlib.util.find_spec(module) is not None
            case _:
                assert words[0] in SYSTEM


def understood(words: list[str]) -> None:
    """Parse a command as the program would, and run nothing."""
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert not hasattr(command, "commands"), words
    command.make_context("tablegate", list(words))


@pytest.mark.docs
@of("python", but="integrations.md")  # `tests/integrations` and `tests/synthcity` have its libraries and files
def test_every_program_runs(block: Block, reader: Reader) -> None:
    """In the folder of somebody who did the tutorial; where a library is not installed here, it is parsed."""
    tree = ast.parse(block.text)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    missing = [name for name in imported if importlib.util.find_spec(name.partition(".")[0]) is None]
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)}")
    assert reader.python(block.text) == 0, reader.told[-1]


@of("yaml")
def test_every_schema_part_is_one(block: Block) -> None:
    written = yaml.safe_load(block.text)
    if isinstance(written, list):
        assert all("share" in entry for entry in written)
        return
    publication_of(written)
    for field in written.get("fields", []):
        column_of(field, role_of(field), ("",))
    privacy = written.get("privacy", {})
    assert set(privacy) <= {"unit", "constraints", "workload"}
    for rule in privacy.get("constraints", []):
        assert rule["cite"]
        assert set(rule) & {"never", "if", "order", "derive"}


@of("json")
def test_every_document_parses(block: Block) -> None:
    json.loads(block.text)


def test_the_page_of_commands_is_current(tmp_path: Path) -> None:
    """`make docs` writes it; typer's own program is the author."""
    made = tmp_path / "cli.md"
    words = ["api.cli", "utils", "docs", "--name", "tablegate", "--output", str(made)]
    subprocess.run([sys.executable, "-m", "typer", *words], cwd=ROOT, check=True, capture_output=True)
    assert made.read_bytes() == (DOCS / "reference/cli.md").read_bytes(), "run `make docs`"


def test_every_page_is_in_the_navigation_once() -> None:
    def pages(node: Any) -> list[str]:
        if isinstance(node, str):
            return [node]
        return [page for part in (node if isinstance(node, list) else node.values()) for page in pages(part)]

    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


def test_figures_of_the_comparison_are_the_measured_ones() -> None:
    """Rows of the table of generators stand in measurements.md, figure by figure."""
    measured = (DOCS / "measurements.md").read_text(encoding="utf-8")
    rows = {tuple(cells(line)) for line in measured.splitlines() if line.startswith("| ")}
    text = (DOCS / "comparison.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| ") and line.count("|") == 7 and "." in line]
    assert len(table) > 10
    for line in table:
        assert tuple(cells(line)) in rows


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("**", "").strip("|").split("|")]

"""Every command of the README runs, in its order, in a folder that holds the files it names."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.main import get_command

from api.cli import app
from api.demo import write_demo_table
from api.home import default_ledger_path
from audits.registry import AUDITS
from audits.release.policy import SHIPPED
from synthesizers.registry import SYNTHESIZERS
from tests.api.conftest import LENIENT, Desk, call, clean_rows, csv_of, document

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OTHERS = 1_000
"""Rows of the survey that play people the release never saw."""

UNDECIDED = {**LENIENT, "name": "undecided", "checks": [{**LENIENT["checks"][0], "pass_limit": -1.0}]}
"""A policy whose one check can neither pass (an excess is at least -1) nor withhold (it is at most 1)."""


def blocks() -> Iterator[str]:
    """Lines of the README's shell blocks, continued lines joined."""
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


COMMANDS = [shlex.split(line, comments=True) for line in blocks() if line.startswith("tablegate ")]
TARGETS = [shlex.split(line, comments=True)[1] for line in blocks() if line.startswith("make ")]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the survey as patients, others of its rows as other patients, and a table made from neither.

    The foreign synthetic table is the survey with every column shuffled by itself: no row of it is anybody's.
    """
    monkeypatch.chdir(tmp_path)
    table, schema = write_demo_table(tmp_path)
    described = yaml.safe_load(schema.read_text(encoding="utf-8"))
    described["privacy"]["n_public"] = "none"
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
    header, *lines = table.read_text(encoding="utf-8").splitlines()
    rng = np.random.default_rng(2024)
    rows = [lines[i] for i in rng.permutation(len(lines))]
    columns = [rng.permutation(column) for column in zip(*(row.split(",") for row in rows), strict=True)]
    shuffled = [",".join(row) for row in zip(*columns, strict=True)]
    parts = {"patients": rows[OTHERS:], "other_patients": rows[:OTHERS], "synthetic": shuffled}
    for name, part in parts.items():
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *part]) + "\n", encoding="utf-8")
    return tmp_path


def under_review(folder: Path) -> None:
    """A bundle that waits for a decision, in the user's own ledger."""
    made = Desk(folder=folder / "small")
    made.folder.mkdir()
    made.table.write_text(csv_of(clean_rows(400, 3)), encoding="utf-8")
    made.describe(document())
    policy = made.folder / "undecided.yaml"
    policy.write_text(yaml.safe_dump(UNDECIDED), encoding="utf-8")
    told = made.release(policy=policy, out=folder / "bundle-under-review", ledger=default_ledger_path())
    assert told.exit_code == 4, told.output


def test_every_command_runs(bench: Path) -> None:
    """In README order, each ending with exit code 0.

    A verdict is one draw of secret noise: a release of this size is let out in more than 19 of 20 runs, and is tried
    three times, so that an honest product fails here in fewer than one of 8,000 runs. A stale certificate fails always.
    """
    assert {command[1] for command in COMMANDS} >= {
        "schema",
        "plan",
        "release",
        "verify",
        "ledger",
        "review",
        "audit",
        "sample",
    }
    under_review(bench)
    for command in COMMANDS:
        told = call(*command[1:])
        for _ in range(2 if command[1] in ("release", "sample") else 0):
            if told.exit_code in (3, 4):
                out = command[command.index("--out") + 1]
                for half in (out, f"{out}.internal"):
                    shutil.rmtree(bench / half)
                told = call(*command[1:])
        assert told.exit_code == 0, (command, told.output)
        assert "Traceback" not in told.output
    for path in ("draft.yaml", "bundle/data/synthetic.csv", "bundle/data/synthetic.parquet", "bundle/report.html"):
        assert (bench / path).is_file()
    assert (bench / "bundle-under-review" / "data" / "synthetic.csv").is_file()
    assert not (bench / "audit-report" / "data").exists()


def test_every_make_target_exists() -> None:
    assert TARGETS
    for target in TARGETS:
        dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert dry.returncode == 0, (target, dry.stderr)


def test_every_option_named_exists() -> None:
    """Commands and options in the text, up to the section that says what is not there yet."""
    described = README.split("## Limits")[0]
    group = get_command(app)
    names = set(group.commands)  # type: ignore[attr-defined]
    options = {"--help"}
    for command in group.commands.values():  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {"": command}).values():
            options |= {name for parameter in inner.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert set(re.findall(r"tablegate ([a-z]+)", described)) <= names
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", described)) <= options


def test_every_name_is_explained() -> None:
    """Synthesizers, policies and audits are named in the README or in docs/."""
    pages = [README, *(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").rglob("*.md")))]
    text = " ".join(" ".join(pages).lower().split())
    assert [name for name in (*SYNTHESIZERS, *SHIPPED, *AUDITS) if name not in text] == []


def test_every_page_named_exists() -> None:
    assert [page for page in re.findall(r"`(docs/[\w./-]+)`", README) if not (ROOT / page).is_file()] == []

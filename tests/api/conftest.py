"""A desk to work at: a small table with canaries, its schema, a ledger of its own, and the command line in-process."""

from __future__ import annotations

import copy
import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from api.charging import charge_and_open
from api.cli import app
from api.home import Home
from api.recipe import Recipe, place
from privacy.noise import system_noise
from tests.tables import MIXED_DOCUMENT, population

COLUMNS = ("region", "sex", "age", "income", "waist_ratio", "approved")
CANARIES = ("canary-cell-4711", "87654.32")
"""A text outside every list and a number inside every bound; both stand in the table and may stand nowhere else."""

Rows = list[dict[str, str]]

LENIENT = {
    "name": "lenient",
    "tier": "tests",
    "requires_dp": True,
    "max_epsilon": 16.0,
    "checks": [
        {
            "audit": "marginals",
            "quantity": "excess total variation, 2-way",
            "subjects": "table",
            "worse": "higher",
            "pass_limit": 1.0,
            "withhold_limit": 1.0,
            "min_n": 0,
            "effect": "block",
            "required": True,
        }
    ],
}
"""A policy that lets out whatever could be measured."""


def call(*arguments: str | Path) -> Result:
    """One command, in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def document() -> dict[str, Any]:
    """A schema document of six columns, to be spoiled."""
    fields = [copy.deepcopy(field) for field in MIXED_DOCUMENT["fields"] if field["name"] in COLUMNS]
    return {**copy.deepcopy(MIXED_DOCUMENT), "fields": fields}


def clean_rows(n: int, seed: int) -> Rows:
    """n rows of the six columns, as texts."""
    records = csv.DictReader(io.StringIO(population(n, seed).csv().decode()))
    return [{name: record[name] for name in COLUMNS} for record in records]


def canary_rows(n: int = 60) -> Rows:
    """The same with both canaries in the first row."""
    rows = clean_rows(n, 1)
    rows[0] |= {"region": CANARIES[0], "income": CANARIES[1]}
    return rows


def csv_of(rows: Rows, *, header: Sequence[str] = COLUMNS, delimiter: str = ",") -> str:
    """Rows as CSV text."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([row[name] for name in COLUMNS] for row in rows)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A folder to work in."""

    folder: Path

    @property
    def table(self) -> Path:
        return self.folder / "table.csv"

    @property
    def schema(self) -> Path:
        return self.folder / "schema.yaml"

    @property
    def out(self) -> Path:
        return self.folder / "bundle"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def home(self) -> Home:
        return Home(self.ledger)

    def describe(self, written: Mapping[str, Any]) -> None:
        """Write another schema."""
        self.schema.write_text(yaml.safe_dump(dict(written), sort_keys=False), encoding="utf-8")

    def options(self, **changed: str | Path) -> list[str]:
        """Arguments of a release, some of them changed; `table` is the argument."""
        options: dict[str, str | Path] = {
            "schema": self.schema,
            "synthesizer": "independent",
            "epsilon": "1",
            "delta": "1e-6",
            "policy": "internal",
            "out": self.out,
            "ledger": self.ledger,
        }
        table = changed.pop("table", self.table)
        named = [part for name, value in (options | changed).items() for part in (f"--{name}", str(value))]
        return [str(table), *named]

    def release(self, *flags: str, **changed: str | Path) -> Result:
        """`tablegate release` with some options changed."""
        return call("release", *self.options(**changed), *flags)

    def listing(self) -> set[str]:
        """Every path in the folder."""
        return {
            os.path.relpath(os.path.join(here, name), self.folder)
            for here, folders, files in os.walk(self.folder)
            for name in (*folders, *files)
        }

    def charges(self) -> int:
        """How many charges stand in the ledger of this desk, whoever made them."""
        if not self.ledger.exists():
            return 0
        ledger = self.home.ledger
        return sum(row["kind"] == "charge" for name in ledger.populations() for row in ledger.show(name))


def only_object(result: Result) -> dict[str, Any]:
    """Standard output as the one JSON object it must be, without NaN or Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(result.stdout, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


@pytest.fixture(autouse=True)
def _no_ledger_of_a_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default ledger is one in a temporary folder, and defects are told as users are told them."""
    private = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(private))
    monkeypatch.setenv("XDG_DATA_HOME", str(private / "data"))
    monkeypatch.delenv("TABLEGATE_TRACE", raising=False)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk with a table that holds canaries, and its schema."""
    made = Desk(folder=tmp_path)
    made.table.write_text(csv_of(canary_rows()), encoding="utf-8")
    made.describe(document())
    return made


def recipe(desk: Desk, *, epsilon: float = 1.0, request: str = "") -> Recipe:
    """What `desk.release()` asks for."""
    return Recipe(
        table=desk.table,
        schema=desk.schema,
        synthesizer="independent",
        epsilon=epsilon,
        delta=1e-6,
        policy="internal",
        out=desk.out,
        rows=None,
        seed=1,
        request=request,
    )


def spend(desk: Desk, *, epsilon: float = 1.0) -> None:
    """Charge a release and open the charge, as one does that is killed while it reads."""
    charge_and_open(place(recipe(desk, epsilon=epsilon)), desk.home, system_noise())

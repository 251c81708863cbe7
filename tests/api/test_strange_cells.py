"""Cells are never an error: whatever a table holds, the run looks from outside as it does on a clean table."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from audits.release.scorecard import RELEASED_SECTIONS
from audits.standards.descriptions import NAMES as DESCRIPTIONS
from tests.api.conftest import LENIENT, Desk, Rows, call, clean_rows, csv_of, document, only_object

N, SYNTHETIC = 400, 300
MARK = "canary-cell-4711"
FIGURES = set(RELEASED_SECTIONS)
DATA = {"data", "data/synthetic.csv", "data/synthetic.parquet"} | DESCRIPTIONS
"""What leaves where a table does: the table, and what describes it."""


def infinities(rows: Rows) -> None:
    for row, text in zip(rows, ("inf", "-inf", "Infinity", "1e999", "-1e999"), strict=False):
        row["income"] = row["age"] = text


def not_numbers(rows: Rows) -> None:
    for row in rows[:7]:
        row["income"] = row["age"] = "NaN"


def wrong_types(rows: Rows) -> None:
    for row in rows[:7]:
        row |= dict.fromkeys(row, MARK)


def undecodable(rows: Rows) -> None:
    for row in rows[:7]:
        row |= dict.fromkeys(row, f"{MARK}\udcff\udcfe")


def a_million_characters(rows: Rows) -> None:
    rows[3]["region"] = rows[4]["income"] = (MARK * 63_000)[:1_000_000]


def all_missing(rows: Rows) -> None:
    for row in rows:
        row["income"] = ""


def one_row(rows: Rows) -> None:
    del rows[1:]


def no_rows(rows: Rows) -> None:
    rows.clear()


def one_class(rows: Rows) -> None:
    for row in rows:
        row["approved"] = "true"


STRANGE: dict[str, Callable[[Rows], None]] = {
    "inf": infinities,
    "NaN": not_numbers,
    "wrong type": wrong_types,
    "undecodable": undecodable,
    "10^6 characters": a_million_characters,
    "all missing": all_missing,
    "one row": one_row,
    "no rows": no_rows,
    "one class": one_class,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A release as somebody outside sees it."""

    told: Result
    desk: Desk

    @property
    def files(self) -> set[str]:
        return {p.relative_to(self.desk.out).as_posix() for p in self.desk.out.rglob("*")}

    @property
    def scorecard(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.desk.out / "scorecard.json").read_bytes())
        return found

    @property
    def shape(self) -> tuple[tuple[str, ...], int] | None:
        """Header and number of rows of the table that was let out, if one was."""
        table = self.desk.out / "data/synthetic.csv"
        if not table.exists():
            return None
        with table.open(encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines)
        return tuple(header), len(rows)


def release(folder: Path, rows: Rows) -> Seen:
    """Write a table and release it: 300 synthetic rows, under the policy that lets out what could be measured."""
    folder.mkdir(exist_ok=True)
    desk = Desk(folder=folder)
    desk.table.write_bytes(csv_of(rows).encode("utf-8", "surrogateescape"))
    desk.describe(document())
    policy = folder / "lenient.yaml"
    policy.write_text(yaml.safe_dump(LENIENT), encoding="utf-8")
    return Seen(told=desk.release(policy=policy, rows=str(SYNTHETIC), seed="5"), desk=desk)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The release of a clean table."""
    return release(tmp_path_factory.mktemp("clean"), clean_rows(N, 3))


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_table_looks_like_a_clean_one(name: str, clean: Seen, tmp_path: Path) -> None:
    """The same steps told, the same files, columns and rows; no cell anywhere.

    The lenient policy withholds only on a total variation beyond 1, which there is none of, so a table that can be
    measured gets the clean table's verdict with certainty; one of a row or none cannot be, and does not PASS.
    """
    rows = clean_rows(N, 3)
    STRANGE[name](rows)
    strange = release(tmp_path, rows)
    assert strange.told.exit_code in ((3, 4) if len(rows) < N else (clean.told.exit_code,))
    assert strange.told.stderr == clean.told.stderr
    assert strange.files - DATA == clean.files - DATA
    assert bool(strange.files & DATA) == (strange.told.exit_code == 0)
    # Figures of the table leave with the table alone.
    assert strange.scorecard.keys() - FIGURES == clean.scorecard.keys() - FIGURES
    assert strange.shape == (clean.shape if strange.told.exit_code == 0 else None)
    told = strange.told.output.encode() + b"".join(
        p.read_bytes() for p in strange.desk.folder.rglob("*") if p.is_file() and p != strange.desk.table
    )
    assert MARK.encode() not in told
    assert b"Traceback" not in told


def test_a_clean_table_is_let_out_with_the_declared_columns(clean: Seen) -> None:
    assert clean.told.exit_code == 0, clean.told.output
    assert clean.shape == (tuple(field["name"] for field in document()["fields"]), SYNTHETIC)


@pytest.mark.parametrize(
    ("name", "column", "rule", "count"),
    [
        ("inf", "income", "wrong type or not finite: missing", 5),
        ("NaN", "age", "wrong type or not finite: missing", 7),
        ("wrong type", "region", "outside the list: OTHER", 7),
        ("undecodable", "sex", "outside the list: OTHER", 7),
        ("10^6 characters", "income", "wrong type or not finite: missing", 1),
        ("10^6 characters", "region", "outside the list: OTHER", 1),
    ],
)
def test_counts_stand_in_schema_check_alone(desk: Desk, name: str, column: str, rule: str, count: int) -> None:
    rows = clean_rows(N, 3)
    STRANGE[name](rows)
    desk.table.write_bytes(csv_of(rows).encode("utf-8", "surrogateescape"))
    told = call("schema", "check", desk.schema, desk.table)
    assert told.exit_code == 0
    assert "INTERNAL: exact counts" in told.stdout
    assert MARK not in told.output
    facts = only_object(call("schema", "check", desk.schema, desk.table, "--json"))
    assert facts["internal_counts"][column] == {rule: count}


def test_schema_check_of_a_clean_table(desk: Desk) -> None:
    desk.table.write_text(csv_of(clean_rows(N, 3)), encoding="utf-8")
    assert "INTERNAL: every cell fits." in call("schema", "check", desk.schema, desk.table).stdout

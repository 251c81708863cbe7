"""The schemas that ship: releasable, cited, and fitting the headers of the tables they were written for."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from statsmodels.datasets import fair

from privacy.columns import LevelColumn, Source
from privacy.files import check_file, read_header
from privacy.schema import Schema
from privacy.schema_file import load_schema
from privacy.table import read_table

ROOT = Path(__file__).parents[1]
DATA = Path(__file__).parents[2] / "shared" / "data"
BENCH = sorted((ROOT / "bench" / "schemas").glob("*.yaml"))
FAIR = ROOT / "api" / "demo" / "fair.yaml"
DEVELOPER_TABLES = {
    "adult": ("adult.csv.gz", "income"),
    "bank_marketing": ("bank_marketing.csv.gz", "y"),
    "compas": ("compas.csv.gz", "two_year_recid"),
    "loans": ("loans.csv.gz", "grade"),
    "military_1p4m": ("military_1p4m.parquet", "rank"),
    "mpls_stops": ("mpls_stops.csv.gz", "personSearch"),
    "nhanes": ("nhanes.csv.gz", "Diabetes"),
    "nist_acs_ma2019": ("nist_acs_ma2019.csv.gz", "PINCP_DECILE"),
    "nist_acs_national2019": ("nist_acs_national2019.csv.gz", "PINCP_DECILE"),
}


def _entries(schema: Schema) -> list[tuple[str, Source, str]]:
    found = []
    for column in schema.columns:
        if isinstance(column, LevelColumn):
            found.append((column.name, column.source, column.cite))
        else:
            found.append((column.name, column.minimum_source, column.minimum_cite))
            found.append((column.name, column.maximum_source, column.maximum_cite))
    return found


def _other_shares(path: Path, schema: Schema) -> dict[str, float]:
    table = read_table(path, schema)
    lists = [c for c in schema.columns if isinstance(c, LevelColumn) and c.levels is not None]
    return {c.name: float((table.codes(c.name) == len(c.declared)).mean()) for c in lists}


def _spelled(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


@pytest.fixture(scope="module")
def fair_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = fair.load_pandas().data
    path = tmp_path_factory.mktemp("fair") / "fair.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(frame.columns)
        writer.writerows([_spelled(value) for value in row] for row in frame.to_numpy().tolist())
    return path


def test_every_developer_table_has_a_schema() -> None:
    assert {path.stem for path in BENCH} == set(DEVELOPER_TABLES)


@pytest.mark.parametrize("path", [*BENCH, FAIR], ids=lambda p: p.stem)
def test_is_releasable_and_cited(path: Path) -> None:
    schema = load_schema(path)
    schema.require_releasable()
    assert schema.observed == ()
    assert schema.declared_after_reading == ()
    assert schema.name == path.stem
    assert all(cite.strip() for _, source, cite in _entries(schema) if source is Source.PUBLIC)
    assert schema.n_public.value is None or schema.n_public.cite
    assert schema.target is not None
    assert schema.sensitive


@pytest.mark.parametrize("name", DEVELOPER_TABLES)
def test_names_its_target(name: str) -> None:
    target = load_schema(ROOT / "bench" / "schemas" / f"{name}.yaml").target
    assert target is not None
    assert target.name == DEVELOPER_TABLES[name][1]


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.exists(), reason="the developer tables are not beside this checkout")
@pytest.mark.parametrize("name", DEVELOPER_TABLES)
def test_names_every_column_of_its_table_and_nothing_else(name: str) -> None:
    schema = load_schema(ROOT / "bench" / "schemas" / f"{name}.yaml")
    path = DATA / DEVELOPER_TABLES[name][0]
    check_file(path, schema)
    assert list(schema.header) == read_header(path)


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.exists(), reason="the developer tables are not beside this checkout")
@pytest.mark.parametrize("name", DEVELOPER_TABLES)
def test_public_lists_are_spelled_as_the_table_spells_them(name: str) -> None:
    schema = load_schema(ROOT / "bench" / "schemas" / f"{name}.yaml")
    shares = _other_shares(DATA / DEVELOPER_TABLES[name][0], schema)
    assert [column for column, share in shares.items() if share >= 0.5] == []


def test_the_demo_schema_fits_its_survey(fair_csv: Path) -> None:
    schema = load_schema(FAIR)
    check_file(fair_csv, schema)
    assert list(schema.header) == read_header(fair_csv)
    assert [column for column, share in _other_shares(fair_csv, schema).items() if share >= 0.5] == []


def test_the_demo_schema_publishes_the_count_of_the_note() -> None:
    count = load_schema(FAIR).n_public
    assert count.value == 6366
    assert f"Number of observations: {count.value}" in fair.NOTE


def test_a_missing_answer_is_not_the_answer_none() -> None:
    column = load_schema(ROOT / "bench" / "schemas" / "nhanes.yaml")["LittleInterest"]
    assert isinstance(column, LevelColumn)
    assert "None" in column.declared
    assert "None" not in column.missing


def test_unknown_stays_a_category_of_the_bank() -> None:
    column = load_schema(ROOT / "bench" / "schemas" / "bank_marketing.yaml")["job"]
    assert isinstance(column, LevelColumn)
    assert "unknown" in column.declared

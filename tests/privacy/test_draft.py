"""A draft spares typing and lets nothing out: every bound and list in it is `observed`."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from audits.release.bundle import sha256
from privacy.columns import LevelColumn, NumberColumn, NumberKind, Role, Source
from privacy.draft import draft_schema, write_draft
from privacy.errors import SchemaError, TableError
from privacy.schema import Schema
from privacy.schema_file import load_schema, parse_schema
from privacy.statement import PrivacyStatement
from tests.audits.release.made_up import statement
from tests.tables import population

HEADER = "id,email,age,height,joined,seen,smoker,colour,notes,empty,code"


def people(n: int = 120) -> str:
    """A table with a column of every kind a draft tells apart."""
    lines = [HEADER]
    for i in range(n):
        lines.append(
            f"P{i:05d},a{i}@example.org,{20 + i % 50},{150 + i % 40}.5,20{10 + i % 10}-03-{1 + i % 28:02d},"
            f"2020-01-{1 + i % 28:02d} 10:{i % 60:02d}:00,{'True' if i % 3 else 'False'},"
            f"{'no' if i % 2 else 'green'},{'x' * (i % 90)} said {i},,{'1e5' if i % 2 else 'y'}"
        )
    return "\n".join(lines) + "\n"


def drafted(folder: Path, content: str | None = None, name: str = "people.csv") -> dict[str, Any]:
    path = folder / name
    path.write_text(people() if content is None else content, encoding="utf-8")
    return draft_schema(path)


def read_back(folder: Path, written: dict[str, Any]) -> Schema:
    (folder / "draft.yaml").write_text(write_draft(written), encoding="utf-8")
    written["privacy"]["population"] = "somebody"
    return load_schema(folder / "draft.yaml")


def test_kinds_are_told_apart(tmp_path: Path) -> None:
    schema = read_back(tmp_path, drafted(tmp_path))
    assert schema.dropped == {"id": Role.IDENTIFIER, "email": Role.IDENTIFIER, "notes": Role.IDENTIFIER}
    kinds = {c.name: c.kind for c in schema.columns if isinstance(c, NumberColumn)}
    assert kinds == {
        "age": NumberKind.INTEGER,
        "height": NumberKind.NUMBER,
        "joined": NumberKind.DATE,
        "seen": NumberKind.DATETIME,
    }
    levels = {c.name: c.levels for c in schema.columns if isinstance(c, LevelColumn)}
    assert levels == {"smoker": ("false", "true"), "colour": ("green", "no"), "empty": ("EMPTY",), "code": ("1e5", "y")}
    assert schema.observed == ("age", "height", "joined", "seen", "colour", "empty", "code")


def test_free_text_is_dropped(tmp_path: Path) -> None:
    texts = [f"a note of many words, number {i % 110}" for i in range(200)]
    schema_text = "notes,a\n" + "".join(f'"{text}",{i % 5}\n' for i, text in enumerate(texts))
    assert drafted(tmp_path, schema_text)["fields"][0] == {"name": "notes", "type": "string", "role": "text"}


def test_bounds_are_those_of_the_rows(tmp_path: Path) -> None:
    schema = read_back(tmp_path, drafted(tmp_path, population(300, 5).csv().decode()))
    table = population(300, 5)
    income = schema["income"]
    assert isinstance(income, NumberColumn)
    assert (income.minimum, income.maximum) == (table.numbers("income").min(), table.numbers("income").max())
    assert (income.minimum_source, income.maximum_source) == (Source.OBSERVED, Source.OBSERVED)


def test_a_draft_is_refused_by_a_release(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="`observed` entries in 'age'"):
        read_back(tmp_path, drafted(tmp_path)).require_releasable()


def test_relabelled_entries_are_named_on_the_statement(tmp_path: Path) -> None:
    """`observed` edited to `public` with a cite: numbers, dates, moments and lists, each still told."""
    written = drafted(tmp_path)
    for field in written["fields"]:
        if field.get("source") == "observed":
            field |= {"source": "public", "cite": "so I say"}
    schema = read_back(tmp_path, written)
    schema.require_releasable()
    parts = [f"{end} of '{name}'" for name in ("age", "height", "joined", "seen") for end in ("minimum", "maximum")]
    parts += [f"categories of '{name}'" for name in ("colour", "empty", "code")]
    assert sorted(schema.declared_after_reading) == sorted(parts)
    told = of(schema).not_covered
    for part in parts:
        assert f"The {part}: declared public after the rows were read; not covered by epsilon." in told


def test_an_entry_taken_from_elsewhere_is_not_named(tmp_path: Path) -> None:
    written = drafted(tmp_path)
    age = next(field for field in written["fields"] if field["name"] == "age")
    age |= {"source": "public", "cite": "codebook", "constraints": {"minimum": 0, "maximum": 120}}
    assert not [entry for entry in read_back(tmp_path, written).declared_after_reading if "age" in entry]


def test_digest_leaves_out_what_was_drafted(tmp_path: Path) -> None:
    """Else guesses of a drafted bound could be tested; it is the digest of what a bundle shows as its schema."""
    written = drafted(tmp_path)
    one = parse_schema(written)
    other = parse_schema({**written, "privacy": {**written["privacy"], "drafted": {"age": {"maximum": 999}}}})
    none = {**written, "privacy": {k: v for k, v in written["privacy"].items() if k != "drafted"}}
    assert one.digest == other.digest == parse_schema(none).digest == sha256(rfc8785.dumps(none))
    assert one.drafted != other.drafted
    changed = {**written, "privacy": {**written["privacy"], "population": "another"}}
    assert parse_schema(changed).digest != one.digest


@settings(max_examples=60, deadline=None)
@given(levels=st.lists(st.text(min_size=1, max_size=12), min_size=3, max_size=6, unique=True))
def test_categories_survive_writing_and_reading(levels: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever YAML would read as a number, a date, a truth value or nothing stays the text it was."""
    texts = sorted({level.strip() for level in [*levels, "1e5", "no", "007", "2020-01-01", "~", "0x1F"]} - {""})
    written = draft_of(texts)
    path = tmp_path_factory.mktemp("draft") / "draft.yaml"
    path.write_text(write_draft(written), encoding="utf-8")
    column = load_schema(path)["a"]
    assert isinstance(column, LevelColumn)
    assert column.levels == tuple(texts)


def draft_of(levels: list[str]) -> dict[str, Any]:
    """A draft of one column with these categories."""
    return {
        "name": "t",
        "missingValues": [""],
        "fields": [{"name": "a", "type": "string", "categories": levels, "source": "observed"}],
        "privacy": {
            "population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": "none",
            "drafted": {"a": {"categories": levels}},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n",
        "a,b\n1,2\n",
        "a\n\n",
        "a,b\n" + "inf,nan\n" * 5,
        "a,b\n" + "".join(f"{10**17 + i % 7},{i % 4}\n" for i in range(60)),
        "a,b\n" + "x" * 100_000 + ",1\n",
    ],
)
def test_any_table_has_a_draft_that_parses(tmp_path: Path, content: str) -> None:
    schema = read_back(tmp_path, drafted(tmp_path, content))
    assert schema.header == tuple(content.split("\n")[0].split(","))


def test_what_is_no_table_has_no_draft(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="twice"):
        drafted(tmp_path, "a,a\n1,2\n")
    with pytest.raises(TableError, match="empty"):
        drafted(tmp_path, "")
    whole = gzip.compress(people(2_000).encode(), compresslevel=0)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TableError, match="damaged behind its header"):
        draft_schema(tmp_path / "cut.csv.gz")


def test_a_draft_is_plain_yaml(tmp_path: Path) -> None:
    text = write_draft(drafted(tmp_path))
    assert yaml.safe_load(text)["privacy"]["population"] == "WRITE-A-NAME"
    assert "source: observed" in text


def of(schema: Schema) -> PrivacyStatement:
    """A statement about another schema."""
    return replace(statement(), schema=schema)

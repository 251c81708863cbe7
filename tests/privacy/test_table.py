"""The table: three formats, one content; a header may be refused, a cell never; persons are bounded one by one."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.columns import LevelColumn, NumberColumn
from privacy.errors import TableError
from privacy.files import BATCH_ROWS, check_file, read_header
from privacy.noise import seeded_noise, system_noise
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from privacy.table import Table, Tally, make_table, read_table
from tests.tables import fingerprint

HEADER = ["person", "colour", "town", "age", "height", "day", "moment", "alive", "note"]
FIELDS: list[dict[str, Any]] = [
    {"name": "person", "role": "identifier"},
    {"name": "colour", "categories": ["red", "green"], "source": "public", "cite": "codebook"},
    {"name": "town", "source": "measured", "max_levels": 5},
    {
        "name": "age",
        "type": "integer",
        "constraints": {"minimum": 0, "maximum": 120},
        "source": "public",
        "cite": "codebook",
        "missingValues": ["", "999"],
    },
    {"name": "height", "type": "number", "source": "measured"},
    {
        "name": "day",
        "type": "date",
        "constraints": {"minimum": "2000-01-01", "maximum": "2020-12-31"},
        "source": "public",
        "cite": "codebook",
    },
    {
        "name": "moment",
        "type": "datetime",
        "constraints": {"minimum": "2000-01-01T00:00:00Z", "maximum": "2020-12-31T00:00:00Z"},
        "source": "public",
        "cite": "codebook",
    },
    {"name": "alive", "type": "boolean"},
    {"name": "note", "role": "text"},
]
PRIVACY = {"population": "people", "unit": "row", "adjacency": "add-or-remove", "n_public": "none"}
SCHEMA = parse_schema({"fields": FIELDS, "missingValues": ["NA", ""], "privacy": PRIVACY})
PERSONS = parse_schema(
    {"fields": FIELDS, "missingValues": ["NA", ""], "privacy": {**PRIVACY, "unit": {"field": "person", "max_rows": 2}}}
)
ROWS = [
    ["p1", "red", "Ulm", "30", "1.5", "2001-02-03", "2001-02-03T04:05:06Z", "true", "x"],
    ["p1", "GREEN", "Bonn", "-4", "-1e3", "1990-01-01", "2030-01-01T00:00:00Z", "False", "y"],
    ["", " green ", "Ulm", "999", "inf", "2020-13-45", "later", "NA", "z"],
    ["p2", "", "NA", "300.0", "tall", "", "", "maybe", ""],
    ["p1", "red", "Köln", "30.4", "NaN", "2020-12-31", "2020-12-31T00:00:00Z", "0", "last"],
]


def _write_csv(path: Path, rows: list[list[str]], header: list[str] = HEADER) -> Path:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([header, *rows])
    path.write_bytes(gzip.compress(buffer.getvalue().encode()) if path.suffix == ".gz" else buffer.getvalue().encode())
    return path


def _write_parquet(path: Path, rows: list[list[str]], header: list[str] = HEADER) -> Path:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    pq.write_table(pa.table([pa.array(column, pa.string()) for column in columns], names=header), path)
    return path


def _assert_equal(left: Table, right: Table) -> None:
    assert left.columns.keys() == right.columns.keys()
    for name, values in left.columns.items():
        assert values.dtype == right.columns[name].dtype
        assert np.array_equal(values, right.columns[name], equal_nan=values.dtype == np.float64), name
    assert left.vocabularies == right.vocabularies
    assert left.units.tolist() == right.units.tolist()
    assert fingerprint(left) == fingerprint(right)


def _one(field: dict[str, Any], **privacy: Any) -> Schema:
    return parse_schema({"fields": [{"name": "x", **field}], "privacy": {**PRIVACY, **privacy}})


INTEGER = {"type": "integer", "constraints": {"minimum": 0, "maximum": 9}, "source": "public", "cite": "codebook"}
LEVEL = {"categories": ["a", "b"], "source": "public", "cite": "codebook"}
PUBLIC_SCHEMA = parse_schema(
    {
        "fields": [
            *(f for f in FIELDS if f["name"] not in ("town", "height")),
            {
                "name": "height",
                "type": "number",
                "constraints": {"minimum": -1e6, "maximum": 1e6},
                "source": "public",
                "cite": "codebook",
            },
        ],
        "missingValues": ["NA", ""],
        "privacy": PRIVACY,
    }
)


def test_cells_become_codes_and_numbers(tmp_path: Path) -> None:
    table = read_table(_write_csv(tmp_path / "t.csv", ROWS), SCHEMA)
    assert len(table) == 5
    assert table.codes("colour").tolist() == [0, 2, 1, 3, 0]
    assert table.vocabularies == {"town": ("Ulm", "Bonn", "Köln")}
    assert table.codes("town").tolist() == [0, 1, 0, 4, 2]
    assert np.array_equal(table.numbers("age"), [30, 0, np.nan, 120, 30], equal_nan=True)
    assert np.array_equal(table.numbers("height"), [1.5, -1e3, np.nan, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(table.numbers("day"), [11356, 10957, np.nan, np.nan, 18627], equal_nan=True)
    assert table.written("moment") == [
        "2001-02-03T04:05:06Z",
        "2020-12-31T00:00:00Z",
        None,
        None,
        "2020-12-31T00:00:00Z",
    ]
    assert table.written("alive") == ["true", "false", None, "OTHER", "false"]
    assert table.units.tolist() == [0, 1, 2, 3, 4]


def test_three_formats_give_one_table(tmp_path: Path) -> None:
    table = read_table(_write_csv(tmp_path / "t.csv", ROWS), SCHEMA)
    for path in (_write_csv(tmp_path / "t.csv.gz", ROWS), _write_parquet(tmp_path / "t.parquet", ROWS)):
        check_file(path, SCHEMA)
        _assert_equal(table, read_table(path, SCHEMA))
    assert fingerprint(table) != fingerprint(table.select(np.array([1, 0, 2, 3, 4])))


def test_batches_do_not_show(tmp_path: Path) -> None:
    rows = [[f"p{i % 7}", "red", f"t{i % 3}", str(i % 100), "1", "", "", "1", ""] for i in range(BATCH_ROWS + 10)]
    beats: list[str] = []
    table = read_table(_write_csv(tmp_path / "t.csv", rows), PERSONS, progress=beats.append)
    assert len(beats) == 2
    assert table.numbers("age").tolist() == [i % 100 for i in range(len(rows))]
    assert table.codes("town").tolist() == [i % 3 for i in range(len(rows))]
    assert table.units.tolist() == [i % 7 for i in range(len(rows))]


def test_typed_parquet_equals_text(tmp_path: Path) -> None:
    typed = pa.table(
        {
            "person": pa.array([1.0, 2.0, None]),
            "colour": pa.array(["red", None, "green"]).dictionary_encode(),
            "town": pa.array(["Ulm", "Bonn", None], pa.large_string()),
            "age": pa.array([30, 999, None], pa.int16()),
            "height": pa.array([1.5, float("nan"), float("inf")]),
            "day": pa.array([11356, None, 99_999], pa.date32()),
            "moment": pa.array([981173106, None, 4_000_000_000], pa.timestamp("s")),
            "alive": pa.array([True, False, None]),
            "note": pa.array([b"x", None, None]),
        }
    )
    pq.write_table(typed, tmp_path / "t.parquet")
    check_file(tmp_path / "t.parquet", PERSONS)
    rows = [
        ["1", "red", "Ulm", "30", "1.5", "2001-02-03", "2001-02-03T04:05:06Z", "true", "x"],
        ["2", "", "Bonn", "", "", "", "", "false", ""],
        ["", "green", "", "", "", "2243-10-16", "2096-10-02T07:06:40Z", "", ""],
    ]
    _assert_equal(
        read_table(_write_csv(tmp_path / "t.csv", rows), PERSONS), read_table(tmp_path / "t.parquet", PERSONS)
    )


ARRAYS = [
    pa.nulls(2),
    pa.array([True, None]),
    pa.array([3, 2**63], pa.uint64()),
    pa.array(np.array([1, np.nan], np.float16)),
    pa.array([-np.inf, np.nan]),
    pa.array([1, None], pa.decimal128(5, 2)),
    pa.array(["3", "\x00"]),
    pa.array(["3", None], pa.string_view()),
    pa.array([1, None], pa.date64()),
    pa.array([1, None], pa.timestamp("ns", tz="Europe/Berlin")),
    pa.array([1, None], pa.time32("s")),
    pa.array([1, None], pa.duration("s")),
    pa.array([1.0, None]).dictionary_encode(),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: str(a.type))
@pytest.mark.parametrize("name", SCHEMA.names)
def test_a_flat_column_of_any_type_is_read(tmp_path: Path, array: Any, name: str) -> None:
    columns = {n: (array if n == name else pa.nulls(2, pa.string())) for n in HEADER}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    check_file(tmp_path / "t.parquet", SCHEMA)
    assert len(read_table(tmp_path / "t.parquet", SCHEMA, tally=Tally())) == 2


def test_a_nan_among_levels_is_missing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([1.0, np.nan])}), tmp_path / "t.parquet")
    schema = _one({"type": "integer", "categories": [1, 2], "source": "public", "cite": "codebook"})
    assert read_table(tmp_path / "t.parquet", schema).codes("x").tolist() == [0, 3]


def test_whole_numbers_written_with_a_point_are_their_level(tmp_path: Path) -> None:
    schema = _one({"type": "integer", "categories": [1, 2], "source": "public", "cite": "codebook"})
    table = read_table(_write_csv(tmp_path / "t.csv", [["1.0"], ["2"], ["2.5"], ["-"]], ["x"]), schema)
    assert table.codes("x").tolist() == [0, 1, 2, 2]


def test_a_sentinel_is_missing_however_it_is_written(tmp_path: Path) -> None:
    schema = _one({**INTEGER, "missingValues": ["", "99"]})
    pq.write_table(pa.table({"x": pa.array([99.0, 5.0])}), tmp_path / "t.parquet")
    _assert_equal(
        read_table(tmp_path / "t.parquet", schema),
        read_table(_write_csv(tmp_path / "t.csv", [["99.0"], ["5"]], ["x"]), schema),
    )


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300), schema=st.sampled_from([SCHEMA, PERSONS]))
def test_no_bytes_behind_the_header_are_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, schema: Schema
) -> None:
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(",".join(HEADER).encode() + b"\n" + content)
    check_file(path, schema)
    table = read_table(path, schema, tally=Tally())
    for column in schema.columns:
        values = table.columns[column.name]
        assert len(values) == len(table)
        if isinstance(column, NumberColumn):
            assert not np.isinf(values).any()
        elif column.levels is not None:
            assert ((values >= 0) & (values < column.n_codes)).all()


def test_broken_rows_are_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [
        ",".join(HEADER).encode(),
        b"p1,red",
        b"",
        b"p1,red,Ulm,30,1.5,2001-02-03,2001-02-03T04:05:06Z,true,x,more,and,more",
        b"p1,r\xffd,\x00,3\x000,1.5,,,,",
        b"p1," + b"r" * 10**6 + b"," + b"t" * 10**6 + b"," + b"9" * 10**6 + b",1,,,,",
    ]
    path.write_bytes(b"\n".join(lines))
    check_file(path, SCHEMA)
    tally = Tally()
    table = read_table(path, SCHEMA, tally=tally)
    assert table.codes("colour").tolist() == [0, 0, 2, 2]
    assert table.vocabularies == {"town": ("Ulm", "\x00")}
    assert table.codes("town").tolist() == [3, 0, 1, 2]
    assert np.array_equal(table.numbers("age"), [np.nan, 30, np.nan, np.nan], equal_nan=True)
    assert tally.counts["colour"] == {"outside the list: OTHER": 2}
    assert tally.counts["age"] == {"wrong type or not finite: missing": 2}


def test_a_short_row_is_missing_whatever_the_missing_word(tmp_path: Path) -> None:
    fields = [{"name": "x", **LEVEL}, {"name": "y", **INTEGER}, {"name": "z", "source": "measured", "max_levels": 3}]
    schema = parse_schema({"fields": fields, "missingValues": ["N"], "privacy": PRIVACY})
    path = tmp_path / "t.csv"
    path.write_text("x,y,z\na\n\nb,1,N\n", encoding="utf-8")
    tally = Tally()
    table = read_table(path, schema, tally=tally)
    assert tally.counts == {}
    assert table.vocabularies == {"z": ()}
    assert table.codes("z").tolist() == [1, 1]
    assert table.csv() == b"x,y,z\na,N,N\nb,1,N\n"


def test_the_tally_counts_what_does_not_fit(tmp_path: Path) -> None:
    tally = Tally()
    read_table(_write_csv(tmp_path / "t.csv", ROWS), PERSONS, tally=tally)
    assert tally.counts == {
        "colour": {"outside the list: OTHER": 1},
        "age": {"outside the bounds: clamped": 2},
        "height": {"wrong type or not finite: missing": 2},
        "day": {"outside the bounds: clamped": 1},
        "moment": {"outside the bounds: clamped": 1},
        "alive": {"outside the list: OTHER": 1},
        "person": {"rows without a unit": 1},
    }


def test_the_tally_counts_a_small_excess(tmp_path: Path) -> None:
    field = {**INTEGER, "type": "number", "constraints": {"minimum": 0, "maximum": 0.5}}
    tally = Tally()
    read_table(_write_csv(tmp_path / "t.csv", [["0.6"], ["0.5"], [""]], ["x"]), _one(field), tally=tally)
    assert tally.counts == {"x": {"outside the bounds: clamped": 1}}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("rows", [[], ROWS[:1], [["p", *[""] * 8]] * 3], ids=["no row", "one row", "all missing"])
def test_tables_with_little_in_them(tmp_path: Path, suffix: str, rows: list[list[str]]) -> None:
    path = tmp_path / f"t{suffix}"
    (_write_parquet if suffix == ".parquet" else _write_csv)(path, rows)
    for schema in (SCHEMA, PERSONS):
        check_file(path, schema)
        table = read_table(path, schema)
        assert len(table) == len(rows)
        assert len(table.bounded(seeded_noise(1))) == min(len(rows), 2 if schema is PERSONS else 3)
        assert all(len(table.written(name)) == len(rows) for name in schema.names)


def test_a_header_may_be_in_another_order(tmp_path: Path) -> None:
    path = _write_csv(tmp_path / "t.csv", [row[::-1] for row in ROWS], [f" {name} " for name in HEADER[::-1]])
    check_file(path, SCHEMA)
    _assert_equal(read_table(path, SCHEMA), read_table(_write_csv(tmp_path / "u.csv", ROWS), SCHEMA))


def test_a_mark_of_byte_order_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf" + _write_csv(tmp_path / "u.csv", ROWS).read_bytes())
    assert read_header(path) == HEADER


def test_names_with_points_are_names(tmp_path: Path) -> None:
    fields = [{"name": "score", **INTEGER}, {"name": "score.1", **INTEGER}]
    schema = parse_schema({"fields": fields, "privacy": PRIVACY})
    pq.write_table(pa.table({"score.1": [1, 2], "score": [3, 4]}), tmp_path / "t.parquet")
    check_file(tmp_path / "t.parquet", schema)
    table = read_table(tmp_path / "t.parquet", schema)
    assert (table.numbers("score").tolist(), table.numbers("score.1").tolist()) == ([3, 4], [1, 2])


def _refusal(path: Path, schema: Schema = SCHEMA) -> str:
    with pytest.raises(TableError) as caught:
        check_file(path, schema)
    assert caught.value.why
    assert caught.value.fix
    return str(caught.value)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "no file 't.csv'" in _refusal(tmp_path / "t.csv")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize("content", [b"", b"\n", b"  \n", b",,\n"])
def test_refuses_an_empty_file(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(gzip.compress(content, mtime=0) if suffix == ".csv.gz" else content)
    assert "is empty" in _refusal(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
        ("t.csv", b"PAR1\x15\x04\x00"),
        ("t.csv", gzip.compress(b"person,colour\n", mtime=0)),
        ("t.csv", b"a" * 1000 + b",b\n"),
        ("t.csv", b'person,"colour\n' + b"p1,red\n" * 5),
        ("t.csv.gz", b"person,colour\np1,red\n"),
        ("t.csv.gz", gzip.compress(b"person,colour\n", mtime=0)[:15]),
        ("t.parquet", b"person,colour\n"),
        ("t.parquet", b""),
        ("t.xlsx", b"PK"),
    ],
)
def test_refuses_what_is_not_a_table(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "is not a table" in _refusal(tmp_path / name)


def test_refuses_a_folder(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    assert "is not a table" in _refusal(tmp_path / "t.csv")


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_refuses_another_delimiter(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(mark.join(HEADER) + "\n", encoding="utf-8")
    assert "another delimiter" in _refusal(path)


def test_refuses_a_name_twice(tmp_path: Path) -> None:
    assert "a column twice: colour." in _refusal(_write_csv(tmp_path / "t.csv", [], [*HEADER, "colour"]))
    message = _refusal(_write_csv(tmp_path / "u.csv", [], [*HEADER, "Smith", "Smith"]))
    assert "a column twice." in message
    assert "Smith" not in message


def test_refuses_missing_columns_by_name(tmp_path: Path) -> None:
    message = _refusal(_write_csv(tmp_path / "t.csv", [], [*HEADER[:3], *HEADER[5:]]))
    assert "no column 'age', 'height'." in message


def test_refuses_extra_columns_without_naming_them(tmp_path: Path) -> None:
    message = _refusal(_write_csv(tmp_path / "t.csv", [], [*HEADER, "Smith", "1970-01-01"]))
    assert "2 columns the schema does not name" in message
    assert "Smith" not in message


def test_a_file_without_a_header_echoes_nobody(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",".join(ROWS[0]) + "\n", encoding="utf-8")
    message = _refusal(path)
    assert "is the header line missing?" in message
    assert not any(cell in message for cell in ROWS[0] if len(cell) > 2)


@pytest.mark.parametrize(
    "array",
    [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"1"]), pa.array([b"1"], pa.binary(1))],
    ids=lambda a: str(a.type),
)
def test_refuses_nested_and_binary_columns(tmp_path: Path, array: Any) -> None:
    columns = {n: (array if n == "age" else pa.nulls(1, pa.string())) for n in HEADER}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert "'age' holds nested or binary values" in _refusal(tmp_path / "t.parquet")


def test_damage_behind_the_header_is_found_while_reading(tmp_path: Path) -> None:
    rows = [[str(i * 7919 % 10007), *ROWS[0][1:3], str(i % 90), str(i / 7), *ROWS[0][5:]] for i in range(20_000)]
    whole = _write_csv(tmp_path / "t.csv.gz", rows).read_bytes()
    (tmp_path / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    check_file(tmp_path / "t.csv.gz", SCHEMA)
    with pytest.raises(TableError, match="damaged behind its header"):
        read_table(tmp_path / "t.csv.gz", SCHEMA)
    parquet = _write_parquet(tmp_path / "t.parquet", rows).read_bytes()
    half, end = len(parquet) // 2, len(parquet) * 9 // 10
    (tmp_path / "t.parquet").write_bytes(parquet[:half] + bytes(end - half) + parquet[end:])
    check_file(tmp_path / "t.parquet", SCHEMA)
    with pytest.raises(TableError, match="damaged behind its header"):
        read_table(tmp_path / "t.parquet", SCHEMA)


def test_rows_without_a_person_are_dropped(tmp_path: Path) -> None:
    table = read_table(_write_csv(tmp_path / "t.csv", ROWS), PERSONS)
    assert table.units.tolist() == [0, 0, 1, 0]
    assert table.written("age") == ["30", "0", "120", "30"]
    assert table.vocabularies == {"town": ("Ulm", "Bonn", "Köln")}


def test_a_missing_word_is_no_person(tmp_path: Path) -> None:
    fields = [{"name": "id"}, {"name": "x", **INTEGER}]
    privacy = {**PRIVACY, "unit": {"field": "id", "max_rows": 1}}
    schema = parse_schema({"fields": fields, "missingValues": [0, "-"], "privacy": privacy})
    table = read_table(
        _write_csv(tmp_path / "t.csv", [["0", "1"], ["-", "2"], ["", "3"], ["7", "4"]], ["id", "x"]), schema
    )
    assert table.numbers("x").tolist() == [4]


def _people(counts: list[int]) -> Table:
    units = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    n = len(units)
    columns: dict[str, Any] = {name: np.zeros(n, np.int32) for name in PERSONS.names}
    columns |= {c.name: np.arange(n, dtype=float) for c in PERSONS.columns if isinstance(c, NumberColumn)}
    return Table(PERSONS, columns, {}, units)


@settings(deadline=None)
@given(counts=st.lists(st.integers(1, 6), max_size=8), seed=st.integers(0, 99), order=st.randoms())
def test_nobody_keeps_more_rows_than_allowed(counts: list[int], seed: int, order: Any) -> None:
    rows = list(range(sum(counts)))
    order.shuffle(rows)
    table = _people(counts).select(np.array(rows, np.int64))
    kept = table.bounded(seeded_noise(seed))
    found = np.bincount(kept.units, minlength=len(counts)).tolist()
    assert found == [min(count, 2) for count in counts]
    assert set(kept.numbers("age").tolist()) <= set(table.numbers("age").tolist())
    positions = [table.numbers("age").tolist().index(value) for value in kept.numbers("age").tolist()]
    assert positions == sorted(positions)


def test_every_row_of_a_person_has_the_same_chance() -> None:
    """Fails by chance < 1e-6 (12 rows, 5.6 standard deviations, 4,000 trials); sees a chance of 1/2 + .09 or more.

    The chance of a row is 2/4 for the first person, 2/6 for the second, 1 for the third; its standard deviation over
    4,000 trials is at most .0079, and 5.6 of them are .044; an error of .09 is missed with probability < 1e-7.
    """
    table, noise = _people([4, 6, 2]), system_noise()
    kept = np.zeros(12)
    for _ in range(4000):
        kept[table.bounded(noise).numbers("age").astype(int)] += 1
    assert np.abs(kept / 4000 - [*[2 / 4] * 4, *[2 / 6] * 6, 1, 1]).max() < 0.044


def test_rows_are_their_own_units_and_all_stay(tmp_path: Path) -> None:
    table = read_table(_write_csv(tmp_path / "t.csv", ROWS), SCHEMA)
    assert table.bounded(seeded_noise(1)) is table


def _random_table(n: int) -> Table:
    rng = np.random.default_rng(5)
    columns: dict[str, Any] = {}
    for column in PUBLIC_SCHEMA.columns:
        if isinstance(column, LevelColumn):
            columns[column.name] = rng.integers(0, column.n_codes, n).astype(np.int32)
        else:
            values = column.clamp(rng.uniform(*column.bounds, n))
            columns[column.name] = np.where(rng.random(n) < 0.2, np.nan, values)
    return make_table(PUBLIC_SCHEMA, columns)


@pytest.mark.parametrize("n", [0, 1, 500])
def test_what_is_written_is_read_back(tmp_path: Path, n: int) -> None:
    table = _random_table(n)
    fields = [f for f in PUBLIC_SCHEMA.document["fields"] if f["name"] in PUBLIC_SCHEMA.names]
    schema = parse_schema({**PUBLIC_SCHEMA.document, "fields": fields})
    for name, content in (("t.csv", table.csv()), ("t.parquet", table.parquet())):
        (tmp_path / name).write_bytes(content)
        check_file(tmp_path / name, schema)
        back = read_table(tmp_path / name, schema)
        for column, values in table.columns.items():
            assert np.array_equal(values, back.columns[column], equal_nan=values.dtype == np.float64), column
    assert table.csv() == table.csv()
    assert table.parquet() == table.parquet()


def test_written_files_have_declared_names_types_and_missing_words() -> None:
    table = _random_table(50)
    lines = table.csv().decode().splitlines()
    assert lines[0] == ",".join(PUBLIC_SCHEMA.names)
    assert all(cell != "" or name == "age" for line in lines[1:] for name, cell in zip(
        PUBLIC_SCHEMA.names, line.split(","), strict=True))  # fmt: skip
    types = {field.name: str(field.type) for field in pq.read_schema(io.BytesIO(table.parquet()))}
    assert types["age"] == "int64"
    assert types["height"] == "double"
    assert types["day"] == "date32[day]"
    assert types["moment"].startswith("timestamp")
    assert types["alive"] == "string"


def test_bought_domains_recode_and_clamp(tmp_path: Path) -> None:
    table = read_table(_write_csv(tmp_path / "t.csv", ROWS), SCHEMA)
    fields = [dict(field) for field in FIELDS]
    fields[2] = {"name": "town", "categories": ["Köln", "Ulm", "Trier"], "source": "public", "cite": "bought"}
    fields[4] = {
        "name": "height",
        "type": "number",
        "constraints": {"minimum": -10, "maximum": 1},
        "source": "public",
        "cite": "bought",
    }
    bought = parse_schema({"fields": fields, "missingValues": ["NA", ""], "privacy": PRIVACY})
    conformed = table.conform(bought)
    assert conformed.schema is bought
    assert conformed.vocabularies == {}
    assert conformed.written("town") == ["Ulm", "OTHER", "Ulm", None, "Köln"]
    assert np.array_equal(conformed.numbers("height"), [1, -10, np.nan, np.nan, np.nan], equal_nan=True)
    assert conformed.codes("colour").tolist() == table.codes("colour").tolist()
    assert conformed.units.tolist() == table.units.tolist()
    _assert_equal(conformed, read_table(_write_csv(tmp_path / "t.csv", ROWS), bought))

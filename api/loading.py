"""A released table as scikit-learn takes it: `X, y = load_xy("bundle")`.

The bundle proves itself first, so that what is learned from is what was released. Types follow from the schema:

| column of the schema | column of X |
|---|---|
| integer, number | int64, or float64 where a cell is missing; float64 |
| date, datetime | float64: days, or seconds, since 1970-01-01 |
| boolean | bool, or float64 (1, 0 and NaN) where a cell is missing |
| levels that are ordered numbers | like numbers |
| other levels | category, with all declared levels, ordered where they are |

A value outside a declared list (OTHER) is a level of its own where levels are words, and missing where they are numbers
or booleans. Missing is NaN throughout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audits.errors import BundleError
from audits.release.verify import signed_predicate
from privacy.columns import Column, LevelColumn, NumberColumn, NumberKind
from privacy.errors import RequestError
from privacy.schema import Schema, quoted
from privacy.schema_file import load_schema

TABLE, SCHEMA = "data/synthetic.parquet", "schema.json"


def load_xy(bundle: Path | str, target: str | None = None, expected_key: str | None = None) -> tuple[Any, Any]:
    """Features and target of a released bundle, once every file of it was found to be the one that was signed.

    Args:
        bundle: its folder.
        target: the column to predict; the one whose role is `target` where left out.
        expected_key: fingerprint of the key it must be signed with; None to accept the key it brings.

    Returns:
        X, a pandas DataFrame of shape (n, columns - 1) typed as above, and y, a Series of shape (n,). Labels that are
        words stay words. Rows whose target is missing, or outside its declared list, are left out: they have no label.

    Raises:
        BundleError: the bundle does not verify, or has no table.
        RequestError: the target is no column of it, or none is declared and none was named.
    """
    folder = Path(bundle)
    if not signed_predicate(folder, expected_key)["data"]:
        raise BundleError(
            f"The bundle '{folder.name}' has no table.",
            why="It was withheld, waits for a review, or is the report of an audit.",
            fix="Load a bundle that was released.",
        )
    schema = load_schema(folder / SCHEMA)
    label = _target(schema, target)
    table = pq.read_table(folder / TABLE)
    table = table.filter(_labelled(schema[label], table[label]))
    columns = {
        column.name: _label(column, table[column.name])
        if column.name == label
        else _feature(column, table[column.name])
        for column in schema.columns
    }
    frame = pa.table(columns).to_pandas()
    return frame.drop(columns=label), frame[label]


def _target(schema: Schema, asked: str | None) -> str:
    declared = next((column.name for column in schema.columns if column.role == "target"), None)
    name = asked or declared
    if name is None:
        raise RequestError(
            "The schema declares no target.",
            why="X and y are told apart by the column to predict.",
            fix=f"Name it: load_xy(bundle, target=...), one of {quoted(schema.names)}.",
        )
    if name not in schema.names:
        raise RequestError(
            f"The table has no column '{name}'.",
            why="The column to predict must be one of it.",
            fix=f"Name one of {quoted(schema.names)}.",
        )
    return name


def _labelled(column: Column, cells: Any) -> Any:
    """Which rows have a label, as a mask."""
    there = pc.is_valid(cells)
    return pc.and_(there, pc.not_equal(cells, column.other)) if isinstance(column, LevelColumn) else there


def _label(column: Column, cells: Any) -> Any:
    if isinstance(column, NumberColumn):
        return _numbers(column, cells)
    if _boolean(column):
        return pc.equal(cells, "true")
    return _levels_as_numbers(column, cells) if _numeric(column) else cells


def _feature(column: Column, cells: Any) -> Any:
    if isinstance(column, NumberColumn):
        return _numbers(column, cells)
    if _boolean(column):
        truth = pc.equal(_without_other(column, cells), "true")
        return truth if truth.null_count == 0 else pc.cast(pc.cast(truth, pa.int8()), pa.float64())
    if column.ordered and _numeric(column):
        return _levels_as_numbers(column, _without_other(column, cells))
    words = [*column.levels, column.other] if column.levels is not None else sorted(set(cells.drop_null().to_pylist()))
    codes = pc.index_in(cells, value_set=pa.array(words, pa.string())).combine_chunks()
    return pa.DictionaryArray.from_arrays(codes, pa.array(words, pa.string()), ordered=column.ordered)


def _numbers(column: NumberColumn, cells: Any) -> Any:
    match column.kind:
        case NumberKind.DATE:
            return pc.cast(pc.cast(cells, pa.int32()), pa.float64())
        case NumberKind.DATETIME:
            return pc.cast(pc.cast(pc.cast(cells, pa.timestamp("s")), pa.int64()), pa.float64())
        case _:
            return cells


def _levels_as_numbers(column: LevelColumn, cells: Any) -> Any:
    whole = all(float(level).is_integer() for level in column.declared)
    numbers = pc.cast(cells, pa.float64())
    return pc.cast(numbers, pa.int64()) if whole else numbers


def _without_other(column: LevelColumn, cells: Any) -> Any:
    return pc.if_else(pc.equal(cells, column.other), pa.scalar(None, pa.string()), cells)


def _numeric(column: LevelColumn) -> bool:
    """Whether every declared level is a number."""
    try:
        return bool(column.declared) and all(float(level) == float(level) for level in column.declared)
    except ValueError:
        return False


def _boolean(column: LevelColumn) -> bool:
    return set(column.declared) == {"true", "false"}

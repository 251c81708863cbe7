"""Tables of ours and data frames of pandas, by way of Arrow: pandas is imported by whoever holds a frame."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from privacy.columns import LevelColumn
from privacy.files import HeldFile, check_file
from privacy.schema import Schema
from privacy.table import Table, make_table, read_table


def file_of(frame: Any) -> HeldFile:
    """A data frame as a table file that is held, without its index. Nothing in a cell is an error."""
    sink = pa.BufferOutputStream()
    columns = [_column(cells) for _, cells in frame.items()]
    pq.write_table(pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns]), sink)
    content = sink.getvalue().to_pybytes()
    return HeldFile("frame.parquet", lambda: io.BytesIO(content))


def _column(cells: Any) -> pa.Array:
    """One column; as texts where its cells are of kinds that do not go together, which Arrow would quote one of."""
    try:
        return pa.Array.from_pandas(cells)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        missing = cells.isna()
        return pa.array([None if gone else str(cell) for cell, gone in zip(cells, missing, strict=True)], pa.string())


def read_frame(frame: Any, schema: Schema) -> Table:
    """The rows of a data frame, read by a schema. Raises TableError where its columns do not fit."""
    file = file_of(frame)
    check_file(file, schema)
    return read_table(file, schema)


def frame_of(table: Table) -> Any:
    """A table as a data frame: texts, whole numbers, numbers and dates; missing as pandas has it."""
    return pq.read_table(pa.BufferReader(table.parquet())).to_pandas()


def plain(table: Table) -> pa.Table:
    """A table whose domains are known, for tools that know numbers and words only.

    Numbers, and dates in days or seconds since 1970, as float64; levels as texts; missing as null.
    """
    columns = {}
    for column in table.schema.columns:
        if isinstance(column, LevelColumn):
            columns[column.name] = pa.array(column.decode(table.codes(column.name)), type=pa.string())
        else:
            values = table.numbers(column.name)
            columns[column.name] = pa.array(values, mask=np.isnan(values))
    return pa.table(columns)


def coded(rows: pa.Table, schema: Schema) -> Table:
    """What `plain` wrote, or a tool made in its likeness, coded by a schema: nothing in it is an error.

    A text outside a known list is OTHER and a number outside known bounds is moved to them; a list that is not known
    becomes a vocabulary.
    """
    columns: dict[str, Any] = {}
    vocabularies = {}
    for column in schema.columns:
        cells = rows.column(column.name)
        if not isinstance(column, LevelColumn):
            values = cells.cast(pa.float64()).to_numpy(zero_copy_only=False)
            columns[column.name] = column.clamp(np.where(np.isfinite(values), values, np.nan))
            continue
        texts = np.array(["" if text is None else text for text in cells.cast(pa.string()).to_pylist()], dtype=object)
        if column.levels is not None:
            columns[column.name] = column.encode(texts)
        else:
            words = tuple(sorted({text for text in texts if text}))
            place = {word: i for i, word in enumerate(words)} | {"": len(words) + 1}
            columns[column.name] = np.array([place[text] for text in texts], dtype=np.int32)
            vocabularies[column.name] = words
    made = make_table(schema, columns)
    return Table(schema, made.columns, vocabularies, made.units)

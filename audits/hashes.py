"""Rows as 64-bit hashes that add up over columns, so that leaving a column out is a subtraction."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from privacy.columns import Column, LevelColumn, NumberKind
from privacy.schema import Schema
from privacy.table import Table

GRID = 1_000
"""Steps of a real column's range within which two numbers count as equal."""

Hashes: TypeAlias = npt.NDArray[np.uint64]


def hashes(table: Table, schema: Schema) -> Hashes:
    """64-bit hashes of canonical cells, shape (columns, n): splitmix64 of the cell, offset by the column."""
    offsets = _mix(np.arange(1, len(schema.columns) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    cells = np.stack([_canonical(table, column) for column in schema.columns]).view(np.uint64)
    return _mix(cells + offsets[:, None])


def _canonical(table: Table, column: Column) -> npt.NDArray[np.int64]:
    """Codes; whole numbers and dates as they are; reals as steps of a public grid; missing as a number of its own."""
    if isinstance(column, LevelColumn):
        return table.codes(column.name).astype(np.int64)
    values = table.numbers(column.name)
    missing = np.isnan(values)
    if column.kind is NumberKind.NUMBER:
        low, high = column.bounds
        values = GRID * (values - low) / (high - low) if high > low else np.zeros(len(values))
    whole = np.rint(np.where(missing, 0, values)).astype(np.int64)
    return np.where(missing, np.iinfo(np.int64).min, whole)


def _mix(x: Hashes) -> Hashes:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

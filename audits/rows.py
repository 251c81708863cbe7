"""Rows of a table in an order, a choice or a union that says nothing about them, and their cells as numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from privacy.columns import Column, Floats, LevelColumn
from privacy.table import Table


def canonical(table: Table) -> Table:
    """The same rows in the one order their cells define, so that no result depends on the order they came in."""
    return table.select(np.lexsort([table.columns[name] for name in reversed(table.schema.names)]))


def one_row_per_unit(table: Table, rng: Generator) -> npt.NDArray[np.int64]:
    """Indices, ascending, of one random row of every unit."""
    if table.schema.unit.field is None:
        return np.arange(len(table), dtype=np.int64)
    order = rng.permutation(len(table))
    return np.sort(order[np.unique(table.units[order], return_index=True)[1]])


def sampled(table: Table, most: int, rng: Generator) -> Table:
    """A random sample, in order, of a table with more rows than that; any other table as it is."""
    if len(table) <= most:
        return table
    return table.select(np.sort(rng.choice(len(table), most, replace=False)))


def cells_of(table: Table, column: Column) -> Floats:
    """A column as numbers, shape (n,): codes of levels; values, NaN for missing, of anything else."""
    return (
        table.codes(column.name).astype(np.float64) if isinstance(column, LevelColumn) else table.numbers(column.name)
    )


def joined(first: Table, second: Table) -> Table:
    """The rows of both, in order, each a unit of its own."""
    columns = {name: np.concatenate([first.columns[name], second.columns[name]]) for name in first.columns}
    return Table(first.schema, columns, {}, np.arange(len(first) + len(second), dtype=np.int64))

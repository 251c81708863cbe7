"""Distance between rows in public units.

The squared distance of two rows is a sum over columns, each contributing from 0 to 1: numbers the squared difference
after scaling by the schema's bounds, ordered levels the same on their scaled rank, other levels 0 or 1. Missing and
OTHER are categories of their own: alike 0, against anything else 1. Nothing is read off the rows, so a row's distance
to a synthetic table does not change with the other rows (Gower 1971 scales by observed ranges; that is refused here).

A row may hide one of its columns: a person whose secret is asked for is compared on everything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from privacy.columns import Floats, LevelColumn
from privacy.schema import Schema
from privacy.table import Table

VALUE, MISSING, OTHER, HIDDEN = 0, 1, 2, 3
"""States of a number or an ordered level."""

HIDDEN_LEVEL = -1
"""Code of an unordered level that is compared with nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Rows in public units. Private.

    Attributes:
        levels: codes of unordered levels, shape (n, a); HIDDEN_LEVEL where hidden.
        n_codes: codes of each of these columns, OTHER and missing included.
        values: scaled numbers and ranks in [0, 1], 0 where there is none, shape (n, b).
        states: whether each of them is a value, missing, OTHER or hidden, shape (n, b).
    """

    levels: npt.NDArray[np.int32]
    n_codes: tuple[int, ...]
    values: Floats
    states: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.levels)

    def select(self, rows: slice | npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Features:
        """The rows of a slice, a mask or indices."""
        return Features(
            levels=self.levels[rows], n_codes=self.n_codes, values=self.values[rows], states=self.states[rows]
        )


def features(table: Table, schema: Schema, hidden: npt.NDArray[np.intp] | None = None) -> Features:
    """Rows of a table in public units.

    Args:
        table: rows coded by `schema`.
        schema: the schema; every bound and list must be known.
        hidden: the place in the schema of the column each row hides, shape (n,); None where none does.

    Raises:
        ValueError: a bound has not been measured yet.
    """
    n = len(table)
    levels: list[npt.NDArray[np.int32]] = []
    n_codes: list[int] = []
    values: list[Floats] = []
    states: list[npt.NDArray[np.int8]] = []
    hidden = np.full(n, len(schema.columns)) if hidden is None else hidden
    for place, column in enumerate(schema.columns):
        if isinstance(column, LevelColumn) and not column.ordered:
            codes = np.where(hidden == place, HIDDEN_LEVEL, table.codes(column.name))
            levels.append(codes.astype(np.int32))
            n_codes.append(column.n_codes)
            continue
        if isinstance(column, LevelColumn):
            k = len(column.declared)
            raw = table.codes(column.name).astype(np.float64)
            state = np.where(raw < k, VALUE, np.where(raw == k, OTHER, MISSING)).astype(np.int8)
            low, high = 0.0, float(max(k - 1, 0))
        else:
            raw = table.numbers(column.name)
            state = np.where(np.isnan(raw), MISSING, VALUE).astype(np.int8)
            low, high = column.bounds
        state[hidden == place] = HIDDEN
        scaled = (raw - low) / (high - low) if high > low else np.zeros(n)
        values.append(np.where(state == VALUE, scaled, 0.0))
        states.append(state)
    return Features(
        levels=np.stack(levels, axis=1) if levels else np.zeros((n, 0), np.int32),
        n_codes=tuple(n_codes),
        values=np.stack(values, axis=1) if values else np.zeros((n, 0)),
        states=np.stack(states, axis=1) if states else np.zeros((n, 0), np.int8),
    )


def join(first: Features, second: Features) -> Features:
    """The rows of both, in order."""
    return Features(
        levels=np.concatenate([first.levels, second.levels]),
        n_codes=first.n_codes,
        values=np.concatenate([first.values, second.values]),
        states=np.concatenate([first.states, second.states]),
    )


def squared_distances(queries: Features, reference: Features, rows: npt.NDArray[np.int64]) -> Floats:
    """Squared distances of queries to given reference rows in double precision, shape of `rows`.

    Args:
        queries: n rows; each may hide a column.
        reference: rows that hide nothing.
        rows: indices into `reference`, shape (n, k).
    """
    squared = np.zeros(rows.shape)
    for j in range(queries.levels.shape[1]):
        asked = queries.levels[:, j, None]
        squared += (asked != reference.levels[rows, j]) & (asked != HIDDEN_LEVEL)
    for j in range(queries.values.shape[1]):
        gap = (queries.values[:, j, None] - reference.values[rows, j]) ** 2
        states, others = queries.states[:, j, None], reference.states[rows, j]
        apart = (states != others) & (states != HIDDEN)
        squared += np.where((states == VALUE) & (others == VALUE), gap, apart)
    return squared

"""Matrices for prediction models, from a table and its public schema alone.

Trees get codes and numbers as they are; a missing number stands one range below its bounds, where one split finds it,
because scikit-learn refuses a column that is NaN throughout. Linear models get one column a code and every number
scaled to [0, 1] by its public bounds. Nothing is fitted to rows, so the same cell always gives the same features
whatever table it sits in, and a level one table lacks keeps its column in the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from privacy.columns import Column, Floats, LevelColumn
from privacy.table import Table


def tree_matrix(table: Table, *, leave_out: str) -> Floats:
    """Codes and numbers side by side, shape (n, columns - 1), all finite; OTHER and missing are codes of their own.

    Args:
        table: rows coded by a schema whose domains are known.
        leave_out: the column that is not a feature: the target; empty for none.
    """
    columns = _features(table, leave_out)
    matrix = np.empty((len(table), len(columns)))
    for j, column in enumerate(columns):
        if isinstance(column, LevelColumn):
            matrix[:, j] = table.codes(column.name)
        else:
            low, high = column.bounds
            matrix[:, j] = np.nan_to_num(table.numbers(column.name), nan=low - ((high - low) or 1.0))
    return matrix


def linear_matrix(table: Table, *, leave_out: str) -> sparse.csr_array:
    """One-hot codes and scaled numbers, shape (n, width), sparse.

    A column with levels becomes `n_codes` columns, OTHER and missing included. A number becomes two: its place in its
    public bounds, in [0, 1] (0 where missing), and a mark for missing.

    Args:
        table: rows coded by a schema whose domains are known.
        leave_out: the column that is not a feature: the target.
    """
    blocks: list[Any] = [_linear_block(column, table) for column in _features(table, leave_out)]
    if not blocks:
        return sparse.csr_array((len(table), 0))
    return sparse.csr_array(sparse.hstack(blocks, format="csr"))


def _features(table: Table, leave_out: str) -> tuple[Column, ...]:
    return tuple(column for column in table.schema.columns if column.name != leave_out)


def _linear_block(column: Column, table: Table) -> Any:
    n = len(table)
    rows = np.arange(n)
    if isinstance(column, LevelColumn):
        return _coo(np.ones(n), rows, table.codes(column.name), (n, column.n_codes))
    low, high = column.bounds
    values = table.numbers(column.name)
    missing = np.isnan(values)
    place = np.where(missing, 0.0, (values - low) / ((high - low) or 1.0))
    return _coo(np.r_[place, missing], np.r_[rows, rows], np.repeat([0, 1], n), (n, 2))


def _coo(data: npt.NDArray[Any], rows: npt.NDArray[Any], columns: npt.NDArray[Any], shape: tuple[int, int]) -> Any:
    return sparse.coo_array((data.astype(np.float64), (rows, columns)), shape=shape)

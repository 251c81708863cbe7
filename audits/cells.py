"""The public cells that rows are counted in: codes of levels, equal bins of a number's bounds, and missing."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from privacy.columns import Column, LevelColumn
from privacy.table import Table

Cells: TypeAlias = npt.NDArray[np.int64]


def cells(table: Table, column: Column, bins: int) -> Cells:
    """Cell of every row in a column's public partition, shape (n,), in [0, n_cells(column, bins))."""
    if isinstance(column, LevelColumn):
        return table.codes(column.name).astype(np.int64)
    low, high = column.bounds
    n_bins = n_cells(column, bins) - 1
    width = (high - low + (1 if column.is_discrete else 0)) or 1.0
    values = table.numbers(column.name)
    inside = np.clip(np.floor((np.nan_to_num(values, nan=low) - low) / width * n_bins), 0, n_bins - 1)
    return np.where(np.isnan(values), n_bins, inside).astype(np.int64)


def n_cells(column: Column, bins: int) -> int:
    """Number of cells of a column: its codes, or its bins and missing; whole numbers have no empty bins by design."""
    if isinstance(column, LevelColumn):
        return column.n_codes
    low, high = column.bounds
    return 1 + (min(bins, round(high - low) + 1) if column.is_discrete else bins)

"""Questions about real rows that are cheap to answer in private: each puts every row into at most one cell.

Cells are fixed by public facts and synthetic rows before a real row is looked at, and the cell of a row is a function
of that row alone. One unit, counted with one row, therefore moves the counts of each question by at most 1, and those
of q questions together by at most sqrt(q) in L2. Nothing learned from real rows may draw a line here: no quantile, no
ranking, no model, no reference sample.

That a cell depends on its own row alone is meant to the last bit. Distances come from `audits.bought.grid`, whose sums
are exact, because a matrix product in floating point may round the same row in two ways in two tables, and a row that
changes its cell when another row is removed would break the sensitivity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from audits.cells import Cells
from privacy.mechanisms import Integers
from privacy.table import Table

UNITS = "units"

CellsOf: TypeAlias = Callable[[Table], Cells]
"""Rows -> the cell of each in every question, shape (n, questions): in [0, size), or -1 for one that counts nowhere."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Partitions that share their work. Public, but for what `cells_of` is called with.

    Attributes:
        names: what each counts.
        sizes: number of cells of each.
        cells_of: the cells of every row of a table, each from that row alone.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    cells_of: CellsOf


def question(name: str, size: int, cell_of: Callable[[Table], Cells]) -> Questions:
    """One partition by itself; `cell_of` gives shape (n,)."""
    return Questions((name,), (size,), lambda rows: cell_of(rows)[:, None])


def everyone() -> Questions:
    """The number of units."""
    return question(UNITS, 1, lambda rows: np.zeros(len(rows), np.int64))


def tally(asked: Sequence[Questions], rows: Table) -> Integers:
    """Rows in every cell of every question, in order, shape (sum of all sizes,). Private."""
    counts = [np.zeros(0, np.int64)]
    for some in asked:
        found = some.cells_of(rows) if len(rows) else np.zeros((0, len(some.sizes)), np.int64)
        for j, size in enumerate(some.sizes):
            own = found[:, j]
            counts.append(np.bincount(own[own >= 0], minlength=size).astype(np.int64))
    return np.concatenate(counts)

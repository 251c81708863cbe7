"""Blocks of similar rows, and how near a row can be to anything in one: what an exact search need not look at.

A block is described by its box: which codes occur in it, which states, and the range of its values. No row of the block
is nearer to a query than its box is, so that a block whose box is farther than the neighbours already found is passed
over and nothing is missed (the branch-and-bound of Fukunaga & Narendra 1975, "A branch and bound algorithm for
computing k-nearest neighbors"; split as a k-d tree, Bentley 1975). Boxes only save time: any partition is correct.

Distances are those of `audits.distance`: each column adds from 0 to 1 to the square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from privacy.columns import Floats

Rows = npt.NDArray[np.intp]
Levels = npt.NDArray[np.int32]
States = npt.NDArray[np.int8]
Singles = npt.NDArray[np.float32]

N_STATES = 3
"""A number or ordered level is a value, missing or OTHER."""

CHUNK = 256
"""Rows compared with all boxes at a time, so that intermediate arrays stay in cache."""

LOOKED_AT = 4_096
"""Rows of a block, evenly spaced, from which the column to cut is chosen."""

MIN_GAIN = 1e-9
"""Rows that differ by less are halved by position."""


def partition(levels: Levels, values: Floats, states: States, size: int) -> tuple[Rows, ...]:
    """Blocks of at most `size` rows whose boxes are as far apart as greedy halving makes them.

    Args:
        levels: codes of unordered levels, shape (n, a).
        values: scaled numbers and ranks, shape (n, b).
        states: 0 where there is a value, shape (n, b).
        size: rows of a block at most, from 1.

    Returns:
        Indices of every block's rows; each row is in one block.
    """
    waiting: list[Rows] = [np.arange(len(levels))]
    blocks: list[Rows] = []
    while waiting:
        rows = waiting.pop()
        if len(rows) <= size:
            blocks.append(rows)
            continue
        left = _split(levels[rows], values[rows], states[rows])
        waiting += [rows[left], rows[~left]]
    return tuple(blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """What occurs in each of m blocks. Private.

    Attributes:
        codes: for every column of levels, which codes occur, shape (codes + 1, m); the last row, where a query that
            hides the column looks, is true throughout.
        states: for every column of values, which states occur, shape (4, m); the last row as above.
        low: smallest value, shape (b, m); above `high` where a block has none.
        high: largest value, shape (b, m).
    """

    codes: tuple[npt.NDArray[np.bool_], ...]
    states: tuple[npt.NDArray[np.bool_], ...]
    low: Singles
    high: Singles


def boxes(levels: Levels, n_codes: tuple[int, ...], values: Floats, states: States, blocks: tuple[Rows, ...]) -> Boxes:
    """The boxes of blocks of rows."""
    codes = tuple(np.zeros((width + 1, len(blocks)), np.bool_) for width in n_codes)
    seen = tuple(np.zeros((N_STATES + 1, len(blocks)), np.bool_) for _ in range(values.shape[1]))
    for table in (*codes, *seen):
        table[-1] = True
    low = np.full((values.shape[1], len(blocks)), np.inf, np.float32)
    high = -low
    for i, rows in enumerate(blocks):
        for j, table in enumerate(codes):
            table[levels[rows, j], i] = True
        for j, table in enumerate(seen):
            table[states[rows, j], i] = True
            held = values[rows[states[rows, j] == 0], j]
            low[j, i], high[j, i] = held.min(initial=np.inf), held.max(initial=-np.inf)
    return Boxes(codes=codes, states=seen, low=low, high=high)


def reach(levels: Levels, values: Floats, states: States, box: Boxes) -> Singles:
    """Squared distance of rows to boxes, shape (n, m): no row of a block is nearer, but for single precision."""
    squared = np.zeros((len(levels), box.low.shape[1]), np.float32)
    for start in range(0, len(levels), CHUNK):
        at = slice(start, start + CHUNK)
        part = squared[at]
        for j, occurs in enumerate(box.codes):
            part += ~occurs[levels[at, j]]
        for j, occurs in enumerate(box.states):
            x, held = values[at, j, None].astype(np.float32), states[at, j, None] == 0
            gap = np.clip(np.maximum(box.low[j] - x, x - box.high[j]), 0, 1)
            part += np.where(held, gap * gap, ~occurs[states[at, j]])
    return squared


def _split(levels: Levels, values: Floats, states: States) -> npt.NDArray[np.bool_]:
    """Which rows go left: cut in the column where two random rows are expected farthest apart across the cut."""
    kinds = np.concatenate([levels, states], axis=1)
    look = slice(None, None, max(1, len(kinds) // LOOKED_AT))
    of_kinds = [_halves(kinds[look, j])[0] for j in range(kinds.shape[1])]
    of_values = [_spread(values[look, j], states[look, j]) for j in range(values.shape[1])]
    gains = [*of_kinds, *of_values, MIN_GAIN]
    j = int(np.argmax(gains))
    left = np.zeros(len(kinds), np.bool_)
    if j < len(of_kinds):
        left = _halves(kinds[:, j])[1][kinds[:, j]]
    elif j < len(gains) - 1:
        x = values[:, j - len(of_kinds)]
        middle = np.median(x[states[:, j - len(of_kinds)] == 0])
        left = x <= middle if (x > middle).any() else x < middle
    return left if 0 < left.sum() < len(left) else np.arange(len(left)) < len(left) // 2


def _halves(codes: npt.NDArray[np.int32]) -> tuple[float, npt.NDArray[np.bool_]]:
    """The chance that two random rows fall on different sides of the evenest cut by frequency, and the codes left."""
    counts = np.bincount(codes)
    order = np.argsort(-counts, kind="stable")
    share = np.cumsum(counts[order]) / len(codes)
    apart = 2 * share * (1 - share)
    left = np.zeros(len(counts), np.bool_)
    left[order[: np.argmax(apart) + 1]] = True
    return float(apart.max()), left


def _spread(values: Floats, states: States) -> float:
    held = values[states == 0]
    return float(np.var(held)) * len(held) / len(values) if len(held) else 0.0

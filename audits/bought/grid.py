"""Distance between rows on a public grid, in whole numbers, so that a row's distance is a function of that row alone.

As `audits.distance` a squared distance is a sum over columns: numbers and ordered levels the squared difference after
scaling by the schema's bounds, other levels 0 or 1; a number that is missing on one side alone is one mismatch more,
and stands at its lower bound. Scaled values are rounded to multiples of 2^-16 first. Every product and every sum is
then a whole number below 2^53, which double precision holds exactly in whatever order a matrix product takes them: the
answer for one row is the same to the last bit whatever other rows it is asked for with.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.distance import Features, features
from privacy.table import Table

UNIT = 2**16
"""Steps of the grid in a column's range; a mismatch counts UNIT^2."""

MAX_ONE_HOT = 64
QUERY_BLOCK, REFERENCE_BLOCK = 1_024, 4_096

Exact: TypeAlias = npt.NDArray[np.float64]
"""Whole numbers, held in doubles."""


def nearest_squared(queries: Table, reference: Table, k: int) -> Exact:
    """Squared distances to the k nearest reference rows, ascending, in units of UNIT^2 a column.

    Args:
        queries: rows to search for, n of them; coded by the schema of `reference`.
        reference: rows to search in; at least k.
        k: neighbours wanted, from 1.

    Returns:
        Whole numbers, shape (n, k).

    Guarantees:
        Row i depends on query i and the reference alone; 0 means rows that are equal on the grid.

    Raises:
        ValueError: fewer than k reference rows.
    """
    if not 1 <= k <= len(reference):
        raise ValueError("k is at least 1 and at most the number of reference rows")
    wanted, there = (features(table, reference.schema) for table in (queries, reference))
    narrow = [j for j, codes in enumerate(wanted.n_codes) if codes <= MAX_ONE_HOT]
    wide = [j for j in range(len(wanted.n_codes)) if j not in narrow]
    best = np.full((len(queries), k), np.inf)
    for place in range(0, len(there), REFERENCE_BLOCK):
        block = there.select(slice(place, place + REFERENCE_BLOCK))
        right = np.ascontiguousarray(_right(block, narrow).T)
        for start in range(0, len(wanted), QUERY_BLOCK):
            rows = slice(start, start + QUERY_BLOCK)
            asked = wanted.select(rows)
            with threadpool_limits(limits=1, user_api="blas"):
                squared = _left(asked, narrow) @ right
            for j in wide:
                squared -= UNIT**2 * (asked.levels[:, j, None] == block.levels[None, :, j])
            best[rows] = _smallest(best[rows], squared, k)
    return np.sort(best, axis=1)


def _smallest(best: Exact, squared: Exact, k: int) -> Exact:
    """The k smallest of both, in any order."""
    if k == 1:
        nearer: Exact = np.minimum(best, squared.min(axis=1, keepdims=True))
        return nearer
    together = np.concatenate([best, squared], axis=1)
    smallest: Exact = np.partition(together, k - 1, axis=1)[:, :k]
    return smallest


def _left(rows: Features, narrow: list[int]) -> Exact:
    """The query's side of the product that is a squared distance."""
    x = _grid(rows)
    mismatches = float((rows.levels.shape[1] + rows.states.shape[1]) * UNIT**2)
    ends = np.stack([(x**2).sum(axis=1) + mismatches, np.ones(len(rows))], axis=1)
    return np.concatenate([-2 * x, -_one_hot(rows, narrow), ends], axis=1)


def _right(rows: Features, narrow: list[int]) -> Exact:
    """The reference's side."""
    y = _grid(rows)
    ends = np.stack([np.ones(len(rows)), (y**2).sum(axis=1)], axis=1)
    return np.concatenate([y, _one_hot(rows, narrow), ends], axis=1)


def _grid(rows: Features) -> Exact:
    return np.rint(rows.values * UNIT)


def _one_hot(rows: Features, narrow: list[int]) -> Exact:
    """A column of UNIT for every code of narrow columns, and for every state of a number."""
    blocks = [np.equal(rows.levels[:, j, None], np.arange(rows.n_codes[j])) for j in narrow]
    blocks += [np.equal(rows.states[:, j, None], np.arange(3)) for j in range(rows.states.shape[1])]
    if not blocks:
        return np.zeros((len(rows), 0))
    return np.concatenate(blocks, axis=1) * float(UNIT)

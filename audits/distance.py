"""Distance between rows in public units, and exact nearest neighbours.

The squared distance of two rows is a sum over columns, each contributing from 0 to 1: numbers the squared difference
after scaling by the schema's bounds, ordered levels the same on their scaled rank, other levels 0 or 1. Missing and
OTHER are categories of their own: alike 0, against anything else 1. Nothing is read off the rows, so a row's distance
to a synthetic table does not change with the other rows (Gower 1971 scales by observed ranges; that is refused here).

Search is a single-precision matrix product, block by block, that proposes candidates; the candidates are measured again
in double precision, and identical rows are found by comparing rows, so that a distance is 0 exactly when a row has a
twin. A block of reference rows is passed over only where its box (`audits.partition`) is farther than the k rows
already found, so the search is quick where rows are alike and never misses one: a distance returned is one of an actual
row and exceeds the true k-th smallest by no more than single precision allows (1e-5 in squared distance), and the
reference side is never subsampled. A missed neighbour is a missed leak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.partition import Boxes, Rows, boxes, partition, reach
from privacy.columns import Floats, LevelColumn
from privacy.schema import Schema
from privacy.table import Table

QUERY_BLOCK = 8_192
REFERENCE_BLOCK = 256
MAX_BLOCKS = 512
"""Roughly: blocks of a larger reference are larger, so that the table of queries by blocks stays small."""

FIRST = 8
"""Blocks searched before the rest: near ones give the bounds by which far ones are passed over."""

SLACK = 3e-6
"""Times the square of the number of columns c: no less than single precision adds to a squared distance and to that of
a box together. A product sums 3c + 1 terms, together at most 5c, and rounds by 2^-24."""

SPARE = 8
"""Candidates kept beyond k, so that rounding in single precision does not cost a neighbour."""

MAX_ONE_HOT = 64
"""Columns with more levels are compared code by code: cheaper than that many columns of a matrix product."""

VALUE, MISSING, OTHER = 0, 1, 2

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Rows in public units. Private.

    Attributes:
        levels: codes of unordered levels, shape (n, a).
        n_codes: codes of each of these columns, OTHER and missing included.
        values: scaled numbers and ranks in [0, 1], 0 where there is none, shape (n, b).
        states: whether each of them is a value, missing or OTHER, shape (n, b).
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


def features(table: Table, schema: Schema) -> Features:
    """Rows of a table in public units.

    Args:
        table: rows coded by `schema`.
        schema: the schema; every bound and list must be known.

    Raises:
        ValueError: a bound has not been measured yet.
    """
    n = len(table)
    levels: list[npt.NDArray[np.int32]] = []
    n_codes: list[int] = []
    values: list[Floats] = []
    states: list[npt.NDArray[np.int8]] = []
    for column in schema.columns:
        if isinstance(column, LevelColumn) and not column.ordered:
            levels.append(table.codes(column.name).astype(np.int32))
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
        scaled = (raw - low) / (high - low) if high > low else np.zeros(n)
        values.append(np.where(state == VALUE, scaled, 0.0))
        states.append(state)
    return Features(
        levels=np.stack(levels, axis=1) if levels else np.zeros((n, 0), np.int32),
        n_codes=tuple(n_codes),
        values=np.stack(values, axis=1) if values else np.zeros((n, 0)),
        states=np.stack(states, axis=1) if states else np.zeros((n, 0), np.int8),
    )


def nearest(queries: Features, reference: Features, k: int) -> Floats:
    """Distances to the k nearest reference rows, ascending.

    Args:
        queries: rows to search for, n of them.
        reference: rows to search in; at least k.
        k: neighbours wanted, from 1.

    Returns:
        Distances, shape (n, k).

    Guarantees:
        Distance 0 means an identical row, and every identical row has distance 0.

    Raises:
        ValueError: fewer than k reference rows.
    """
    if not 1 <= k <= len(reference):
        raise ValueError("k is at least 1 and at most the number of reference rows")
    twins = _twins(queries, reference)
    found = np.zeros((len(queries), k))
    crowd = _crowd(reference)
    searching = np.flatnonzero(twins < k)
    for start in range(0, len(searching), QUERY_BLOCK):
        at = searching[start : start + QUERY_BLOCK]
        block = queries.select(at)
        # The products are small: on a busy machine threads wait for each other far longer than they compute.
        with threadpool_limits(limits=1, user_api="blas"):
            rows = _candidates(block, crowd, k)
        squared = _measure(block, reference, rows)
        # A candidate at distance 0 is one of the twins, and those are counted without rounding.
        others = np.sort(np.where((squared == 0) | (rows < 0), np.inf, squared), axis=1)
        place = np.arange(k)[None, :] - twins[at, None]
        picked = np.take_along_axis(others, np.maximum(place, 0), axis=1)
        found[at] = np.sqrt(np.where(place < 0, 0.0, picked))
    return found


def neighbours(queries: Features, reference: Features, k: int) -> tuple[Rows, Floats]:
    """Which the k nearest reference rows are, and how far, nearest first.

    Of rows at one distance those with the lowest index are named, as far as single precision finds them; who must not
    prefer any puts the reference in random order first.

    Args:
        queries: rows to search for, n of them.
        reference: rows to search in; at least k.
        k: neighbours wanted, from 1.

    Returns:
        Indices into `reference` and distances, both of shape (n, k).

    Raises:
        ValueError: fewer than k reference rows.
    """
    if not 1 <= k <= len(reference):
        raise ValueError("k is at least 1 and at most the number of reference rows")
    crowd = _crowd(reference)
    found, far = np.zeros((len(queries), k), np.intp), np.zeros((len(queries), k))
    for start in range(0, len(queries), QUERY_BLOCK):
        block = queries.select(slice(start, start + QUERY_BLOCK))
        with threadpool_limits(limits=1, user_api="blas"):
            rows = np.sort(_candidates(block, crowd, k), axis=1)
        squared = np.where(rows < 0, np.inf, _measure(block, reference, rows))
        order = np.argsort(squared, axis=1, kind="stable")[:, :k]
        found[start : start + len(block)] = np.take_along_axis(rows, order, axis=1)
        far[start : start + len(block)] = np.sqrt(np.take_along_axis(squared, order, axis=1))
    return found, far


def others(rows: Features, k: int) -> Floats:
    """Distances of each row to its k nearest other rows, ascending, shape (n, k); fewer columns where there are fewer.

    The mean over 5 is the isolation of Meeus et al. 2023, "Achilles' heels: vulnerable record identification in
    synthetic data publishing".
    """
    k = min(k, len(rows) - 1)
    return nearest(rows, rows, k + 1)[:, 1:] if k > 0 else np.zeros((len(rows), 1))


def join(first: Features, second: Features) -> Features:
    """The rows of both, in order."""
    return Features(
        levels=np.concatenate([first.levels, second.levels]),
        n_codes=first.n_codes,
        values=np.concatenate([first.values, second.values]),
        states=np.concatenate([first.states, second.states]),
    )


def _twins(queries: Features, reference: Features) -> npt.NDArray[np.int64]:
    """How many reference rows are identical to each query, shape (n,)."""
    rows = [np.concatenate([q, r]) for q, r in zip(_raw(queries), _raw(reference), strict=True)]
    ids = np.zeros(len(queries) + len(reference), np.int64)
    for column in rows:
        codes = np.unique(column, return_inverse=True)[1]
        ids = np.unique(ids * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1]
    counts = np.bincount(ids[len(queries) :], minlength=int(ids.max(initial=0)) + 1)
    return counts[ids[: len(queries)]]


def _raw(rows: Features) -> list[npt.NDArray[np.generic]]:
    return [*rows.levels.T, *rows.values.T, *rows.states.T]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crowd:
    """A reference in blocks: their rows, the indices of these in the whole, and their boxes."""

    parts: tuple[Features, ...]
    rows: tuple[Rows, ...]
    box: Boxes

    @property
    def n_rows(self) -> int:
        return sum(map(len, self.rows))


def _crowd(reference: Features) -> _Crowd:
    size = max(REFERENCE_BLOCK, math.ceil(2 * len(reference) / MAX_BLOCKS))
    rows = partition(reference.levels, reference.values, reference.states, size)
    box = boxes(reference.levels, reference.n_codes, reference.values, reference.states, rows)
    return _Crowd(parts=tuple(reference.select(part) for part in rows), rows=rows, box=box)


def _candidates(queries: Features, crowd: _Crowd, k: int) -> Rows:
    """Indices of the k reference rows nearest in single precision and SPARE others, in no order; -1 for no other.

    A block is searched only for queries whose k-th candidate so far is farther than its box.
    """
    narrow = [j for j, width in enumerate(queries.n_codes) if width <= MAX_ONE_HOT]
    wide = [j for j, width in enumerate(queries.n_codes) if width > MAX_ONE_HOT]
    left = _query_matrix(queries, narrow)
    n_keep = min(k + SPARE, crowd.n_rows)
    best = np.full((len(queries), n_keep), np.inf, np.float32)
    rows = np.full((len(queries), n_keep), -1)
    bound = np.full(len(queries), np.inf, np.float32)
    slack = np.float32(SLACK * (len(queries.n_codes) + queries.values.shape[1]) ** 2)
    far = reach(queries.levels, queries.values, queries.states, crowd.box)
    for limit in _limits(far):
        for i, part in enumerate(crowd.parts):
            at = np.flatnonzero(far[:, i] <= np.minimum(limit, bound + slack))
            if not len(at):
                continue
            far[at, i] = np.nan
            squared = left[at] @ _reference_matrix(part, narrow).T
            for j in wide:
                np.subtract(squared, queries.levels[at, j, None] == part.levels[None, :, j], out=squared)
            nearer = squared.min(axis=1) <= bound[at] + slack
            at, squared = at[nearer], squared[nearer]
            joint = np.concatenate([best[at], squared], axis=1)
            names = np.concatenate([rows[at], np.broadcast_to(crowd.rows[i], squared.shape)], axis=1)
            kept = np.argpartition(joint, (k - 1, n_keep - 1), axis=1)[:, :n_keep]
            best[at], rows[at] = np.take_along_axis(joint, kept, axis=1), np.take_along_axis(names, kept, axis=1)
            bound[at] = best[at, k - 1]
    return rows


def _limits(far: Singles) -> tuple[Singles | float, ...]:
    """Up to which distance of a box its block is searched, stage by stage: the nearest, the FIRST nearest, all."""
    first = min(FIRST, far.shape[1]) - 1
    return far.min(axis=1), np.partition(far, first, axis=1)[:, first], math.inf


def _query_matrix(rows: Features, narrow: list[int]) -> Singles:
    """Left factor of the squared distances.

    Where both sides have a value a column gives x^2 + y^2 - 2xy, else 1, less 1 where the states agree: a product of
    (p x^2, p, -2 p x, missing, OTHER) with (p, p (y^2 - 1), p y, -missing, -OTHER), p marking values, plus 1.
    """
    p, x = rows.states == VALUE, rows.values
    parts = [p * x**2, p, -2 * p * x, rows.states == MISSING, rows.states == OTHER, np.ones((len(rows), 1))]
    return np.concatenate([*parts, _one_hot(rows, narrow)], axis=1, dtype=np.float32)


def _reference_matrix(rows: Features, narrow: list[int]) -> Singles:
    p, y = rows.states == VALUE, rows.values
    constant = np.full((len(rows), 1), len(rows.n_codes) + y.shape[1])
    parts = [p, p * (y**2 - 1), p * y, -1.0 * (rows.states == MISSING), -1.0 * (rows.states == OTHER), constant]
    return np.concatenate([*parts, -_one_hot(rows, narrow)], axis=1, dtype=np.float32)


def _one_hot(rows: Features, narrow: list[int]) -> Singles:
    widths = [rows.n_codes[j] for j in narrow]
    starts = np.cumsum([0, *widths])
    hot = np.zeros((len(rows), int(starts[-1])), np.float32)
    hot[np.arange(len(rows))[:, None], starts[:-1] + rows.levels[:, narrow]] = 1
    return hot


def _measure(queries: Features, reference: Features, rows: npt.NDArray[np.int64]) -> Floats:
    """Squared distances of queries to given reference rows in double precision, shape of `rows`."""
    squared = np.zeros(rows.shape)
    for j in range(queries.levels.shape[1]):
        squared += queries.levels[:, j, None] != reference.levels[rows, j]
    for j in range(queries.values.shape[1]):
        gap = (queries.values[:, j, None] - reference.values[rows, j]) ** 2
        states, others = queries.states[:, j, None], reference.states[rows, j]
        squared += np.where((states == VALUE) & (others == VALUE), gap, states != others)
    return squared

"""Exact nearest neighbours by the distance of `audits.distance`.

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

from audits.distance import HIDDEN, HIDDEN_LEVEL, MISSING, OTHER, VALUE, Features, squared_distances
from audits.partition import Boxes, Rows, boxes, partition, reach
from privacy.columns import Floats

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

Singles = npt.NDArray[np.float32]


def nearest(queries: Features, reference: Features, k: int) -> Floats:
    """Distances to the k nearest reference rows, ascending.

    Args:
        queries: rows to search for, n of them, that hide nothing.
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
        squared = squared_distances(block, reference, rows)
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
        queries: rows to search for, n of them; each may hide a column.
        reference: rows to search in, that hide nothing; at least k.
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
        squared = np.where(rows < 0, np.inf, squared_distances(block, reference, rows))
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
class _Layout:
    """Columns of the two factors whose product is the squared distance: only for what occurs in the reference.

    Attributes:
        codes: columns of few levels, each with its codes that occur.
        wide: columns of many levels, which have no place in the product.
        states: columns of values that lack some, each once for a state other than VALUE that occurs.
    """

    codes: tuple[tuple[int, npt.NDArray[np.intp]], ...]
    wide: tuple[int, ...]
    states: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crowd:
    """A reference in blocks: their rows, the indices of these in the whole, their boxes, and what occurs at all."""

    parts: tuple[Features, ...]
    rows: tuple[Rows, ...]
    box: Boxes
    layout: _Layout

    @property
    def n_rows(self) -> int:
        return sum(map(len, self.rows))


def _crowd(reference: Features) -> _Crowd:
    size = max(REFERENCE_BLOCK, math.ceil(2 * len(reference) / MAX_BLOCKS))
    rows = partition(reference.levels, reference.values, reference.states, size)
    box = boxes(reference.levels, reference.n_codes, reference.values, reference.states, rows)
    parts = tuple(reference.select(part) for part in rows)
    return _Crowd(parts=parts, rows=rows, box=box, layout=_layout(reference.n_codes, box))


def _layout(n_codes: tuple[int, ...], box: Boxes) -> _Layout:
    occurring = [np.flatnonzero(occurs[:-1].any(axis=1)) for occurs in box.codes]
    return _Layout(
        codes=tuple((j, codes) for j, codes in enumerate(occurring) if n_codes[j] <= MAX_ONE_HOT),
        wide=tuple(j for j, width in enumerate(n_codes) if width > MAX_ONE_HOT),
        states=tuple((j, s) for j, occurs in enumerate(box.states) for s in (MISSING, OTHER) if occurs[s].any()),
    )


def _candidates(queries: Features, crowd: _Crowd, k: int) -> Rows:
    """Indices of the k reference rows nearest in single precision and SPARE others, in no order; -1 for no other.

    A block is searched only for queries whose k-th candidate so far is farther than its box.
    """
    left = _query_matrix(queries, crowd.layout)
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
            squared = left[at] @ _reference_matrix(part, crowd.layout).T
            for j in crowd.layout.wide:
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


def _query_matrix(rows: Features, layout: _Layout) -> Singles:
    """Left factor of the squared distances.

    A value x is at (x^2, 1, -2x) times (1, y^2, y) from a value y; missing and OTHER at 1 from any value, and what is
    hidden at 0. Where the reference holds another state its y is 0, and a mark for that state puts right what the
    first column says. Levels are at 1 (hidden ones at 0), less 1 where the codes agree; first columns are added up.
    """
    x, value, hidden = rows.values, rows.states == VALUE, rows.states == HIDDEN
    apart = np.where(value, x**2, ~hidden)
    first = apart.sum(axis=1) + (rows.levels != HIDDEN_LEVEL).sum(axis=1)
    marks = [(~hidden[:, j] & (rows.states[:, j] != state)) - apart[:, j] for j, state in layout.states]
    codes = [-1.0 * (rows.levels[:, j, None] == occurring) for j, occurring in layout.codes]
    return np.column_stack([first, value, -2 * x, *marks, *codes]).astype(np.float32)


def _reference_matrix(rows: Features, layout: _Layout) -> Singles:
    y = rows.values
    marks = [rows.states[:, j] == state for j, state in layout.states]
    codes = [rows.levels[:, j, None] == occurring for j, occurring in layout.codes]
    return np.column_stack([np.ones(len(rows)), y**2, y, *marks, *codes]).astype(np.float32)

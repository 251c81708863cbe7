"""One p-value for many overlapping contrasts of the same two groups of rows, exact whatever the overlap.

Rows that trained and rows that were held back are exchangeable where nothing was copied, so that their labels may be
dealt anew, over everything else as it is. Each dealing gives every contrast another Fisher p-value; the statistic is
the smallest of them, weighted, and its p-value the share of dealings, the real one included, that give one as small
(Westfall & Young 1993, "Resampling-based multiple testing", section 2.3; Phipson & Smyth 2010 on the real one).
Bonferroni's inequality over the same contrasts never knows that they overlap; where it gives less than the smallest
share there can be, its value stands instead, so that strong evidence keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from scipy.stats import hypergeom

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

DEALINGS = 999
BATCH = 20_000_000
"""Labels dealt at once."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A question about rows, train first.

    Attributes:
        hits: whether a row is hit, shape (n,).
        counted: whether a row is looked at, shape (n,).
        weight: what the p-value is multiplied by before the smallest is taken.
    """

    hits: Mask
    counted: Mask
    weight: float


def joint_p_value(
    contrasts: Sequence[Contrast], is_train: Mask, stays: Mask, rng: Generator, dealings: int = DEALINGS
) -> float:
    """P-value that no contrast has more hits among the rows that trained than their share.

    Args:
        contrasts: at least one, all over the same rows.
        is_train: which rows trained, shape (n,).
        stays: rows that trained and keep their label in every dealing, shape (n,): those a random sample left out.
        rng: deals the labels; a p-value below 1 / (dealings + 1) does not depend on it.
        dealings: how often labels are dealt anew.

    Guarantees:
        Under exchangeable rows it is at most p with probability at most p, for every p.
    """
    weights = np.array([contrast.weight for contrast in contrasts])
    hits = np.stack([contrast.hits & contrast.counted for contrast in contrasts])
    counted = np.stack([contrast.counted for contrast in contrasts])
    totals = hits.sum(axis=1), counted.sum(axis=1)
    in_train = hits[:, is_train].sum(axis=1), counted[:, is_train].sum(axis=1)
    observed = float((weights * _fisher(*in_train, *totals)).min())
    fixed_hits, fixed_out = hits[:, stays].sum(axis=1)[:, None], (~counted[:, stays]).sum(axis=1)[:, None]
    n, n_train = int((~stays).sum()), int(is_train.sum())
    # Only rows that are hit, or not looked at, tell one dealing from another.
    told = np.flatnonzero((hits.any(axis=0) | ~counted.all(axis=0)) & ~stays)
    told_hits, told_out = hits[:, told].astype(np.float32), (~counted[:, told]).astype(np.float32)
    as_small, left = 1, dealings
    while left:
        some = min(left, max(1, BATCH // max(1, len(told))))
        labels = _dealt(len(told), n, n_train - int(stays.sum()), some, rng)
        found, out = fixed_hits + _counts(told_hits, labels), fixed_out + _counts(told_out, labels)
        p = _fisher(found, n_train - out, *totals)
        as_small += int(((weights[:, None] * p).min(axis=0) <= observed * (1 + 1e-9)).sum())
        left -= some
    share = as_small / (dealings + 1)
    return min(share, observed) if as_small == 1 else share


def _dealt(n_told: int, n: int, n_train: int, times: int, rng: Generator) -> npt.NDArray[np.float32]:
    """Labels of the told rows in some dealings, shape (n_told, times): as many train as fall on them by chance."""
    labels = np.zeros((times, n_told), np.float32)
    on_told = rng.hypergeometric(n_train, n - n_train, n_told, size=times) if n_told else np.zeros(times, np.int64)
    for row, m in zip(labels, on_told, strict=True):
        row[:m] = 1
    return np.ascontiguousarray(rng.permuted(labels, axis=1).T)


def _counts(masks: npt.NDArray[np.float32], labels: npt.NDArray[np.float32]) -> Counts:
    counts: Counts = np.rint(masks @ labels).astype(np.int64)
    return counts


def _fisher(found: Counts, looked_at: Counts, all_hits: Counts, all_counted: Counts) -> Floats:
    """Fisher's one-sided p-value of every contrast in every dealing: hits and rows looked at in the first group."""
    p = np.empty(found.shape)
    for j in range(len(found)):
        pairs, place = np.unique(np.stack([found[j], looked_at[j]]).reshape(2, -1), axis=1, return_inverse=True)
        tail = np.ones(pairs.shape[1])  # no hit, and perhaps no row looked at: no evidence
        some = pairs[0] > 0
        tail[some] = np.minimum(1.0, hypergeom.sf(pairs[0][some] - 1, all_counted[j], all_hits[j], pairs[1][some]))
        p[j] = tail[place.ravel()].reshape(np.shape(found[j]))
    return p

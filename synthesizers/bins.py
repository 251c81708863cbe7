"""Bins of a number column where its values are: equal shares, or a tree that cuts where there are many.

Both are read off one purchase: counts on every level of a dyadic tree over the column's bounds, with Gaussian noise.
A row is counted once a level, so a unit with k rows moves the counts by at most k sqrt(LEVELS) in L2, and by that
where its rows lie in one leaf. What is made of noisy counts is post-processing.

Source: Zhang, Xiao & Xie 2016, "PrivTree: a differentially private algorithm for hierarchical decompositions" (cut a
node while its noisy count is above a threshold). Difference: PrivTree subtracts a bias at every level so that pure-DP
noise need not grow with depth; here all levels are one Gaussian event, whose noise grows with the square root of
their number alone, and which composes with everything else that is bought. Quantiles by descending such a tree: Hay
et al. 2010, "Boosting the accuracy of differentially private histograms through consistency", without the least
squares.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from privacy.columns import Bins, Floats, NumberColumn
from privacy.mechanisms import Integers

LEVELS = 12
"""Depth of the tree: 4,096 leaves."""

LEAVES = 2**LEVELS

SENSITIVITY = math.sqrt(LEVELS)
"""Largest L2 change of the counts by one row."""

SIGNIFICANT = 3.0
"""Standard deviations below which a node's count is taken for noise."""


def leaf_edges(column: NumberColumn) -> Floats:
    """Edges of the leaves, shape (LEAVES + 1,), over the bounds; for whole numbers up to one above the maximum."""
    low, high = column.bounds
    return np.linspace(low, high + 1 if column.is_discrete else high, LEAVES + 1)


def tree_counts(column: NumberColumn, values: Floats) -> Integers:
    """Exact counts of present values on levels 1 to LEVELS, one after the other, shape (2 LEAVES - 2,): private."""
    edges = leaf_edges(column)
    present = column.clamp(values[~np.isnan(values)])
    leaves = np.clip(np.searchsorted(edges, present, side="right") - 1, 0, LEAVES - 1)
    counts = np.bincount(leaves, minlength=LEAVES).astype(np.int64)
    levels = [counts.reshape(2**level, -1).sum(axis=1) for level in range(1, LEVELS + 1)]
    return np.concatenate(levels)


@dataclass(frozen=True, slots=True)
class CountTree:
    """Bought counts of one column: public.

    Attributes:
        column: with its bounds.
        noisy: what `tree_counts` says, with noise.
        stddev: its standard deviation.
    """

    column: NumberColumn
    noisy: Floats
    stddev: float

    @property
    def levels(self) -> tuple[Floats, ...]:
        """Noisy counts by level; level 0 is the sum of level 1."""
        parts = np.split(self.noisy, np.cumsum([2**level for level in range(1, LEVELS)]))
        return (parts[0].sum(keepdims=True), *parts)

    @property
    def total(self) -> float:
        """Noisy number of present values; at least 1."""
        return max(1.0, float(self.levels[0][0]))

    def edges(self, n_bins: int) -> Floats:
        """Bin edges by the column's method, shape (m + 1,) with m at most `n_bins`, whole for a discrete column."""
        places = self._quantiles(n_bins) if self.column.bins is Bins.QUANTILE else self._cuts(n_bins)
        edges = leaf_edges(self.column)
        cuts = np.interp(places, np.arange(LEAVES + 1), edges)
        inside = np.rint(cuts) if self.column.is_discrete else cuts
        return np.unique(np.concatenate([edges[:1], inside, edges[-1:]]))

    def leaf_mass(self) -> Floats:
        """Estimated counts of the leaves: every node's mass divided among its halves by their noisy counts.

        Halves that are both noise share alike: where nothing is known, nothing is claimed.
        """
        mass = np.array([self.total])
        for level in self.levels[1:]:
            halves = np.maximum(level, 0.0).reshape(-1, 2)
            noise = (level < SIGNIFICANT * self.stddev).reshape(-1, 2).all(axis=1)
            halves[noise] = 1.0
            mass = (mass[:, None] * halves / halves.sum(axis=1, keepdims=True)).ravel()
        return mass

    def _quantiles(self, n_bins: int) -> Floats:
        """Places, in leaves, that cut the mass into equal parts."""
        held = np.concatenate([[0.0], np.cumsum(self.leaf_mass())])
        shares = np.arange(1, n_bins) / n_bins * held[-1]
        places: Floats = np.interp(shares, held, np.arange(LEAVES + 1))
        return places

    def _cuts(self, n_bins: int) -> Floats:
        """Places, in leaves, where nodes were cut: the largest counts first, and none that may be noise or small."""
        least = max(self.total / n_bins, SIGNIFICANT * self.stddev)
        waiting = [(-self.total, 0, 0)]
        levels, cuts = self.levels, list[int]()
        while waiting and len(cuts) < n_bins - 1:
            held, level, i = heapq.heappop(waiting)
            if -held <= least or level == LEVELS:
                continue
            half = LEAVES >> (level + 1)
            cuts.append((2 * i + 1) * half)
            for child in (2 * i, 2 * i + 1):
                heapq.heappush(waiting, (-float(levels[level + 1][child]), level + 1, child))
        return np.array(sorted(cuts), dtype=np.float64)

"""Whether two histograms can come from one distribution, and how far apart they are at least and at most.

Both are noisy: each count is that of a sample of rows and carries Gaussian noise of known deviation. Under the null
both tables are samples of one population, so the difference e of their shares is nearly normal with mean 0 and a known
covariance: cluster (diag(p) - p p') (1/n + 1/m) from sampling, where a person has up to `cluster` rows, and s^2/n^2 +
t^2/m^2 in each cell from both noises, and what an uncertain number of rows adds. Where the later table is the earlier
one with some rows changed, the two samples overlap, the truth is nearer than that, and there are fewer false alarms.

What is asked is not whether anything changed, which a large table always did, but whether the total variation distance
TV exceeds a tolerance. Let d be the observed difference and e its error. For every set of cells fixed beforehand,
|d(A)| <= TV + |e(A)|, and |d|_1 / 2 <= TV + |e|_1 / 2. So the largest (|d(A)| - tolerance) / sd(A), and |d|_1 / 2 -
tolerance, exceed the quantiles of the largest |e(A)| / sd(A) and of |e|_1 / 2 with at most the stated probability as
long as TV is within the tolerance, whatever drift there is below it. Sets are single cells, and of ordered columns
everything up to a cell as well. The first finds what moved in one place, the second what moved a little everywhere; the
level is divided between them. Quantiles come from draws of e. Turned round, the same two give a lower bound on TV. The
upper bound adds to |d|_1 / 2 the smaller of the quantile of |e|_1 / 2 and what Gaussian concentration allows below the
mean, which by Jensen is at least TV (Boucheron, Lugosi & Massart 2013, theorem 5.6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from audits.finding import Interval
from audits.intervals import USUAL
from privacy.columns import Floats

DRAWS = 10_000
"""Of the null: the quantile at 1 - .05 / 60 is then known to a tenth of its level."""

POWER_QUANTILE = 0.8416
"""Of a normal, at which a change is noticed four times in five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Noisy counts of one table in some cells. Public.

    Attributes:
        noisy: counts, shape (cells,).
        variance: of the noise of each, same shape.
        rows: estimate of the number of rows, at least 1.
        rows_variance: of that estimate.
    """

    noisy: Floats
    variance: Floats
    rows: float
    rows_variance: float

    @property
    def shares(self) -> Floats:
        """Shares of the rows, which noise may take below 0, shape (cells,)."""
        return self.noisy / self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One cell: shares before and after, and 95% bounds on the change that hold for all cells of its histogram."""

    cell: int
    before: float
    after: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What is known of the distance between two histograms.

    Attributes:
        distance: observed total variation distance, noise included.
        floor: what noise and sampling alone show on average.
        interval: one-sided 95% bounds on the true distance.
        p_value: that the true distance is within the tolerance.
        detectable: change of the share of a single cell, in the noisiest one, that is told from the tolerance four
            times in five when it is asked for alone.
        moves: cells that changed for certain, the largest change first.
    """

    distance: float
    floor: float
    interval: Interval
    p_value: float
    detectable: float
    moves: tuple[Move, ...]


def compare(earlier: Side, later: Side, *, ordered: int, cluster: int, tolerance: float, rng: Generator) -> Shift:
    """Compare two histograms over the same cells.

    Args:
        earlier: before.
        later: after.
        ordered: how many of the first cells are in an order; 0 for none.
        cluster: rows of one person at most.
        tolerance: total variation distance that is no drift.
        rng: draws the null.
    """
    difference = later.shares - earlier.shares
    covariance = _covariance(earlier, later, cluster)
    sets = _sets(len(difference), ordered)
    spread = np.sqrt(np.einsum("ai,ij,aj->a", sets, covariance, sets))
    root = np.linalg.cholesky(covariance + 1e-15 * np.eye(len(covariance)))
    error = rng.standard_normal((DRAWS, len(difference))) @ root.T
    by_set = np.abs(error @ sets.T / spread).max(axis=1)
    whole = np.abs(error).sum(axis=1) / 2

    moved, distance = np.abs(sets @ difference), float(np.abs(difference).sum() / 2)
    alone = _exceeded(by_set, float(((moved - tolerance) / spread).max()))
    together = _exceeded(whole, distance - tolerance)
    half = 1 - (1 - USUAL) / 2
    reach = float(np.quantile(by_set, half))
    least = max(0.0, float((moved - reach * spread).max()), distance - float(np.quantile(whole, half)))
    most = distance + min(float(np.quantile(whole, USUAL)), _concentration(earlier, later, cluster))
    singles = spread[: len(difference)]
    known = reach * singles
    changed = [i for i in np.argsort(-np.abs(difference), kind="stable") if abs(difference[i]) > known[i]]
    return Shift(
        distance=min(distance, 1.0),
        floor=float(whole.mean()),
        interval=Interval(min(least, 1.0), min(max(most, least), 1.0), USUAL),
        p_value=min(1.0, 2 * min(alone, together)),
        detectable=min(1.0, tolerance + float((reach + POWER_QUANTILE) * singles.max())),
        moves=tuple(
            Move(
                cell=int(i),
                before=float(np.clip(earlier.shares[i], 0, 1)),
                after=float(np.clip(later.shares[i], 0, 1)),
                low=float(difference[i] - known[i]),
                high=float(difference[i] + known[i]),
            )
            for i in changed
        ),
    )


def risen(earlier: Side, later: Side, cells: Sequence[int], *, cluster: int) -> tuple[float, Interval, float]:
    """Rise of the share of some cells together, its one-sided 95% bounds, and the p-value that there is none."""
    inside = np.zeros(len(earlier.noisy))
    inside[list(cells)] = 1.0
    rise = float(inside @ (later.shares - earlier.shares))
    error = math.sqrt(float(inside @ _covariance(earlier, later, cluster) @ inside))
    reach = 1.6449 * error
    return rise, Interval(rise - reach, rise + reach, USUAL), 0.5 * math.erfc(rise / error / math.sqrt(2))


def total(counts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Number of rows from several noisy totals with their variances, weighted by precision; at least 1."""
    values, variances = np.array(counts).T
    weights = 1 / variances
    return max(1.0, float((values * weights).sum() / weights.sum())), float(1 / weights.sum())


def _covariance(earlier: Side, later: Side, cluster: int) -> Floats:
    """Of the difference of shares under the null. A cell has at least a row: none is known to be impossible."""
    sides = (earlier, later)
    weights = [1 / (cluster / s.rows + float(s.variance.sum()) / s.rows**2) for s in sides]
    pooled = sum(w * s.shares for w, s in zip(weights, sides, strict=True)) / sum(weights)
    p = np.maximum(pooled, [max(1 / s.rows for s in sides)] * len(earlier.noisy))
    p = p / max(float(p.sum()), 1.0)
    sampling = cluster * sum(1 / s.rows for s in sides) * (np.diag(p) - np.outer(p, p))
    noise = np.diag(sum((s.variance / s.rows**2 for s in sides), np.zeros(len(p))))
    rows = sum(s.rows_variance / s.rows**2 for s in sides) * np.outer(p, p)
    return np.asarray(sampling + noise + rows)


def _sets(n_cells: int, ordered: int) -> Floats:
    """Indicators of the sets, shape (sets, cells): single cells first, then everything up to a cell of an order."""
    below = np.tril(np.ones((max(ordered - 1, 0), n_cells)))
    return np.concatenate([np.eye(n_cells), below[1:]])


def _exceeded(null: Floats, observed: float) -> float:
    """Monte-Carlo p-value, never 0 (Davison & Hinkley 1997, equation 4.11)."""
    return float((1 + (null >= observed).sum()) / (1 + len(null)))


def _concentration(earlier: Side, later: Side, cluster: int) -> float:
    """How far |d|_1 / 2 falls below its mean, at most, at the usual confidence: it is Lipschitz in the noise."""
    squared = sum(
        (cluster + s.rows_variance / s.rows) / s.rows + float(s.variance.sum()) / s.rows**2 for s in (earlier, later)
    )
    return math.sqrt(squared) / 2 * math.sqrt(2 * math.log(1 / (1 - USUAL)))

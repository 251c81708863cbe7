"""Weights that bring a synthetic table toward the new version's histograms: generalised raking, told what is noise.

Of all weights that meet the bought shares as far as their noise lets one tell, those nearest to equal ones are taken. With
f_i the cells row i is in, t the bought shares and v their variances, weights are proportional to exp(f_i' x), where x
minimises log mean exp(f' x) - t' x + x' diag(v) x / 2: a share that is mostly noise pulls little, and without noise this
is raking. The function is convex and smooth. It reads bought shares and synthetic rows alone: post-processing, at no
further price.

Sources: Deville, Sarndal & Sautory 1993, "Generalized raking procedures in survey sampling"; Dudik, Phillips & Schapire
2007, "Maximum entropy density estimation with generalized regularization", section 5 (the quadratic penalty).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from audits.cells import Cells
from audits.drift.contrast import Side
from privacy.columns import Floats

MAX_ITERATIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights of synthetic rows. Public.

    Attributes:
        values: of every row, mean 1, shape (n,).
        before, after: total variation distance of each histogram of the synthetic rows from the bought one, with equal
            weights and with these, shape (histograms,).
    """

    values: Floats
    before: Floats
    after: Floats

    @property
    def effective_rows(self) -> float:
        """How many rows of equal weight tell as much (Kish 1965)."""
        return float(self.values.sum() ** 2 / (self.values**2).sum())


def rake(cells: Cells, bought: Sequence[Side], cluster: int) -> Weights:
    """Weigh synthetic rows.

    Args:
        cells: cell of every row in every histogram, shape (n, histograms), n at least 1.
        bought: the new version's histograms, in the same order.
        cluster: rows of one person at most.
    """
    sizes = [len(side.noisy) for side in bought]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    places = cells + starts
    wanted = np.concatenate([side.shares for side in bought])
    variance = np.concatenate([_variance(side, cluster) for side in bought])

    def shares(weight: Floats) -> Floats:
        """Weighted shares of every cell, for weights that sum to 1."""
        return np.concatenate(
            [np.bincount(cells[:, j], weight, minlength=size)[:size] for j, size in enumerate(sizes)]
        )

    def objective(x: Floats) -> tuple[float, Floats]:
        log_weight = x[places].sum(axis=1)
        norm = logsumexp(log_weight)
        gradient = shares(np.exp(log_weight - norm)) - wanted + variance * x
        return float(norm - np.log(len(cells)) - wanted @ x + (variance * x**2).sum() / 2), gradient

    found = minimize(
        objective, np.zeros(len(wanted)), jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS}
    ).x
    log_weight = found[places].sum(axis=1)
    weight = np.exp(log_weight - logsumexp(log_weight))
    equal = np.full(len(cells), 1 / len(cells))
    distances = [
        np.add.reduceat(np.abs(shares(one) - np.clip(wanted, 0, 1)) / 2, starts) for one in (equal, weight)
    ]
    return Weights(values=weight * len(cells), before=distances[0], after=distances[1])


def _variance(side: Side, cluster: int) -> Floats:
    p = np.clip(side.shares, 0, 1)
    return np.asarray(side.variance / side.rows**2 + cluster * p * (1 - p) / side.rows + 1 / side.rows**2)

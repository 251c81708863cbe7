"""Weights that bring a synthetic table toward the new version's histograms: raking, as far as noise lets one tell.

With f_i the cells row i is in, t the bought shares and v their variances, weights w of mean 1 minimise the squared
misses of the shares, in units of v, plus 2 c times the divergence KL of the weights from equal ones. For small c this
is raking (Deville, Sarndal & Sautory 1993, "Generalized raking procedures in survey sampling"); for large c nothing
moves. They are exponential, w_i = exp(f_i' x) up to a factor, where x minimises the convex log mean exp(f' x) - t' x +
c x' diag(v) x / 2 (Dudik, Phillips & Schapire 2007, "Maximum entropy density estimation with generalized
regularization").

How far to go is chosen by Mallows' Cp: the squared misses plus twice the degrees of freedom, which estimates how far
the weighted shares are from the true ones, and not from the noisy ones they were fitted to. Where the bought shares are
mostly noise, weights stay near 1. It all reads bought shares and synthetic rows alone: post-processing, at no further
price.

Source of the degrees of freedom: the trace of the derivative of fitted by observed shares, H (H + c diag(v))^-1 with H
the weighted covariance of f (Efron 2004, "The estimation of prediction error").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import logsumexp

from audits.cells import Cells
from audits.drift.contrast import Side
from privacy.columns import Floats

STRENGTHS = tuple(float(4**k) for k in range(12, -1, -1))
"""Values of c that are tried, strongest first."""

MAX_ITERATIONS = 300


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
    n, n_histograms = cells.shape
    sizes = [len(side.noisy) for side in bought]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    places = (cells + starts).ravel()
    inside = sparse.csr_array(
        (np.ones(len(places)), places, np.arange(0, len(places) + 1, n_histograms)), shape=(n, sum(sizes))
    )
    wanted = np.concatenate([side.shares for side in bought])
    variance = np.concatenate([_variance(side, cluster) for side in bought])

    x, best, chosen = np.zeros(len(wanted)), np.inf, np.full(n, 1 / n)
    for strength in STRENGTHS:
        x = _fitted(inside, wanted, strength * variance, x)
        weight = _weights(inside, x)
        fitted = inside.T @ weight
        spread = (inside.T @ (inside * weight[:, None])).toarray() - np.outer(fitted, fitted)
        freedom = float(np.trace(np.linalg.solve(spread + strength * np.diag(variance), spread)))
        risk = float(((fitted - wanted) ** 2 / variance).sum()) + 2 * freedom
        if risk >= best:
            break
        best, chosen = risk, weight
    distances = [
        np.add.reduceat(np.abs(inside.T @ one - np.clip(wanted, 0, 1)) / 2, starts)
        for one in (np.full(n, 1 / n), chosen)
    ]
    return Weights(values=chosen * n, before=distances[0], after=distances[1])


def _fitted(inside: Any, wanted: Floats, penalty: Floats, start: Floats) -> Floats:
    def objective(x: Floats) -> tuple[float, Floats]:
        log_weight = inside @ x
        norm = logsumexp(log_weight)
        gradient = inside.T @ np.exp(log_weight - norm) - wanted + penalty * x
        return float(norm - wanted @ x + (penalty * x**2).sum() / 2), gradient

    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS})
    return np.asarray(found.x)


def _weights(inside: Any, x: Floats) -> Floats:
    log_weight = inside @ x
    return np.asarray(np.exp(log_weight - logsumexp(log_weight)))


def _variance(side: Side, cluster: int) -> Floats:
    """Of a bought share: noise, and sampling, since the population is meant and not one table of it."""
    p = np.clip(side.shares, 0, 1)
    return np.asarray(side.variance / side.rows**2 + cluster * p * (1 - p) / side.rows + 1 / side.rows**2)

"""Where not to trust a table: how far each of its marginals can be from the training rows', from public facts alone.

Nothing here reads a row. What is known are noisy counts, the scores' sensitivity, and which candidates were selected,
all of which were bought; bounds are post-processing of them and of the synthetic rows, hence free. The true marginals
are those of the training rows as they were counted: coded by the schema, repaired where they broke a rule, numbers in
the model's bins, and for pairs in its cells. All bounds of a table hold together with probability `CONFIDENCE`, over
the noise and the selections.

Write M for true counts on a clique, n for their unknown sum, p = M / n and q for the synthetic shares; what is
bounded is the total variation distance TV(p, q), which is the sum of (q - p)+ over the cells. Four facts are used.

1. The number of rows. Each one-way marginal's noisy total is n plus Gaussian noise of known variance and at most half
   a row of rounding a code; so is their mean weighted by precision, whose weights do not depend on the noise. That
   gives an interval for n. Every bound below is a convex function of 1/n, so its largest value over the interval is
   at an end.
2. A measured clique (the supported marginals of the paper). M = y - Z with y public, and M >= 0, so (q - p)+ <= (q -
   max(y, 0) / n)+ + Z+ / n in a cell. Over a set A of cells that was fixed before y was drawn, TV(p, q) <= q(not A) +
   sum over A of (q - max(y, 0) / n)+ + sum over A of Z+ / n. The last sum is bounded by Chernoff with the exact
   moment E exp(t Z+) = 1/2 + exp(t^2 s^2 / 2) Phi(t s), plus half a row a cell for rounding. The sets hold the 2^j
   cells that independence makes likeliest, by one-way marginals, which are drawn before; all cells are one of them. A
   marginal of a measured clique has the sum of its variances.
3. A candidate that was not selected (the unsupported marginals of the paper). A candidate's score is w (D - b), with
   w and b public and D = |M - c|_1 its distance from counts c that are public and fixed before the selection. The
   selected score is, with probability 1 - f, at least the best one less (2 sensitivity / epsilon) (log candidates +
   log 1/f); and of the selected clique D <= |y - c|_1 + s sqrt(2 cells log 1/f) + cells / 2, because E|d + Z| >= |d|
   (Jensen) and the L1 norm is a sqrt(cells)-Lipschitz function of the noise. So D of every candidate is bounded, and
   with it TV(p, q) <= (|q - c / n|_1 + D / n) / 2.
4. Two columns of which one hardly varies. Let q_a give its likeliest cell all but e. Couple p's pair with one that
   has the marginals of q, at the price TV(p_a, q_a) + TV(p_b, q_b), and that with q's pair so that b agrees: they
   differ only where one of the two a's is not the likeliest. So TV(p, q) <= TV(p_a, q_a) + TV(p_b, q_b) + 2 e.

A pair that no fact bounds below 1 is said to have no bound. What the fit failed to follow is part of |q - y / n|, so
the bounds hold for any rows of the table's size, whatever the fit did; they are wide where noise is large, and say
so.

Source: McKenna, Mullins, Sheldon & Miklau 2022, "AIM", section 5, theorems 3 and 4 and their corollaries.
Differences: the distance of the selected clique is taken through the counts before its measurement, which spares the
expected norm of the noise; only the positive part of the noise is paid for, and only on likely cells; shares, not
counts, are compared. The moment bound is Chernoff's, the Lipschitz one Boucheron, Lugosi & Massart 2013, theorem 5.6,
the selection's McSherry & Talwar 2007, theorem 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy.special import log_ndtr
from scipy.stats import norm

from privacy.columns import Floats
from privacy.mechanisms import ExponentialMechanism, Integers
from privacy.table import Table
from synthesizers.discretize import Attribute, Merged
from synthesizers.marginal.domain import Clique, Domain, marginal, project
from synthesizers.marginal.measurement import LinearMeasurement

CONFIDENCE = 0.95
"""Probability that all bounds of a table hold together."""

FAILURE = (1 - CONFIDENCE) / 4
"""Failure probability of each of: the row count, all columns, all measured cliques, all selections."""

ROUNDING = 0.5
"""Rows by which rounding moves a noisy count at most, in each base cell."""

EXPONENTS: Floats = np.geomspace(1e-3, 12.0, 240)
"""Where Chernoff's bound is tried: it holds at every exponent."""


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """True counts of a clique lie within an L1 distance of public ones.

    Attributes:
        centre: the public counts, shape of the marginal.
        radius: the distance, in rows.
    """

    centre: Integers
    radius: float


@dataclass(frozen=True, slots=True)
class Selection:
    """One selection among candidates scored w (D - b): its public side.

    Attributes:
        mechanism: what selected.
        n_candidates: among how many.
        weights: w of every candidate.
        penalties: b of every candidate, in rows.
        failure: probability that what follows from it and from the measurement after it may fail with.
    """

    mechanism: ExponentialMechanism
    n_candidates: int
    weights: Mapping[Clique, int]
    penalties: Mapping[Clique, int]
    failure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """What bounds follow from: public.

    Attributes:
        count: the number of rows as a marginal on no attribute, if it was bought; else empty.
        columns: one-way marginals over codes.
        measured: marginals of two or more attributes over cells.
        max_measured: how many of these there could have been; known before the first.
        scored: neighbourhoods of pairs that a selection could have chosen.
    """

    count: tuple[LinearMeasurement, ...]
    columns: tuple[LinearMeasurement, ...]
    measured: tuple[LinearMeasurement, ...]
    max_measured: int
    scored: Mapping[Clique, Neighbourhood]

    @property
    def n_rows(self) -> tuple[float, float]:
        """Interval for the number of rows (fact 1); never below 1."""
        totals = (*self.count, *self.columns)
        values, variances = np.array([m.total for m in totals]).T
        rounding = ROUNDING * np.array([m.noisy.size for m in totals])
        weights = (1 / variances) / (1 / variances).sum()
        middle = float((weights * values).sum())
        reach = float(norm.isf(FAILURE / 2) / math.sqrt((1 / variances).sum()) + (weights * rounding).sum())
        return max(1.0, middle - reach), max(1.0, middle + reach)


def error_bounds(
    known: Uncertainty, attributes: Sequence[Attribute], merged: Mapping[str, Merged], synthetic: Table
) -> dict[Clique, float | None]:
    """Bound on the total variation distance of every column and pair from the training rows'; None where there is none.

    Args:
        known: what was bought.
        attributes: the modelled columns.
        merged: their cells.
        synthetic: the rows that leave, a plain draw of the model; further columns of them are ignored.
    """
    n = len(synthetic)
    if n == 0:  # no row has no shares
        names = [a.column.name for a in attributes]
        return dict.fromkeys((*((name,) for name in names), *combinations(names, 2)))
    codes = {a.column.name: a.encode(synthetic.columns[a.column.name]) for a in attributes}
    cells = {name: merged[name].cell_of[values] for name, values in codes.items()}
    fine = Domain({a.column.name: a.size for a in attributes})
    coarse = Domain({name: m.n_cells for name, m in merged.items()})
    shares = {name: marginal(coarse, cells, (name,)) / n for name in coarse.sizes}
    prior = {m.clique[0]: _cell_mass(m, merged[m.clique[0]]) for m in known.columns}
    bounds: dict[Clique, float] = {}
    for one in known.columns:
        q = marginal(fine, codes, one.clique) / n
        bounds[one.clique] = _measured(q, _Summed(one, 1.0, FAILURE / len(known.columns)), known.n_rows, None)
    supported: dict[Clique, list[_Summed]] = {}
    for summed in _pairs(known):
        supported.setdefault(summed.measured.clique, []).append(summed)
    for pair in combinations(coarse.sizes, 2):
        q = marginal(coarse, cells, pair) / n
        varies = min(1 - float(shares[name].max()) for name in pair)
        found = [sum(bounds[name,] for name in pair) + 2 * varies]
        likely: Floats = np.outer(prior[pair[0]], prior[pair[1]])
        found += [_measured(q, summed, known.n_rows, likely) for summed in supported.get(pair, [])]
        if pair in known.scored:
            found.append(_scored(q, known.scored[pair], known.n_rows))
        bounds[pair] = min(found)
    return {clique: bound if bound < 1 else None for clique, bound in bounds.items()}


def _cell_mass(measured: LinearMeasurement, merged: Merged) -> Floats:
    """Noisy counts of a column over its cells, none below zero."""
    return np.bincount(merged.cell_of, np.maximum(measured.noisy, 0.0), minlength=merged.n_cells).astype(np.float64)


def neighbourhoods(
    said: Selection, centres: Mapping[Clique, Integers], measured: LinearMeasurement
) -> dict[Clique, Neighbourhood]:
    """What one round says of some of its candidates (fact 3).

    Args:
        said: the selection.
        centres: counts that candidates were scored against, in rows; the selected one's among them.
        measured: the measurement of the selected one.
    """
    chosen, log_failure = measured.clique, math.log(2 / said.failure)
    stddev, n_cells = math.sqrt(float(measured.variance.flat[0])), measured.noisy.size
    distance = float(np.abs(measured.noisy - centres[chosen]).sum())
    distance += stddev * math.sqrt(2 * n_cells * log_failure) + ROUNDING * n_cells
    mechanism = said.mechanism
    gap = 2 * mechanism.sensitivity / mechanism.epsilon * (math.log(said.n_candidates) + log_failure)
    best = said.weights[chosen] * (distance - said.penalties[chosen]) + gap
    return {c: Neighbourhood(centre, said.penalties[c] + best / said.weights[c]) for c, centre in centres.items()}


@lru_cache(maxsize=4096)
def positive_part(n: int, failure: float) -> float:
    """What the positive parts of n standard normal draws together exceed with at most a probability (Chernoff)."""
    log_moment = np.logaddexp(math.log(0.5), EXPONENTS**2 / 2 + log_ndtr(EXPONENTS))
    return float(((n * log_moment - math.log(failure)) / EXPONENTS).min())


@dataclass(frozen=True, slots=True)
class _Summed:
    """A measurement summed over cells.

    Attributes:
        measured: the sums.
        base: measured cells in each.
        failure: probability that a bound by it may fail with.
    """

    measured: LinearMeasurement
    base: float
    failure: float


def _pairs(known: Uncertainty) -> Iterator[_Summed]:
    """Measured cliques summed onto each of their pairs."""
    for one in known.measured:
        pairs = list(combinations(one.clique, 2))
        for pair in pairs:
            noisy, variance = (project(values, one.clique, pair) for values in (one.noisy, one.variance))
            failure = FAILURE / known.max_measured / len(pairs)
            yield _Summed(LinearMeasurement(pair, noisy, variance), one.noisy.size / noisy.size, failure)


def _measured(shares: Floats, summed: _Summed, n_rows: tuple[float, float], likely: Floats | None) -> float:
    """Fact 2: the least bound over the sets of cells; all cells alone where nothing orders them beforehand."""
    measured = summed.measured
    q, noisy = shares.ravel(), np.maximum(measured.noisy.ravel(), 0.0)
    sizes = [len(q)]
    if likely is not None:
        order = np.argsort(-likely.ravel(), kind="stable")
        q, noisy = q[order], noisy[order]
        sizes = [2**j for j in range(len(q).bit_length()) if 2**j < len(q)] + sizes
    stddev = math.sqrt(float(measured.variance.flat[0]))
    outside = 1 - np.cumsum(q)
    bounds = np.zeros(len(sizes))
    for n in n_rows:
        missing = np.cumsum(np.maximum(q - noisy / n, 0.0))
        noise = [positive_part(k, summed.failure / len(sizes)) * stddev + summed.base * ROUNDING * k for k in sizes]
        at = np.array(sizes) - 1
        bounds = np.maximum(bounds, outside[at] + missing[at] + np.array(noise) / n)
    return float(max(bounds.min(), 0.0))


def _scored(shares: Floats, near: Neighbourhood, n_rows: tuple[float, float]) -> float:
    """Fact 3, for the shares of the table."""
    return max((float(np.abs(shares - near.centre / n).sum()) + near.radius / n) / 2 for n in n_rows)

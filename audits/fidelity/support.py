"""Do the synthetic rows lie where real rows lie, and do they reach everywhere real rows are?

Distances are those of `audits.distance`. Of each the loss against the same of as many training rows is given, which is
zero on average for a fresh draw of the population.

* Alpha-precision: for every alpha, the share of synthetic rows no farther from the centre than the share alpha of
  control rows nearest to it; 1 where that share is alpha throughout, less twice the area between where it is not.
* Beta-recall: for every beta, the share of control rows that have one of the share beta of synthetic rows nearest to
  the synthetic centre within the distance of their own k-th neighbour among control rows, read the same way.
* Coverage: the share of control rows with any synthetic row that near.

Sources: Alaa et al. 2022, "How faithful is your synthetic data?", sections 4.1 and 5; centres are means of one-hot
rows, nothing is learnt. Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models", equation 7.

Intervals add the variance over control rows, whose hits are compared pair by pair, to a jackknife that leaves out one
twentieth of the synthetic and of the training rows, since rows share neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.distance import features
from audits.estimates import estimate_finding
from audits.evidence import Evidence
from audits.fairness.gaps import jackknife_variance
from audits.features import linear_matrix
from audits.fidelity.samples import equal_samples
from audits.finding import Finding
from audits.search import neighbours, others
from privacy.columns import Floats
from privacy.table import Table

BLOCKS = 20
SPARE = 8
"""Neighbours kept, so that with one block left out the nearest of the rest is known."""

LEVELS = np.linspace(0.0, 1.0, 101)

Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Support:
    """How much of the synthetic table is plausible, and how much of the population it reaches.

    Attributes:
        k: neighbour among control rows that says how near is near.
        max_rows: rows of each table.
    """

    k: int = 5
    max_rows: int = 5_000
    name: ClassVar[str] = "support"
    title: ClassVar[str] = "Precision, recall and coverage"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """The three, their baselines by training rows, and what is lost of each.

        Raises:
            InconclusiveError: fewer than 100 rows of a table, one row a person.
        """
        control, train, synthetic = equal_samples(evidence, self.max_rows, rng)
        n = len(control)
        reach = others(features(control, evidence.schema), self.k)[:, -1]
        block = rng.permutation(np.arange(n) % BLOCKS)
        ours, theirs = (_reached(control, side, reach, block) for side in (synthetic, train))
        return tuple(_findings(ours, theirs, n))


@dataclass(frozen=True, slots=True)
class Reached:
    """Scores of one table against control: each whole, by control row, and with each block of its rows left out.

    Attributes:
        values: the three scores, shape (3,).
        by_row: what every control row adds to each, shape (3, n).
        without: the scores with each block left out, shape (3, blocks).
    """

    values: Floats
    by_row: Floats
    without: Floats


QUANTITIES = ("alpha-precision", "beta-recall", "coverage")


def _findings(ours: Reached, theirs: Reached, n: int) -> Iterator[Finding]:
    for i, quantity in enumerate(QUANTITIES):
        mine, other = ours.values[i], theirs.values[i]
        of_rows = float(ours.by_row[i].var()) / n
        of_both = float((ours.by_row[i] - theirs.by_row[i]).var()) / n
        of_synthetic, of_train = jackknife_variance(ours.without[i]), jackknife_variance(theirs.without[i])
        least = 1 / n**2
        yield _finding(quantity, mine, of_rows + of_synthetic + least, other, "lower", n)
        yield _finding(f"{quantity} lost", other - mine, of_both + of_synthetic + of_train + least, 0.0, "higher", n)


def _finding(
    quantity: str, estimate: float, variance: float, baseline: float, worse: Literal["higher", "lower"], n: int
) -> Finding:
    return estimate_finding(
        audit=Support.name,
        quantity=quantity,
        subject="",
        estimate=float(estimate),
        error=variance**0.5,
        baseline=float(baseline),
        worse=worse,
        n=n,
        limits=(0.0, 1.0) if worse == "lower" else (-1.0, 1.0),
        looked_at=1,
    )


def _reached(control: Table, side: Table, reach: Floats, block: npt.NDArray[np.int64]) -> Reached:
    """Score a table against control.

    Args:
        control: control rows, n of them.
        side: as many synthetic or training rows, in an order that says nothing.
        reach: distance of every control row to its k-th neighbour among control, shape (n,).
        block: block of every row of the side, shape (n,).
    """
    matrices = [linear_matrix(table, leave_out="") for table in (control, side)]
    near, far = neighbours(features(control, control.schema), features(side, side.schema), min(SPARE, len(side)))
    radius, to_centre = (_from(matrix, matrices[0].mean(axis=0)) for matrix in matrices)
    own = _from(matrices[1], matrices[1].mean(axis=0))
    order = np.searchsorted(np.sort(own), own, side="right") / len(own)
    ordered = np.sort(radius)
    place = np.mean([np.searchsorted(ordered, to_centre, side=s) for s in ("left", "right")], axis=0) / len(ordered)

    def recall(kept: Mask) -> tuple[float, Floats, Mask]:
        """Beta-recall without some rows of the side, what every control row adds to it, and which are covered."""
        first = np.argmax(kept[near], axis=1)
        lines = np.arange(len(near))
        covered = kept[near].any(axis=1) & (far[lines, first] <= reach)
        found = np.where(covered, order[near[lines, first]], np.inf)[:, None] <= LEVELS
        share = found.mean(axis=0)
        return _agreement(share), -2 * np.trapezoid(found * np.sign(share - LEVELS), LEVELS, axis=1), covered

    def scores(kept: Mask) -> Floats:
        shares = (place[kept, None] <= LEVELS).mean(axis=0)
        beta, _, covered = recall(kept)
        return np.array([_agreement(shares), beta, covered.mean()])

    whole = np.ones(len(side), np.bool_)
    _, recall_rows, covered = recall(whole)
    return Reached(
        values=scores(whole),
        by_row=np.stack([_precision_rows(radius, to_centre, place), recall_rows, covered.astype(np.float64)]),
        without=np.stack([scores(block != b) for b in range(BLOCKS)], axis=1),
    )


def _agreement(shares: Floats) -> float:
    """1 where the share below every level is the level, less twice the area between."""
    return max(1 - 2 * float(np.trapezoid(np.abs(shares - LEVELS), LEVELS)), 0.0)


def _precision_rows(radius: Floats, to_centre: Floats, place: Floats) -> Floats:
    """What every control row adds to alpha-precision: it moves the place of every row farther out by one n-th."""
    order = np.argsort(to_centre, kind="stable")
    rank = np.searchsorted(np.sort(place), place[order], side="right") / len(place)
    beyond = np.append(np.cumsum(np.sign(rank - place[order])[::-1])[::-1], 0.0) / len(place)
    return np.asarray(2 * beyond[np.searchsorted(to_centre[order], radius, side="left")])


def _from(rows: Any, centre: Floats) -> Floats:
    """Distance of sparse rows, shape (n, d), to a centre, shape (d,)."""
    squared = rows.multiply(rows).sum(axis=1) - 2 * rows @ centre + centre @ centre
    return np.asarray(np.sqrt(np.maximum(np.asarray(squared).ravel(), 0.0)))

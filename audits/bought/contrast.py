"""The priced gate's questions: do units that trained stand nearer to the released table than units held back?

The contrast of `audits.attacks`, in counts that are bought: the same questions are put to training units and to control
units, each side through its own filter, and what the verdict reads are rates and areas formed from the two noisy
answers. Thresholds are fixed by synthetic rows. No reference sample, no isolation among real rows and no ranking of
them can be used, so the tests are weaker than the exact ones, and the noise adds to that: the price of a verdict that
tells no more about a unit than epsilon says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from audits.bought.grid import UNIT, Exact, nearest_squared
from audits.bought.purchase import Bought
from audits.bought.questions import Questions, everyone, question
from audits.cells import Cells
from audits.estimates import estimate_finding
from audits.finding import Audience, Finding
from audits.hashes import Hashes, hashes
from audits.rows import canonical, sampled
from privacy.columns import Floats
from privacy.table import Table

AUDIT = "priced contrast"
WHOLE, ALL_BUT_ONE = "exact matches", "matches but for one column"
SHARES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)
"""Synthetic rows with another synthetic row as near: where the bins of a score end."""

SCORES = ("nearest synthetic row", "nearest synthetic row, relative to the next")
"""What an attacker who has the table alone would rank rows by."""

OFF = 0.005
"""Added to distances before they are compared, in units of a public range."""

NEAREST = 0.01
CROWD = 5
MAX_REFERENCE, MAX_PROBES = 20_000, 2_000
"""Synthetic rows that distances are measured to, and bins are read off, at most; of a longer table a random sample.
Matches look at all."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The answers of units that trained, and of units held back. Public."""

    train: Bought
    control: Bought


def contrast_questions(synthetic: Table, rng: Generator) -> tuple[Questions, ...]:
    """What both sides are asked, from the table that may leave alone.

    Args:
        synthetic: at least one row.
        rng: samples a long table.
    """
    rows = canonical(synthetic)
    near = sampled(rows, MAX_REFERENCE, rng)
    asked = [everyone(), _match(WHOLE, rows), _match_but_one(rows)]
    if len(near) > CROWD + 1:
        asked.append(_binned(near, rng))
    return tuple(asked)


def contrast_findings(sides: Sides) -> tuple[Finding, ...]:
    """What the policy reads, with bounds for sample and noise: functions of bought counts, hence public."""
    found = [
        _excess(
            f"excess of {name}", "", float(sides.train.counts[name][0]), float(sides.control.counts[name][0]), sides, 1
        )
        for name in (WHOLE, ALL_BUT_ONE)
    ]
    for name in SCORES:
        if name in sides.train.counts:
            found += _scored(name, sides)
    return tuple(found)


def _match(name: str, rows: Table) -> Questions:
    known = np.unique(hashes(rows, rows.schema).sum(axis=0))

    def cell_of(table: Table) -> Cells:
        return np.isin(hashes(table, rows.schema).sum(axis=0), known).astype(np.int64) - 1

    return question(name, 1, cell_of)


def _match_but_one(rows: Table) -> Questions:
    """Rows that match with some one column left out, where that match is one synthetic row's alone."""
    cells = hashes(rows, rows.schema)
    whole = cells.sum(axis=0)
    known = [_once(whole - column) for column in cells]

    def cell_of(table: Table) -> Cells:
        own = hashes(table, rows.schema)
        total = own.sum(axis=0)
        hit = np.zeros(len(table), np.bool_)
        for column, rest in zip(own, known, strict=True):
            hit |= np.isin(total - column, rest)
        return hit.astype(np.int64) - 1

    return question(ALL_BUT_ONE, 1, cell_of)


def _once(values: Hashes) -> Hashes:
    found, counts = np.unique(values, return_counts=True)
    once: Hashes = found[counts == 1]
    return once


def _binned(rows: Table, rng: Generator) -> Questions:
    """Bins of both scores, nearest first: what each share of synthetic rows scores against the others."""
    probes = nearest_squared(sampled(rows, MAX_PROBES, rng), rows, CROWD + 2)[:, 1:]
    edges = [np.quantile(score, SHARES, method="higher") for score in _scores(probes)]

    def cells_of(table: Table) -> Cells:
        scores = _scores(nearest_squared(table, rows, CROWD + 1))
        found = [np.searchsorted(e, score, side="left") for e, score in zip(edges, scores, strict=True)]
        return np.stack(found, axis=1).astype(np.int64)

    return Questions(SCORES, (len(SHARES) + 1,) * 2, cells_of)


def _scores(squared: Exact) -> tuple[Floats, Floats]:
    """Distance to the nearest, and the same relative to the mean of those after it; small for who trained."""
    far = np.sqrt(squared) / UNIT
    crowd = far[:, 1].copy()
    for j in range(2, far.shape[1]):  # one by one: a sum over an axis may add in another order for another table
        crowd += far[:, j]
    return far[:, 0], np.asarray((far[:, 0] + OFF) / (crowd / (far.shape[1] - 1) + OFF))


def _scored(name: str, sides: Sides) -> Iterator[Finding]:
    train, control = sides.train.counts[name], sides.control.counts[name]
    within = 1 + SHARES.index(NEAREST)
    yield _excess("excess among the nearest 1%", name, float(train[:within].sum()), float(control[:within].sum()),
                  sides, within)  # fmt: skip
    yield _area(name, train, control, sides)


def _excess(quantity: str, subject: str, hits: float, other: float, sides: Sides, cells: int) -> Finding:
    """Rate on training units minus rate on control units; `cells` noisy counts are summed in each of the hits."""
    difference, variance = 0.0, 0.0
    for sign, count, side in ((1, hits, sides.train), (-1, other, sides.control)):
        rate = min(1.0, max(0.0, count / side.units))
        difference += sign * count / side.units
        # A rate near 0 has a sampling error too: one hit more or less.
        spread = max(rate * (1 - rate), 1 / side.units) / side.units
        variance += spread + (side.stddev / side.units) ** 2 * (cells + rate**2)
    return _finding(quantity, subject, difference, math.sqrt(variance), 0.0, (-1.0, 1.0), sides)


def _area(name: str, train: Floats, control: Floats, sides: Sides) -> Finding:
    """Area under the ROC of binned scores, ties within a bin counted half.

    Its variance is DeLong's over bins, and what the noise of each count adds to first order.
    """
    n, m = max(1.0, float(train.sum())), max(1.0, float(control.sum()))
    farther = (control.sum() - np.cumsum(control) + control / 2) / m
    nearer = (np.cumsum(train) - train / 2) / n
    area = float((train * farther).sum() / n)
    variance = 0.0
    for counts, placed, total, side in ((train, farther, n, sides.train), (control, nearer, m, sides.control)):
        spread = max(0.0, float((counts * (placed - area) ** 2).sum() / total))
        variance += min(0.25, spread) / total + (side.stddev / total) ** 2 * float(((placed - area) ** 2).sum())
    return _finding("AUC", name, min(1.0, max(0.0, area)), math.sqrt(variance), 0.5, (0.0, 1.0), sides)


def _finding(
    quantity: str,
    subject: str,
    estimate: float,
    error: float,
    baseline: float,
    limits: tuple[float, float],
    sides: Sides,
) -> Finding:
    return estimate_finding(
        audit=AUDIT,
        quantity=quantity,
        subject=subject,
        estimate=min(max(estimate, limits[0]), limits[1]),
        error=error,
        baseline=baseline,
        worse="higher",
        n=round(sides.train.units + sides.control.units),
        limits=limits,
        looked_at=1,
        audience=Audience.PUBLIC,
    )

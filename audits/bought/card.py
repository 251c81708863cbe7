"""The bought card: how close the released table is to units that never trained, in numbers that may be published.

Counts over control units, with noise: every column's cells; the strongest pairs of columns; predictions of a model that
learned from synthetic rows; how many units have a synthetic row as near as synthetic rows are to one another. Pairs,
cells, model and radii are fixed by synthetic rows, so that nothing but the counts reads a real row. Ratios are formed
after the noise, and every figure has bounds for both the noise and the sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
from numpy.random import Generator

from audits.bought.grid import nearest_squared
from audits.bought.purchase import Bought
from audits.bought.questions import Questions, everyone, question
from audits.cells import Cells, cells, n_cells
from audits.estimates import estimate_finding
from audits.finding import Audience, Finding
from audits.prediction import gradient_boosting
from audits.rows import canonical, sampled
from privacy.columns import Column, Floats, LevelColumn
from privacy.table import Table

Worse: TypeAlias = Literal["higher", "lower"]

AUDIT = "bought card"
BINS, COARSE = 20, 8
PAIRS = 10
MAX_LEARN, MAX_NEAR, MAX_PROBES = 20_000, 20_000, 2_000
"""Synthetic rows a model learns from, distances are measured to, and radii are read off, at most."""

SCORE_BINS = 10
RADII = (0.5, 0.9, 0.99)
"""Shares of synthetic rows that have another synthetic row within the radius."""


@dataclass(frozen=True, slots=True)
class CardQuestion:
    """One question, and the shares of synthetic rows it is compared with where it is a marginal; None elsewhere."""

    asked: Questions
    synthetic: Floats | None


def card_questions(synthetic: Table, rng: Generator) -> tuple[CardQuestion, ...]:
    """What is asked of control units, from the released table alone.

    Args:
        synthetic: the table that may leave; at least one row.
        rng: samples a long table, and drives the model.
    """
    rows = canonical(synthetic)
    asked = [CardQuestion(everyone(), None)]
    asked += [_marginal(f"1-way: {c.name}", (c,), rows, BINS) for c in rows.schema.columns]
    asked += [_marginal(f"2-way: {a.name}, {b.name}", (a, b), rows, COARSE) for a, b in _strongest(rows)]
    target = rows.schema.target
    if target is not None and len(rows) >= 2 * SCORE_BINS:
        asked.append(CardQuestion(_predictions(target, sampled(rows, MAX_LEARN, rng), rng), None))
    if len(rows) >= 2 * SCORE_BINS:
        asked.append(CardQuestion(_radii(sampled(rows, MAX_NEAR, rng), rng), None))
    return tuple(asked)


def card_findings(asked: Sequence[CardQuestion], bought: Bought) -> tuple[Finding, ...]:
    """Figures of the card, all of them functions of what was bought and of synthetic rows: public."""
    found: list[Finding] = []
    for entry in asked:
        (name,) = entry.asked.names
        counts, (kind, _, subject) = bought.counts[name], name.partition(": ")
        if entry.synthetic is not None:
            found.append(_distance(kind, subject, entry.synthetic, counts, bought))
        elif kind == "predictions":
            found += _success(subject, counts.reshape(2, SCORE_BINS), bought)
        elif kind == "radii":
            reached = np.cumsum(counts)[: len(RADII)]
            found += [_share(f"within the radius of {100 * r:g}% of synthetic rows", "", x, (r, "lower"), bought, j + 1)
                      for j, (r, x) in enumerate(zip(RADII, reached, strict=True))]  # fmt: skip
    return tuple(found)


def _marginal(name: str, columns: Sequence[Column], rows: Table, bins: int) -> CardQuestion:
    """A marginal over public cells of few bins; levels beyond the bins' number are joined by their synthetic share."""
    joins = [_joined(column, rows, bins) if len(columns) > 1 else None for column in columns]
    sizes = [n_cells(c, bins) if join is None else int(join.max()) + 1 for c, join in zip(columns, joins, strict=True)]

    def cell_of(table: Table) -> Cells:
        found = np.zeros(len(table), np.int64)
        for column, join, size in zip(columns, joins, sizes, strict=True):
            own = cells(table, column, bins)
            found = found * size + (own if join is None else join[own])
        return found

    total = math.prod(sizes)
    shares = np.bincount(cell_of(rows), minlength=total) / max(len(rows), 1)
    return CardQuestion(question(name, total, cell_of), shares)


def _joined(column: Column, rows: Table, bins: int) -> Cells | None:
    """Which of at most `bins` cells each cell goes to: the most frequent of the synthetic rows alone."""
    size = n_cells(column, bins)
    if size <= bins + 1:
        return None
    counts = np.bincount(cells(rows, column, bins), minlength=size)
    join = np.full(size, bins - 1, np.int64)
    join[np.sort(np.argsort(-counts, kind="stable")[: bins - 1])] = np.arange(bins - 1)
    return join


def _strongest(rows: Table) -> list[tuple[Column, Column]]:
    """The pairs of columns farthest from independence among synthetic rows, in total variation."""
    columns = rows.schema.columns
    n = max(len(rows), 1)
    ones = {c.name: (cells(rows, c, COARSE), n_cells(c, COARSE)) for c in columns}
    strength = []
    for a, b in combinations(columns, 2):
        (x, n_x), (y, n_y) = ones[a.name], ones[b.name]
        p, q = np.bincount(x, minlength=n_x) / n, np.bincount(y, minlength=n_y) / n
        seen, counts = np.unique(x * n_y + y, return_counts=True)
        apart = counts / n - p[seen // n_y] * q[seen % n_y]
        strength.append(float(np.maximum(apart, 0).sum()))
    pairs = list(combinations(columns, 2))
    return [pairs[i] for i in np.argsort(-np.array(strength), kind="stable")[:PAIRS]]


def _predictions(target: LevelColumn, rows: Table, rng: Generator) -> Questions:
    """Right or wrong, by how sure a model is that learned from synthetic rows: bins of its surest probability.

    The bins are tenths of other synthetic rows. A unit without a label, or with one off the list, counts nowhere.
    """
    order = rng.permutation(len(rows))
    learn, spared = rows.select(np.sort(order[len(rows) // 5 :])), rows.select(np.sort(order[: len(rows) // 5]))
    seed = int(rng.integers(2**31))

    def sure(table: Table) -> tuple[Floats, Cells]:
        probabilities = gradient_boosting(learn, table, target, np.random.default_rng(seed))
        return probabilities.max(axis=1), probabilities.argmax(axis=1)

    edges = np.quantile(sure(spared)[0], np.arange(1, SCORE_BINS) / SCORE_BINS)
    known = len(target.declared)

    def cell_of(table: Table) -> Cells:
        confidence, guess = sure(table)
        codes = table.codes(target.name)
        right = (guess == codes).astype(np.int64)
        return np.where(codes < known, right * SCORE_BINS + np.searchsorted(edges, confidence, side="right"), -1)

    return question(f"predictions: {target.name}", 2 * SCORE_BINS, cell_of)


def _radii(rows: Table, rng: Generator) -> Questions:
    """The smallest radius within which a row has a synthetic neighbour; the last cell is beyond them all."""
    apart = nearest_squared(sampled(rows, MAX_PROBES, rng), rows, 2)[:, 1]
    edges = np.quantile(apart, RADII, method="higher")

    def cell_of(table: Table) -> Cells:
        return np.searchsorted(edges, nearest_squared(table, rows, 1)[:, 0], side="left").astype(np.int64)

    return question("radii", len(RADII) + 1, cell_of)


def _distance(kind: str, subject: str, synthetic: Floats, counts: Floats, bought: Bought) -> Finding:
    """Total variation distance; its baseline is what noise and sample alone would show were the two alike."""
    n, noise = bought.units, bought.stddev / bought.units
    variance = synthetic * (1 - synthetic) / n + noise**2
    floor = min(1.0, 0.5 * math.sqrt(2 / math.pi) * float(np.sqrt(variance).sum()))
    distance = min(1.0, 0.5 * float(np.abs(counts / n - synthetic).sum()))
    return _finding(f"total variation distance, {kind}", subject, distance, 0.5 * math.sqrt(float(variance.sum())),
                    (floor, "higher"), bought)  # fmt: skip


def _success(subject: str, counts: Floats, bought: Bought) -> Iterator[Finding]:
    """Accuracy of the model on units that never trained, and among the units it is surest of."""
    for name, part in (("accuracy, trained on synthetic", counts), ("accuracy where surest", counts[:, -1:])):
        right, n = float(part[1].sum()), max(1.0, float(part.sum()))
        share = min(1.0, max(0.0, right / n))
        noise = bought.stddev / n * math.sqrt(part.shape[1])
        error = math.sqrt(share * (1 - share) / n + noise**2 * ((1 - share) ** 2 + share**2))
        yield _finding(name, subject, share, error, (0.0, "lower"), bought)


def _share(quantity: str, subject: str, count: float, expected: tuple[float, Worse], bought: Bought, m: int) -> Finding:
    n = bought.units
    share = min(1.0, max(0.0, count / n))
    error = math.sqrt(share * (1 - share) / n + (bought.stddev / n) ** 2 * (m + share**2))
    return _finding(quantity, subject, share, error, expected, bought)


def _finding(
    quantity: str, subject: str, estimate: float, error: float, expected: tuple[float, Worse], bought: Bought
) -> Finding:
    return estimate_finding(
        audit=AUDIT,
        quantity=quantity,
        subject=subject,
        estimate=estimate,
        error=error,
        baseline=expected[0],
        worse=expected[1],
        n=round(bought.units),
        limits=(0.0, 1.0),
        looked_at=1,
        audience=Audience.PUBLIC,
    )

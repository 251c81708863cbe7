"""Distances of every column that total variation does not tell apart, each next to its noise floor.

Over public cells: the Jensen-Shannon and the Kullback-Leibler divergence of control from synthetic rows. Over values in
order: the Kolmogorov-Smirnov and the Wasserstein distance, exact, with no bins, of numbers and of ordered levels; the
latter in units of the column's public range. A missing value stands one range below its column, OTHER half a range, so
that rows which lose their values are seen here as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.evidence import Evidence
from audits.fidelity.contrast import Binned, Reporter, Sides, binned, contrast, mean_contrast, sides_of
from audits.fidelity.measures import Measure, jensen_shannon, kolmogorov_smirnov, kullback_leibler, wasserstein
from audits.finding import Finding
from privacy.columns import Column, Floats, LevelColumn
from privacy.table import Table

BELOW_MISSING, BELOW_OTHER = -1.0, -0.5


@dataclass(frozen=True, slots=True)
class Divergences:
    """How far single columns of the synthetic rows are from those of rows that never trained.

    Attributes:
        bins: equal-width bins of a number, for the two divergences.
        max_rows: rows of synthetic and of train that are counted at most; equally many of each.
    """

    bins: int = 20
    max_rows: int = 100_000
    name: ClassVar[str] = "divergences"
    title: ClassVar[str] = "Distances of columns"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Of each measure, the mean over columns, its excess, and every column's, worst first.

        Raises:
            InconclusiveError: a table has no rows.
        """
        sides = sides_of(evidence, self.max_rows, rng)
        unordered = [binned(column, sides, self.bins) for column in evidence.schema.columns]
        found: list[Finding] = []
        for quantity, measure, most in (
            ("Jensen-Shannon divergence", jensen_shannon, 1.0),
            ("Kullback-Leibler divergence", kullback_leibler, inf),
        ):
            found += _findings(quantity, [(one, measure) for one in unordered], most, sides)
        ordered = [_ordered(column, sides) for column in evidence.schema.columns if _has_order(column)]
        if ordered:
            found += _findings(
                "Kolmogorov-Smirnov distance", [(one, kolmogorov_smirnov) for one, _ in ordered], 1, sides
            )
            found += _findings("Wasserstein distance", [(one, wasserstein(w)) for one, w in ordered], 2, sides)
        return tuple(found)


def _findings(quantity: str, columns: Sequence[tuple[Binned, Measure]], most: float, sides: Sides) -> Iterator[Finding]:
    report = Reporter(Divergences.name, quantity, f"excess of the {quantity}", most)
    contrasts = [contrast(one, measure) for one, measure in columns]
    total, excesses = mean_contrast(contrasts, sides)
    yield from report.overall(total, sides)
    for i in np.argsort(-excesses, kind="stable"):
        yield report.single(columns[i][0].name, contrasts[i], len(columns), sides)


def _has_order(column: Column) -> bool:
    return not isinstance(column, LevelColumn) or column.ordered


def _ordered(column: Column, sides: Sides) -> tuple[Binned, Floats]:
    """Every value that occurs as a cell of its own, in order, and the distance from each to the next."""
    places = [place(table, column) for table in sides.tables]
    values, found = np.unique(np.concatenate(places), return_inverse=True)
    parts = np.split(found.astype(np.int64), np.cumsum([len(part) for part in places])[:-1])
    return Binned(column.name, len(values), *parts), np.append(np.diff(values), 0.0)


def place(table: Table, column: Column) -> Floats:
    """Where values lie in a column's public range, in [0, 1], shape (n,): OTHER at -.5, missing at -1."""
    if isinstance(column, LevelColumn):
        n = len(column.declared)
        codes = table.codes(column.name)
        return np.where(codes < n, codes / max(n - 1, 1), np.where(codes == n, BELOW_OTHER, BELOW_MISSING))
    low, high = column.bounds
    return np.nan_to_num((table.numbers(column.name) - low) / ((high - low) or 1.0), nan=BELOW_MISSING)

"""Total variation distance of 1-, 2- and 3-way marginals between synthetic and control rows, next to its noise floor.

What a distance is held against, and how sure it is: `audits.fidelity.contrast`. Cells are public: a level, OTHER or
missing of a column with levels; one of twenty equal bins of a number's bounds, or missing. Three columns together have
half the bins, and where there are many triples a random sample of them is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.evidence import Evidence
from audits.fidelity.contrast import Binned, Contrast, Reporter, Sides, binned, contrast, cross, mean_contrast, sides_of
from audits.finding import Finding
from privacy.schema import Schema


@dataclass(frozen=True, slots=True)
class Marginals:
    """How far the 1-, 2- and 3-way marginals of the synthetic rows are from those of rows that never trained.

    Attributes:
        bins: equal-width bins of a number.
        coarse_bins: the same in triples.
        worst: pairs and triples of columns reported by name.
        max_triples: triples measured at most.
        max_rows: rows of synthetic and of train that are counted at most; equally many of each.
    """

    bins: int = 20
    coarse_bins: int = 10
    worst: int = 10
    max_triples: int = 100
    max_rows: int = 100_000
    name: ClassVar[str] = "marginals"
    title: ClassVar[str] = "Marginals"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Mean distances and excesses over all columns, pairs and triples; every column's; the worst pairs', triples'.

        The baseline of a distance is its noise floor, that of an excess is 0. The intervals of single columns, pairs
        and triples are simultaneous over all of them (Bonferroni), since the worst are picked after looking.

        Raises:
            InconclusiveError: a table has no rows.
        """
        sides = sides_of(evidence, self.max_rows, rng)
        columns = [binned(column, sides, self.bins) for column in evidence.schema.columns]
        found = list(_worst("1-way", columns, len(columns), sides))
        if len(columns) >= 2:
            found += _worst("2-way", list(combinations(columns, 2)), self.worst, sides)
        if len(columns) >= 3:
            coarse = [binned(column, sides, self.coarse_bins) for column in evidence.schema.columns]
            triples = [tuple(coarse[i] for i in chosen) for chosen in _triples(evidence.schema, self.max_triples, rng)]
            found += _worst("3-way", triples, self.worst, sides)
        return tuple(found)


def _worst(ways: str, marginals: Sequence[Binned | tuple[Binned, ...]], most: int, sides: Sides) -> Iterator[Finding]:
    """The mean over marginals, and those with the largest excess, worst first."""
    report = Reporter(Marginals.name, f"total variation distance, {ways}", f"excess total variation, {ways}", 1.0)

    def measured(marginal: Binned | tuple[Binned, ...]) -> tuple[str, Contrast]:
        joint = marginal if isinstance(marginal, Binned) else _joint(marginal)
        return joint.name, contrast(joint)

    total, excesses = mean_contrast((measured(marginal)[1] for marginal in marginals), sides)
    yield from report.overall(total, sides)
    for i in np.argsort(-excesses, kind="stable")[:most]:
        name, one = measured(marginals[i])
        yield report.single(name, one, len(marginals), sides)


def _joint(columns: tuple[Binned, ...]) -> Binned:
    joint = columns[0]
    for column in columns[1:]:
        joint = cross(joint, column)
    return joint


def _triples(schema: Schema, most: int, rng: Generator) -> list[tuple[int, ...]]:
    """All triples of columns by index, or so many different ones at random, in order."""
    n = len(schema.columns)
    if comb(n, 3) <= most:
        return list(combinations(range(n), 3))
    chosen: set[tuple[int, ...]] = set()
    while len(chosen) < most:
        chosen.add(tuple(np.sort(rng.choice(n, 3, replace=False)).tolist()))
    return sorted(chosen)

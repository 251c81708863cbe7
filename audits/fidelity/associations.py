"""Whether columns that belong together still do: mutual information and Cramer's V of pairs, next to their noise floor.

Both are read over public cells, ten to a number, and held against control rows as `audits.fidelity.contrast` holds any
distance. Most pairs of columns are hardly associated in any population, and any generator keeps that: a mean over all
pairs reassures whatever became of the others. So the means are over pairs that are associated in the attacker's sample
of the population, which plays no other part here, with the other pairs given beside them: there a gap is an
association that synthesis made up.

Sources: Bergsma 2013, "A bias-correction for Cramer's V and Tschuprow's T"; Miller 1955, "Note on the bias of
information estimates".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import inf
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.random import Generator

from audits.cells import cells, n_cells
from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.fidelity.contrast import Binned, Contrast, Reporter, Sides, binned, contrast, cross, mean_contrast, sides_of
from audits.fidelity.measures import Measure, cramers_v, cramers_v_gap, mutual_information_gap
from audits.finding import Finding

Gap: TypeAlias = Callable[[tuple[int, int]], Measure]
"""From the numbers of cells of two columns to a measure over their cells together."""

MIN_REFERENCE = 50
MAX_CELLS = 20_000
"""Pairs with more cells are left out: no table here fills them."""


@dataclass(frozen=True, slots=True)
class Associations:
    """How far pairwise associations of the synthetic rows are from those of rows that never trained.

    Attributes:
        bins: equal-width bins of a number.
        associated: Cramer's V in the reference sample from which two columns count as associated; .1 is Cohen's small
            effect.
        worst: pairs reported by name.
        max_rows: rows of synthetic and of train that are counted at most; equally many of each.
    """

    bins: int = 10
    associated: float = 0.1
    worst: int = 10
    max_rows: int = 100_000
    name: ClassVar[str] = "associations"
    title: ClassVar[str] = "Associations of columns"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Of each measure, the mean gap over associated pairs, its excess, the worst pairs; the same of other pairs.

        Raises:
            InconclusiveError: a table has no rows, the reference sample has fewer than 50, or there is no pair.
        """
        if len(evidence.reference) < MIN_REFERENCE:
            raise InconclusiveError(f"the reference sample has fewer than {MIN_REFERENCE} rows")
        sides = sides_of(evidence, self.max_rows, rng)
        columns = [binned(column, sides, self.bins) for column in evidence.schema.columns]
        known = [cells(evidence.reference, column, self.bins) for column in evidence.schema.columns]
        widths = [n_cells(column, self.bins) for column in evidence.schema.columns]
        groups: dict[bool, list[tuple[Binned, Binned]]] = {True: [], False: []}
        for i, j in combinations(range(len(columns)), 2):
            size = widths[i] * widths[j]
            if size <= MAX_CELLS:
                counts = np.bincount(known[i] * widths[j] + known[j], minlength=size)
                tied = cramers_v(counts, (widths[i], widths[j])) >= self.associated
                groups[tied].append((columns[i], columns[j]))
        if not any(groups.values()):
            raise InconclusiveError("there are no two columns to compare")
        found: list[Finding] = []
        for tied, words in ((True, ""), (False, ", unassociated pairs")):
            if groups[tied]:
                for quantity, gap, most in (
                    ("gap in Cramer's V", cramers_v_gap, 1.0),
                    ("gap in mutual information", mutual_information_gap, inf),
                ):
                    report = Reporter(self.name, f"{quantity}{words}", f"excess {quantity}{words}", most)
                    found += self._findings(report, gap, groups[tied], sides)
        return tuple(found)

    def _findings(
        self, report: Reporter, gap: Gap, pairs: list[tuple[Binned, Binned]], sides: Sides
    ) -> Iterator[Finding]:
        total, excesses = mean_contrast((_measured(pair, gap) for pair in pairs), sides)
        yield from report.overall(total, sides)
        for i in np.argsort(-excesses, kind="stable")[: self.worst]:
            a, b = pairs[i]
            yield report.single(f"{a.name}, {b.name}", _measured(pairs[i], gap), len(pairs), sides)


def _measured(pair: tuple[Binned, Binned], gap: Gap) -> Contrast:
    return contrast(cross(*pair), gap((pair[0].n_cells, pair[1].n_cells)))

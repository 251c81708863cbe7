"""Whether rows keep the rules of their world: those the schema declares, and those no training row breaks.

A declared rule is kept by every row that Tablegate draws; a table made elsewhere may break it. A mined rule says that
rows in one cell of a column (a level, or one of twenty bins of a number) are always in the same cell of another. It is
mined from training rows, so control rows, which are fresh, break it by chance as well: their rate is the baseline.
Bounds on a rate of violations are exact (Clopper-Pearson), so that none in n rows is never read as none at all.

No finding is public: a declared rule is, but which rows of a table that is withheld break it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.cells import cells, n_cells
from audits.errors import InconclusiveError
from audits.estimates import excess_finding, rate_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.intervals import detectable_difference
from audits.rows import canonical, one_row_per_unit, sampled
from privacy.columns import Column, LevelColumn
from privacy.table import Table

Mask = npt.NDArray[np.bool_]

MAX_CELLS = 100_000
"""Pairs of columns with more cells are not mined."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How many synthetic rows break a declared rule, or one that holds throughout the training rows.

    Attributes:
        bins: equal-width bins of a number.
        min_rows: training rows a mined rule must speak of.
        worst: rules reported by name.
        max_rows: rows of each table.
    """

    bins: int = 20
    min_rows: int = 50
    worst: int = 10
    max_rows: int = 100_000
    name: ClassVar[str] = "rules"
    title: ClassVar[str] = "Rules of the rows"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Violations of declared and of mined rules, by rule and by any, worst first.

        Raises:
            InconclusiveError: a table has no rows, or there is neither a declared nor a mined rule.
        """
        tables = [canonical(t.select(one_row_per_unit(t, rng))) for t in (evidence.control, evidence.train)]
        tables.append(canonical(evidence.synthetic))
        if not all(map(len, tables)):
            raise InconclusiveError("the control, training or synthetic table has no rows")
        control, train, synthetic = (sampled(table, self.max_rows, rng) for table in tables)
        constraints = evidence.schema.constraints
        declared = {rule.words: rule for rule in constraints.rules} if constraints else {}
        broken = {words: (~rule.met(synthetic), ~rule.met(control)) for words, rule in declared.items()}
        mined = {
            rule.words: (rule.broken(synthetic), rule.broken(control)) for rule in mine(train, self.min_rows, self.bins)
        }
        if not broken and not mined:
            raise InconclusiveError("no rule is declared, and none holds throughout the training rows")
        return (*self._findings("declared rule", broken), *self._findings("mined rule", mined))

    def _findings(self, kind: str, broken: dict[str, tuple[Mask, Mask]]) -> Iterator[Finding]:
        if not broken:
            return
        ours, theirs = (np.any([both[side] for both in broken.values()], axis=0) for side in range(2))
        yield _rate(f"rows that break a {kind}", "", ours, theirs)
        yield excess_finding(
            audit=self.name,
            quantity=f"excess of rows that break a {kind}",
            subject="",
            hits=int(ours.sum()),
            n=len(ours),
            other_hits=int(theirs.sum()),
            other_n=len(theirs),
            audience=Audience.INTERNAL,
        )
        order = sorted(broken, key=lambda words: (-int(broken[words][0].sum()), words))
        for words in order[: self.worst]:
            yield _rate(f"rows that break this {kind}", words, *broken[words])


@dataclass(frozen=True, slots=True)
class Mined:
    """Rows in cell `when` of one column are in cell `then` of another."""

    column: Column
    when: int
    other: Column
    then: int
    bins: int

    @property
    def words(self) -> str:
        """The rule in words."""
        first = _cell_words(self.column, self.when, self.bins)
        return f"if {first}, then {_cell_words(self.other, self.then, self.bins)}"

    def broken(self, table: Table) -> Mask:
        """Which rows break it, shape (n,)."""
        when, then = (cells(table, column, self.bins) for column in (self.column, self.other))
        broken: Mask = (when == self.when) & (then != self.then)
        return broken


def mine(train: Table, min_rows: int, bins: int) -> Iterator[Mined]:
    """Every implication between two cells that at least `min_rows` rows keep and none breaks.

    One that holds of every row, whatever the first column, says nothing and is left out.
    """
    columns = train.schema.columns
    coded = [cells(train, column, bins) for column in columns]
    widths = [n_cells(column, bins) for column in columns]
    constant = [len(np.unique(codes)) < 2 for codes in coded]
    for i, j in permutations(range(len(columns)), 2):
        if constant[j] or widths[i] * widths[j] > MAX_CELLS:
            continue
        counts = np.bincount(coded[i] * widths[j] + coded[j], minlength=widths[i] * widths[j]).reshape(widths[i], -1)
        whole = counts.sum(axis=1)
        for when in np.flatnonzero((whole >= min_rows) & (counts.max(axis=1) == whole)):
            yield Mined(columns[i], int(when), columns[j], int(counts[when].argmax()), bins)


def _cell_words(column: Column, cell: int, bins: int) -> str:
    if isinstance(column, LevelColumn):
        return f"{column.name} is {[*column.declared, column.other, 'missing'][cell]}"
    n = n_cells(column, bins) - 1
    if cell == n:
        return f"{column.name} is missing"
    low, high = column.bounds
    width = (high - low + (1 if column.is_discrete else 0)) / n
    return f"{column.name} is in bin {cell + 1} of {n}, from {low + cell * width:.6g}"


def _rate(quantity: str, subject: str, ours: Mask, theirs: Mask) -> Finding:
    rate = float(theirs.mean())
    return rate_finding(
        audit=Rules.name,
        quantity=quantity,
        subject=subject,
        hits=int(ours.sum()),
        n=len(ours),
        baseline=rate,
        detectable=detectable_difference(rate, len(ours), len(theirs)),
        audience=Audience.INTERNAL,
    )

"""Linkability: does the synthetic table join two halves of one person's record?

The attacker holds two tables about the same people, one with some columns and one with the others, and looks up both
halves of a record in the synthetic table. If a row is among the nearest of either half, the halves are linked. People
whose row trained must not be linked more often than people whose row did not; how often the latter are linked is what
the population's regularities alone give away.

Columns are halved in three ways that do not depend on the rows. A synthetic row is picked among equally near ones at
random, and independently for the two halves, so that a coarse table links nobody by the order of its rows.

Source: Giomi et al. 2023, "A unified framework for quantifying privacy risk in synthetic data" (Anonymeter);
with a control of the same size and no correction for size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.attacks.game import Targets, success_findings, targets_of
from audits.distance import features
from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.finding import Finding
from audits.rows import canonical
from audits.search import neighbours
from privacy.columns import Column
from privacy.schema import Schema
from privacy.table import Table

MIN_COLUMNS = 4

Halves = tuple[tuple[Column, ...], tuple[Column, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkability:
    """How often two halves of a record find a common synthetic row.

    Attributes:
        k: synthetic rows each half looks at.
        max_targets: units looked up at most, of both sides together.
        max_pairs: targets times synthetic rows at most; of a longer table fewer targets are looked up, all in all rows.
    """

    k: int = 10
    max_targets: int = 20_000
    max_pairs: int = 1_000_000_000
    name: ClassVar[str] = "linkability"
    title: ClassVar[str] = "Linkability"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Link by every halving of the columns.

        Raises:
            InconclusiveError: fewer than four columns, 100 targets a side or k synthetic rows.
        """
        if len(evidence.schema.columns) < MIN_COLUMNS:
            raise InconclusiveError(f"fewer than {MIN_COLUMNS} columns cannot be halved")
        if len(evidence.synthetic) < self.k:
            raise InconclusiveError(f"the synthetic table has fewer than {self.k} rows")
        most = min(self.max_targets, max(2_000, self.max_pairs // len(evidence.synthetic)))
        targets = targets_of(evidence, most, rng)
        released = canonical(evidence.synthetic)
        found: list[Finding] = []
        for name, halves in _halvings(evidence.schema, rng).items():
            found += success_findings(
                audit=self.name,
                of="linking",
                subject=name,
                hits=self._linked(targets, released, halves, rng),
                is_member=targets.is_member,
                baseline=_by_chance(self.k, len(released)),
            )
        return tuple(found)

    def _linked(self, targets: Targets, released: Table, halves: Halves, rng: Generator) -> npt.NDArray[np.bool_]:
        first, second = (self._nearest(targets, released, half, rng) for half in halves)
        linked: npt.NDArray[np.bool_] = np.zeros(len(first), bool)
        for place in range(self.k):
            linked |= (first == second[:, place, None]).any(axis=1)
        return linked

    def _nearest(
        self, targets: Targets, released: Table, half: Sequence[Column], rng: Generator
    ) -> npt.NDArray[np.intp]:
        """Rows of `released` nearest to every target on half of the columns, shape (n, k)."""
        known = replace(released.schema, columns=tuple(half))
        order = rng.permutation(len(released))
        rows, _ = neighbours(features(targets.rows, known), features(released.select(order), known), self.k)
        return order[rows]


def _halvings(schema: Schema, rng: Generator) -> dict[str, Halves]:
    columns = schema.columns
    middle = len(columns) // 2
    mixed = [columns[i] for i in rng.permutation(len(columns))]
    return {
        "first and second half of the columns": (columns[:middle], columns[middle:]),
        "every other column": (columns[::2], columns[1::2]),
        "random halves": (tuple(mixed[:middle]), tuple(mixed[middle:])),
    }


def _by_chance(k: int, n: int) -> float:
    """Chance that two random sets of k of n rows meet."""
    return 1 - comb(n - k, k) / comb(n, k)

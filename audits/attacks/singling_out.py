"""Singling out: does the synthetic table say something that is true of exactly one person?

The attacker writes predicates from synthetic rows alone: a value that occurs once, an extreme of a column, or a
conjunction of two to six columns that exactly one synthetic row meets. A predicate succeeds if exactly one real row
meets it. Predicates are tried on rows that trained and on as many rows held back; what the population gives away by
itself succeeds on both.

Predicates that single out the same real row are one fact about it, so they count together: the variance of the excess
is that of rows moving between the two sides, each with all the predicates it answers. (150 fresh draws of a made-up
population: one-sided 95% bounds held 96.7% to 98.0% of the time.)

Sources: Giomi et al. 2023 (Anonymeter) for the predicates; Cohen & Nissim 2020, "Towards formalizing the
GDPR's notion of singling out", for success as isolation by a predicate of little weight, which a predicate met by one
of many synthetic rows has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.attacks.game import targets_of
from audits.errors import InconclusiveError
from audits.estimates import estimate_finding, rate_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.rows import canonical, cells_of, sampled
from privacy.columns import LevelColumn, NumberColumn
from privacy.schema import Schema
from privacy.table import Table

Values: TypeAlias = dict[str, npt.NDArray[np.float64]]
"""A table's columns as numbers: codes of levels, values with NaN for missing."""

Term: TypeAlias = tuple[str, Literal["=", ">", "<", "?"], float]
"""A column, what is asked of it (equal, at least, at most, missing), and a value."""

Predicate: TypeAlias = tuple[Term, ...]

NOBODY, SEVERAL = -1, -2
MIN_PREDICATES = 100
MIN_ROWS = 20
TRIES = 8
"""Conjunctions drawn for each that is wanted: those that more than one synthetic row meets are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinglingOut:
    """How often a predicate read off the synthetic rows isolates a real row.

    Attributes:
        predicates: tried at most of each kind.
        max_columns: columns of a conjunction at most.
        max_targets: rows of both sides together.
        max_rows: synthetic rows an attacker looks through; a random sample of more.
    """

    predicates: int = 2_000
    max_columns: int = 6
    max_targets: int = 20_000
    max_rows: int = 50_000
    name: ClassVar[str] = "singling out"
    title: ClassVar[str] = "Singling out"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Try predicates of one column, and of several.

        Raises:
            InconclusiveError: fewer than 100 targets a side, 20 synthetic rows or 100 predicates of either kind.
        """
        if len(evidence.synthetic) < MIN_ROWS:
            raise InconclusiveError(f"the synthetic table has fewer than {MIN_ROWS} rows")
        targets = targets_of(evidence, self.max_targets, rng)
        size = min(len(targets.members), len(targets.outsiders))
        sides = [_values(sampled(table, size, rng)) for table in (targets.members, targets.outsiders)]
        released = _values(sampled(canonical(evidence.synthetic), self.max_rows, rng))
        found: list[Finding] = []
        for subject, predicates in (
            ("one column", self._kept(_rare_values(released, evidence.schema), rng)),
            ("several columns", self._conjunctions(released, evidence.schema, rng)),
        ):
            if len(predicates) >= MIN_PREDICATES:
                naive = [_guess(evidence.schema, len(p), rng) for p in predicates]
                found += _findings(subject, predicates, naive, *sides)
        if not found:
            raise InconclusiveError(f"the synthetic rows give fewer than {MIN_PREDICATES} predicates")
        return tuple(found)

    def _kept(self, predicates: list[Predicate], rng: Generator) -> list[Predicate]:
        if len(predicates) <= self.predicates:
            return predicates
        return [predicates[i] for i in np.sort(rng.choice(len(predicates), self.predicates, replace=False))]

    def _conjunctions(self, released: Values, schema: Schema, rng: Generator) -> list[Predicate]:
        """Distinct conjunctions that exactly one synthetic row meets."""
        n, names = len(next(iter(released.values()))), schema.names
        if n == 0 or len(names) < 2:
            return []
        medians = {c.name: _median(released[c.name]) for c in schema.columns if isinstance(c, NumberColumn)}
        kept: dict[Predicate, None] = {}
        for _ in range(TRIES * self.predicates):
            if len(kept) == self.predicates:
                break
            row = int(rng.integers(n))
            width = int(rng.integers(2, min(self.max_columns, len(names)) + 1))
            chosen = np.sort(rng.choice(len(names), width, replace=False))
            predicate = tuple(_term(names[j], released[names[j]][row], medians.get(names[j])) for j in chosen)
            if _singled_out(predicate, released) >= 0:
                kept[predicate] = None
        return list(kept)


def _values(table: Table) -> Values:
    return {column.name: cells_of(table, column) for column in table.schema.columns}


def _rare_values(released: Values, schema: Schema) -> list[Predicate]:
    """What is true of one synthetic row in one column: a value that occurs once, or an end of the range."""
    predicates: list[Predicate] = []
    for column in schema.columns:
        values = released[column.name]
        present = values[~np.isnan(values)]
        once, counts = np.unique(present, return_counts=True)
        predicates += [((column.name, "=", float(value)),) for value in once[counts == 1]]
        if isinstance(column, NumberColumn) and len(present):
            ends: tuple[tuple[Literal["<", ">"], float], ...] = (("<", present.min()), (">", present.max()))
            predicates += [((column.name, sign, float(end)),) for sign, end in ends]
        if len(values) - len(present) == 1:
            predicates.append(((column.name, "?", 0.0),))
    return predicates


def _term(name: str, value: float, median: float | None) -> Term:
    """What a row says of one column: its level, that it is missing, or how far from the median it is at least."""
    if np.isnan(value):
        return name, "?", 0.0
    if median is None:
        return name, "=", float(value)
    return name, ">" if value > median else "<", float(value)


def _median(values: npt.NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(np.median(present)) if len(present) else 0.0


def _guess(schema: Schema, width: int, rng: Generator) -> Predicate:
    """A predicate by somebody who knows the public domains alone."""
    terms: list[Term] = []
    for j in np.sort(rng.choice(len(schema.columns), width, replace=False)):
        column = schema.columns[j]
        if isinstance(column, LevelColumn):
            terms.append((column.name, "=", float(rng.integers(column.n_codes))))
        else:
            low, high = column.bounds
            sign: Literal[">", "<"] = ">" if rng.random() < 0.5 else "<"
            terms.append((column.name, sign, float(low + (high - low) * rng.random())))
    return tuple(terms)


def _singled_out(predicate: Predicate, rows: Values) -> int:
    """The one row that meets a predicate, NOBODY or SEVERAL."""
    left: npt.NDArray[np.intp] | None = None
    for name, sign, value in predicate:
        values = rows[name] if left is None else rows[name][left]
        if sign == "=":
            met = values == value
        elif sign == "?":
            met = np.isnan(values)
        else:
            met = values >= value if sign == ">" else values <= value
        left = np.flatnonzero(met) if left is None else left[met]
        if not len(left):
            return NOBODY
    return int(left[0]) if left is not None and len(left) == 1 else SEVERAL


def _findings(
    subject: str, predicates: list[Predicate], naive: list[Predicate], members: Values, outsiders: Values
) -> Iterator[Finding]:
    n = len(predicates)
    inside, outside = (_answers(predicates, side) for side in (members, outsiders))
    by_chance = float((_answers(naive, outsiders) >= 0).mean())
    hits = [int((rows >= 0).sum()) for rows in (inside, outside)]
    for quantity, count, baseline in (
        ("success rate of singling out", hits[0], hits[1] / n),
        ("control rate of singling out", hits[1], by_chance),
    ):
        yield rate_finding(
            audit=SinglingOut.name,
            quantity=quantity,
            subject=subject,
            hits=count,
            n=n,
            baseline=baseline,
            detectable=None,
            audience=Audience.INTERNAL,
        )
    yield estimate_finding(
        audit=SinglingOut.name,
        quantity="excess of singling out",
        subject=subject,
        estimate=(hits[0] - hits[1]) / n,
        error=_error((inside, outside)),
        baseline=0.0,
        worse="higher",
        n=2 * n,
        limits=(-1.0, 1.0),
        looked_at=1,
    )


def _answers(predicates: Iterable[Predicate], rows: Values) -> npt.NDArray[np.int64]:
    return np.array([_singled_out(predicate, rows) for predicate in predicates], dtype=np.int64)


def _error(sides: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]) -> float:
    """Standard error of the difference of two success rates when each row keeps all predicates it answers.

    Two rows that answer one predicate each are added, so that no success at all does not claim certainty.
    """
    squares = 2.0
    for rows in sides:
        squares += float((np.unique(rows[rows >= 0], return_counts=True)[1].astype(np.float64) ** 2).sum())
    return float(np.sqrt(squares)) / len(sides[0])

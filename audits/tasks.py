"""What the target asks for: a classification of levels, or a regression of a number, with its models and its score.

Learning rows are equally many on both sides, and control rows test. Repeats learn from random halves, so that the
spread over repeats is what another synthetic or training table would bring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.estimates import estimate_finding, mean_variance
from audits.evidence import Evidence
from audits.finding import Finding
from audits.prediction import FAMILIES, labelled_rows
from audits.regression import REGRESSIONS
from audits.rows import canonical
from audits.scores import half_a_row, macro_auc, r_squared
from privacy.columns import Column, Floats, LevelColumn, NumberColumn, Role
from privacy.schema import Schema
from privacy.table import Table

Labels: TypeAlias = npt.NDArray[Any]
Score: TypeAlias = tuple[float, Floats]
"""A score, and the influence of every test row on it."""


class Task(Protocol):
    """A prediction task."""

    score_name: ClassVar[str]
    least: ClassVar[float]
    chance: ClassVar[float]
    models: ClassVar[tuple[str, ...]]

    @property
    def target(self) -> Column:
        """The column that is predicted and never a feature."""
        ...

    def predict(self, model: str, learn: Table, rows: Table, rng: Generator) -> Floats:
        """Predictions of the named model for rows, first axis (len(rows),)."""
        ...

    def labels(self, table: Table) -> Labels:
        """What is to be predicted, shape (len(table),)."""
        ...

    def score(self, predictions: Floats, labels: Labels) -> Score:
        """How good predictions are, higher is better, at most 1, and every row's influence on it."""
        ...

    def doubt(self, labels: Labels) -> float:
        """Variance added to a score, so that none claims certainty."""
        ...


@dataclass(frozen=True, slots=True)
class Classification:
    """Which level a row has."""

    target: LevelColumn
    score_name: ClassVar[str] = "AUC"
    least: ClassVar[float] = 0.0
    chance: ClassVar[float] = 0.5
    models: ClassVar[tuple[str, ...]] = tuple(FAMILIES)

    def predict(self, model: str, learn: Table, rows: Table, rng: Generator) -> Floats:
        """Probabilities of every code, shape (len(rows), n_codes)."""
        return FAMILIES[model](learn, rows, self.target, rng)

    def labels(self, table: Table) -> Labels:
        """Codes."""
        return table.codes(self.target.name)

    def score(self, predictions: Floats, labels: Labels) -> tuple[float, Floats]:
        """Macro AUC."""
        return macro_auc(predictions, labels)

    def doubt(self, labels: Labels) -> float:
        """That of half a discordant row a class."""
        return half_a_row(labels)


@dataclass(frozen=True, slots=True)
class Regression:
    """Which number a row has."""

    target: NumberColumn
    score_name: ClassVar[str] = "R squared"
    least: ClassVar[float] = -1.0
    chance: ClassVar[float] = 0.0
    models: ClassVar[tuple[str, ...]] = tuple(REGRESSIONS)

    def predict(self, model: str, learn: Table, rows: Table, rng: Generator) -> Floats:
        """Predicted numbers, shape (len(rows),)."""
        return REGRESSIONS[model](learn, rows, self.target, rng)

    def labels(self, table: Table) -> Labels:
        """Numbers."""
        return table.numbers(self.target.name)

    def score(self, predictions: Floats, labels: Labels) -> tuple[float, Floats]:
        """The share of variance explained."""
        return r_squared(predictions, labels)

    def doubt(self, labels: Labels) -> float:
        """That of one row."""
        return 1 / len(labels) ** 2


def task_of(schema: Schema) -> Task:
    """The task of a schema's target. Raises InconclusiveError where there is none."""
    target = next((column for column in schema.columns if column.role is Role.TARGET), None)
    if isinstance(target, NumberColumn):
        return Regression(target)
    if isinstance(target, LevelColumn) and target.declared:
        return Classification(target)
    raise InconclusiveError("no target is declared")


@dataclass(frozen=True, slots=True)
class Learning:
    """Rows to learn from, equally many of both, and control rows with the unit of each, numbered from 0."""

    synthetic: Table
    train: Table
    control: Table
    units: npt.NDArray[np.int64]


def learning(evidence: Evidence, task: Task, max_rows: int, rng: Generator, least: int = 0) -> Learning:
    """The rows of a task, at least `least` to learn from.

    Raises InconclusiveError where there are fewer, nothing to learn, or nothing to tell apart.
    """
    synthetic, train, control = labelled_rows(evidence, task.target, max_rows, rng)
    if len(train) < least:
        raise InconclusiveError(f"there are fewer than {least} rows to learn from")
    control = canonical(control)
    return Learning(synthetic, train, control, np.unique(control.units, return_inverse=True)[1])


def half_of(table: Table, rng: Generator) -> Table:
    """A random half of the units, with all their rows; the order of the table must say nothing.

    The variance of a score over random halves is that of the score of the whole over tables of its size: a half has
    twice the variance, and shares half of it with any other. Drawn with replacement instead, a row would stand twice in
    a table, and models of few rows learn such rows by heart.

    Source: Politis & Romano 1994, "Large sample confidence regions based on subsamples", with a block of half the size.
    """
    _, first, owner = np.unique(table.units, return_index=True, return_inverse=True)
    # Units are numbered by where they first stand, not by their numbers.
    owner = np.argsort(np.argsort(first))[owner]
    chosen = rng.permutation(len(first)) < max(len(first) // 2, 1)
    return table.select(chosen[owner])


@dataclass(frozen=True, slots=True)
class Repeated:
    """A score over repeats.

    Attributes:
        mean: of the repeats.
        influence: of every test row on the mean, shape (n,).
        spread: variance of one repeat, from the repeats; 0 where there is one.
    """

    mean: float
    influence: Floats
    spread: float

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Repeated:
        """From the score of every repeat and its influences, on the same rows."""
        values = np.array([value for value, _ in scores])
        spread = float(values.var(ddof=1)) if len(values) > 1 else 0.0
        return cls(float(values.mean()), np.mean([influence for _, influence in scores], axis=0), spread)

    def error(self, units: npt.NDArray[np.int64], doubt: float) -> float:
        """Standard error over another draw of test rows and, where there are repeats, of learning rows."""
        return float(np.sqrt(mean_variance(self.influence, units) + self.spread + doubt))


def paired_findings(
    audit: str,
    task: Task,
    rows: Learning,
    scores: Mapping[str, Sequence[Score]],
    reference: str,
    *,
    quantity: str,
    change: str,
    baseline: float,
    limits: tuple[float, float],
    worse: Literal["higher", "lower"] = "lower",
    looked_at: int = 1,
    group: str = "",
) -> Iterator[Finding]:
    """What every arm of an experiment reaches on the control rows, and how it differs from one of them.

    Differences are taken row by row and repeat by repeat, so that what is hard for everybody cancels.

    Args:
        audit: name of the experiment.
        task: what is predicted.
        rows: where the control rows come from.
        scores: of every repeat, by arm.
        reference: the arm the others are compared with.
        quantity: what is measured.
        change: what a difference is called.
        baseline: of what is measured; that of a difference is 0.
        limits: the least and the most that can be measured.
        worse: which side is the worse one.
        looked_at: differences whose bounds hold together.
        group: whose control rows alone were scored; empty for all.
    """
    doubt, widest = task.doubt(task.labels(rows.control)), limits[1] - limits[0]
    for name, some in scores.items():
        of_it = [(quantity, Repeated.of(some), baseline, limits, 1)]
        if name != reference:
            differences = [(a[0] - b[0], a[1] - b[1]) for a, b in zip(some, scores[reference], strict=True)]
            of_it.append((change, Repeated.of(differences), 0.0, (-widest, widest), looked_at))
        for words, one, start, ends, together in of_it:
            yield estimate_finding(
                audit=audit,
                quantity=words,
                subject=f"{name}, {group}" if group else name,
                estimate=float(np.clip(one.mean, *ends)),
                error=one.error(rows.units, doubt),
                baseline=start,
                worse=worse,
                n=len(rows.control),
                limits=ends,
                looked_at=together,
            )

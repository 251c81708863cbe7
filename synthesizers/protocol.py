"""Three moments, three types: a synthesizer plans, a plan fits, a model samples.

Each type has only the method that is legal at its moment. A synthesizer is a frozen dataclass of hyper-parameters. A
plan is priced from public facts and has touched no data. `fit` reads the training rows through the filter's one door
alone; what comes out, the model, is private already: sampling it is post-processing, free and repeatable. Sizes,
shapes, messages and the number of steps depend on public facts and on what was measured, never on rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from numpy.random import Generator

from privacy.conditions import Condition
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.rows import Rows
from privacy.schema import Budget, Schema
from privacy.statement import Line
from privacy.table import Table

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run is expected to take on two cores, from public facts."""

    seconds: float
    memory_bytes: int


class Synthesizer(Protocol):
    """Before: public facts only."""

    @property
    def name(self) -> str:
        """Name in the registry."""
        ...

    def plan(self, schema: Schema, budget: Budget) -> Plan:
        """Calibrate to a budget. Raises PlanError or RequestError."""
        ...


class Plan(Protocol):
    """Priced; data still untouched."""

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the budget buys, by purpose."""
        ...

    @property
    def cost(self) -> PrivacyCost:
        """The sum of the lines."""
        ...

    @property
    def estimate(self) -> Estimate:
        """Expected time and memory."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a caller should know before paying, from public facts: where another choice would serve better."""
        ...

    def fit(self, train: Rows, privacy: PrivacyFilter, rng: Generator, progress: Progress) -> Model:
        """Measure the training rows through the filter and model what was measured."""
        ...


class Model(Protocol):
    """After: private already."""

    @property
    def schema(self) -> Schema:
        """The schema with every domain bought."""
        ...

    @property
    def n_rows_estimate(self) -> float:
        """Measured estimate of the number of training rows."""
        ...

    @property
    def expected_error(self) -> Mapping[tuple[str, ...], float]:
        """Expected total variation distance of every measured marginal, from its noise alone: public and free."""
        ...

    def error_bounds(self, synthetic: Table) -> Mapping[tuple[str, ...], float | None]:
        """Bounds on the total variation distance of every column and pair of a plain draw from the training rows'.

        They hold all together with the probability `error_bounds.CONFIDENCE`; None says that nothing is known. From
        what was bought and the rows drawn: public and free.
        """
        ...

    def sample(self, n: int, rng: Generator) -> Table:
        """Draw n rows, coded by `schema`."""
        ...

    def narrowed(self, conditions: tuple[Condition, ...]) -> Model | None:
        """A model whose rows that meet all conditions are distributed as this one's, and more frequent if it can.

        None where no row can meet them.
        """
        ...

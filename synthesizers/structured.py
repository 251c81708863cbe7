"""Any synthesizer, made to keep the rules of the schema.

A column that follows from others costs nothing: it is taken out before anything is planned or measured, and worked out
for every row that is drawn. The other rules are kept by a repair that changes one row at a time: before anything is
counted, so that the generator learns from rows that keep them, and after sampling, so that every row that leaves does.
Post-processing both times: rows do not interact, and what is drawn is public.

A map nobody wrote down is read off rows drawn from the fitted model, which was fitted to measured marginals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from numpy.random import Generator

from privacy.conditions import Condition
from privacy.constraints import Constraints, Copy
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.rows import Rows
from privacy.schema import Budget, Schema
from privacy.statement import Line
from privacy.table import Table
from synthesizers.protocol import Estimate, Model, Plan, Progress, Synthesizer

ROWS_FOR_A_MAP = 100_000
"""Rows drawn to read a map off: levels with a share of a thousandth are seen about a hundred times."""


@dataclass(frozen=True, slots=True)
class Structured:
    """A synthesizer of the columns that do not follow from others."""

    inner: Synthesizer

    @property
    def name(self) -> str:
        """Name in the registry."""
        return self.inner.name

    def plan(self, schema: Schema, budget: Budget) -> StructuredPlan:
        """Plan the modelled columns."""
        constraints = schema.constraints or Constraints()
        return StructuredPlan(schema, constraints, self.inner.plan(constraints.modelled(schema), budget))


@dataclass(frozen=True, slots=True)
class StructuredPlan:
    """The inner plan, and the rules."""

    schema: Schema
    constraints: Constraints
    inner: Plan

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the budget buys."""
        return self.inner.lines

    @property
    def cost(self) -> PrivacyCost:
        """The sum of the lines."""
        return self.inner.cost

    @property
    def notes(self) -> tuple[str, ...]:
        """What a caller should know before paying."""
        return self.inner.notes

    @property
    def estimate(self) -> Estimate:
        """Expected time and memory."""
        return self.inner.estimate

    def fit(self, train: Rows, privacy: PrivacyFilter, rng: Generator, progress: Progress) -> StructuredModel:
        """Fit the modelled columns of the repaired rows."""
        modelled = self.constraints.modelled(self.schema)
        rows = train.mapped(_Modelled(self.constraints, modelled))
        inner = self.inner.fit(rows, privacy, rng, progress)
        constraints = self.constraints
        if constraints.maps:
            constraints = constraints.resolved(inner.sample(ROWS_FOR_A_MAP, rng))
        schema = replace(constraints.completed(self.schema, inner.schema), constraints=constraints)
        return StructuredModel(schema, constraints, inner)


@dataclass(frozen=True, slots=True)
class _Modelled:
    """Rows repaired, without the columns that are derived."""

    constraints: Constraints
    schema: Schema

    def __call__(self, table: Table) -> Table:
        """Of the rows of one table."""
        return self.constraints.repair(table).only(self.schema)


@dataclass(frozen=True, slots=True)
class StructuredModel:
    """The inner model, and the rules its rows are made to keep."""

    schema: Schema
    constraints: Constraints
    inner: Model

    @property
    def n_rows_estimate(self) -> float:
        """Measured estimate of the number of training rows."""
        return self.inner.n_rows_estimate

    @property
    def expected_error(self) -> Mapping[tuple[str, ...], float]:
        """That of the modelled columns."""
        return self.inner.expected_error

    def error_bounds(self, synthetic: Table) -> Mapping[tuple[str, ...], float | None]:
        """Those of the modelled columns. A copy has the bounds of what it repeats; of other derived columns none."""
        inner = self.inner.error_bounds(synthetic)
        origin = {rule.column: rule.source for rule in self.constraints.derived if isinstance(rule, Copy)}
        names = self.schema.names
        bounds: dict[tuple[str, ...], float | None] = {}
        for clique in (*((name,) for name in names), *combinations(names, 2)):
            modelled = {origin.get(name, name) for name in clique}
            bounds[clique] = inner.get(tuple(name for name in names if name in modelled))
        return bounds

    def sample(self, n: int, rng: Generator) -> Table:
        """Draw n rows, each of which keeps every rule."""
        return self.constraints.complete(self.inner.sample(n, rng), self.schema)

    def narrowed(self, conditions: tuple[Condition, ...]) -> StructuredModel | None:
        """Narrowed by conditions on columns that leave as they were drawn; a repair may change any other."""
        kept = tuple(c for c in conditions if c.column not in self.constraints.changed)
        inner = self.inner.narrowed(kept)
        return None if inner is None else StructuredModel(self.schema, self.constraints, inner)

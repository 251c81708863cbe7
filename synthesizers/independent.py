"""The baseline: every column on its own. Whatever cannot beat it has learned no association."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from privacy.calibration import calibrate
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.rows import Rows
from privacy.schema import Budget, Schema
from privacy.statement import Line
from synthesizers.domains import DomainPlan, plan_cost
from synthesizers.marginal.estimation import estimate
from synthesizers.marginal.model import MarginalModel
from synthesizers.marginal.oneway import OneWayPlan
from synthesizers.protocol import Estimate, Progress
from synthesizers.size import estimate_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Independent:
    """Hyper-parameters.

    Attributes:
        domain_weight: noise of a domain purchase relative to that of a one-way marginal.
        n_cells: cells a column's codes are merged into, which smooths what the noise hides.
    """

    domain_weight: float = 1.5
    n_cells: int = 64
    name: str = "independent"

    def plan(self, schema: Schema, budget: Budget) -> IndependentPlan:
        """Calibrate the noise of all marginals to the budget."""

        def at(scale: float) -> OneWayPlan:
            domains = DomainPlan(schema=schema, noise_multiplier=scale * self.domain_weight, delta=budget.delta)
            return OneWayPlan(domains=domains, noise_multiplier=scale, n_cells=self.n_cells)

        scale = calibrate(lambda s: plan_cost(at(s).lines), budget)
        return IndependentPlan(one_ways=at(scale))


@dataclass(frozen=True, slots=True, kw_only=True)
class IndependentPlan:
    """A priced run: one Gaussian a column."""

    one_ways: OneWayPlan

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the budget buys."""
        return self.one_ways.lines

    @property
    def cost(self) -> PrivacyCost:
        """The sum of the lines."""
        return plan_cost(self.lines)

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to know."""
        return ()

    @property
    def estimate(self) -> Estimate:
        """Expected time and memory."""
        return estimate_run(self.one_ways, pairs=0)

    def fit(self, train: Rows, privacy: PrivacyFilter, rng: Generator, progress: Progress) -> MarginalModel:  # noqa: ARG002 - sampling alone draws
        """Measure every column."""
        progress("measuring one-way marginals")
        found = self.one_ways.measure(train, privacy)
        return MarginalModel(
            schema=found.schema,
            attributes=found.attributes,
            merged=found.merged,
            random_field=estimate(found.domain, (*found.count, *found.measurements)),
            expected_error=found.expected_error,
            uncertainty=found.uncertainty(),
        )

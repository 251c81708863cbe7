"""The certificate's harness catches generators that cheat, and lets the honest one alone.

Test controls: the independent baseline's plan, asked through a filter whose mechanisms name their full price and draw
something else. Every bound is at 99.9% confidence, so an honest generator is accused with probability at most 0.1%
over the choice of noise; noise is seeded, so no test fails by chance.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.random import Generator

from bench.certify import BUDGET, Attack, attack, neighbours
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism, Integers, Mechanism
from privacy.noise import NoiseSource, seeded_noise
from privacy.schema import Budget, Schema
from privacy.statement import Line
from privacy.table import Table
from synthesizers.independent import Independent, IndependentPlan
from synthesizers.marginal.aim import AIM
from synthesizers.marginal.mst import MST
from synthesizers.protocol import Estimate, Progress, Synthesizer

Measured = TypeVar("Measured")


class HalfTheNoise(GaussianMechanism):
    """Draws with half the standard deviation it is charged for."""

    def draw(self, value: Integers, noise: NoiseSource) -> Integers:
        return value + noise.rounded_gaussian(self.stddev / 2, value.shape)


class FourForOne(GaussianMechanism):
    """Measures four times for the price of one, and hands on the mean."""

    def draw(self, value: Integers, noise: NoiseSource) -> Integers:
        drawn = noise.rounded_gaussian(self.stddev, (4, *value.shape))
        return value + np.rint(drawn.mean(axis=0)).astype(np.int64)


class NoNoise(GaussianMechanism):
    """Forgot the noise."""

    def draw(self, value: Integers, noise: NoiseSource) -> Integers:
        return value.copy()


@dataclass(slots=True)
class Cheating:
    """Asks an honest filter with mechanisms of another class: all of them, or only one."""

    inner: PrivacyFilter
    fault: type[GaussianMechanism]
    only: int | None
    asked: int = 0

    def measure(self, mechanism: Mechanism[Measured], value: Integers) -> Measured:
        chosen = self.only in (None, self.asked)
        self.asked += 1
        if not chosen:
            return self.inner.measure(mechanism, value)
        assert isinstance(mechanism, GaussianMechanism)
        cheat: Any = self.fault(**{f.name: getattr(mechanism, f.name) for f in fields(mechanism)})
        return self.inner.measure(cheat, value)

    def spend(self, cost: PrivacyCost) -> None:
        self.inner.spend(cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """A synthesizer that measures as `Independent` does, but for its fault; GaussianMechanism is none."""

    fault: type[GaussianMechanism]
    only: int | None = None
    name: str = "faulty"

    def plan(self, schema: Schema, budget: Budget) -> FaultyPlan:
        return FaultyPlan(inner=Independent().plan(schema, budget), fault=self.fault, only=self.only)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyPlan:
    inner: IndependentPlan
    fault: type[GaussianMechanism]
    only: int | None

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.inner.lines

    @property
    def cost(self) -> PrivacyCost:
        return self.inner.cost

    @property
    def estimate(self) -> Estimate:
        return self.inner.estimate

    def fit(self, train: Table, privacy: PrivacyFilter, rng: Generator, progress: Progress) -> Any:
        """What passes the filter is all the harness looks at: no model is made."""
        cheating: Any = Cheating(privacy, self.fault, self.only)
        return self.inner.one_ways.measure(train, cheating)


@dataclass(frozen=True, slots=True)
class ForRows:
    """Forgot that a person has several rows: noise is for one."""

    name: str = "for-rows"

    def plan(self, schema: Schema, budget: Budget) -> Any:
        row = replace(schema.unit, field=None, max_rows=1)
        return Independent().plan(replace(schema, unit=row), budget)


def attacked(synthesizer: Any, runs: int, max_rows: int | None = None) -> Attack:
    return attack(synthesizer, runs, seeded_noise(20), tables=neighbours(max_rows))


@pytest.mark.parametrize("fault", [HalfTheNoise, FourForOne])
def test_too_little_noise_is_proven(fault: type[GaussianMechanism]) -> None:
    """Both halve the noise of every question, which doubles mu to 2.96.

    By a plain likelihood ratio 150 runs a side prove it with probability above .99 (seeded here).
    """
    found = attacked(Faulty(fault=fault), 150)
    assert found.epsilon_lower_bound > BUDGET.epsilon
    assert found.mu_found > 1.5 * found.mu_charged
    # What looks at the declared mechanisms alone does not see it.
    assert found.mu_realised == pytest.approx(found.mu_charged, rel=1e-4)


def test_noise_for_one_row_of_three_is_proven() -> None:
    """A person with three rows moves counts by three. Both figures see it."""
    found = attacked(ForRows(), 60, max_rows=3)
    assert found.epsilon_lower_bound > BUDGET.epsilon
    assert found.mu_found > 1.5 * found.mu_charged
    assert found.mu_realised > 2 * found.mu_charged


@pytest.mark.parametrize("max_rows", [None, 3], ids=["row", "person of three rows"])
@pytest.mark.parametrize(
    ("synthesizer", "runs"),
    [(Faulty(fault=GaussianMechanism), 150), (Independent(), 60), (MST(), 60), (AIM(), 20)],
    ids=["the control without its fault", "independent", "mst", "aim"],
)
def test_honest_generators_are_let_alone(synthesizer: Synthesizer, runs: int, max_rows: int | None) -> None:
    """False alarm: at most 0.1% each, and 3e-5 for the found mu. The unit moves nearly all that was paid for."""
    found = attacked(synthesizer, runs, max_rows)
    assert found.epsilon_lower_bound <= BUDGET.epsilon
    assert 0.9 * found.mu_charged < found.mu_realised < found.mu_charged * (1 + 1e-6)
    assert found.mu_charged < found.mu_allowed
    assert abs(found.mu_found - found.mu_realised) < 4 * found.mu_error


def test_noise_forgotten_on_one_marginal_is_proven() -> None:
    """On the last of six marginals alone: the statistic gives "without noise" a weight, so 150 runs a side do.

    At epsilon 1: the larger the declared noise, the less an answer without any looks like one with it.
    """
    budget = Budget(epsilon=1.0, delta=1e-2)
    found = attack(Faulty(fault=NoNoise, only=5), 150, seeded_noise(20), budget)
    assert found.epsilon_lower_bound > budget.epsilon

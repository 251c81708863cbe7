"""PATE-GAN: a generator against a student that learns from noisy votes of teachers, each of whom saw one shard alone.

Measured marginals give the generator a warm start and a second loss, as in DP-CTGAN. Sources: Jordon, Yoon & van der
Schaar 2019, "PATE-GAN: generating synthetic data with differential privacy guarantees"; Papernot et al. 2017 (PATE).
The checklist its public implementations fail (Ganev, Annamalai & De Cristofaro 2024, "The elusive pursuit of
reproducing PATE-GAN") is in docs/guarantee.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from numpy.random import Generator

from privacy.calibration import calibrate
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism
from privacy.rows import Rows
from privacy.schema import Budget, Schema
from privacy.statement import Line
from synthesizers.domains import plan_cost
from synthesizers.marginal.oneway import ROWS_WHERE_UNKNOWN
from synthesizers.neural.device import check_device
from synthesizers.neural.size import estimate_training
from synthesizers.neural.warm_start import WarmStartMethod, WarmStartPlan, trusted
from synthesizers.protocol import Estimate, Progress

if TYPE_CHECKING:
    from synthesizers.neural.model import NeuralModel


STARVED = 2.0
"""Noise of a vote, over the difference worth learning, beyond which a plan says that another choice would be better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PATEGAN:
    """Hyper-parameters, tuned on public data and then frozen.

    Attributes:
        vote_share: share of the votes in the squared budget, from epsilon `full_share_at` on; below it proportionally
            less. Marginals get the rest: the smaller the budget, the less votes can add to them.
        start: what it begins and ends with.
        rows_per_teacher: expected rows of a shard.
        max_teachers: number of teachers at most.
        rounds: rounds of votes.
        labels: generated rows voted on in a round.
        generator_steps: steps of the generator in a round.
        student_hidden, student_steps: hidden units of the student, and its steps in a round.
        adversary: weight of the student in the generator's loss, where noise leaves the votes all their signal.
        signal: difference in the share of teachers that is worth learning.
    """

    vote_share: float = 0.2
    full_share_at: float = 10.0
    start: WarmStartMethod = field(default_factory=WarmStartMethod)
    rows_per_teacher: int = 25
    max_teachers: int = 1000
    rounds: int = 20
    labels: int = 500
    generator_steps: int = 10
    student_hidden: int = 32
    student_steps: int = 60
    adversary: float = 2.0
    signal: float = 0.1
    name: str = "pate-gan"

    def plan(self, schema: Schema, budget: Budget) -> PATEGANPlan:
        """Calibrate all noise to the budget. Raises PlanError where it could not run."""
        check_device(self.start.device)
        scale = calibrate(lambda s: self._at(schema, budget, s).cost, budget)
        return self._at(schema, budget, scale)

    def _at(self, schema: Schema, budget: Budget, scale: float) -> PATEGANPlan:
        """The plan whose parts compose to one Gaussian of noise multiplier `scale`, domains aside."""
        rows = schema.n_public.value or ROWS_WHERE_UNKNOWN
        share = self.vote_share * min(1.0, budget.epsilon / self.full_share_at)
        return PATEGANPlan(
            method=self,
            warm_start=self.start.plan(schema, budget.delta, scale / math.sqrt(1 - share)),
            n_teachers=max(2, min(self.max_teachers, rows // self.rows_per_teacher)),
            noise_multiplier=scale * math.sqrt(self.rounds / share),
            delta=budget.delta,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PATEGANPlan:
    """A priced run.

    Attributes:
        method: hyper-parameters.
        warm_start: domains, one-way and two-way marginals.
        n_teachers: number of shards.
        noise_multiplier: noise of a round's votes over their sensitivity.
        delta: of the release.
    """

    method: PATEGAN
    warm_start: WarmStartPlan
    n_teachers: int
    noise_multiplier: float
    delta: float

    @property
    def votes(self) -> GaussianMechanism:
        """One round: a unit is in one shard, so each of its votes moves by at most 1."""
        sensitivity = math.sqrt(self.method.labels)
        return GaussianMechanism(l2_sensitivity=sensitivity, stddev=self.noise_multiplier * sensitivity)

    @property
    def noise(self) -> float:
        """Noise of one vote over the difference that is worth learning."""
        return self.votes.stddev / self.n_teachers / self.method.signal

    @property
    def adversary(self) -> float:
        """Weight of the student in the generator's loss."""
        return self.method.adversary * trusted(self.noise)

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the budget buys."""
        method = self.method
        votes = Line(
            purpose=f"votes of {self.n_teachers} teachers on {method.rounds} times {method.labels} generated rows",
            cost=self.votes.cost * method.rounds,
        )
        return (*self.warm_start.lines, votes)

    @property
    def cost(self) -> PrivacyCost:
        """The sum of the lines."""
        return plan_cost(self.lines)

    @property
    def notes(self) -> tuple[str, ...]:
        """A word where votes are starved."""
        if self.noise <= STARVED:
            return ()
        return (
            f"At this epsilon, with {self.n_teachers} teachers, the noise of a vote is {self.noise:.0f} times the "
            "difference that is worth learning: the table will rest on its marginals. Choose aim instead, or a larger "
            "table or epsilon.",
        )

    @property
    def estimate(self) -> Estimate:
        """Expected time and memory."""
        method = self.method
        rows = self.warm_start.schema.n_public.value or ROWS_WHERE_UNKNOWN
        return estimate_training(
            self.warm_start,
            pretraining_steps=method.start.pretraining_steps + method.rounds * method.generator_steps,
            sampled_rows=method.rounds * rows,
        )

    def fit(self, train: Rows, privacy: PrivacyFilter, rng: Generator, progress: Progress) -> NeuralModel:
        """Measure, fit the warm start, train against the student."""
        # torch takes seconds to import, which no plan should wait for.
        from synthesizers.neural.fitting import fit_pate_gan

        return fit_pate_gan(self, train, privacy, rng, progress)

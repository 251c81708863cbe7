"""DP-CTGAN: a conditional generator against a critic that learns from real rows by clipped, noised gradients alone.

Measured marginals feed everything else: the encoding, the conditions, the warm start, the generator's second loss and
the final weights are post-processing of them. Sources: Xu et al. 2019 (CTGAN); Abadi et al. 2016 (DP-SGD); Rosenblatt
et al. 2020, "Differentially private synthetic data: applied evaluations and enhancements" (DP-CTGAN); what differs from
its public implementations, and why their guarantee does not hold, is in docs/guarantee.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from numpy.random import Generator

from privacy.calibration import calibrate
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism, SampledGaussianMechanism
from privacy.rows import Rows
from privacy.schema import Budget, Schema
from privacy.statement import Line
from synthesizers.domains import plan_cost
from synthesizers.marginal.oneway import ROWS_WHERE_UNKNOWN
from synthesizers.neural.device import check_device
from synthesizers.neural.grid import GRID
from synthesizers.neural.size import estimate_training
from synthesizers.neural.warm_start import WarmStartMethod, WarmStartPlan, trusted
from synthesizers.protocol import Estimate, Progress

if TYPE_CHECKING:
    from synthesizers.neural.model import NeuralModel


@dataclass(frozen=True, slots=True, kw_only=True)
class DPCTGAN:
    """Hyper-parameters, tuned on public data and then frozen.

    Attributes:
        critic_share: share of the critic's gradients in the squared budget. It is small because marginals were measured
            to use a larger one as well (docs/measurements.md).
        start: what it begins and ends with.
        steps: critic steps.
        batch_units: units a step's sample is expected to hold.
        critic_steps: of them, for one of the generator.
        critic_hidden: hidden units of the critic.
        adversary: weight of the critic in the generator's loss, where noise leaves it all its signal.
    """

    critic_share: float = 0.02
    start: WarmStartMethod = field(default_factory=WarmStartMethod)
    steps: int = 400
    batch_units: int = 1024
    critic_steps: int = 2
    critic_hidden: int = 32
    adversary: float = 1.0
    name: str = "dp-ctgan"

    def plan(self, schema: Schema, budget: Budget) -> DPCTGANPlan:
        """Calibrate all noise to the budget. Raises PlanError where it could not run."""
        check_device(self.start.device)
        scale = calibrate(lambda s: self._at(schema, budget, s).cost, budget)
        return self._at(schema, budget, scale)

    def _at(self, schema: Schema, budget: Budget, scale: float) -> DPCTGANPlan:
        """The plan whose parts compose to about one Gaussian of noise multiplier `scale`, domains aside.

        The critic's part follows the central limit theorem of Gaussian DP (Bu et al. 2020): steps of noise multiplier z
        at sampling rate q compose to mu^2 = q^2 steps (e^(1 / z^2) - 1).
        """
        rate = min(1.0, self.batch_units / (schema.n_public.value or ROWS_WHERE_UNKNOWN))
        wanted = self.critic_share / scale**2
        noise_multiplier = 1 / math.sqrt(math.log1p(wanted / (rate**2 * self.steps)))
        return DPCTGANPlan(
            method=self,
            warm_start=self.start.plan(schema, budget.delta, scale / math.sqrt(1 - self.critic_share)),
            sampling_rate=rate,
            noise_multiplier=noise_multiplier,
            count_multiplier=10 * scale,
            delta=budget.delta,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DPCTGANPlan:
    """A priced run.

    Attributes:
        method: hyper-parameters.
        warm_start: domains, one-way and two-way marginals.
        sampling_rate: probability of a unit to take part in a step.
        noise_multiplier: noise of a step's sum over the largest contribution of a unit.
        count_multiplier: noise of the number of persons, which is bought where the unit is one.
        delta: of the release.
    """

    method: DPCTGAN
    warm_start: WarmStartPlan
    sampling_rate: float
    noise_multiplier: float
    count_multiplier: float
    delta: float

    @property
    def step(self) -> SampledGaussianMechanism:
        """One step: gradients of norm 1 on a grid."""
        return SampledGaussianMechanism(
            sampling_rate=self.sampling_rate, l2_sensitivity=GRID, stddev=self.noise_multiplier * GRID
        )

    def adversary(self, n_parameters: int, expected_units: float) -> float:
        """Weight of the critic: less where a step's noise, over all parameters, is larger than its largest signal."""
        noise = self.noise_multiplier * math.sqrt(n_parameters) / expected_units
        return self.method.adversary * trusted(noise)

    @property
    def count(self) -> GaussianMechanism | None:
        """Counts persons, where the unit is one."""
        if self.warm_start.schema.unit.field is None:
            return None
        return GaussianMechanism(l2_sensitivity=1, stddev=self.count_multiplier)

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the budget buys."""
        count = self.count
        return (
            *self.warm_start.lines,
            *(() if count is None else (Line(purpose="number of persons", cost=count.cost),)),
            Line(purpose=f"{self.method.steps} gradient steps of the critic", cost=self.step.cost * self.method.steps),
        )

    @property
    def cost(self) -> PrivacyCost:
        """The sum of the lines."""
        return plan_cost(self.lines)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is known of its worth."""
        return ("On Adult, at epsilon 1, 3 and 10, aim was nearer in pairs of columns and in prediction, and faster.",)

    @property
    def estimate(self) -> Estimate:
        """Expected time and memory."""
        return estimate_training(
            self.warm_start,
            pretraining_steps=self.method.start.pretraining_steps,
            sampled_rows=self.method.steps * (self.method.batch_units + 512),
        )

    def fit(self, train: Rows, privacy: PrivacyFilter, rng: Generator, progress: Progress) -> NeuralModel:
        """Measure, fit the warm start, train against the critic."""
        # torch and opacus take seconds to import, which no plan should wait for.
        from synthesizers.neural.fitting import fit_dp_ctgan

        return fit_dp_ctgan(self, train, privacy, rng, progress)

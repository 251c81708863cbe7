"""The training loop of DP-CTGAN: the critic learns from real rows through noise, the generator from the critic.

Each step draws a Poisson sample of the units, adds up their gradients of norm 1 (`clipping`), and publishes the sum
with noise through the filter. From there on everything is public: the same sum over generated rows, without noise,
is added; the critic steps; every few steps the generator does, against the critic and the measured marginals at once.
The number of steps, the sampling rate and the noise are those of the plan; the sum is divided by the expected sample
size, never by the drawn one. Sources: Abadi et al. 2016; Xu et al. 2019 (CTGAN); Bie, Kamath & Zhang 2023, "Private
GANs, revisited" (several critic steps for one of the generator).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from privacy.filter import PrivacyFilter
from privacy.mechanisms import SampledGaussianMechanism
from synthesizers.neural.clipping import CriticGradients, UnitRows, by_unit
from synthesizers.neural.grid import GRID
from synthesizers.neural.matching import BATCH, Fakes, MarginalTargets
from synthesizers.neural.networks import Critic, Generator
from synthesizers.neural.pretraining import average
from synthesizers.neural.training_state import TrainingState

CRITIC_RATE, GENERATOR_RATE = 2e-3, 3e-4
FAKES = 512
"""Generated rows the critic sees a step."""

KEPT, STATE = 10, "training"
"""How often the state of a training is kept, for a run that goes on, and its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversarialTraining:
    """Public parameters of the loop.

    Attributes:
        mechanism: one step's sample and noise, on the grid of `clipping`.
        steps: critic steps.
        critic_steps: of them, for one of the generator.
        critic_hidden: hidden units of the critic.
        adversary: weight of the critic in the generator's loss, of its number of parameters and the expected size of a
            sample; the marginals' misfit weighs 1.
    """

    mechanism: SampledGaussianMechanism
    steps: int
    critic_steps: int
    critic_hidden: int
    adversary: Callable[[int, float], float]

    def run(
        self,
        generator: Generator,
        rows: UnitRows,
        n_units: float,
        fakes: Fakes,
        targets: MarginalTargets,
        privacy: PrivacyFilter,
        rng: torch.Generator,
        progress: Callable[[int], None],
    ) -> Generator:
        """Train in place; a running average of the generator's weights.

        Args:
            generator: a warm start.
            rows: the private rows.
            n_units: public estimate of the number of units.
            fakes: how generated rows come to be.
            targets: measured marginals.
            privacy: the only way from rows to the critic.
            rng: draws everything that protects nobody.
            progress: told before every step, and at the end, how many are done.
        """
        cells = fakes.cells
        critic = Critic(cells.width, self.critic_hidden, torch.Generator().manual_seed(rng.initial_seed()))
        critic.to(fakes.frequencies.device)
        gradients = CriticGradients(critic, cells)
        critic_optimizer = torch.optim.Adam(critic.parameters(), lr=CRITIC_RATE, betas=(0.5, 0.99))
        optimizer = torch.optim.Adam(generator.parameters(), lr=GENERATOR_RATE, betas=(0.5, 0.99))
        averaged = copy.deepcopy(generator)
        expected = max(1.0, self.mechanism.sampling_rate * n_units)
        weight = self.adversary(gradients.n_parameters, expected)
        networks = {"generator": generator, "averaged": averaged, "critic": critic}
        optimizers = {"critic optimizer": critic_optimizer, "optimizer": optimizer}
        state = TrainingState({**networks, **optimizers}, rng)
        kept = privacy.resumed(STATE)
        done = 0 if kept is None else state.restore(kept)[0]
        for step in range(done + 1, self.steps + 1):
            progress(step - 1)
            noisy = privacy.measure_sample(
                self.mechanism, rows.units, lambda taken: gradients.sum_over(rows, taken, real=True)
            )
            generated = self._generated(generator, fakes, rng)
            everyone = np.ones(len(generated.units), dtype=np.bool_)
            by_fakes = gradients.sum_over(generated, everyone, real=False)
            whole = (noisy / expected + by_fakes / FAKES) / GRID
            gradients.apply(torch.tensor(whole, dtype=torch.float32, device=fakes.frequencies.device))
            critic_optimizer.step()
            if step % self.critic_steps == 0:
                probabilities = fakes.probabilities(generator, BATCH, rng)
                drawn = cells.straight_through(probabilities, rng)
                loss = targets.misfit_of(probabilities) + weight * self._judged(critic, drawn)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                average(averaged, generator)
            if step % max(1, self.steps // KEPT) == 0:
                privacy.keep(STATE, partial(state.packed, step))
        progress(self.steps)
        return averaged

    def _generated(self, generator: Generator, fakes: Fakes, rng: torch.Generator) -> UnitRows:
        """Generated rows, each its own unit."""
        with torch.no_grad():
            places = fakes.cells.sample_places(fakes.probabilities(generator, FAKES, rng), rng)
        return by_unit(places.cpu().numpy(), np.arange(FAKES))

    @staticmethod
    def _judged(critic: Critic, drawn: Tensor) -> Tensor:
        """The generator's loss: how sure the critic is that drawn rows are generated."""
        return torch.nn.functional.softplus(-critic(drawn)).mean()

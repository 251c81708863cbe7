"""The two fits, step by step: measure, warm start, adversary, weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.random import Generator as Rng

from privacy.filter import PrivacyFilter
from privacy.rows import Rows
from synthesizers.neural.adversarial import AdversarialTraining
from synthesizers.neural.cells import Cells
from synthesizers.neural.clipping import by_unit
from synthesizers.neural.device import torch_device
from synthesizers.neural.dp_ctgan import DPCTGANPlan
from synthesizers.neural.matching import BATCH, Fakes, MarginalTargets, targets_of
from synthesizers.neural.model import NeuralModel, model_of
from synthesizers.neural.networks import Critic, Generator
from synthesizers.neural.pate_gan import PATEGANPlan
from synthesizers.neural.pretraining import average, pretrain
from synthesizers.neural.spending import spending
from synthesizers.neural.student import Student
from synthesizers.neural.teachers import Teachers
from synthesizers.neural.training_state import TrainingState
from synthesizers.neural.warm_start import WarmStart, WarmStartMethod
from synthesizers.protocol import Progress

GENERATOR_RATE = 3e-4
WARM, VOTED = "warm start", "votes"
"""Names of the states that are kept for a run that goes on."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """A generator fitted to what was measured, and all that goes on with it."""

    generator: Generator
    fakes: Fakes
    targets: MarginalTargets
    rng: torch.Generator

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.fakes.frequencies.device


def fit_dp_ctgan(plan: DPCTGANPlan, train: Rows, privacy: PrivacyFilter, rng: Rng, progress: Progress) -> NeuralModel:
    """DP-CTGAN. Everything private that is learned passes `privacy`."""
    progress("measuring marginals")
    table = train.whole()  # gradients are taken of rows, not of counts
    warm = plan.warm_start.measure(table, privacy)
    rows = by_unit(Cells(warm.found.domain).places(warm.found.cells(table)), table.units)
    n_units = warm.total
    if plan.count is not None:
        n_units = float(privacy.measure(plan.count, np.array(len(rows.units))))
    method = plan.method
    begun = warmed(method.start, warm, privacy, rng, progress)
    training = AdversarialTraining(
        mechanism=plan.step,
        steps=method.steps,
        critic_steps=method.critic_steps,
        critic_hidden=method.critic_hidden,
        adversary=plan.adversary,
    )
    told = spending("gradient steps", method.steps, plan.delta, privacy, progress)
    trained = training.run(begun.generator, rows, n_units, begun.fakes, begun.targets, privacy, begun.rng, told)
    progress("weighting towards the marginals")
    return model_of(warm, trained, (method.start.tilt_rows, method.start.tilt_steps), begun.rng)


def fit_pate_gan(plan: PATEGANPlan, train: Rows, privacy: PrivacyFilter, rng: Rng, progress: Progress) -> NeuralModel:
    """PATE-GAN. Real rows reach teachers alone, and only noisy counts of their votes leave."""
    progress("measuring marginals")
    table = train.whole()  # and so are votes
    warm = plan.warm_start.measure(table, privacy)
    cells, method = Cells(warm.found.domain), plan.method
    begun = warmed(method.start, warm, privacy, rng, progress)
    rows = by_unit(cells.places(warm.found.cells(table)), table.units)
    shard_of_unit = privacy.shards(rows.units, plan.n_teachers)
    shard = np.repeat(shard_of_unit, np.diff(rows.first))
    teachers = Teachers(cells.width, plan.n_teachers, rows.places, shard)
    nothing = np.zeros((0, len(cells.sizes)), dtype=np.int64)
    critic = Critic(cells.width, method.student_hidden, torch.Generator().manual_seed(begun.rng.initial_seed()))
    student = Student(critic.to(begun.device), cells, nothing, np.zeros(0))
    averaged = copy.deepcopy(begun.generator)
    optimizer = torch.optim.Adam(begun.generator.parameters(), lr=GENERATOR_RATE, betas=(0.5, 0.99))
    networks = {"generator": begun.generator, "averaged": averaged, "student": student.critic}
    state = TrainingState({**networks, "optimizer": optimizer}, begun.rng)
    done, kept = 0, privacy.resumed(VOTED)
    if kept is not None:
        done, heard = state.restore(kept)
        student.rows, student.shares = heard["rows"].numpy(), heard["shares"].numpy()
    told = spending("rounds of votes", method.rounds, plan.delta, privacy, progress)
    for number in range(done + 1, method.rounds + 1):
        told(number - 1)
        fakes, asked = (_generated(begun, n) for n in (plan.n_teachers * method.rows_per_teacher, method.labels))
        votes = privacy.measure(plan.votes, teachers.votes(asked, fakes))
        student.hear(asked, votes, plan.n_teachers)
        student.learn(method.student_steps, begun.rng)
        for _ in range(method.generator_steps):
            probabilities = begun.fakes.probabilities(begun.generator, BATCH, begun.rng)
            drawn = cells.straight_through(probabilities, begun.rng)
            loss = begun.targets.misfit_of(probabilities) + plan.adversary * student.loss_of(drawn)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average(averaged, begun.generator)
        heard = {"rows": torch.from_numpy(student.rows), "shares": torch.from_numpy(student.shares)}
        privacy.keep(VOTED, partial(state.packed, number, **heard))
    told(method.rounds)
    progress("weighting towards the marginals")
    return model_of(warm, averaged, (method.start.tilt_rows, method.start.tilt_steps), begun.rng)


def warmed(method: WarmStartMethod, warm: WarmStart, privacy: PrivacyFilter, rng: Rng, progress: Progress) -> Warmed:
    """A generator fitted to a warm start's measurements: post-processing."""
    device = torch_device(method.device)
    seed = int(rng.integers(2**62))
    targets = targets_of(warm, BATCH).to(device)
    fakes = Fakes(targets.cells, targets.frequencies, torch.ones(targets.cells.width, device=device))
    generator = Generator(targets.cells.width, method.hidden, method.depth, torch.Generator().manual_seed(seed))
    generator.to(device)
    torch_rng = torch.Generator(device).manual_seed(seed + 1)
    kept = privacy.resumed(WARM)
    if kept is not None:
        TrainingState({"generator": generator}, torch_rng).restore(kept)
        return Warmed(generator, fakes, targets, torch_rng)
    told = partial(progress, "fitting the generator to the marginals")
    fitted = pretrain(generator, fakes, targets, method.pretraining_steps, torch_rng, told)
    privacy.keep(WARM, partial(TrainingState({"generator": fitted}, torch_rng).packed, method.pretraining_steps))
    return Warmed(fitted, fakes, targets, torch_rng)


def _generated(begun: Warmed, n: int) -> np.ndarray:
    """Places of n generated rows, shape (n, d)."""
    with torch.no_grad():
        probabilities = begun.fakes.probabilities(begun.generator, n, begun.rng)
        places: np.ndarray = begun.fakes.cells.sample_places(probabilities, begun.rng).cpu().numpy()
    return places

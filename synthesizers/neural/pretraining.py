"""A generator fitted to noisy marginals before any adversary sees it: post-processing, as long as one likes."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from synthesizers.neural.matching import BATCH, Fakes, MarginalTargets
from synthesizers.neural.networks import Generator

LEARNING_RATE = 2e-3
AVERAGED_STEPS = 100
"""Length of the running average of weights, in steps."""


def pretrain(
    generator: Generator,
    fakes: Fakes,
    targets: MarginalTargets,
    steps: int,
    rng: torch.Generator,
    progress: Callable[[], None],
) -> Generator:
    """Fit in place; a running average of the weights.

    Args:
        generator: what is fitted.
        fakes: how its rows come to be.
        targets: what was measured.
        steps: steps of Adam, under one cycle of the learning rate (Smith & Topin 2019).
        rng: draws latent variables and conditions.
        progress: told every step.
    """
    averaged = copy.deepcopy(generator)
    if steps == 0:
        return averaged
    optimizer = torch.optim.Adam(generator.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=max(steps, 2), pct_start=0.05)
    for _ in range(steps):
        progress()
        loss = targets.misfit_of(fakes.probabilities(generator, BATCH, rng))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        average(averaged, generator)
    return averaged


def average(into: Generator, latest: Generator) -> None:
    """Move an average of weights towards the latest ones."""
    with torch.no_grad():
        for mean, value in zip(into.parameters(), latest.parameters(), strict=True):
            mean.lerp_(value, 1 / AVERAGED_STEPS)

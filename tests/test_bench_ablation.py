"""The ablation's own arithmetic; its measurements are `make ablation`."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.ablation import (
    VARIANTS,
    Case,
    DeafFilter,
    matches,
    no_warm_start,
    no_weights,
    picture,
    table,
)
from privacy.accounting import epsilon_of
from privacy.cost import Gaussian, SampledGaussian, once
from privacy.mechanisms import GaussianMechanism, SampledGaussianMechanism
from privacy.noise import seeded_noise
from privacy.schema import Budget
from synthesizers.neural.dp_ctgan import DPCTGAN
from synthesizers.neural.pate_gan import PATEGAN
from tests.tables import mixed_schema


def result(variant: str, seed: int, tvd: float) -> dict[str, Any]:
    return {
        "synthesizer": "dp-ctgan", "variant": variant, "epsilon": 1.0, "seed": seed, "tvd2": tvd, "tvd3": tvd,
        "detection": 0.6, "hgb_auc": 0.9, "lr_auc": 0.8, "seconds": 10.0,
    }  # fmt: skip


def test_a_result_is_of_its_case_alone() -> None:
    assert matches(Case("dp-ctgan", "whole", 1.0, 0), result("whole", 0, 0.1))
    assert not matches(Case("dp-ctgan", "whole", 1.0, 1), result("whole", 0, 0.1))


def test_means_and_spreads() -> None:
    lines = table([result("whole", 0, 0.1), result("whole", 1, 0.3), result("no weights", 0, 0.5)]).splitlines()
    assert len(lines) == 4
    assert "| whole | 2 | 0.200 ± 0.141 |" in lines[2]
    assert "| no weights | 1 | 0.500 |" in lines[3]


def test_the_picture_shows_every_run() -> None:
    drawn = picture([result("whole", 0, 0.1), result("whole", 1, 0.3), result("no weights", 0, 0.5)])
    assert drawn.startswith("<svg")
    for words in ("whole", "no weights", "detection AUC", "dp-ctgan", "epsilon 1"):
        assert words in drawn
    assert "large critic" not in drawn


def test_every_variant_spends_the_same() -> None:
    budget = Budget(epsilon=1.0, delta=1e-6)
    for shipped in (DPCTGAN(), PATEGAN()):
        for variant in VARIANTS.values():
            cost = variant(shipped).plan(mixed_schema(), budget).cost
            assert 0.99 < epsilon_of(cost, budget.delta) <= 1.0
    assert no_warm_start(DPCTGAN()).start.pretraining_steps == 0
    assert no_weights(PATEGAN()).start.tilt_steps == 0


def test_a_deaf_filter_asks_nobody() -> None:
    """Votes of a hundred thousand and gradients of a million come out as small as the noise."""
    cost = once(Gaussian(1.0)) + once(SampledGaussian(0.5, 1.0)) + once(Gaussian(1.0))
    deaf = DeafFilter(cost, seeded_noise(0), 4)
    votes = deaf.measure(GaussianMechanism(l2_sensitivity=1, stddev=1.0), np.full(4, 100_000))
    assert np.abs(votes).max() < 10
    marginal = deaf.measure(GaussianMechanism(l2_sensitivity=1, stddev=1.0), np.full(5, 100_000))
    assert marginal.min() > 99_000
    step = SampledGaussianMechanism(sampling_rate=0.5, l2_sensitivity=1, stddev=1.0)
    drawn = deaf.measure_sample(step, np.arange(10), lambda taken: np.array([1_000_000 * int(taken.sum())]))
    assert abs(int(drawn[0])) < 10

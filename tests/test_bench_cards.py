"""The study of public cards, on a small made-up table: cards without noise tell, bought ones hardly do.

Seeds are fixed, so no test fails by chance; the error rates given are those over the choice of seeds.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import default_rng

from bench.cards import FPR, attacks, gain, study
from privacy.noise import seeded_noise
from tests.tables import population


def test_exact_cards_tell_and_bought_ones_hardly_do() -> None:
    """2,000 targets, all rows of four tables of which some 75 are counted each time. At this seed the gain from cards
    without noise has a lower bound above 0, that from bought ones an upper bound within .01."""
    noise, rng = seeded_noise(3), default_rng(4)
    found = study(
        [attacks(population(500, i), population(6_000, 50 + i), 500, "independent", noise, rng) for i in range(4)]
    )
    assert found.exact.lower > 0
    assert found.bought.upper <= 0.01
    assert found.bought.gain < found.exact.gain


def test_the_gain_is_a_difference_of_rates_on_the_same_targets() -> None:
    """Against a count by hand: 1% of outsiders pass each threshold; a perfect score finds everybody."""
    is_member = np.arange(1_100) < 100
    chance = np.linspace(0, 1, 1_100)[np.random.default_rng(0).permutation(1_100)]
    perfect = is_member.astype(np.float64) + np.linspace(0, 0.5, 1_100)
    found = gain(chance, perfect, is_member)
    assert found.with_cards == 1.0
    assert found.without == np.mean(chance[:100] > np.quantile(chance[100:], 1 - FPR))
    assert found.gain == pytest.approx(1 - found.without)
    assert found.lower <= found.gain <= found.upper

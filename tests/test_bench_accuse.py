"""The attack on released rows alone: it proves what is false, and accuses nobody else."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from numpy.random import Generator, default_rng

from bench.accuse import BUDGET, SUSPECTS, table, tried
from bench.black_box import Release, features, prove
from bench.peers.environment import HOME
from bench.tradeoff import bound_of_guesses


def test_the_bound_is_that_of_two_clopper_pearson_bounds() -> None:
    """All of n guesses right: each rate is at least (error / 2)^(1 / n)."""
    right = np.ones(200, dtype=bool)
    rate = 0.0005 ** (1 / 200)
    expected = math.log((rate - 1e-5) / (1 - rate))
    assert bound_of_guesses(right, ~right, delta=1e-5, confidence=0.999) == pytest.approx(expected)
    assert bound_of_guesses(~right, right, delta=1e-5, confidence=0.999) == 0.0
    coin = np.arange(200) % 2 == 0
    assert bound_of_guesses(coin, coin, delta=1e-5, confidence=0.999) == 0.0


def randomized_response(epsilon: float, unit: bool, runs: int, rng: Generator) -> list[Release]:
    """The truth with probability e^epsilon / (1 + e^epsilon), told by a release of one kind of row or another."""
    told = rng.random(runs) < math.exp(epsilon) / (1 + math.exp(epsilon))
    return [Counter({("q" if bit == unit else "p",): 10, ("o",): 90}) for bit in told]


def test_randomized_response_is_accused_of_too_much_and_of_no_more() -> None:
    """At its own epsilon, which is all its releases tell: false alarm at most .1%. Of a claim of 1 it is proven false
    at epsilon 4 by 300 runs with probability above .999 (both seeded here)."""
    rng = default_rng(3)
    for epsilon, guilty in ((1.0, False), (4.0, True)):
        sides = [randomized_response(epsilon, unit, 300, rng) for unit in (True, False)]
        proof = prove(*sides, delta=1e-5, confidence=0.999)
        assert proof.epsilon_lower_bound <= epsilon
        assert (proof.epsilon_lower_bound > 1.0) is guilty
        assert proof.epsilon_lower_bound < proof.ceiling
        assert proof.guesses_per_side == 150


def test_a_level_that_only_the_unit_has_is_seen() -> None:
    """In the second half alone it teaches nothing; features of rows never seen before are one share."""
    with_unit, without = Counter({("p",): 9, ("q",): 1}), Counter({("p",): 10})
    proof = prove([with_unit] * 100, [without] * 100, delta=1e-5, confidence=0.999)
    assert proof.right == 1.0
    assert proof.epsilon_lower_bound == pytest.approx(proof.ceiling)
    np.testing.assert_allclose(features([with_unit], [("p",)]), [[0.9, 0.1]])


@pytest.mark.parametrize("pair", ["a new level", "known levels"])
def test_ours_is_let_alone(pair: str) -> None:
    """8 runs could prove an epsilon of 0 only: this holds the harness together; `make accuse` makes 1,000."""
    found = tried(SUSPECTS["ours: pate-gan"], pair, 8, HOME)
    assert found["epsilon_lower_bound"] <= BUDGET.epsilon
    assert "| ours: pate-gan | " + pair + " | 8 |" in table([found])

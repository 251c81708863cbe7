"""A lower bound on the epsilon of this very release, from the one run that made it.

Every unit of the audit pool trained or not by a fair coin of its own. Whoever guesses many of these coins right from
the released table has proven how much the table depends on single units. A guesser may abstain: it names those it is
surest trained, and those it is surest did not.

If the release is (epsilon, delta)-private, the number of right guesses among r is dominated by a binomial of r trials
with probability e^epsilon / (1 + e^epsilon), up to a term in delta and the size m of the whole pool. The smallest
epsilon that is not refuted is the bound. Several numbers of guesses and several attacks are tried, and the error is
shared among them (Bonferroni).

Sources: Steinke, Nasr & Jagielski 2023, "Privacy auditing with one (1) training run", theorem 5.2 and appendix D.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.stats import binom

from audits.attacks.game import Mask
from privacy.columns import Floats

SHARES = (0.01, 0.05, 0.2, 1.0)
"""Parts of the pool that are guessed: half of each as having trained, half as not."""

MIN_GUESSES = 10
LARGEST = 64.0
"""An epsilon no sample here can refute."""


def best_guesses(scores: Mapping[str, Floats], is_member: Mask) -> dict[int, int]:
    """Most right guesses of any attack, by the number of guesses made.

    Args:
        scores: of every attack, shape (m,); higher means "was trained on".
        is_member: the coins, shape (m,).
    """
    m = len(is_member)
    sizes = sorted({2 * math.floor(share * m / 2) for share in SHARES})
    best: dict[int, int] = {}
    for size in (s for s in sizes if s >= MIN_GUESSES):
        right = []
        for score in scores.values():
            order = np.argsort(score, kind="stable")
            right.append(int(is_member[order[-size // 2 :]].sum() + (~is_member[order[: size // 2]]).sum()))
        best[size] = max(right)
    return best


def epsilon_bound(best: Mapping[int, int], n_attacks: int, n_pool: int, delta: float, confidence: float) -> float:
    """Lower bound on epsilon that holds with probability `confidence`; 0 where nothing is proven.

    Args:
        best: right guesses by the number of guesses, the most of any attack.
        n_attacks: attacks that were tried.
        n_pool: units in the pool, guessed or not.
        delta: at which epsilon is bounded.
        confidence: of the bound.
    """
    level = (1 - confidence) / (n_attacks * max(len(best), 1))
    return max((_refuted(right, guesses, n_pool, delta, level) for guesses, right in best.items()), default=0.0)


def reach(sizes: tuple[int, ...], n_attacks: int, n_pool: int, delta: float, confidence: float) -> float:
    """The largest bound there could have been: every guess right."""
    return epsilon_bound({size: size for size in sizes}, n_attacks, n_pool, delta, confidence)


def p_value(right: int, guesses: int, n_pool: int, epsilon: float, delta: float) -> float:
    """Probability bound of so many right guesses or more under (epsilon, delta), theorem 5.2.

    Args:
        right: guesses that were right.
        guesses: guesses made.
        n_pool: units in the pool.
        epsilon: the hypothesis.
        delta: its delta.
    """
    q = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, q))
    if delta == 0:
        return min(1.0, tail)
    # P[right - i <= X < right] / i, the largest over i.
    below = np.cumsum(binom.pmf(np.arange(right - 1, -1, -1), guesses, q))
    slack = float((below / np.arange(1, right + 1)).max(initial=0.0))
    return min(1.0, tail + 2 * n_pool * delta * slack)


def _refuted(right: int, guesses: int, n_pool: int, delta: float, level: float) -> float:
    """The largest epsilon whose p-value is at most `level`; 0 if none is. The p-value grows with epsilon."""
    low, high = 0.0, LARGEST
    if p_value(right, guesses, n_pool, low, delta) > level:
        return 0.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if p_value(right, guesses, n_pool, middle, delta) > level else (middle, high)
    return low

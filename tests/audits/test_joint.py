"""The joint p-value: exact under exchangeable rows, sharper than Bonferroni where contrasts overlap, and not fooled.

Seeds are fixed, so no test fails by chance; the error rates given are those over the choice of seeds.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom, fisher_exact

from audits.joint import Contrast, joint_p_value


def nested(rng: np.random.Generator, n: int) -> list[Contrast]:
    """Five contrasts that overlap as the nearest shares of rows do, and one over half of the rows."""
    order = rng.permutation(n)
    everyone = np.ones(n, np.bool_)
    found = [Contrast(order < size, everyone, 6.0) for size in (5, 8, 12, 20, 30)]
    return [*found, Contrast(order < 15, order < n // 2, 6.0)]


def p_value(contrasts: list[Contrast], is_train: np.ndarray, rng: np.random.Generator, dealings: int = 199) -> float:
    return joint_p_value(contrasts, is_train, np.zeros(len(is_train), np.bool_), rng, dealings)


def test_it_is_exact_where_nothing_differs() -> None:
    """400 tables: p <= .05 in at most 33 and p <= .25 in at most 122 (binomial, 1% each).

    A p-value with twice its level's rejections fails the first with probability 88%.
    """
    assert binom.sf(33, 400, 0.05) < 0.01
    assert binom.sf(122, 400, 0.25) < 0.01
    assert binom.cdf(33, 400, 0.10) < 0.15
    rng = np.random.default_rng(5)
    found = np.array([p_value(nested(rng, 300), np.arange(300) < 240, rng) for _ in range(400)])
    assert (found <= 0.05).sum() <= 33
    assert (found <= 0.25).sum() <= 122


def test_it_is_the_share_of_all_dealings() -> None:
    """Against every one of the 252 dealings of five labels over ten rows, by scipy's Fisher test: within 4 sigma."""
    rng = np.random.default_rng(2)
    contrasts = [Contrast(rng.random(10) < 0.5, rng.random(10) < 0.8, float(w)) for w in (1, 2, 3)]
    is_train = np.arange(10) < 5

    def statistic(train: np.ndarray) -> float:
        found = []
        for c in contrasts:
            hit = c.hits & c.counted
            table = [[(hit & side).sum(), (~hit & c.counted & side).sum()] for side in (train, ~train)]
            found.append(c.weight * fisher_exact(table, alternative="greater").pvalue)
        return min(found)

    every = [np.isin(np.arange(10), chosen) for chosen in combinations(range(10), 5)]
    exact = np.mean([statistic(train) <= statistic(is_train) * (1 + 1e-9) for train in every])
    found = p_value(contrasts, is_train, rng, 9_999)
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9_999) + 1e-4)


def test_rows_that_stay_are_not_dealt() -> None:
    """A sample that leaves out training rows with hits: their hits are in every dealing, and prove nothing."""
    rng = np.random.default_rng(3)
    n = 400
    is_train = np.arange(n) < 300
    stays = np.arange(n) < 100
    hits = stays | (rng.random(n) < 0.1)
    looked = Contrast(rng.random(n) < 0.1, ~stays, 2.0)
    found = joint_p_value([Contrast(hits, np.ones(n, np.bool_), 2.0), looked], is_train, stays, rng, 199)
    assert found > 0.05


def test_strong_evidence_keeps_its_size() -> None:
    is_train = np.arange(400) < 300
    hits = np.zeros(400, np.bool_)
    hits[:60] = True
    everyone = np.ones(400, np.bool_)
    found = p_value([Contrast(hits, everyone, 3.0)], is_train, np.random.default_rng(1))
    assert found == pytest.approx(3 * fisher_exact([[60, 240], [0, 100]], alternative="greater").pvalue, rel=1e-6)


def test_nothing_hit_is_no_evidence() -> None:
    is_train = np.arange(40) < 30
    nothing = Contrast(np.zeros(40, np.bool_), np.ones(40, np.bool_), 1.0)
    assert p_value([nothing, Contrast(nothing.hits, nothing.hits, 1.0)], is_train, np.random.default_rng(1)) == 1.0

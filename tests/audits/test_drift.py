"""Comparing noisy histograms: both error rates, the bounds, the cells, and the weights, each against an oracle.

The rate of false alarms is counted over draws of the null, and its Clopper-Pearson lower bound at 99.9% must not exceed
what was promised; power is the other way round. Seeds are fixed.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Generator, default_rng
from scipy.stats import norm

from audits.drift.cells import COMPARED, grouped, split_noise
from audits.drift.contrast import Side, compare, risen, total
from audits.drift.histograms import Histogram, sides
from audits.drift.verdicts import State, judge
from audits.drift.weights import rake
from audits.intervals import clopper_pearson
from privacy.columns import Floats

SHARES = np.array([0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
MOVED = np.array([0.34, 0.3, 0.15, 0.16, 0.04, 0.01])
"""A twentieth of the rows has moved from the first cell to the fourth: total variation .06."""


def _side(shares: Floats, rows: int, stddev: float, rng: Generator) -> Side:
    counts = rng.multinomial(rows, shares) + np.rint(rng.normal(0, stddev, len(shares)))
    return Side(noisy=counts, variance=np.full(len(shares), stddev**2), rows=float(rows), rows_variance=stddev**2)


def _p_values(after: Floats, tolerance: float, runs: int) -> Floats:
    found = []
    for run in range(runs):
        rng = default_rng([run, 3])
        sides_ = _side(SHARES, 8_000, 40, rng), _side(after, 10_000, 60, rng)
        found.append(compare(*sides_, ordered=6, cluster=1, tolerance=tolerance, rng=rng).p_value)
    return np.array(found)


def test_false_alarms_are_as_rare_as_promised() -> None:
    alarms = int((_p_values(SHARES, 0.0, 150) < 0.1).sum())
    assert clopper_pearson(alarms, 150, 0.999).low <= 0.1


def test_a_drift_within_the_tolerance_is_none() -> None:
    """At the boundary the tests are cautious: a change of exactly the tolerance, all of it in one cell."""
    alarms = int((_p_values(MOVED, 0.06, 100) < 0.05).sum())
    assert clopper_pearson(alarms, 100, 0.999).low <= 0.05


def test_a_drift_beyond_the_tolerance_is_found() -> None:
    """The change is .06, its standard deviation about .009: power .99 at a tolerance of .02."""
    found = int((_p_values(MOVED, 0.02, 40) < 0.05).sum())
    assert clopper_pearson(found, 40, 0.999).high >= 0.99
    assert found >= 36


def test_bounds_hold_the_true_distance() -> None:
    """One-sided 95% bounds each, cautious ones: neither fails in more than 5% of draws but for chance."""
    low = high = 0
    for run in range(120):
        rng = default_rng([run, 5])
        shift = compare(
            _side(SHARES, 8_000, 40, rng), _side(MOVED, 10_000, 60, rng), ordered=0, cluster=1, tolerance=0.0, rng=rng
        )
        low += shift.interval.low > 0.06
        high += shift.interval.high < 0.06
    assert clopper_pearson(low, 120, 0.999).low <= 0.05
    assert clopper_pearson(high, 120, 0.999).low <= 0.05


def test_two_cells_without_noise_are_two_proportions() -> None:
    """Against the textbook z test of two proportions, which the larger of the two statistics is here, halved level."""
    before = Side(noisy=np.array([520.0, 480.0]), variance=np.full(2, 1e-9), rows=1_000.0, rows_variance=1e-9)
    after = Side(noisy=np.array([600.0, 400.0]), variance=np.full(2, 1e-9), rows=1_000.0, rows_variance=1e-9)
    pooled = 0.56
    z = 0.08 / np.sqrt(pooled * (1 - pooled) * 2 / 1_000)
    shift = compare(before, after, ordered=0, cluster=1, tolerance=0.0, rng=default_rng(0))
    assert shift.distance == pytest.approx(0.08)
    assert shift.p_value == pytest.approx(2 * 2 * norm.sf(z), rel=0.35)
    assert [move.cell for move in shift.moves] == [0, 1]


def test_a_person_with_many_rows_makes_the_test_more_cautious() -> None:
    rng = default_rng(1)
    before, after = _side(SHARES, 8_000, 1, rng), _side(MOVED, 8_000, 1, rng)
    one, five = (
        compare(before, after, ordered=0, cluster=k, tolerance=0.0, rng=default_rng(2)).interval for k in (1, 5)
    )
    assert five.low < one.low
    assert five.high > one.high


def test_a_rise_of_unlisted_values() -> None:
    """Exact for a normal: the p-value of a rise by three standard errors."""
    before = Side(noisy=np.array([1e6, 0.0]), variance=np.full(2, 500.0**2), rows=1e6, rows_variance=1.0)
    error = np.sqrt(2 * 500.0**2)
    after = Side(noisy=np.array([1e6, 3 * error]), variance=np.full(2, 500.0**2), rows=1e6, rows_variance=1.0)
    rise, interval, p_value = risen(before, after, [1], cluster=1)
    assert rise == pytest.approx(3 * error / 1e6)
    assert p_value == pytest.approx(norm.sf(3), rel=0.1)
    assert interval.low > 0


def test_one_run_is_one_family() -> None:
    """Twelve histograms and a list each, nothing moved: any alarm at all in at most 10% of runs, but for chance."""
    names = [f"c{i}" for i in range(12)]
    alarms = 0
    for run in range(60):
        rng = default_rng([run, 8])
        earlier = sides(
            [rng.multinomial(6_000, SHARES) + np.rint(rng.normal(0, 50, 6)) for _ in names], [np.full(6, 2500.0)] * 12
        )
        later = sides(
            [rng.multinomial(6_000, SHARES) + np.rint(rng.normal(0, 80, 6)) for _ in names], [np.full(6, 6400.0)] * 12
        )
        histograms = [
            Histogram(columns=(name,), cells=tuple("abcdef"), ordered=0, unlisted=(5,), earlier=side)
            for name, side in zip(names, earlier, strict=True)
        ]
        told, new = judge(histograms, later, cluster=1, tolerance=0.0, false_alarms=0.1, rng=rng)
        alarms += any(one.state is State.DRIFT for one in (*told, *new))
    assert clopper_pearson(alarms, 60, 0.999).low <= 0.1


def test_totals_are_weighted_by_precision() -> None:
    rows, variance = total([(100.0, 4.0), (130.0, 8.0)])
    assert rows == pytest.approx((100 / 4 + 130 / 8) / (1 / 4 + 1 / 8))
    assert variance == pytest.approx(1 / (1 / 4 + 1 / 8))


def test_split_noises_are_independent_and_keep_the_mean() -> None:
    """Correlation of 40,000 pairs: five standard errors are .025."""
    noisy = default_rng(0).normal(70, 3, 40_000)
    compared, cut, variance = split_noise(noisy, np.full(40_000, 9.0), default_rng(1))
    assert abs(np.corrcoef(compared, cut)[0, 1]) < 0.025
    assert compared.mean() == pytest.approx(70, abs=0.1)
    assert compared.var() == pytest.approx(variance[0], rel=0.05)
    assert variance[0] == 9 * (1 + COMPARED**2)


def test_cutting_by_the_compared_noise_would_be_a_false_alarm() -> None:
    """Why noise is split: of 200 equal levels the 20 that noise made largest are 15% larger than they are."""
    counts = np.full(200, 100.0)
    noisy = counts + default_rng(3).normal(0, 30, 200)
    compared, cut, _ = split_noise(noisy, np.full(200, 900.0), default_rng(4))
    naive, split = (grouped(mass, 200, 21, ordered=False) for mass in (noisy, cut))
    assert noisy[naive < 20].mean() > 115
    assert abs(compared[split < 20].mean() - 100) < 5 * 30 * np.sqrt(1.25 / 20)


@pytest.mark.parametrize("ordered", [True, False])
def test_groups_are_few_whole_and_leave_special_codes_alone(ordered: bool) -> None:
    mass = default_rng(0).gamma(0.5, 100, 62)
    group = grouped(mass, 60, 8, ordered=ordered)
    assert set(group) == set(range(group.max() + 1))
    assert group[60] != group[61]
    assert not {group[60], group[61]} & set(group[:60])
    assert len(set(group[:60])) <= 8
    if ordered:
        assert (np.diff(group[:60]) >= 0).all()
        held = np.bincount(group[:60], mass[:60])
        assert held.max() <= mass[:60].sum() / 8 + mass[:60].max() + 1e-6
    assert (grouped(mass[:5], 3, 8, ordered=ordered) == np.arange(5)).all()


def _cells(rng: Generator, n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    first = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    return np.stack([first, (first + rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])) % 4], axis=1).astype(np.int64)


def test_weights_are_raking_where_there_is_no_noise() -> None:
    """The oracle is iterative proportional fitting, a page of its own below."""
    cells = _cells(default_rng(0), 4_000)
    wanted = [np.array([0.4, 0.4, 0.2]), np.array([0.25, 0.25, 0.2, 0.3])]
    rows = 1e9
    bought = [Side(noisy=t * rows, variance=np.zeros(len(t)), rows=rows, rows_variance=0.0) for t in wanted]
    found = rake(cells, bought, 1).values

    oracle = np.ones(len(cells))
    for _ in range(200):
        for j, target in enumerate(wanted):
            oracle *= (target / np.bincount(cells[:, j], oracle) * oracle.sum())[cells[:, j]]
    assert found == pytest.approx(oracle / oracle.mean(), rel=5e-3)


def test_weights_help_where_there_is_drift() -> None:
    rng = default_rng(5)
    cells = _cells(rng, 6_000)
    truth = [np.array([0.3, 0.45, 0.25]), np.bincount(cells[:, 1]) / len(cells)]
    noisy = [t * 6_000 + rng.normal(0, 20, len(t)) for t in truth]
    bought = [Side(noisy=y, variance=np.full(len(y), 400.0), rows=6_000.0, rows_variance=1.0) for y in noisy]
    weights = rake(cells, bought, 1)
    assert weights.values.mean() == pytest.approx(1)
    assert weights.effective_rows > 0.7 * len(cells)
    assert np.abs(np.bincount(cells[:, 0], weights.values) / len(cells) - truth[0]).sum() / 2 < 0.02


def test_weights_rest_where_there_is_noise_alone() -> None:
    """Twelve columns without drift, noise of 10% of the rows a count: raking would follow it, and these hardly do."""
    rng = default_rng(6)
    cells = np.concatenate([_cells(rng, 5_000) for _ in range(6)], axis=1)
    truth = [np.bincount(column) / 5_000 for column in cells.T]
    noisy = [t * 5_000 + rng.normal(0, 500, len(t)) for t in truth]
    bought = [Side(noisy=y, variance=np.full(len(y), 500.0**2), rows=5_000.0, rows_variance=1.0) for y in noisy]
    assert rake(cells, bought, 1).effective_rows > 0.9 * len(cells)

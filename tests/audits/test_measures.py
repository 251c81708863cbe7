"""Distances between counts: values against SciPy and scikit-learn, derivatives against small steps, limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import mutual_info_score

from audits.fidelity.measures import (
    Measure,
    cramers_v,
    cramers_v_gap,
    jensen_shannon,
    kolmogorov_smirnov,
    kullback_leibler,
    mutual_information_gap,
    total_variation,
    wasserstein,
)

COUNTS = st.lists(st.integers(0, 40), min_size=6, max_size=6).filter(lambda counts: sum(counts) > 1)
WIDTHS = np.array([0.5, 1.0, 0.25, 2.0, 1.0, 0.0])
MEASURES: dict[str, Measure] = {
    "total variation": total_variation,
    "Jensen-Shannon": jensen_shannon,
    "Kullback-Leibler": kullback_leibler,
    "Kolmogorov-Smirnov": kolmogorov_smirnov,
    "Wasserstein": wasserstein(WIDTHS),
    "mutual information": mutual_information_gap((2, 3)),
    "Cramer's V": cramers_v_gap((2, 3)),
}


def _rows(counts: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


@given(COUNTS, COUNTS)
@settings(deadline=None, max_examples=60)
def test_values_are_those_of_scipy(first: list[int], second: list[int]) -> None:
    a, b = np.array(first), np.array(second)
    p, q, places = a / a.sum(), b / b.sum(), np.append(0, np.cumsum(WIDTHS[:-1]))
    assert jensen_shannon(a, b).value == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert kolmogorov_smirnov(a, b).value == pytest.approx(
        stats.ks_2samp(_rows(a), _rows(b), method="asymp").statistic, abs=1e-9
    )
    expected = stats.wasserstein_distance(places, places, p, q)
    assert wasserstein(WIDTHS)(a, b).value == pytest.approx(expected, abs=1e-9)
    held = (a > 0) | (b > 0)
    smooth = [(x[held] + 0.5) / (x[held] + 0.5).sum() for x in (a, b)]
    assert kullback_leibler(a, b).value == pytest.approx(stats.entropy(*smooth, base=2), abs=1e-9)


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@given(COUNTS, COUNTS)
@settings(deadline=None, max_examples=30)
def test_is_symmetric_in_roles_and_zero_of_a_table_and_itself(
    measure: Measure, first: list[int], second: list[int]
) -> None:
    a, b = np.array(first), np.array(second)
    assert measure(a, a).value == pytest.approx(0, abs=1e-12)
    for one in (measure(a, b), measure(b, a)):
        assert one.value >= 0
        assert np.isfinite(one.first).all()
        assert np.isfinite(one.second).all()
    if measure is not kullback_leibler:
        assert measure(a, b).value == pytest.approx(measure(b, a).value, abs=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_derivatives_are_the_change_that_one_row_more_makes(name: str) -> None:
    """In tables of 1e7 rows, the change of the value by 1,000 rows more in a cell, to 1% of the largest."""
    rng = np.random.default_rng(3)
    shape = rng.dirichlet(np.ones(6) * 4, 2)
    a, b = (np.rint(1e7 * p).astype(np.int64) for p in shape)
    measure, more = MEASURES[name], 1_000
    base = measure(a, b)
    for side in range(2):
        influence = (base.first, base.second)[side]
        centred = influence - influence @ (a, b)[side] / (a, b)[side].sum()
        moved = np.zeros(6)
        for cell in range(6):
            counts = [a.copy(), b.copy()]
            counts[side][cell] += more
            moved[cell] = (measure(*counts).value - base.value) * counts[side].sum() / more
        assert moved == pytest.approx(centred, abs=0.01 * np.abs(centred).max() + 1e-6)


def _of_one(gap: Callable[[tuple[int, int]], Measure], table: np.ndarray) -> float:
    """The measure of one table, as its gap from a table without association."""
    shape = (table.shape[0], table.shape[1])
    flat = np.outer(np.full(shape[0], 1000), np.full(shape[1], 1000)).ravel()
    return gap(shape)(table.ravel(), flat).value


def test_associations_are_those_of_scipy_and_scikit_learn() -> None:
    """Up to corrections for bias, which vanish with 1e6 rows."""
    rng = np.random.default_rng(4)
    table = rng.multinomial(1_000_000, rng.dirichlet(np.ones(12))).reshape(3, 4)
    expected = stats.contingency.association(table, method="cramer")
    assert cramers_v(table, (3, 4)) == pytest.approx(expected, abs=1e-4)
    assert _of_one(cramers_v_gap, table) == pytest.approx(expected, abs=1e-4)
    rows = np.repeat(np.arange(12), table.ravel())
    bits = mutual_info_score(rows // 4, rows % 4) / np.log(2)
    assert _of_one(mutual_information_gap, table) == pytest.approx(bits, abs=1e-4)


def test_corrections_remove_the_bias_of_small_independent_tables() -> None:
    """Means over 400 tables of 200 rows, 5 by 5 cells, without association.

    False alarm < 1e-6: the corrected mean information is at most .012 bits on average, six standard errors below the
    bound. Power: uncorrected it is .058.
    """
    rng = np.random.default_rng(5)
    tables = [rng.multinomial(200, np.full(25, 0.04)) for _ in range(400)]
    information = [_of_one(mutual_information_gap, table.reshape(5, 5)) for table in tables]
    assert np.mean(information) < 0.02
    assert np.mean([cramers_v(table, (5, 5)) for table in tables]) < 0.06


@given(COUNTS)
@settings(deadline=None, max_examples=30)
def test_v_of_a_column_and_itself_is_one(counts: list[int]) -> None:
    held = np.array([c for c in counts if c])
    assume(len(held) > 1 and held.sum() > 30)
    assert cramers_v(np.diag(held).ravel(), (len(held), len(held))) == pytest.approx(1, abs=1e-9)

"""The gate's simulation: what is planted is planted, and rates carry their bounds."""

from __future__ import annotations

import numpy as np
import pytest

from audits.assignment import Parts, assign, design_for
from bench.gate import RELEASES, summary
from privacy.noise import seeded_noise
from privacy.table import Table
from tests.tables import population


@pytest.fixture(scope="module")
def parts() -> Parts:
    return assign(population(3_000, 1), design_for(None), seeded_noise(1))


def _rows(table: Table, leave_out: str = "") -> set[tuple[float, ...]]:
    columns = [values.astype(float) for name, values in table.columns.items() if name != leave_out]
    return set(zip(*(np.nan_to_num(values, nan=-1.0).tolist() for values in columns), strict=True))


@pytest.mark.parametrize("name", RELEASES)
def test_as_many_rows_as_trained_and_no_fresh_row_of_the_private_table(parts: Parts, name: str) -> None:
    fresh = population(3_000, 2)
    released = RELEASES[name](parts, fresh, np.random.default_rng(3))
    assert len(released) == len(parts.train)
    assert released.schema.names == parts.train.schema.names
    own, private = _rows(released), _rows(parts.train)
    if name == "fresh rows":
        assert own <= _rows(fresh)
        assert not own & private


def test_one_percent_of_the_outliers_is_copied(parts: Parts) -> None:
    released = RELEASES["1% copies of outliers"](parts, population(3_000, 2), np.random.default_rng(3))
    copied = _rows(released) & _rows(parts.train)
    assert 0 < len(copied) <= round(0.01 * len(parts.train))


def test_changed_copies_agree_in_all_but_one_column(parts: Parts) -> None:
    released = RELEASES["1% copies, one column changed"](parts, population(3_000, 2), np.random.default_rng(3))
    n = round(0.01 * len(parts.train))
    planted = released.select(np.arange(n))
    found = [_rows(planted, name) & _rows(parts.train, name) for name in released.schema.names]
    assert sum(map(len, found)) >= n


def test_rates_have_their_bounds() -> None:
    """20 of 20: at least .05^(1/20) = 86.1%."""
    lines = [{"key": ["adult", "public", 20_000, "fresh rows", run], "verdict": "PASS"} for run in range(20)]
    assert "| fresh rows | 20 | 0.0% (0.0% to 13.9%) | 0.0% (0.0% to 13.9%) | 100.0% (86.1% to 100.0%) |" in summary(
        lines
    )

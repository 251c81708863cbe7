"""Coverage of intervals, in a small sample: `make coverage` runs the whole, and docs/reliability.md has its figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audits.finding import Interval
from bench.coverage import CASES, Case, held, remark

RUNS = 150
EXACT = ("Clopper-Pearson", "ratio of shares", "epsilon 1")


@pytest.mark.parametrize("name", [name for name in CASES if "calibration" not in name])
def test_bounds_hold_about_as_often_as_they_say(name: str) -> None:
    """Each holds in at least 88% of 150 draws, where 95% is claimed.

    False alarm: 2e-4 a side (binomial), with fixed seeds none. An interval half as wide holds 79% of the time and is
    passed with probability 4e-3 a side; `make coverage` tells 95% from 93%.
    """
    for share in held(CASES[name](), RUNS):
        assert share >= 0.88


def test_an_interval_that_is_too_narrow_is_told() -> None:
    """Half as wide, it holds 79% of the time."""
    honest = CASES["total variation, 3,000 rows against 2,000"]()

    def narrow(rng):  # type: ignore[no-untyped-def]
        one = honest.once(rng)
        middle = (one.low + one.high) / 2
        return Interval((one.low + middle) / 2, (one.high + middle) / 2, one.confidence)

    low, high = held(replace(honest, once=narrow), RUNS)
    assert min(low, high) < 0.88
    assert remark(honest, low, high, 2_000) == "too narrow"


def test_remarks_say_which_way_an_interval_errs() -> None:
    case = Case(truth=0.0, once=CASES["Clopper-Pearson, 40% of 300"]().once)
    assert remark(case, 0.95, 0.955, 2_000) == "as stated"
    assert remark(case, 0.95, 0.99, 2_000) == "wide"
    assert remark(replace(case, at_least=True), 0.95, 0.99, 2_000) == "at least"
    assert remark(replace(case, at_least=True), 0.95, 0.93, 2_000) == "too narrow"
    assert all(CASES[name]().at_least for name in CASES if name.startswith(EXACT))

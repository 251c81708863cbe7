"""The study of the monitor: what is printed and drawn of its runs."""

from __future__ import annotations

from typing import Any

from bench.monitor import SHIFTS, picture, summary


def line(run: int, shift: str, *alarms: str, found: bool = False) -> dict[str, Any]:
    return {"table": "adult", "run": run, "shift": shift, "epsilon": 1.0, "alarms": list(alarms), "found": found,
            "steady": 3, "histograms": 12}  # fmt: skip


LABEL = "label: high incomes 24% to 28%"
RUNS = [line(0, "none"), line(1, "none", "age"), line(0, LABEL, "income", found=True), line(1, LABEL, "age")]


def test_rates_come_with_bounds() -> None:
    rows = summary(RUNS).splitlines()
    assert "| none | 1 | 2 |  | 1 (3% to 97%) | 25% |" in rows
    assert f"| {LABEL} | 1 | 2 | 1 (3% to 97%) | 2 (22% to 100%) | 25% |" in rows


def test_the_picture_has_a_row_a_shift_that_was_run() -> None:
    drawn = picture(RUNS)
    assert drawn.startswith("<svg")
    for words in ("none", LABEL, "epsilon 1", "runs in which drift was told of"):
        assert words in drawn
    assert not any(shift in drawn for shift in SHIFTS if shift not in ("none", LABEL))

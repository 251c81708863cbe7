"""How often every interval holds what it claims to: python -m bench.coverage [--runs N] [--only NAME].

For every kind of interval a finding can have, a truth is fixed, data are drawn again and again, and it is counted how
often each one-sided 95% bound is on the right side of the truth. Exact bounds hold at least that often, and more where
counts are small; the others are to hold 95% of the time, give or take 1.5%. Printed are both sides apart, in percent.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator, default_rng
from scipy.special import ndtr

from audits.attacks.one_run import epsilon_bound
from audits.estimates import estimate_finding, mean_variance
from audits.fairness.representation import Group, ratio_interval
from audits.fidelity.contrast import Binned, Reporter, Sides, contrast
from audits.fidelity.mean_discrepancy import discrepancy, fourier_features, skew
from audits.fidelity.measures import (
    Measure,
    cramers_v_gap,
    jensen_shannon,
    kolmogorov_smirnov,
    kullback_leibler,
    mutual_information_gap,
    total_variation,
    wasserstein,
)
from audits.finding import Interval
from audits.intervals import USUAL, auc, auc_interval, clopper_pearson, proportion_difference
from audits.scores import brier, calibration_error, half_a_row, macro_auc, r_squared
from privacy.columns import Floats
from privacy.schema_file import parse_schema
from privacy.table import Table

Draw = Callable[[Generator], Interval]
TRUTH_ROWS = 2_000_000
"""Rows from which a truth is read that has no formula."""


@dataclass(frozen=True, slots=True)
class Case:
    """An interval, drawn again and again, and what it is about.

    Attributes:
        truth: what it should contain.
        once: one interval, from a stream.
        at_least: whether its bounds may hold more often than they claim: exact ones, those of what is not there, and
            the upper one of a maximum, which another cell takes over where its own is small by chance.
    """

    truth: float
    once: Draw
    at_least: bool = False


def main() -> None:
    """Run and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    asked = parser.parse_args()
    runs = asked.runs
    print("| interval | lower bound holds | upper bound holds | |\n|---|---|---|---|")
    for name, made in CASES.items():
        if asked.only not in name:
            continue
        case = made()
        low, high = held(case, runs)
        print(f"| {name} | {low:.1%} | {high:.1%} | {remark(case, low, high, runs)} |", flush=True)


def held(case: Case, runs: int, seed: int = 0) -> tuple[float, float]:
    """How often the lower and the upper bound are on the right side of the truth."""
    found = [case.once(default_rng([seed, run])) for run in range(runs)]
    low, high = (np.mean([ok(one) for one in found]) for ok in (_above(case.truth), _below(case.truth)))
    return float(low), float(high)


def remark(case: Case, low: float, high: float, runs: int) -> str:
    """Whether the two shares are what they should be, up to three standard errors of so many runs."""
    slack = 3 * math.sqrt(USUAL * (1 - USUAL) / runs)
    worst = min(low, high)
    if worst < USUAL - max(0.015, slack):
        return "too narrow"
    wide = max(low, high) > USUAL + max(0.015, slack)
    return ("at least" if case.at_least else "wide") if wide else "as stated"


MEASURES: Mapping[str, Measure] = {
    "total variation": total_variation,
    "Jensen-Shannon divergence": jensen_shannon,
    "Kullback-Leibler divergence": kullback_leibler,
    "Kolmogorov-Smirnov distance": kolmogorov_smirnov,
    "Wasserstein distance": wasserstein(np.append(np.ones(7), 0.0)),
    "gap in mutual information": mutual_information_gap((2, 4)),
    "gap in Cramer's V": cramers_v_gap((2, 4)),
}
FIRST = np.array([0.30, 0.05, 0.10, 0.05, 0.05, 0.20, 0.05, 0.20])
SECOND = np.array([0.15, 0.15, 0.12, 0.13, 0.11, 0.12, 0.14, 0.08])
"""Shares of eight cells in the control and in the synthetic population."""


def _above(truth: float) -> Callable[[Interval], bool]:
    return lambda one: one.low <= truth


def _below(truth: float) -> Callable[[Interval], bool]:
    return lambda one: truth <= one.high


def _rate(p: float, n: int, rng: Generator) -> Interval:
    return clopper_pearson(int(rng.binomial(n, p)), n, USUAL)


def _difference(p: float, n: int, q: float, m: int, rng: Generator) -> Interval:
    return proportion_difference(int(rng.binomial(n, p)), n, int(rng.binomial(m, q)), m, USUAL)


def _auc(shift: float, m: int, h: int, rng: Generator) -> Interval:
    area, variance = auc(rng.normal(shift, 1, m), rng.normal(0, 1, h))
    return auc_interval(area, variance, m, h, USUAL)


def _ratio(rng: Generator) -> Interval:
    synthetic, real = int(rng.binomial(2_000, 0.04)), int(rng.binomial(5_000, 0.05))
    group = Group(subject="", synthetic=synthetic, n_synthetic=2_000, real=real, n_real=5_000, real_units=real)
    return ratio_interval(group, USUAL)


def _one_run(rng: Generator) -> Interval:
    """Guesses as good as randomised response at epsilon 1 allows, at three numbers of guesses."""
    right = rng.random(2_000) < 1 / (1 + np.exp(-1))
    best = {size: int(right[:size].sum()) for size in (20, 400, 2_000)}
    return Interval(epsilon_bound(best, 1, 2_000, 0.0, USUAL), math.inf, USUAL)


def _of_measure(measure: Measure, *, persons: bool = False, at_least: bool = False) -> Case:
    truth = measure(FIRST * 1e12, SECOND * 1e12).value
    return Case(truth, partial(_distance, measure, persons), at_least)


def _distance(measure: Measure, persons: bool, rng: Generator) -> Interval:
    sides, cells = [], []
    for shares, n in ((FIRST, 2_000), (FIRST, 3_000), (SECOND, 3_000)):
        size = rng.integers(1, 6, n) if persons else np.ones(n, np.int64)
        units = np.repeat(np.arange(n), size)
        drawn = rng.choice(8, n, p=shares)[units]
        again = rng.random(len(units)) < 0.3
        cells.append(np.where(again, rng.choice(8, len(units), p=shares), drawn))
        sides.append(units)
    report = Reporter("coverage", "distance", "excess", math.inf)
    return report.single("", contrast(Binned("", 8, *cells), measure), 1, _sides(sides)).interval


def _excess(measure: Measure, rng: Generator) -> Interval:
    cells = [rng.choice(8, n, p=FIRST) for n in (2_000, 3_000, 3_000)]
    report = Reporter("coverage", "distance", "excess", 1.0)
    found = list(report.overall(contrast(Binned("", 8, *cells), measure), _sides([np.arange(len(c)) for c in cells])))
    return found[1].interval


def _sides(units: list[np.ndarray[tuple[int], np.dtype[np.int64]]]) -> Sides:
    schema = parse_schema(NO_COLUMNS)
    tables = [Table(schema, {}, {}, owner) for owner in units]
    return Sides((tables[0], tables[1], tables[2]), (units[0], units[1], units[2]))


NO_COLUMNS = {
    "name": "coverage",
    "fields": [{"name": "one", "type": "boolean"}],
    "privacy": {
        "population": "coverage",
        "unit": "row",
        "adjacency": "add-or-remove",
        "n_public": "none",
        "cap": {"epsilon": 1, "delta": 1e-6},
    },
}


def _of_discrepancy(n: int) -> Case:
    """Two normal clouds: the discrepancy at given frequencies has a closed form, E cos(w.x) = exp(-|w|^2 / 2)."""
    frequencies = default_rng(7).standard_normal((3, 60)).astype(np.float32)
    shift = np.array([0.5, 0.0, 0.0])
    truth = np.exp(-((frequencies**2).sum(axis=0))) * 2 * (1 - np.cos(shift @ frequencies))

    def once(rng: Generator) -> Interval:
        sides = (rng.normal(0, 1, (n, 3)), rng.normal(0, 1, (n, 3)) + shift)
        value, *parts = discrepancy(*(fourier_features(side.astype(np.float32), frequencies) for side in sides))
        return _normal(value, math.sqrt(sum(part.var() for part in parts) / n), n, skew(n, *parts))

    return Case(float(truth.mean()), once)


Scored = Callable[[int, Generator], tuple[float, Floats, float]]
"""A number of rows and a stream -> a score, its influences, and the variance added to it."""


def _of_score(scored: Scored, n: int = 600) -> Case:
    truth, _, _ = scored(TRUTH_ROWS, default_rng(99))

    def once(rng: Generator) -> Interval:
        value, influence, doubt = scored(n, rng)
        return _normal(value, math.sqrt(mean_variance(influence, np.arange(n)) + doubt), n)

    return Case(truth, once)


def _classified(score: Callable[[Floats, np.ndarray[tuple[int], np.dtype[np.int32]]], tuple[float, Floats]]) -> Scored:
    def scored(n: int, rng: Generator) -> tuple[float, Floats, float]:
        x = rng.normal(size=n)
        label = (rng.random(n) < 1 / (1 + np.exp(1 - x))).astype(np.int32)
        chance = 1 / (1 + np.exp(1 - 0.7 * x - 0.7 * rng.normal(size=n)))
        value, influence = score(np.stack([1 - chance, chance], axis=1), label)
        return value, influence, half_a_row(label)

    return scored


def _regressed(n: int, rng: Generator) -> tuple[float, Floats, float]:
    x = rng.normal(size=n)
    value, influence = r_squared(0.8 * x, x + rng.normal(size=n))
    return value, influence, 1 / n**2


def _miscalibrated(n: int, rng: Generator) -> tuple[float, Floats, float]:
    chance = rng.uniform(0.05, 0.95, n)
    value, influence, _ = calibration_error(chance, rng.random(n) < chance**2)
    return value, influence, 1 / n**2


def _normal(value: float, error: float, n: int, shift: float = 0.0) -> Interval:
    return estimate_finding(
        audit="coverage",
        quantity="",
        subject="",
        estimate=value,
        error=error,
        baseline=0.0,
        worse="higher",
        n=n,
        limits=(-math.inf, math.inf),
        looked_at=1,
        shift=shift,
    ).interval


CASES: Mapping[str, Callable[[], Case]] = {
    "Clopper-Pearson, 5% of 2,000": lambda: Case(0.05, partial(_rate, 0.05, 2_000), at_least=True),
    "Clopper-Pearson, 40% of 300": lambda: Case(0.4, partial(_rate, 0.4, 300), at_least=True),
    "difference of rates, 3% of 4,000 less 2% of 1,000": lambda: Case(
        0.01, partial(_difference, 0.03, 4_000, 0.02, 1_000)
    ),
    "difference of rates, 30% of 800 less 30% of 400": lambda: Case(0.0, partial(_difference, 0.3, 800, 0.3, 400)),
    "AUC .58, 600 and 300": lambda: Case(float(ndtr(0.2)), partial(_auc, 0.2 * 2**0.5, 600, 300)),
    "AUC .90, 200 and 100": lambda: Case(float(ndtr(1.28)), partial(_auc, 1.28 * 2**0.5, 200, 100)),
    "ratio of shares, 4% of 2,000 over 5% of 5,000": lambda: Case(0.8, _ratio, at_least=True),
    "epsilon 1 from one run of 2,000 coins": lambda: Case(1.0, _one_run, at_least=True),
    **{
        f"{name}, 3,000 rows against 2,000": partial(_of_measure, measure, at_least=measure is kolmogorov_smirnov)
        for name, measure in MEASURES.items()
    },
    "total variation, persons of 1 to 5 rows": lambda: _of_measure(total_variation, persons=True),
    "excess total variation of a fresh draw": lambda: Case(0.0, partial(_excess, total_variation), at_least=True),
    "excess Jensen-Shannon divergence of a fresh draw": lambda: Case(
        0.0, partial(_excess, jensen_shannon), at_least=True
    ),
    "squared mean discrepancy, 500 rows a side": lambda: _of_discrepancy(500),
    "squared mean discrepancy, 2,000 rows a side": lambda: _of_discrepancy(2_000),
    "macro AUC by influence, 600 rows": lambda: _of_score(_classified(lambda p, y: macro_auc(p, y))),
    "R squared, 600 rows": lambda: _of_score(_regressed),
    "Brier score, 600 rows": lambda: _of_score(_classified(lambda p, y: brier(p, y))),
    "calibration error, 3,000 rows": lambda: _of_score(_miscalibrated, n=3_000),
}
"""Every kind of interval, by name; a case is made when it is asked for, since some truths are read from many rows."""


if __name__ == "__main__":
    main()

"""Precision, recall and coverage, and the mean discrepancy, against brute force; what each fault does to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from audits.distance import features
from audits.evidence import Evidence
from audits.features import linear_matrix
from audits.fidelity.mean_discrepancy import MeanDiscrepancy, discrepancy, fourier_features
from audits.fidelity.support import LEVELS, Support
from audits.finding import Finding
from audits.search import nearest, others
from privacy.table import Table, make_table
from tests.controls import evidence, fresh_draw, majority_only
from tests.tables import number_columns


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _find(findings: tuple[Finding, ...], quantity: str) -> Finding:
    return next(f for f in findings if f.quantity == quantity)


def _equal_sizes() -> Evidence:
    """Tables of as many rows, so that none is sampled."""
    given = evidence(fresh_draw, n=900)
    n = min(map(len, (given.control, given.train, given.synthetic)))
    return replace(given, **{s: getattr(given, s).select(np.arange(n)) for s in ("control", "train", "synthetic")})


def _area(shares: np.ndarray) -> float:
    return 1 - 2 * float(np.trapezoid(np.abs(shares - LEVELS), LEVELS))


def test_scores_are_those_of_brute_force() -> None:
    given = _equal_sizes()
    found = Support(k=5).run(given, _rng())
    control, synthetic = (features(t, given.schema) for t in (given.control, given.synthetic))
    reach = others(control, 5)[:, -1]
    assert _find(found, "coverage").estimate == pytest.approx((nearest(control, synthetic, 1)[:, 0] <= reach).mean())

    rows = [linear_matrix(t, leave_out="").toarray() for t in (given.control, given.synthetic)]
    radius, out = (np.linalg.norm(part - rows[0].mean(axis=0), axis=1) for part in rows)
    inside = [np.mean(out <= (np.quantile(radius, level) if level < 1 else radius.max())) for level in LEVELS]
    assert _find(found, "alpha-precision").estimate == pytest.approx(_area(np.array(inside)), abs=0.02)

    own = np.linalg.norm(rows[1] - rows[1].mean(axis=0), axis=1)
    each = [nearest(control, synthetic.select(np.array([i])), 1)[:, 0] for i in range(len(own))]
    closest = np.argmin(each, axis=0)
    covered = np.min(each, axis=0) <= reach
    recall = [np.mean(covered & (own[closest] <= np.quantile(own, level))) for level in LEVELS]
    assert _find(found, "beta-recall").estimate == pytest.approx(_area(np.array(recall)), abs=0.02)


def test_rows_outside_cost_precision_and_rows_all_alike_cost_recall() -> None:
    """Both by fifty standard errors or more (fixed seed)."""
    given = evidence(fresh_draw, n=4_000)
    calm = Support().run(given, _rng())
    columns = dict(given.synthetic.columns)
    for column in number_columns(given.schema):
        columns[column.name] = np.full(len(given.synthetic), column.bounds[1])
    far = Support().run(replace(given, synthetic=make_table(given.schema, columns)), _rng())
    alike = given.synthetic.select(np.arange(len(given.synthetic)) % 5)
    same = Support().run(replace(given, synthetic=make_table(given.schema, alike.columns)), _rng())
    for quantity in ("alpha-precision", "beta-recall", "coverage"):
        assert _find(calm, f"{quantity} lost").strict.low <= 0 <= _find(calm, f"{quantity} lost").strict.high
    assert _find(far, "alpha-precision lost").strict.low > 0.3
    assert _find(same, "coverage lost").strict.low > 0.3
    assert _find(same, "beta-recall lost").strict.low > 0.3


def test_the_discrepancy_is_that_of_the_kernel() -> None:
    """With 20,000 frequencies, to four of its standard errors (.005 each, false alarm < 1e-4; fixed seed)."""
    rng = _rng(1)
    first, second = rng.normal(size=(200, 3)), rng.normal(size=(150, 3)) + 0.8
    frequencies = rng.standard_normal((3, 20_000)).astype(np.float32)
    value, *_ = discrepancy(*(fourier_features(side.astype(np.float32), frequencies) for side in (first, second)))
    within = [(rbf_kernel(x, gamma=0.5).sum() - len(x)) / (len(x) * (len(x) - 1)) for x in (first, second)]
    expected = sum(within) - 2 * rbf_kernel(first, second, gamma=0.5).mean()
    assert value == pytest.approx(expected, abs=0.02)
    assert expected > 0.1


def test_the_discrepancy_of_one_population_is_zero_on_average() -> None:
    """Over 300 draws the mean is within four standard errors of zero, though any single one may be negative."""
    frequencies = _rng(2).standard_normal((2, 50)).astype(np.float32)
    values = []
    for seed in range(300):
        rng = _rng(seed)
        sides = (fourier_features(rng.normal(size=(60, 2)).astype(np.float32), frequencies) for _ in range(2))
        values.append(discrepancy(*sides)[0])
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)
    assert min(values) < 0 < max(values)


def test_leaving_groups_out_is_seen_in_all_columns_at_once() -> None:
    calm, bad = (MeanDiscrepancy().run(evidence(kind, n=6_000), _rng()) for kind in (fresh_draw, majority_only))
    for found in (calm, bad):
        assert _find(found, "excess squared discrepancy").estimate == pytest.approx(
            _find(found, "squared discrepancy").estimate - _find(found, "squared discrepancy").baseline
        )
    assert _find(bad, "excess squared discrepancy").strict.low > _find(calm, "excess squared discrepancy").strict.high


def test_a_single_constant_table_is_no_error() -> None:
    given = evidence(fresh_draw, n=1_500)

    def flat(table: Table) -> Table:
        columns = {name: np.full_like(values, values[0]) for name, values in table.columns.items()}
        return Table(table.schema, columns, {}, table.units)

    same = replace(given, **{s: flat(getattr(given, s)) for s in ("train", "control", "synthetic")})
    assert len(Support().run(same, _rng())) == 6
    assert len(MeanDiscrepancy().run(same, _rng())) == 2

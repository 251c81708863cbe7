"""What synthetic rows lack: found where it was taken away, absent in a fresh draw, and planted as often as was counted.

Effects are many standard errors, and seeds are fixed. Oracles are a linear program for the confusion, and shares that
are counted anew, column by column, without cells.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng
from scipy.optimize import linprog

from audits.drift.histograms import PanelPurchase
from audits.lab.counted import Counted, cuts_of
from audits.lab.lacking import Lack, lacking, with_confusion, with_missing, with_noise
from privacy.calibration import calibrate, claim_for
from privacy.columns import NumberColumn
from privacy.cost import Gaussian, once
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
from privacy.schema import Budget
from privacy.table import Table
from tests.tables import population

TARGET = "approved"


def _counted(rows: Table) -> Counted:
    return cuts_of(rows).by_label(TARGET).exact(rows)


def _of(lacks: tuple[Lack, ...], column: str) -> Lack:
    return next(lack for lack in lacks if lack.column == column)


def _with(rows: Table, **columns: object) -> Table:
    return replace(rows, columns={**rows.columns, **columns})


def _shares(rows: Table, column: str, label: int) -> np.ndarray:
    codes = rows.codes(column)[rows.codes(TARGET) == label]
    return np.bincount(codes, minlength=10)[:8] / len(codes)


@pytest.mark.parametrize("seed", range(4))
def test_a_fresh_draw_lacks_nothing(seed: int) -> None:
    """Each seed fails by chance with probability .05 at most; these do not."""
    assert lacking(_counted(population(6_000, 100 + seed)), population(6_000, 200 + seed), TARGET, default_rng(0)) == ()


def test_confusion_moves_as_few_rows_as_a_linear_program_and_gives_the_counted_shares() -> None:
    """Of regions shuffled apart from the label, rows with either label get their own shares back."""
    real, rows = population(30_000, 1), population(30_000, 2)
    approved = real.codes(TARGET) == 1
    skewed = np.where(approved & (default_rng(3).random(len(real)) < 0.5), 4, real.codes("region"))
    real = _with(real, region=skewed.astype(np.int32))
    known = _counted(real)
    lack = _of(lacking(known, rows, TARGET, default_rng(0)), "region")
    planted = with_confusion(known, [lack], rows, default_rng(1))
    changed = (planted.codes("region") != rows.codes("region")).mean()
    least = 0.0
    for label in (0, 1):
        wanted, had, got = (_shares(table, "region", label) for table in (real, rows, planted))
        assert np.abs(got - wanted).sum() / 2 < 0.015
        cost = 1 - np.eye(8)
        both = np.concatenate([np.kron(np.eye(8), np.ones(8)), np.kron(np.ones(8), np.eye(8))])
        solved = linprog(cost.ravel(), A_eq=both, b_eq=np.concatenate([had, wanted]))
        least += solved.fun * (rows.codes(TARGET) == label).mean()
    assert lack.confused == pytest.approx(least, abs=0.01)
    assert changed == pytest.approx(lack.confused, abs=0.005)
    assert (planted.codes(TARGET) == rows.codes(TARGET)).all()
    for group in range(len(lack.leaves)):
        assert lack.confusion(group).sum(axis=1) == pytest.approx(1)
        assert (lack.confusion(group) >= 0).all()


def test_cells_go_missing_as_often_as_real_rows_with_the_same_label_lack_them() -> None:
    real, rows = population(20_000, 1), population(20_000, 2)
    label = real.codes(TARGET)
    gone = default_rng(3).random(len(real)) < np.where(label == 1, 0.3, 0.05)
    real = _with(real, age=np.where(gone, np.nan, real.numbers("age")))
    known = _counted(real)
    lacks = lacking(known, rows, TARGET, default_rng(0))
    assert [lack.column for lack in lacks if lack.blanked] == ["age"]
    planted = with_missing(known, lacks, rows, default_rng(1))
    for one, share in ((0, 0.05), (1, 0.3)):
        blank = np.isnan(planted.numbers("age")[planted.codes(TARGET) == one])
        assert blank.mean() == pytest.approx(share, abs=0.015)


def test_numbers_get_the_noise_that_they_lack() -> None:
    real, rows = population(20_000, 1), population(20_000, 2)
    column = real.schema["income"]
    assert isinstance(column, NumberColumn)
    spread = real.numbers("income").std()
    noisy = column.clamp(real.numbers("income") + default_rng(3).normal(0, 0.3 * spread, len(real)))
    lacks = lacking(_counted(_with(real, income=noisy)), rows, TARGET, default_rng(0))
    assert _of(lacks, "income").noise == 0.3
    planted = with_noise(lacks, rows, default_rng(1))
    errors = planted.numbers("income") - rows.numbers("income")
    assert errors.std() == pytest.approx(0.3 * rows.numbers("income").std(), rel=0.1)


def test_a_level_that_no_synthetic_row_has_is_left_out() -> None:
    real, rows = population(10_000, 1), population(10_000, 2)
    rows = _with(rows, region=np.where(rows.codes("region") == 7, 0, rows.codes("region")).astype(np.int32))
    known = _counted(real)
    planted = with_confusion(known, lacking(known, rows, TARGET, default_rng(0)), rows, default_rng(1))
    assert not (planted.codes("region") == 7).any()


def test_one_more_row_moves_the_counts_by_what_is_paid_for() -> None:
    """The root of the number of columns in L2; k rows of one person by k times that at most."""
    rows = population(500, 1)
    cuts = cuts_of(population(500, 2)).by_label(TARGET)
    counts = [np.concatenate([one.ravel() for one in cuts.of(rows.select(np.arange(n)))]) for n in (499, 500)]
    assert np.linalg.norm(counts[1] - counts[0]) == pytest.approx(np.sqrt(len(cuts.names)))
    assert TARGET not in cuts.names


def test_a_purchase_costs_its_budget_and_has_the_noise_it_says() -> None:
    """Over 12 columns' cells the spread of the noise is known to 5%."""
    budget = Budget(epsilon=1.0, delta=1e-6)
    purchase = PanelPurchase(noise_multiplier=calibrate(lambda scale: once(Gaussian(scale)), budget))
    assert claim_for(budget, purchase.cost).epsilon <= 1.0
    rows = population(4_000, 1)
    cuts = cuts_of(population(4_000, 2)).by_label(TARGET)
    known = cuts.buy(purchase, rows, 1, PrivacyFilter(purchase.cost, seeded_noise(1)))
    errors = np.concatenate([(noisy - exact).ravel() for noisy, exact in zip(known.counts, cuts.of(rows), strict=True)])
    stddev = purchase.noise_multiplier * np.sqrt(len(cuts.names))
    assert errors.std() == pytest.approx(stddev, rel=0.15)
    assert known.variances[0][0, 0] == pytest.approx(stddev**2)
    assert lacking(known, population(4_000, 3), TARGET, default_rng(0)) == ()

"""Scores of predictions: values against scikit-learn, influences against leaving rows out, and chance alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, r2_score

from audits.evidence import Evidence
from audits.fidelity.utility import Utility
from audits.scores import BINS, brier, calibration_error, r_squared, reliability_bins
from audits.tasks import Classification, Regression, half_of, task_of
from audits.utility.fine_tuning import FineTuning
from audits.utility.hybrid import Hybrid
from audits.utility.train_test import TrainTest
from privacy.columns import LevelColumn, Role
from privacy.table import Table
from tests.controls import Synthetic, evidence, fresh_draw, shuffler
from tests.tables import mixed_schema, people, population


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _for_income(synthetic: Synthetic, n: int) -> Evidence:
    """Evidence whose target is a number."""
    given = evidence(synthetic, n=n)
    columns = tuple(replace(c, role=Role.TARGET if c.name == "income" else Role.FEATURE) for c in given.schema.columns)
    schema = replace(given.schema, columns=columns)
    sides = ("train", "control", "reference", "synthetic")
    return replace(given, schema=schema, **{side: replace(getattr(given, side), schema=schema) for side in sides})


def test_values_are_those_of_scikit_learn() -> None:
    rng = _rng(1)
    labels, predictions = rng.normal(size=300), rng.normal(size=300)
    assert r_squared(predictions / 4, labels)[0] == pytest.approx(r2_score(labels, predictions / 4))
    chance, happened = rng.random(300), rng.random(300) < 0.4
    both = np.stack([1 - chance, chance], axis=1)
    expected = 2 * brier_score_loss(happened, chance)
    assert brier(both, happened.astype(np.int32))[0] == pytest.approx(expected)


def test_influences_are_what_leaving_a_row_out_changes() -> None:
    """To 10% of the largest: a row weighs one part in 2,000 and the scores are smooth. Bins are kept."""
    rng = _rng(2)
    n = 2_000
    labels, predictions = rng.normal(size=n), rng.normal(size=n) / 3
    chance = rng.random(n)
    happened = rng.random(n) < chance**1.5
    both = np.stack([1 - chance, chance], axis=1)
    for score in (
        lambda rows: r_squared(predictions[rows], labels[rows])[:2],
        lambda rows: brier(both[rows], happened[rows].astype(np.int32))[:2],
        lambda rows: calibration_error(chance[rows], happened[rows])[:2],
    ):
        whole, influence = score(np.arange(n))
        assert influence.mean() == pytest.approx(0, abs=1e-9)
        for i in range(0, n, 400):
            without, _ = score(np.delete(np.arange(n), i))
            assert (n - 1) * (whole - without) == pytest.approx(influence[i], abs=0.1 * np.abs(influence).max())


def test_a_calibrated_model_shows_the_error_of_chance_alone() -> None:
    """Means over 200 draws of 600 rows agree to 5%; each varies by 20%, its mean by 1.4%: false alarm < 1e-3, with
    fixed seeds none. A model whose chances are 5 points too high shows half as much again.
    """
    found, alone, off = [], [], []
    for seed in range(200):
        rng = _rng(seed)
        chance = rng.uniform(0.1, 0.9, 600)
        happened = rng.random(600) < chance
        error, _, expected = calibration_error(chance, happened)
        found.append(error)
        alone.append(expected)
        off.append(calibration_error(np.minimum(chance + 0.05, 1), happened)[0])
    assert np.mean(found) == pytest.approx(np.mean(alone), rel=0.05)
    assert np.mean(off) > 1.2 * np.mean(alone)


def test_bins_are_of_equal_mass_and_ties_stay_together() -> None:
    assert (np.bincount(reliability_bins(_rng(3).random(1_500))) == 100).all()
    tied = np.repeat([0.2, 0.7], [1_000, 500])
    assert len(np.unique(reliability_bins(tied))) == 2
    assert reliability_bins(np.zeros(1)).tolist() == [0]
    assert BINS == 15


def test_half_of_takes_whole_persons() -> None:
    table = people(400, 1)
    half = half_of(table, _rng(4))
    owned = np.bincount(table.units, minlength=400)
    kept = np.bincount(half.units, minlength=400)
    assert ((kept == 0) | (kept == owned)).all()
    assert (kept > 0).sum() == 200


def test_the_spread_over_halves_is_that_of_whole_tables() -> None:
    """The variance of a mean over random halves, against the known one, within 40%.

    False alarm < 1e-3 (300 halves: a relative error of 8%, that of the table's own variance 3%); power: drawn from
    anything but halves it is off by 2 or more.
    """
    table = population(2_000, 5)
    means = [half_of(table, _rng(seed)).codes("sex").mean() for seed in range(300)]
    share = table.codes("sex").mean()
    assert np.var(means, ddof=1) == pytest.approx(share * (1 - share) / 2_000, rel=0.4)


def test_a_target_that_is_a_number_is_regressed() -> None:
    """Shuffling loses what education and sex tell of income; a fresh draw loses nothing (fixed seeds)."""
    assert isinstance(task_of(mixed_schema()), Classification)
    calm, bad = (_for_income(kind, 5_000) for kind in (fresh_draw, shuffler))
    assert isinstance(task_of(calm.schema), Regression)
    for subject in ("gradient boosting", "ridge regression"):
        lost = [
            next(
                f
                for f in Utility().run(e, _rng())
                if (f.quantity, f.subject) == ("R squared lost by synthesis", subject)
            )
            for e in (calm, bad)
        ]
        assert lost[0].interval.low < 0 < lost[0].interval.high
        assert lost[1].interval.low > lost[0].interval.high


def test_the_deep_audits_answer_for_numbers_too() -> None:
    given = _for_income(fresh_draw, 1_200)
    for audit in (
        TrainTest(repeats=2, max_rows=300),
        Hybrid(repeats=2, max_rows=300, shares=(0.0, 1.0), added=(0.0, 1.0)),
        FineTuning(repeats=1, updates=20, shares=(1.0,), max_rows=300),
    ):
        found = audit.run(given, _rng())
        assert found
        assert all(f.quantity.startswith("R squared") for f in found)


def test_a_target_that_is_missing_throughout_is_left_out_of_the_rows() -> None:
    given = _for_income(fresh_draw, 600)
    control = given.control
    gone = np.where(np.arange(len(control)) % 2 == 0, np.nan, control.numbers("income"))
    half = Table(control.schema, {**control.columns, "income": gone}, {}, control.units)
    (first, *_) = Utility().run(replace(given, control=half), _rng())
    assert first.n == np.isfinite(gone).sum()
    assert not isinstance(given.schema["income"], LevelColumn)

"""Utility: the AUC and its variance against independent references, missing classes, and honest failures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.features import linear_matrix, tree_matrix
from audits.fidelity.utility import QUICK, Utility
from audits.finding import Finding
from audits.intervals import auc
from audits.prediction import FAMILIES, labelled_rows
from audits.rows import canonical
from audits.scores import macro_auc
from audits.tasks import Classification
from privacy.columns import LevelColumn
from privacy.table import Table, make_table
from tests.controls import evidence, fresh_draw, majority_only, memoriser, shuffler
from tests.tables import fingerprint, mixed_schema, population

LOST = "AUC lost by synthesis"
QUICK_MODELS = Classification.models[:QUICK]


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _find(findings: tuple[Finding, ...], quantity: str, subject: str = "gradient boosting") -> Finding:
    (found,) = [f for f in findings if f.quantity == quantity and f.subject == subject]
    return found


def _target() -> LevelColumn:
    target = mixed_schema().target
    assert target is not None
    return target


def _with_target(given_: Evidence, name: str) -> Evidence:
    """The same evidence with another column of levels as the target."""
    columns = tuple(
        replace(c, role=mixed_schema()["approved"].role if c.name == name else mixed_schema()["age"].role)
        for c in given_.schema.columns
    )
    schema = replace(given_.schema, columns=columns)
    tables = {side: replace(getattr(given_, side), schema=schema) for side in ("train", "control", "synthetic")}
    return replace(given_, schema=schema, **tables)


def _without(table: Table, name: str, code: int) -> Table:
    return table.select(table.codes(name) != code)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=3))
@settings(deadline=None)
def test_the_macro_auc_is_that_of_scikit_learn(rows: list[tuple[int, int]]) -> None:
    scores, labels = (np.array(part) for part in zip(*rows, strict=True))
    if len(np.unique(labels)) < 2:
        return
    probabilities = np.stack([scores, 5 - scores, scores % 3], axis=1).astype(float)
    area, influence = macro_auc(probabilities, labels.astype(np.int32))
    expected = [roc_auc_score(labels == c, probabilities[:, c]) for c in np.unique(labels)]
    assert area == pytest.approx(np.mean(expected))
    assert influence.mean() == pytest.approx(0, abs=1e-9)


def test_the_influence_has_the_variance_of_delong() -> None:
    """Against `audits.intervals.auc`, up to the factor n / (n - 1) of each sample."""
    rng = _rng(1)
    labels = (rng.random(800) < 0.3).astype(np.int32)
    scores = np.round(rng.normal(labels, 1.0), 1)
    probabilities = np.stack([-scores, scores], axis=1)
    area, influence = macro_auc(probabilities, labels)
    reference = auc(scores[labels == 1], scores[labels == 0])
    assert area == pytest.approx(reference[0])
    assert influence.var() / 800 == pytest.approx(reference[1], rel=0.01)


def test_the_paired_interval_covers() -> None:
    """Bounds of the difference of two correlated AUCs, 200 rows, 600 repetitions with seeds fixed.

    The truth comes from 400,000 rows, to within .001. False alarm: at 95% the share lies in [92%, 98%] but with
    probability < 2e-3 a bound, decided once. Power: an unpaired variance covers more than 99.9%, a quarter of the
    variance 79%; both fall outside with probability > .99.
    """

    def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = (rng.random(n) < 0.3).astype(np.int32)
        shared = rng.normal(labels, 1.0)
        return labels, shared + rng.normal(0, 0.3, n), shared + rng.normal(0, 0.8, n)

    def difference(n: int, rng: np.random.Generator) -> tuple[float, float]:
        labels, real, synthetic = draw(n, rng)
        first, second = (macro_auc(np.stack([-s, s], axis=1), labels) for s in (real, synthetic))
        return first[0] - second[0], float(np.sqrt((first[1] - second[1]).var() / n))

    truth, _ = difference(400_000, _rng(99))
    found = np.array([difference(200, _rng(seed)) for seed in range(600)])
    for side in (-1, 1):
        held = (side * (truth - found[:, 0]) <= 1.645 * found[:, 1]).mean()
        assert 0.92 <= held <= 0.98


def test_a_class_the_synthetic_rows_never_held_is_counted() -> None:
    """Losing a rare class must lower the score: synthcity deletes the control rows of that class instead.

    False alarm and miss < 1e-6: a lost class scores exactly .5 with all its rows, and about .7 when it is learnt.
    """
    whole = _with_target(evidence(memoriser, n=3_000), "marital-status")
    lost = replace(whole, synthetic=_without(whole.synthetic, "marital-status", 0))
    kept, missing = (Utility().run(e, _rng()) for e in (whole, lost))
    assert _find(kept, LOST).estimate == pytest.approx(0)
    assert _find(missing, LOST).interval.low > 0.02
    assert _find(missing, LOST).n == _find(kept, LOST).n
    target = lost.schema.target
    assert target is not None
    synthetic, _, control = labelled_rows(lost, target, 30_000, _rng())
    for model in FAMILIES.values():
        probabilities = model(synthetic, control, target, _rng())
        assert probabilities.shape == (len(control), target.n_codes)
        assert (probabilities[:, 0] == 0).all()
        assert probabilities.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("subject", QUICK_MODELS)
def test_one_synthetic_class_scores_one_half(subject: str) -> None:
    given_ = evidence(memoriser, n=2_000)
    found = Utility().run(replace(given_, synthetic=_without(given_.synthetic, "approved", 1)), _rng())
    assert _find(found, "AUC, trained on synthetic", subject).estimate == 0.5
    assert _find(found, LOST, subject).interval.low > 0


def test_tells_shuffled_columns_from_a_fresh_draw() -> None:
    """Both models lose .25 of AUC to shuffling and nothing to a fresh draw; ten standard errors apart (< 1e-6)."""
    calm, bad = (Utility().run(evidence(fault), _rng()) for fault in (fresh_draw, shuffler))
    for subject in QUICK_MODELS:
        assert _find(bad, LOST, subject).interval.low > _find(calm, LOST, subject).interval.high
        assert _find(bad, LOST, subject).interval.low > 0.1
        assert _find(calm, LOST, subject).interval.high < 0.05


def test_reports_each_model_next_to_its_baseline() -> None:
    found = Utility().run(evidence(majority_only, n=3_000), _rng())
    for subject in QUICK_MODELS:
        ours, theirs, lost = (
            _find(found, q, subject) for q in ("AUC, trained on synthetic", "AUC, trained on real", LOST)
        )
        assert ours.baseline == theirs.estimate
        assert (theirs.baseline, lost.baseline) == (0.5, 0.0)
        assert lost.estimate == pytest.approx(theirs.estimate - ours.estimate)
        assert (ours.worse, theirs.worse, lost.worse) == ("lower", "lower", "higher")
        assert lost.interval.low < lost.estimate < lost.interval.high


def test_no_target_is_inconclusive() -> None:
    given_ = _with_target(evidence(fresh_draw, n=500), "nothing has this name")
    with pytest.raises(InconclusiveError, match="no target is declared"):
        Utility().run(given_, _rng())


def test_one_class_in_control_is_inconclusive() -> None:
    given_ = evidence(fresh_draw, n=500)
    with pytest.raises(InconclusiveError, match="fewer than two values"):
        Utility().run(replace(given_, control=_without(given_.control, "approved", 1)), _rng())


def test_no_labelled_synthetic_row_is_inconclusive() -> None:
    given_ = evidence(fresh_draw, n=500)
    codes = np.full(len(given_.synthetic), _target().n_codes - 1, np.int32)
    unlabelled = make_table(given_.schema, {**given_.synthetic.columns, "approved": codes})
    with pytest.raises(InconclusiveError, match="no labelled row"):
        Utility().run(replace(given_, synthetic=unlabelled), _rng())


def test_a_class_of_one_row_claims_no_certainty() -> None:
    given_ = evidence(fresh_draw, n=2_000)
    positives = np.flatnonzero(given_.control.codes("approved") == 1)
    rows = np.sort(np.r_[np.flatnonzero(given_.control.codes("approved") == 0), positives[:1]])
    found = _find(Utility().run(replace(given_, control=given_.control.select(rows)), _rng()), LOST)
    assert found.interval.high - found.interval.low > 0.5


def test_the_order_of_synthetic_rows_does_not_matter() -> None:
    given_ = evidence(fresh_draw, n=2_000)
    mixed = replace(given_, synthetic=given_.synthetic.select(_rng(3).permutation(len(given_.synthetic))))
    assert Utility().run(given_, _rng()) == Utility().run(mixed, _rng())


def test_learns_from_equally_many_rows() -> None:
    given_ = evidence(fresh_draw, n=3_000)
    small = replace(given_, synthetic=given_.synthetic.select(np.arange(700)))
    synthetic, train, control = labelled_rows(small, _target(), 30_000, _rng())
    assert len(synthetic) == len(train) == 700
    assert len(control) == len(given_.control)
    capped = labelled_rows(given_, _target(), 100, _rng())
    assert [len(side) for side in capped[:2]] == [100, 100]


def test_features_leave_the_target_out_and_keep_missing_apart() -> None:
    table = population(50, 3)
    trees, linear = tree_matrix(table, leave_out="approved"), linear_matrix(table, leave_out="approved")
    others = [column for column in table.schema.columns if column.name != "approved"]
    assert trees.shape == (50, len(others))
    width = sum(c.n_codes if isinstance(c, LevelColumn) else 2 for c in others)
    assert linear.shape == (50, width)
    assert linear.min() >= 0
    assert linear.max() <= 1
    missing = np.isnan(table.numbers("waist_ratio"))
    assert ((trees[:, table.schema.names.index("waist_ratio")] < 0.3) == missing).all()
    assert np.isfinite(trees).all()
    marked = sum(c.n_codes if isinstance(c, LevelColumn) else 2 for c in others[: others.index(table.schema["joined"])])
    assert (linear.toarray()[:, marked - 1] == missing).all()


def test_canonical_order_is_that_of_the_cells() -> None:
    table = population(200, 4)
    mixed = table.select(_rng(1).permutation(200))
    assert fingerprint(canonical(table)) == fingerprint(canonical(mixed)) != fingerprint(table)

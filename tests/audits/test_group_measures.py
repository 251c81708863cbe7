"""Groups: combinations that vanish, base rates that shift, and scores within a group, against counts by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.fairness.base_rates import BaseRates
from audits.fairness.group_scores import group_findings
from audits.fairness.representation import Representation
from audits.finding import Finding
from privacy.table import Table, make_table
from tests.controls import evidence, fresh_draw


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _find(findings: tuple[Finding, ...] | list[Finding], quantity: str, subject: str = "") -> Finding:
    return next(f for f in findings if (f.quantity, f.subject) == (quantity, subject))


def _with(given: Evidence, name: str, codes: np.ndarray) -> Evidence:
    synthetic = make_table(given.schema, {**given.synthetic.columns, name: codes.astype(np.int32)})
    return replace(given, synthetic=synthetic)


def test_a_combination_that_vanishes_is_found_where_both_groups_keep_their_shares() -> None:
    """No synthetic man of ethnicity b, as many men and as many of b as there were: only the combination shows it.

    Some 1,300 real rows: bounds of the ratio exclude .1 by forty standard errors; miss and false alarm < 1e-9.
    """
    given = evidence(fresh_draw, n=16_000)
    sex, ethnicity = given.synthetic.codes("sex"), given.synthetic.codes("ethnicity")
    lost = (sex == 1) & (ethnicity == 1)
    taken = np.flatnonzero((sex == 1) & (ethnicity == 0))[: lost.sum()]
    swapped = sex.copy()
    swapped[lost] = 0
    given_back = np.flatnonzero((sex == 0) & (ethnicity == 0))[: len(taken)]
    swapped[given_back] = 1
    found = Representation().run(_with(given, "sex", swapped), _rng())
    for subject in ("sex=male", "ethnicity=b"):
        one = _find(found, "representation ratio", subject)
        assert one.strict.low < 1 < one.strict.high
    gone = _find(found, "representation ratio", "sex=male, ethnicity=b")
    assert gone.estimate == 0
    assert gone.interval.high < 0.1


def test_small_combinations_are_counted_and_not_listed() -> None:
    found = Representation().run(evidence(fresh_draw, n=1_500), _rng())
    small = _find(found, "combinations too small to judge", "sex, ethnicity")
    pairs = [f for f in found if ", " in f.subject and f.quantity == "representation ratio"]
    assert small.estimate + len(pairs) == small.n
    assert small.estimate > 0


def test_base_rates_are_those_of_a_count_by_hand() -> None:
    given = evidence(fresh_draw, n=5_000)
    approved = given.synthetic.codes("approved").copy()
    men = given.synthetic.codes("sex") == 1
    approved[men & (_rng(2).random(len(men)) < 0.3)] = 1
    shifted = _with(given, "approved", approved)
    found = BaseRates().run(shifted, _rng())
    real = [np.concatenate([t.codes(c) for t in (given.train, given.control)]) for c in ("sex", "approved")]
    expected = approved[men].mean() - real[1][real[0] == 1].mean()
    one = _find(found, "base rate shift", "sex=male")
    assert one.estimate == pytest.approx(abs(expected))
    assert one.n == men.sum() + (real[0] == 1).sum()
    assert one.strict.low > 0.05
    women = _find(found, "base rate shift", "sex=female")
    assert women.strict.low == 0 <= women.estimate
    # A shift the other way is as bad.
    lower = _with(
        given, "approved", np.where(men & (_rng(3).random(len(men)) < 0.3), 0, given.synthetic.codes("approved"))
    )
    assert _find(BaseRates().run(lower, _rng()), "base rate shift", "sex=male").strict.low > 0.02


def test_a_group_too_small_for_a_base_rate_never_passes() -> None:
    found = BaseRates(min_rows=10_000).run(evidence(fresh_draw, n=2_000), _rng())
    small = [f for f in found if f.quantity == "base rate shift, too few rows"]
    assert {f.subject for f in small} >= {"sex=male", "ethnicity=d"}
    for one in small:
        assert (one.interval.low, one.interval.high) == (0, 1)


def test_base_rates_need_labels_and_groups() -> None:
    given = evidence(fresh_draw, n=600)
    none = given.synthetic.select(np.zeros(0, np.int64))
    with pytest.raises(InconclusiveError, match="no labelled row"):
        BaseRates().run(replace(given, synthetic=none), _rng())
    columns = tuple(replace(c, sensitive=False) for c in given.schema.columns)
    with pytest.raises(InconclusiveError, match="sensitive"):
        BaseRates().run(replace(given, schema=replace(given.schema, columns=columns)), _rng())


def test_scores_in_a_group_tell_what_synthesis_lost() -> None:
    """Chances that lost their meaning have an AUC of one half and are ill calibrated; nothing lost, nothing found.

    Bounds of .018 standard error on .25 lost: false alarm and miss < 1e-6, fixed seed.
    """
    rng = _rng(5)
    n, folds = 1_200, 5
    chance = rng.uniform(0.05, 0.95, n)
    label = rng.random(n) < chance
    real = np.clip(chance + rng.normal(0, 0.02, (folds + 1, n)), 0, 1)
    noise = np.clip(rng.uniform(0.05, 0.95, n) + rng.normal(0, 0.02, (folds + 1, n)), 0, 1)
    bad = list(group_findings("a", "g", label, (noise, real), np.arange(n)))
    calm = list(group_findings("a", "g", label, (real, real), np.arange(n)))
    ours = _find(bad, "AUC in the group, trained on synthetic", "g")
    assert ours.estimate == pytest.approx(roc_auc_score(label, noise[0]))
    assert ours.baseline == pytest.approx(roc_auc_score(label, real[0]))
    assert _find(bad, "AUC lost in the group", "g").strict.low > 0.15
    assert _find(bad, "calibration error worsened in the group", "g").strict.low > 0.1
    assert _find(calm, "AUC lost in the group", "g").estimate == 0
    assert _find(calm, "calibration error worsened in the group", "g").interval.low <= 0


def test_a_table_of_one_label_has_no_group_scores_and_no_error() -> None:
    given = evidence(fresh_draw, n=1_500)
    one: Table = given.synthetic.select(given.synthetic.codes("approved") == 1)
    found = BaseRates().run(replace(given, synthetic=one), _rng())
    assert _find(found, "base rate shift", "").interval.low > 0.3

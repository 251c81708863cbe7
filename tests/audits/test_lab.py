"""The lab's experiments: each finds what was planted, and rests where nothing was.

Effects are many standard errors, and seeds are fixed. Fresh rows of a made-up population stand for a perfect generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from audits.assignment import Parts
from audits.evidence import Evidence
from audits.finding import Audience, Finding, Interval
from audits.lab.advice import Kind, advise
from audits.lab.arms import Comparison, drawn
from audits.lab.costs import Costs
from audits.lab.curriculum import TURNS, Curriculum, _schedules
from audits.lab.imperfections import COLUMNS_LACKING, Imperfections, _confused, _missing, _noisy
from audits.lab.label_noise import LabelNoise
from audits.lab.rebalancing import AS_IT_IS, REAL, Rebalancing, _filled, _shared
from audits.lab.registry import experiments
from audits.protocol import Audit
from audits.suite import run_suite
from audits.tasks import Classification, learning, task_of
from audits.utility.hybrid import Hybrid
from privacy.columns import LevelColumn
from privacy.table import Table
from tests.controls import evidence, fresh_draw, shuffler
from tests.tables import population

OWN: Sequence[Audit] = (
    Rebalancing(repeats=2, max_rows=300, max_columns=1),
    Imperfections(missing=(0.1,), noise=(0.3,), confusion=(0.1,), repeats=2, max_rows=300),
    Curriculum(repeats=2, max_rows=400, updates=20, hidden=8),
    LabelNoise(repeats=2, max_rows=300),
    Costs(max_rows=200),
)


@pytest.fixture(scope="module")
def calm() -> Evidence:
    return evidence(fresh_draw, n=6_000)


def _flipped(share: float) -> Evidence:
    """Fresh rows, a share of whose labels is turned."""

    def synthetic(parts: Parts, rng: np.random.Generator) -> Table:
        table = fresh_draw(parts, rng)
        codes = table.codes("approved").copy()
        turned = rng.random(len(table)) < share
        codes[turned] = 1 - codes[turned]
        return replace(table, columns={**table.columns, "approved": codes})

    return evidence(synthetic, n=6_000)


def _of(findings: Sequence[Finding], quantity: str, subject: str) -> Finding:
    return next(f for f in findings if (f.quantity, f.subject) == (quantity, subject))


def test_label_noise_is_what_was_turned() -> None:
    """Of f turned labels, a model that is wrong on a share d disagrees with f (1 - 2 d) more."""
    found = LabelNoise(repeats=2, max_rows=2_000).run(_flipped(0.2), default_rng(1))
    wrong = _of(found, "labels a model of real rows disagrees with", "control rows").estimate
    noise = _of(found, "label noise", "all labels")
    assert noise.estimate == pytest.approx(0.2 * (1 - 2 * wrong), abs=0.04)
    assert noise.interval.low > 0.02


def test_a_fresh_draw_has_no_label_noise(calm: Evidence) -> None:
    noise = _of(LabelNoise(repeats=2, max_rows=2_000).run(calm, default_rng(1)), "label noise", "all labels")
    assert noise.interval.low < 0 < noise.interval.high


def test_mixing_with_shuffled_rows_is_shown_to_do_harm() -> None:
    hybrid = Hybrid(shares=(0.0, 1.0), added=(0.0, 1.0), scarce=(0.5,), repeats=2, max_rows=1_600)
    found = hybrid.run(evidence(shuffler, n=6_000), default_rng(2))
    lost = _of(found, "AUC gained by share of real rows", "0% real")
    whole, alone = (_of(found, "AUC by share of real rows", f"{share}% real").estimate for share in (100, 0))
    assert lost.estimate == pytest.approx(alone - whole)
    assert lost.interval.high < 0
    assert {f.subject for f in found if f.quantity.startswith("AUC gained by synthetic rows added to 50%")} == {
        "1 synthetic for each real"
    }


def test_arms_that_are_one_differ_by_nothing(calm: Evidence) -> None:
    """And an arm whose labels are shuffled is shown to be worse, in AUC and in every group that is large enough."""
    task = task_of(calm.schema)
    assert isinstance(task, Classification)
    rows = learning(calm, task, 1_500, default_rng(0))
    half = rows.train.select(np.arange(700))
    shuffled = replace(half, columns={**half.columns, "approved": default_rng(1).permutation(half.codes("approved"))})
    arms = {"one": [half, half], "the same": [half, half], "shuffled": [shuffled, shuffled]}
    sex = calm.schema["sex"]
    assert isinstance(sex, LevelColumn)
    found = list(Comparison("test", task, rows, "one").findings(arms, default_rng(3), groups=[sex]))
    for f in found:
        if " against one" in f.quantity and f.subject.startswith("the same"):
            assert f.estimate == 0
            assert f.interval.low <= 0 <= f.interval.high
        if f.quantity in ("AUC against one", "AUC in a group against one") and f.subject.startswith("shuffled"):
            assert f.interval.high < 0
    assert _of(found, "AUC in a group against one", "shuffled, sex=male").n == len(rows.control)


def test_equal_shares_are_equal_and_small_groups_are_filled() -> None:
    real, synthetic = population(1_000, 1), population(1_000, 2)
    column = real.schema["ethnicity"]
    assert isinstance(column, LevelColumn)
    shares = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    equal = _shared(column, shares, 400)(synthetic, default_rng(0))
    assert np.bincount(equal.codes("ethnicity")).tolist() == [100] * 4
    filled = _filled(real, synthetic, column, default_rng(0))
    before, after = (np.bincount(t.codes("ethnicity"), minlength=4) for t in (real, filled))
    there = np.bincount(synthetic.codes("ethnicity"), minlength=4)
    assert (after == np.maximum(before, np.minimum(before + there, 125))).all()


def test_drawn_rows_are_distinct_as_long_as_there_are() -> None:
    table = population(50, 1)
    assert len(np.unique(drawn(table, 50, default_rng(0)).units)) == 50
    assert len(drawn(table, 80, default_rng(0))) == 80


def test_imperfections_are_what_they_say_and_spare_the_label() -> None:
    rows, rng = population(4_000, 1), default_rng(0)
    gone = _missing("approved", 0.1, rows, rng)
    assert np.isnan(gone.numbers("age")).mean() == pytest.approx(0.1, abs=0.02)
    assert (gone.codes("region") == rows.schema["region"].n_codes - 1).mean() == pytest.approx(0.1, abs=0.02)
    confused = _confused("approved", 0.5, rows, rng)
    assert (confused.codes("region") != rows.codes("region")).mean() == pytest.approx(0.5 * 0.776, abs=0.05)
    shares = [np.bincount(t.codes("region"), minlength=8) / 4_000 for t in (rows, confused)]
    assert np.abs(shares[0] - shares[1]).sum() / 2 < 0.03
    noisy = _noisy("approved", 0.3, rows, rng)
    assert (noisy.numbers("age") - rows.numbers("age")).std() == pytest.approx(0.3 * rows.numbers("age").std(), rel=0.1)
    for changed in (gone, confused, noisy):
        assert (changed.codes("approved") == rows.codes("approved")).all()


def test_imperfections_that_were_taken_away_are_planted_again_and_help() -> None:
    """Education that says nothing of the label: confused as the training rows have it, it says what it said."""

    def synthetic(parts: Parts, rng: np.random.Generator) -> Table:
        table = fresh_draw(parts, rng)
        return replace(table, columns={**table.columns, "education": rng.permutation(table.codes("education"))})

    audit = Imperfections(missing=(), noise=(), confusion=(), repeats=3, max_rows=4_000)
    found = audit.run(evidence(synthetic, n=12_000), default_rng(1))
    assert _of(found, COLUMNS_LACKING, "").estimate >= 1
    assert _of(found, "lacking confusion of cells, share", "education").estimate > 0.05
    assert _of(found, "AUC against synthetic rows as they are", "lacking confusion of cells").interval.low > 0


def test_every_schedule_sees_as_much_of_either() -> None:
    synthetic, real = population(400, 1), population(200, 2)
    found = _schedules(task_of(real.schema), synthetic, real, default_rng(0))
    assert len(found) == 5
    for name, blocks in found.items():
        assert sum(block is real for block in blocks) * 2 == len(blocks), name
    easy = found["from easy to hard, then real"]
    assert sum(len(block) for block in easy if block is not real) == len(synthetic)
    assert found[TURNS][0] is synthetic


@pytest.mark.parametrize("audit", OWN, ids=lambda audit: audit.name)
def test_an_experiment_is_internal_bounded_and_repeats_itself(audit: Audit, calm: Evidence) -> None:
    found = audit.run(calm, default_rng(4))
    assert found
    for f in found:
        assert f.audience is Audience.INTERNAL
        assert f.interval.low <= f.estimate <= f.interval.high
    if audit.name != "costs":
        assert audit.run(calm, default_rng(4)) == found
    else:
        assert {f.quantity for f in found} == {"seconds of training", "peak megabytes of training"}


def test_without_a_target_every_experiment_says_why(calm: Evidence) -> None:
    bare = replace(calm, schema=replace(calm.schema, columns=calm.schema.columns[:-1]))
    outcomes = run_suite(OWN, bare, {audit.name: default_rng(0) for audit in OWN})
    assert [o.error for o in outcomes] == [""] * len(OWN)
    assert all(o.inconclusive for o in outcomes)


def test_names_of_experiments_are_their_own() -> None:
    names = [audit.name for audit in experiments(known=None)]
    assert len(set(names)) == len(names)
    assert {audit.name for audit in OWN} <= set(names)


def _finding(
    quantity: str, subject: str, estimate: float, reach: float, worse: str = "lower", audit: str = "hybrid"
) -> Finding:
    bounds = Interval(estimate - reach, estimate + reach, 0.95)
    return Finding(
        audit=audit, quantity=quantity, subject=subject, estimate=estimate, interval=bounds, strict=bounds,
        baseline=0.0, worse="lower" if worse == "lower" else "higher", n=100, detectable=None,
        audience=Audience.INTERNAL,
    )  # fmt: skip


def test_advice_says_no_more_than_bounds_prove() -> None:
    added = "AUC gained by synthetic rows added to 10% of the real"
    share = "AUC gained by share of real rows"
    against = f"calibration error against {AS_IT_IS}"
    said = advise(
        [
            _finding(added, "1 synthetic for each real", 0.02, 0.005),
            _finding(added, "9 synthetic for each real", 0.03, 0.04),
            _finding(share, "0% real", -0.05, 0.01),
            _finding(share, "50% real", -0.02, 0.01),
            _finding("AUC gained by pretraining", "10% of the real rows", 0.01, 0.02, audit="fine-tuning"),
            _finding(against, "equal shares of sex", -0.02, 0.01, worse="higher", audit="rebalancing"),
            _finding(f"AUC against {REAL}", "small groups of sex filled up", 0.0, 0.01, audit="rebalancing"),
            _finding("label noise", "all labels", 0.08, 0.02, worse="higher", audit="label noise"),
        ]
    )
    kinds = {one.question: one.kind for one in said}
    assert kinds["Synthetic rows added to 10% of the real"] is Kind.HELPS
    assert kinds["Mixing at a fixed number of rows"] is Kind.HARMS
    assert kinds["Pretraining on synthetic rows, then 10% of the real rows"] is Kind.NOTHING
    assert kinds[f"Other shares instead of {AS_IT_IS}: calibration"] is Kind.HELPS
    assert kinds[f"Other shares instead of {REAL}: accuracy"] is Kind.NOTHING
    assert kinds["Noise of synthetic labels"] is Kind.GAP
    assert "1 synthetic for each real" in next(s.text for s in said if s.kind is Kind.HELPS)

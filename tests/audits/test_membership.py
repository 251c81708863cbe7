"""Membership inference tells a memoriser from a fresh draw, overall, among outliers and in groups.

Seeds are fixed, so no test fails by chance; the error rates given are those over the choice of seeds.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given as given_
from hypothesis import settings
from hypothesis import strategies as st

from audits.attacks import membership_scores
from audits.attacks.membership import MembershipInference
from audits.distance import features
from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.search import others
from privacy.table import Table
from tests.controls import (
    contaminated,
    evidence,
    fresh_draw,
    fresh_draw_of,
    memoriser,
    near_memoriser,
    one_column_changed,
    renamed,
)
from tests.tables import low_cardinality, people, population

ATTACKS = (
    "nearest neighbour", "fifth nearest neighbour", "twentieth nearest neighbour", "calibrated", "density ratio",
    "plagiarism", "classifier", "marginals", "error profile",
)  # fmt: skip
RATES = {"10%": 0.1, "1%": 0.01}
OVERALL = (
    "AUC", *(w.format(r) for r in RATES for w in ("TPR at {} FPR", "achieved FPR at {}", "TPR excess at {} FPR"))
)  # fmt: skip


def run(given: Evidence) -> dict[tuple[str, str], Finding]:
    return {(f.subject, f.quantity): f for f in MembershipInference().run(given, np.random.default_rng(0))}


@cache
def calm() -> tuple[Evidence, dict[tuple[str, str], Finding]]:
    """A fresh draw of 12,000 rows, and what is found in it."""
    given = evidence(fresh_draw, n=12_000)
    return given, run(given)


def test_a_fresh_draw_rests() -> None:
    """No strict bound of any attack proves a leak, in 5 seeds.

    Each of the 40 bounds fails with probability at most 1% over seeds, so the whole with at most 33%; a leak that
    raised the AUC by .06 would be missed in all five with probability below 1e-4.
    """
    for seed in range(5):
        found = run(evidence(fresh_draw, seed=seed))
        for attack in ATTACKS:
            assert found[attack, "AUC"].strict.low < 0.5 < found[attack, "AUC"].strict.high
            assert found[attack, "TPR excess at 1% FPR"].strict.low < 0


@pytest.mark.parametrize("fault", [memoriser, near_memoriser, one_column_changed])
def test_a_memoriser_is_beyond_doubt(fault) -> None:
    """Strict bounds of AUC above .9 and of the excess above .3; a fresh draw's AUC is .5, its standard error .01."""
    found = run(evidence(fault))
    assert found["nearest neighbour", "AUC"].strict.low > 0.9
    assert found["calibrated", "AUC"].strict.low > 0.9
    assert found["calibrated", "TPR excess at 1% FPR"].strict.low > 0.3
    assert found["density ratio", "AUC"].strict.low > 0.5
    assert found["nearest neighbour, outlier decile", "AUC"].strict.low > 0.9


def test_a_tenth_of_copies_shows_at_low_false_positive_rates_first() -> None:
    """10% verbatim: the excess is proven beyond 3% while the AUC stays below .6; standard errors .9 and 1 points."""
    found = run(evidence(contaminated(0.1, memoriser), n=12_000))
    assert found["nearest neighbour", "TPR excess at 1% FPR"].strict.low > 0.03
    assert found["nearest neighbour", "AUC"].estimate < 0.6


def test_copied_outliers_show_in_their_decile_and_not_in_the_average() -> None:
    """Only the most isolated 5% of the training rows are copied, in place of 5% of a fresh draw.

    Standard errors .03 and .01: such a gap in a fresh draw, or none here, has probability below 1e-4.
    """

    def outliers_copied(parts, rng):
        apart = others(features(parts.train, parts.train.schema), 5).mean(axis=1)
        rare = np.argsort(-apart)[: len(apart) // 20]
        fresh = fresh_draw(parts, rng)
        columns = {n: np.concatenate([parts.train.columns[n][rare], v[len(rare) :]]) for n, v in fresh.columns.items()}
        return replace(fresh, columns=columns)

    found = run(evidence(outliers_copied, n=12_000))
    tier, overall = found["nearest neighbour, outlier decile", "AUC"], found["nearest neighbour", "AUC"]
    assert tier.strict.low > 0.55
    assert overall.estimate < 0.55
    assert tier.estimate - overall.estimate > 0.15


def test_every_finding_is_complete_and_internal() -> None:
    given, found = calm()
    n_targets = min(3 * len(given.control), len(given.train)) + len(given.control)
    assert {(attack, quantity) for attack in ATTACKS for quantity in OVERALL} <= set(found)
    for (_, quantity), finding in found.items():
        assert finding.audience is Audience.INTERNAL
        assert finding.worse == "higher"
        assert finding.detectable is not None
        assert 0 < finding.detectable < 0.1
        rate = next((value for word, value in RATES.items() if quantity.endswith((f" {word}", f" {word} FPR"))), 0.5)
        assert finding.baseline == (0.0 if "excess" in quantity else rate)
    assert found["calibrated", "AUC"].n == n_targets
    assert found["calibrated, outlier decile", "AUC"].n == pytest.approx(n_targets / 10, abs=2)
    for attack in ATTACKS:
        excess = found[attack, "TPR excess at 1% FPR"].estimate
        hits, alarms = found[attack, "TPR at 1% FPR"], found[attack, "achieved FPR at 1%"]
        assert excess == pytest.approx(hits.estimate - alarms.estimate)


def test_groups_of_at_least_250_a_side_are_attacked_by_themselves() -> None:
    _, found = calm()
    groups = {subject.split(", ")[1] for subject, _ in found if "=" in subject}
    assert groups == {"sex=female", "sex=male", "ethnicity=a", "ethnicity=b"}


def test_column_names_with_blanks_and_hyphens_are_names() -> None:
    given = renamed(evidence(fresh_draw, n=4_500), {"sex": "sex of - person; x=1"})
    assert ("calibrated, sex of - person; x=1=female", "AUC") in run(given)


def test_a_coarse_table_is_safe_from_ties_and_zeros() -> None:
    """Most distances are 0; a fresh draw rests and a memoriser of 49% is found at 99.99% (one seed each)."""
    calm = run(evidence(fresh_draw_of(low_cardinality), sampler=low_cardinality))
    half = run(evidence(contaminated(0.49, memoriser, low_cardinality), sampler=low_cardinality))
    for attack in ATTACKS:
        assert calm[attack, "AUC"].strict.low < 0.5 < calm[attack, "AUC"].strict.high
    assert half["calibrated", "AUC"].strict.low > 0.5


def test_persons_are_attacked_once() -> None:
    given = evidence(fresh_draw_of(people), n=4_000, sampler=people)
    outsiders = len(np.unique(given.control.units))
    found = run(given)
    assert found["calibrated", "AUC"].n == 4 * outsiders
    assert found["calibrated", "AUC"].strict.low < 0.5


def test_targets_are_sampled_beyond_the_limit() -> None:
    audit = MembershipInference(max_targets=600)
    first = audit.run(evidence(fresh_draw), np.random.default_rng(0))
    again = audit.run(evidence(fresh_draw), np.random.default_rng(0))
    assert first == again
    assert first[0].n == 600


@settings(max_examples=3, deadline=None)
@given_(st.integers(0, 1_000))
def test_order_of_the_synthetic_rows_does_not_matter(seed: int) -> None:
    given = evidence(contaminated(0.1, near_memoriser), n=3_000)
    order = np.random.default_rng(seed).permutation(len(given.synthetic))
    shuffled, plain = run(replace(given, synthetic=given.synthetic.select(order))), run(given)
    assert {key: f.estimate for key, f in shuffled.items()} == pytest.approx({k: f.estimate for k, f in plain.items()})


def test_an_all_missing_column_and_a_constant_one_are_no_error() -> None:
    def hard(n: int, seed: int) -> Table:
        table = population(n, seed)
        columns = {**table.columns, "income": np.full(n, np.nan), "region": np.zeros(n, np.int32)}
        return replace(table, columns=columns)

    found = run(evidence(memoriser, sampler=hard))
    assert found["nearest neighbour", "AUC"].strict.low > 0.9


def test_too_little_of_anything_is_inconclusive() -> None:
    with pytest.raises(InconclusiveError, match="fewer than 100 targets"):
        run(evidence(fresh_draw, n=400))
    given = evidence(fresh_draw, n=2_000)
    few = np.arange(10)
    with pytest.raises(InconclusiveError, match="reference sample"):
        run(replace(given, reference=given.reference.select(few)))
    with pytest.raises(InconclusiveError, match="synthetic table"):
        run(replace(given, synthetic=given.synthetic.select(few)))


def test_beside_a_long_synthetic_table_fewer_are_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given = evidence(fresh_draw, n=4_000)
    monkeypatch.setattr(membership_scores, "LEAST_SEARCHED", 60)
    monkeypatch.setattr(membership_scores, "MAX_SEARCHED_PAIRS", 300 * len(given.synthetic))
    targets, reference = membership_scores.targets_and_reference(given, 1_000, np.random.default_rng(0))
    assert len(reference) == min(300, len(given.reference))
    assert len(targets.rows) == 300
    monkeypatch.setattr(membership_scores, "LEAST_SEARCHED", 900)
    targets, _ = membership_scores.targets_and_reference(given, 1_000, np.random.default_rng(0))
    assert len(targets.rows) > 300

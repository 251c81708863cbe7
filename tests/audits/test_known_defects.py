"""Inputs on which an existing tool is known to report a wrong or a reassuring score: ours reports the truth.

One test a defect, named after it. Each input is built as the defect asks for; the score the defect would give is worked
out in the test where its formula is a line. Seeds are fixed, so no test fails by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.random import default_rng

from api.streams import Streams
from audits.attacks.attribute_inference import AttributeInference
from audits.attacks.copies import Copies
from audits.attacks.membership import MembershipInference
from audits.attacks.singling_out import SinglingOut
from audits.distance import features
from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.fidelity.detection import Detection
from audits.finding import Finding
from audits.intervals import USUAL, clopper_pearson, proportion_difference
from audits.protocol import Audit
from audits.release.gate import Verdict, outcome_checks
from audits.release.policy import load_policy
from audits.search import nearest
from audits.suite import run_suite
from privacy.schema_file import parse_schema
from privacy.table import Table, make_table
from tests.controls import contaminated, evidence, fresh_draw, fresh_draw_of, memoriser, renamed
from tests.tables import low_cardinality


def found(audit: Audit, given: Evidence) -> tuple[Finding, ...]:
    return audit.run(given, default_rng(0))


def only(findings: Sequence[Finding], quantity: str) -> Finding:
    return next(f for f in findings if f.quantity == quantity)


def numbers(name: str, kind: str = "number", low: float = -1_000, high: float = 1_000) -> Mapping[str, object]:
    bounds = {"minimum": low, "maximum": high}
    return {"name": name, "type": kind, "constraints": bounds, "source": "public", "cite": "made up"}


def small_schema(*fields: Mapping[str, object]):
    return parse_schema(
        {
            "name": "small",
            "fields": list(fields),
            "privacy": {"population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": "none",
                        "cap": {"epsilon": 1, "delta": 1e-6}},
        }
    )  # fmt: skip


def copying(findings: Sequence[Finding]) -> float:
    return only(findings, "copying p-value").estimate


# --- inference by guessing negative numbers: |guess - secret| / guess is never above a tolerance ----------------------


def test_negative_guesses_are_not_always_right() -> None:
    """A secret in [-1000, 1000] that nobody can infer, guessed from unrelated rows: success is rare on both sides."""
    schema = small_schema(numbers("known"), numbers("secret"))

    def draw(n: int, seed: int) -> Table:
        rng = np.random.default_rng(seed)
        return make_table(schema, {"known": rng.uniform(-1_000, 1_000, n), "secret": rng.uniform(-1_000, 0, n)})

    given = evidence(fresh_draw_of(draw), n=4_000, sampler=draw)
    rates = [f for f in found(AttributeInference(), given) if f.quantity.startswith("success rate of inference")]
    assert rates
    assert max(f.estimate for f in rates) < 0.3


# --- queries that fail count as harmless ------------------------------------------------------------------------------


def test_dates_are_queried() -> None:
    """Singling out on a table whose only telling column is a date, released whole: an excess beyond .09 is proven."""
    days = {"minimum": "1900-01-01", "maximum": "2100-12-31"}
    joined = {"name": "joined", "type": "date", "constraints": days, "source": "public", "cite": "made up"}
    schema = small_schema(joined, numbers("flag", "integer", 0, 1))

    def draw(n: int, seed: int) -> Table:
        rng = np.random.default_rng(seed)
        return make_table(schema, {"joined": rng.integers(-25_000, 47_000, n).astype(float), "flag": np.zeros(n)})

    given = evidence(memoriser, n=4_000, sampler=draw)
    assert max(f.strict.low for f in found(SinglingOut(), given) if f.quantity == "excess of singling out") > 0.09


@pytest.mark.parametrize("name", ["two words", "a-b", "1st", "`tick`", "x == 1 or", "class", "ä", "index"])
def test_column_names_do_not_silence_an_attack(name: str) -> None:
    """Any name gives the findings that a plain one gives, to the last digit: no query is a text that is parsed."""
    plain = evidence(memoriser, n=1_200)
    odd = renamed(plain, {"age": name})
    for audit in (SinglingOut(), Copies()):
        here, there = found(audit, plain), found(audit, odd)
        assert [f.estimate for f in here] == [f.estimate for f in there]


def test_missing_values_are_alike_and_far_from_values() -> None:
    """Some distances make two missing cells as far apart as can be, and a missing cell NaN from a value."""
    schema = small_schema(numbers("x"), numbers("y"))
    rows = make_table(schema, {"x": np.array([np.nan, np.nan, 1.0]), "y": np.array([0.0, 0.0, 0.0])})
    known = features(rows, schema)
    assert nearest(known.select(np.array([0])), known.select(np.array([1])), 1)[0, 0] == 0.0
    assert nearest(known.select(np.array([0])), known.select(np.array([2])), 1)[0, 0] == 1.0


# --- rates: rescaled controls, requested instead of made attacks, risks clipped at nothing ---------------------------


@pytest.mark.parametrize(
    ("hits", "n", "other_hits", "other_n"), [(100, 100, 100, 100), (0, 50, 50, 50), (7, 7, 0, 900)]
)
def test_perfect_and_hopeless_attacks_have_bounds(hits: int, n: int, other_hits: int, other_n: int) -> None:
    """No logarithm of a negative number, and a risk below nothing is shown as it is."""
    bounds = proportion_difference(hits, n, other_hits, other_n, USUAL)
    assert bounds.low <= hits / n - other_hits / other_n <= bounds.high
    assert (bounds.low < 0) == (hits / n - other_hits / other_n <= 0)


def test_the_denominator_is_the_attacks_that_were_made() -> None:
    """Ten attacks of which all succeed are no rate of 10 in 2,000; the finding's n says how many there were."""
    assert clopper_pearson(10, 10, USUAL).low > 0.7
    given = evidence(memoriser, n=1_200)
    for finding in found(SinglingOut(), given):
        if finding.quantity.startswith("success rate"):
            assert finding.estimate * finding.n == pytest.approx(round(finding.estimate * finding.n))


def test_the_same_seed_gives_the_same_findings() -> None:
    given = evidence(fresh_draw, n=1_200)
    for audit in (SinglingOut(), MembershipInference(), Copies()):
        assert audit.run(given, default_rng(5)) == audit.run(given, default_rng(5))


# --- distances to the closest record ----------------------------------------------------------------------------------


def test_ties_are_not_on_the_holdouts_side() -> None:
    """Half of a coarse table is verbatim training rows. Nearly every row is at distance 0 from both sides, and a score
    that gives ties to the holdout is 1.00; the copying p-value is below one in a million."""
    given = evidence(contaminated(0.49, memoriser, low_cardinality), n=8_000, sampler=low_cardinality)
    schema = given.schema
    to_train, to_control = (
        nearest(features(given.synthetic, schema), features(side, schema), 1)[:, 0]
        for side in (given.train, given.control)
    )
    reassuring = min(1.0, 2 * float(np.mean(to_control <= to_train)))
    assert reassuring == 1.0
    assert copying(found(Copies(), given)) < 1e-6


def test_a_median_does_not_hide_copies() -> None:
    """30% verbatim rows leave the median distance of a fresh table where it is; they are found."""
    given, fresh = evidence(contaminated(0.3, memoriser), n=4_000), evidence(fresh_draw, n=4_000)
    schema = given.schema
    medians = [np.median(nearest(features(e.synthetic, schema), features(e.train, schema), 1)) for e in (given, fresh)]
    assert medians[0] > 0.5 * medians[1]
    assert copying(found(Copies(), given)) < 1e-6
    assert copying(found(Copies(), fresh)) > 0.025


def test_a_tolerance_of_one_percent_hides_no_copies() -> None:
    """Verbatim copies in 1% of the rows, a share that "new row" scores round away."""
    given = evidence(contaminated(0.01, memoriser), n=12_000)
    assert copying(found(Copies(), given)) < 0.025


def test_distances_of_nothing_are_no_safety() -> None:
    """Every distance is 0 on both sides, so that a ratio of medians is 0 / 0: a memoriser is found."""
    given = evidence(memoriser, n=8_000, sampler=low_cardinality)
    schema = given.schema
    assert np.median(nearest(features(given.train, schema), features(given.synthetic, schema), 1)) == 0
    assert copying(found(Copies(), given)) < 1e-6


def test_a_fresh_coarse_table_is_not_accused() -> None:
    given = evidence(fresh_draw_of(low_cardinality), n=8_000, sampler=low_cardinality)
    assert copying(found(Copies(), given)) > 0.025


def test_proportional_rows_are_not_identical() -> None:
    """Rows scaled to length one before distances are taken make (1, 2) and (2, 4) the same row."""
    schema = small_schema(numbers("x", low=0, high=10), numbers("y", low=0, high=10))
    rows = make_table(schema, {"x": np.array([1.0, 2.0]), "y": np.array([2.0, 4.0])})
    known = features(rows, schema)
    assert nearest(known.select(np.array([0])), known.select(np.array([1])), 1)[0, 0] == pytest.approx(
        np.hypot(0.1, 0.2)
    )


def test_levels_are_equally_far_apart_whatever_their_numbers() -> None:
    """Levels written as binary digits before distances are taken: the first is then nearer to the second than to the
    eighth by the root of three, and which rows are neighbours hangs on the order of a list."""
    levels = {"name": "s", "type": "string", "categories": list("abcdefgh"), "source": "public", "cite": "made up"}
    schema = small_schema(levels, numbers("x", low=0, high=10))
    rows = make_table(schema, {"s": np.arange(8, dtype=np.int32), "x": np.zeros(8)})
    digits = (np.arange(8)[:, None] >> np.arange(3)) & 1
    misleading = np.linalg.norm(digits[0] - digits[[1, 7]], axis=1)
    assert misleading[1] > 1.7 * misleading[0]
    known = features(rows, schema)
    apart = nearest(known, known, 8)
    assert (apart[:, 0] == 0).all()
    assert (apart[:, 1:] == 1).all()


def test_training_rows_left_out_of_a_sample_are_still_sought() -> None:
    """A large training table is not cut to the smallest one: copies of any 60 of its rows, exact matches of which are
    looked for among all, are in the match counts."""
    given = evidence(fresh_draw, n=6_000)
    copied = {n: np.concatenate([v[-60:], given.synthetic.columns[n][60:]]) for n, v in given.train.columns.items()}
    planted = replace(given, synthetic=make_table(given.schema, copied))
    assert copying(Copies(max_near_rows=500).run(planted, default_rng(0))) < 0.025


# --- scores that are remembered --------------------------------------------------------------------------------------


def test_a_table_that_was_changed_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores kept on disk by the name of a table answer for the one before. Here the very object that was found calm
    is filled with training rows, and is found out; and nothing is left on the disk to be remembered by."""
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "TMPDIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    given = evidence(fresh_draw, n=2_000)
    calm = [found(audit, given) for audit in (Copies(), MembershipInference())]
    for name, values in given.synthetic.columns.items():
        values[:] = given.train.columns[name]
    copied, attacked = (found(audit, given) for audit in (Copies(), MembershipInference()))
    assert copying(copied) < 1e-6 < copying(calm[0])
    assert only(attacked, "AUC").strict.low > 0.9 > only(calm[1], "AUC").estimate
    assert list(tmp_path.iterdir()) == []


# --- sizes, baselines, controls ---------------------------------------------------------------------------------------


def test_unequal_sizes_cost_the_control_nothing() -> None:
    """Rates of either side are over its own rows: a fresh draw has no excess though control is a sixth of train."""
    given = evidence(fresh_draw, n=8_000)
    assert len(given.train) > 4 * len(given.control)
    assert abs(only(found(Copies(), given), "excess of exact matches").estimate) < 0.02


def test_a_uniform_guess_is_no_baseline() -> None:
    """A secret of 95% one level is inferred in 95% of cases by whoever knows the population; no excess is claimed."""
    level = {"name": "s", "type": "string", "categories": ["a", "b"], "source": "public", "cite": "made up"}
    schema = small_schema(numbers("x"), {**level, "sensitive": True})

    def draw(n: int, seed: int) -> Table:
        rng = np.random.default_rng(seed)
        return make_table(schema, {"x": rng.uniform(-1_000, 1_000, n), "s": (rng.random(n) < 0.05).astype(np.int32)})

    findings = found(AttributeInference(), evidence(fresh_draw_of(draw), n=4_000, sampler=draw))
    control = [f for f in findings if f.quantity == "control rate of inference" and f.subject.startswith("s")]
    excess = [f for f in findings if f.quantity == "excess of inference"]
    assert max(f.baseline for f in control) > 0.9
    assert all(f.interval.low <= 0.02 for f in excess)


def test_reference_and_outsiders_are_different_rows() -> None:
    """Density ratios whose population sample overlaps the outsiders call these more likely than they are."""
    given = evidence(fresh_draw, n=4_000)
    assert set(given.reference.units.tolist()).isdisjoint(given.control.units.tolist())
    auc = [f for f in found(MembershipInference(), given) if f.quantity == "AUC" and ", " not in f.subject]
    assert all(f.strict.low <= 0.5 <= f.strict.high for f in auc)


def test_an_attack_on_a_hundred_rows_proves_nothing() -> None:
    """Too few targets are no good news: the audit is silent, and the gate asks a person."""
    given = evidence(memoriser, n=300)
    outcomes = run_suite([MembershipInference()], given, Streams(1))
    assert outcomes[0].inconclusive
    policy = load_policy("internal")
    asked = [c for c in outcome_checks(outcomes, policy) if c.audit == "membership inference"]
    assert {c.verdict for c in asked} == {Verdict.REVIEW}


def test_a_score_of_nothing_is_not_dropped() -> None:
    """A component of exactly 0 that is falsy, and so left out of a mean: a p-value of 0 withholds."""
    outcomes = run_suite([Copies()], evidence(memoriser, n=4_000), Streams(1))
    zero = replace(only(outcomes[0].findings, "copying p-value"), estimate=0.0)
    zero = replace(zero, interval=replace(zero.interval, low=0.0, high=0.0), strict=replace(zero.strict, low=0, high=0))
    checks = outcome_checks([replace(outcomes[0], findings=(zero,))], load_policy("internal"))
    assert next(c.verdict for c in checks if c.quantity == "copying p-value") is Verdict.WITHHOLD


def test_precision_near_one_half_is_not_rounded_into_safety() -> None:
    """An attack a little better than chance is reported as that, with an interval, and not as a rounded .5."""
    given = evidence(contaminated(0.1, memoriser), n=8_000)
    auc = [f for f in found(MembershipInference(), given) if f.quantity == "AUC" and ", " not in f.subject]
    assert max(f.interval.low for f in auc) > 0.5
    assert all(f.estimate != round(f.estimate, 1) for f in auc)


# --- utility, detection ------------------------------------------------------------


def test_detection_is_not_scored_on_the_rows_it_was_fitted_to() -> None:
    """A model in sample tells any two tables apart; out of sample a fresh draw has no excess."""
    given = evidence(fresh_draw, n=4_000)
    assert only(found(Detection(), given), "excess AUC of detection").interval.low <= 0.02


def test_a_table_without_rows_is_no_safe_table() -> None:
    given = evidence(fresh_draw, n=1_200)
    empty = replace(given, synthetic=given.synthetic.select(np.zeros(0, np.int64)))
    with pytest.raises(InconclusiveError):
        found(Copies(), empty)

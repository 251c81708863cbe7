"""Rules: declared ones that a table made elsewhere breaks, mined ones that hold of what they were mined from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import beta

from audits.evidence import Evidence
from audits.fidelity.coverage import Coverage
from audits.fidelity.rules import Rules, mine
from audits.finding import Finding
from privacy.conditions import LevelsAllowed
from privacy.constraints import Constraints, Implication, Step
from privacy.table import Table, make_table
from tests.controls import evidence, fresh_draw, memoriser, shuffler
from tests.tables import population

NO_DOCTOR_IN_THE_NORTH = Constraints(
    steps=(
        Step(
            implications=(
                Implication(
                    when=(LevelsAllowed(column="region", levels=frozenset({"north"}), missing=False),),
                    then=LevelsAllowed(
                        column="education", levels=frozenset({"none", "primary", "secondary"}), missing=True
                    ),
                ),
            )
        ),
    )
)


def _rng() -> np.random.Generator:
    return np.random.default_rng(1)


def _find(findings: tuple[Finding, ...], quantity: str, subject: str = "") -> Finding:
    return next(f for f in findings if (f.quantity, f.subject) == (quantity, subject))


def _with_rules(given: Evidence, rules: Constraints) -> Evidence:
    schema = replace(given.schema, constraints=rules)
    sides = ("train", "control", "reference", "synthetic")
    return replace(given, schema=schema, **{side: replace(getattr(given, side), schema=schema) for side in sides})


def _emptied(table: Table, name: str, code: int) -> Table:
    return make_table(table.schema, table.select(table.codes(name) != code).columns)


def test_a_declared_rule_is_counted_with_an_exact_bound() -> None:
    given = _with_rules(evidence(fresh_draw, n=2_000), NO_DOCTOR_IN_THE_NORTH)
    north = given.synthetic.codes("region") == 0
    broken = north & (given.synthetic.codes("education") > 2)
    found = Rules().run(given, _rng())
    one = _find(found, "rows that break a declared rule")
    assert (one.estimate * one.n, one.n) == (broken.sum(), len(north))
    assert one.interval.high == beta.ppf(0.95, broken.sum() + 1, len(north) - broken.sum())
    (words,) = NO_DOCTOR_IN_THE_NORTH.words
    assert _find(found, "rows that break this declared rule", words).estimate == one.estimate


def test_no_violation_in_n_rows_is_bounded_and_not_nothing() -> None:
    given = _with_rules(evidence(fresh_draw, n=2_000), NO_DOCTOR_IN_THE_NORTH)
    kept = replace(given, synthetic=_emptied(given.synthetic, "region", 0))
    one = _find(Rules().run(kept, _rng()), "rows that break a declared rule")
    assert one.estimate == one.interval.low == 0
    assert 0 < one.interval.high < 3.1 / one.n


def test_mined_rules_hold_of_their_own_rows_and_of_no_shuffled_ones() -> None:
    train = population(4_000, 3)
    mined = list(mine(train, 50, 20))
    assert any("age is in bin 1 of 20" in rule.words and "marital-status is single" in rule.words for rule in mined)
    for rule in mined:
        assert not rule.broken(train).any()
    quantity = "excess of rows that break a mined rule"
    calm, kept, bad = (
        _find(Rules().run(evidence(kind, n=4_000), _rng()), quantity) for kind in (fresh_draw, memoriser, shuffler)
    )
    assert kept.estimate <= 0
    assert calm.strict.low <= 0 <= calm.strict.high
    assert bad.strict.low > 0.01


def test_a_lost_category_and_a_cut_tail_are_named() -> None:
    given = evidence(fresh_draw, n=6_000)
    rich = given.synthetic.numbers("income") > np.quantile(given.train.numbers("income"), 0.98)
    poorer = make_table(given.schema, given.synthetic.select(~rich).columns)
    lost = replace(given, synthetic=_emptied(poorer, "ethnicity", 3))
    found = Coverage().run(lost, _rng())
    gone = _find(found, "control rows whose value is missed", "ethnicity")
    assert gone.estimate == (given.control.codes("ethnicity") == 3).mean()
    assert gone.baseline == 0
    assert _find(found, "categories missed").estimate > _find(found, "categories missed").baseline == 0
    assert _find(found, "tail cut off", "income, upper tail").interval.low > 0
    calm = Coverage().run(given, _rng())
    assert _find(calm, "categories missed").estimate == 0
    assert _find(calm, "tail cut off", "income, upper tail").strict.low <= 0

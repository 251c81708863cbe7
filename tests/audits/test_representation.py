"""Representation: exact bounds, both directions, and small groups that are listed and never green."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.fairness.representation import MAX_RATIO, Group, Representation, ratio_interval
from audits.finding import Audience, Finding
from privacy.table import Table, make_table
from tests.controls import evidence, fresh_draw, majority_only, memoriser
from tests.tables import people, population

UNDER, OVER, FEW = "representation ratio", "over-representation ratio", "representation ratio, too few rows"


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _find(findings: tuple[Finding, ...], quantity: str, subject: str) -> Finding:
    (found,) = [f for f in findings if f.quantity == quantity and f.subject == subject]
    return found


def _group(synthetic: int, n_synthetic: int, real: int, n_real: int) -> Group:
    return Group(subject="g", synthetic=synthetic, n_synthetic=n_synthetic, real=real, n_real=n_real, real_units=real)


def test_the_ratio_is_that_of_the_shares() -> None:
    given_ = evidence(fresh_draw, n=3_000)
    found = _find(Representation().run(given_, _rng()), UNDER, "sex=male")
    real = np.r_[given_.train.codes("sex"), given_.control.codes("sex")]
    assert found.estimate == pytest.approx((given_.synthetic.codes("sex") == 1).mean() / (real == 1).mean())
    assert found.n == (real == 1).sum()
    assert found.audience is Audience.INTERNAL


def test_every_group_is_judged_in_both_directions() -> None:
    found = Representation().run(evidence(fresh_draw), _rng())
    for subject in ("sex=female", "sex=male", "ethnicity=a", "ethnicity=b", "ethnicity=c", "ethnicity=d"):
        under, over = _find(found, UNDER, subject), _find(found, OVER, subject)
        assert (under.worse, over.worse) == ("lower", "higher")
        assert under.estimate == over.estimate
        assert under.interval == over.interval
        assert under.baseline == over.baseline == 1.0


def test_bounds_hold_as_often_as_they_say() -> None:
    """Each one-sided bound of two Poisson counts of 30 and 60 holds in at least 95% of 4,000 draws, less chance.

    False alarm: an exact bound falls below 93.3% with probability < 1e-6. Power: one that holds in 91% is found with
    probability > .999.
    """
    rng = _rng()
    low = high = 0
    for ours, theirs in zip(rng.poisson(30, 4_000), rng.poisson(60, 4_000), strict=True):
        interval = ratio_interval(_group(int(ours), 1_000, int(theirs), 2_000), 0.95)
        low += interval.low <= 1
        high += interval.high >= 1
    assert min(low, high) >= 0.933 * 4_000


def test_a_lost_group_has_a_ratio_of_zero_and_a_bound_just_above() -> None:
    interval = ratio_interval(_group(0, 1_000, 200, 1_000), 0.95)
    assert interval.low == 0
    assert 0 < interval.high < 0.03


def test_a_group_made_up_by_the_generator_is_listed_with_the_largest_ratio() -> None:
    given_ = evidence(memoriser, n=2_000)
    other = np.full(len(given_.synthetic), len(given_.schema.sensitive[0].declared), np.int32)
    table = make_table(given_.schema, {**given_.synthetic.columns, "sex": other})
    found = Representation().run(replace(given_, synthetic=table), _rng())
    invented = _find(found, FEW, f"sex={given_.schema.sensitive[0].other}")
    assert invented.estimate == MAX_RATIO
    assert invented.n == 0
    assert _find(found, UNDER, "sex=male").estimate == 0


def test_a_small_group_is_listed_with_everything_possible() -> None:
    found = Representation().run(evidence(fresh_draw, n=1_000), _rng())
    small = _find(found, FEW, "ethnicity=d")
    assert 0 < small.n < 100
    assert (small.interval.low, small.interval.high) == (0.0, MAX_RATIO)
    assert not [f for f in found if f.subject == "ethnicity=d" and f.quantity != FEW]


def test_persons_are_counted_once() -> None:
    """A person's three equal rows are one observation: the interval is about 1.7 times as wide as that of rows."""
    given_ = evidence(memoriser, n=1_500, sampler=people)
    rows = replace(given_, train=_owned(given_.train), control=_owned(given_.control))
    wide, narrow = (_find(Representation().run(e, _rng()), UNDER, "sex=male").interval for e in (given_, rows))
    assert wide.high - wide.low > 1.2 * (narrow.high - narrow.low)


def _owned(table: Table) -> Table:
    return make_table(table.schema, table.columns)


def test_tells_left_out_groups_from_a_fresh_draw() -> None:
    """Fails by chance and misses < 1e-6: a lost group of 280 rows has an upper bound of .013, a fresh one a lower
    bound above .8 but for six standard errors."""
    calm, bad = (Representation().run(evidence(fault), _rng()) for fault in (fresh_draw, majority_only))
    for subject in ("sex=male", "ethnicity=b", "ethnicity=c", "ethnicity=d"):
        assert _find(bad, UNDER, subject).interval.high < 0.1 < _find(calm, UNDER, subject).interval.low
    assert _find(bad, OVER, "sex=female").interval.low > _find(calm, OVER, "sex=female").interval.high


def test_no_sensitive_column_is_inconclusive() -> None:
    given_ = evidence(fresh_draw, n=500)
    columns = tuple(replace(column, sensitive=False) for column in given_.schema.columns)
    with pytest.raises(InconclusiveError, match="no column with levels is declared sensitive"):
        Representation().run(replace(given_, schema=replace(given_.schema, columns=columns)), _rng())


def test_an_empty_table_is_inconclusive() -> None:
    table = population(200, 1)
    nothing = table.select(np.zeros(200, bool))
    empty = Evidence(
        schema=table.schema,
        train=table,
        pooled=np.ones(200, bool),
        control=nothing,
        reference=nothing,
        synthetic=nothing,
    )
    with pytest.raises(InconclusiveError, match="empty"):
        Representation().run(empty, _rng())

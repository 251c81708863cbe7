"""Fitting a release's generator again: other rows, the same domains, the same seed the same table, in any process."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from api.deep import SECONDS, deep_seconds, spoken, suite
from api.recipe import place
from api.refitting import Refitting
from audits.assignment import assign
from audits.attacks.shadow import ShadowModels
from audits.evidence import Run
from audits.registry import DEEP, STANDARD
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
from privacy.table import read_table
from tests.api.conftest import Desk, call, clean_rows, csv_of, recipe
from tests.api.test_foreign import open_document
from tests.tables import fingerprint


@pytest.fixture
def refitting(desk: Desk) -> Refitting:
    """A generator with an open bound and an open list, on 300 rows."""
    desk.table.write_text(csv_of(clean_rows(300, 1)), encoding="utf-8")
    desk.describe(open_document())
    order = place(replace(recipe(desk, epsilon=8.0), synthesizer="mst"))
    table = read_table(desk.table, order.schema)
    parts = assign(table, order.design, seeded_noise(1))
    made = Refitting(plan=order.plan, parts=parts, schema=order.schema, rows=120, workers=1)
    bought = order.plan.fit(
        parts.train, PrivacyFilter(order.plan.cost, seeded_noise(2)), np.random.default_rng(1), lambda _: None
    )
    return replace(made, schema=bought.schema)


def _run(given: Refitting, seed: int) -> Run:
    train, control = given.parts.train, given.parts.control
    return Run(np.arange(len(train)) % 2 == 0, np.arange(len(control)) % 3 == 0, seed)


def test_tables_are_in_the_domains_of_the_release(refitting: Refitting) -> None:
    for table in refitting([_run(refitting, 1), _run(refitting, 2)]):
        assert len(table) == 120
        assert table.schema == refitting.schema
        for column in refitting.schema.columns:
            values = table.columns[column.name]
            if hasattr(column, "n_codes"):
                assert values.max() < column.n_codes
            else:
                low, high = column.bounds
                assert np.nanmin(values) >= low
                assert np.nanmax(values) <= high
    assert not table.vocabularies


def test_the_seed_decides_the_table_in_any_process(refitting: Refitting) -> None:
    """Two in this process and two in a pool of others: equal by seed, different across seeds."""
    runs = [_run(refitting, 1), _run(refitting, 2)]
    here = [fingerprint(table) for table in refitting(runs)]
    there = [fingerprint(table) for table in replace(refitting, workers=2)(runs)]
    assert here == there
    assert here[0] != here[1]


def test_only_the_rows_that_are_named_are_fitted_to(refitting: Refitting) -> None:
    none = Run(np.zeros(len(refitting.parts.train), bool), np.zeros(len(refitting.parts.control), bool), 3)
    assert len(refitting._train(none)) == 0
    some = refitting._train(_run(refitting, 3))
    assert len(some) == len(refitting.parts.train.select(_run(refitting, 3).train)) + len(
        refitting.parts.control.select(_run(refitting, 3).control)
    )
    assert len(np.unique(some.units)) == len(some)
    assert pickle.loads(pickle.dumps(refitting)).rows == 120  # noqa: S301 (our own bytes)


def test_the_estimate_grows_with_rows_columns_and_runs() -> None:
    assert deep_seconds(1_000, 15, None, 1) < deep_seconds(10_000, 15, None, 1) < deep_seconds(None, 15, None, 1)
    assert deep_seconds(10**9, 15, None, 1) == deep_seconds(None, 15, None, 1)
    assert deep_seconds(None, 30, None, 1) == pytest.approx(2 * deep_seconds(None, 15, None, 1))
    assert (spoken(40), spoken(600), spoken(9_000)) == ("40 seconds", "10 minutes", "2.5 hours")
    assert suite(deep=False) == STANDARD
    assert suite(deep=True) == (*STANDARD, *DEEP)
    assert {audit.name for audit in DEEP} - {ShadowModels.name} == set(SECONDS)


def test_a_deep_release_says_how_long_it_takes_and_asks_more(desk: Desk) -> None:
    """On a table so small that what needs many rows says so at once."""
    result = desk.release("--deep", "--json")
    assert result.exit_code in (0, 3, 4), result.output
    internal = desk.out.with_name("bundle.internal")
    timings = json.loads((internal / "timings.json").read_text())
    assert any(step.startswith("the deep audits will take about") for step in timings)
    assert {f"audit: {audit.title}" for audit in DEEP} <= set(timings)
    assert '"train and test"' in (internal / "findings.json").read_text()
    assert "train and test" not in (desk.out / "scorecard.json").read_text()


def test_the_option_is_on_both_commands() -> None:
    for command in ("release", "audit"):
        assert "--deep" in call(command, "--help").output

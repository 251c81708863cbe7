"""Fitting a release's generator again: other rows, the same domains, the same seed the same table, in any process."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from api.deep import SECONDS, deep_seconds, spoken, suite
from api.executors.processes import Processes
from api.recipe import place
from api.refitting import Refitting, refitting_of, united
from api.splitting import Split
from audits.assignment import assign
from audits.attacks.shadow import ShadowModels
from audits.evidence import Run
from audits.registry import DEEP, STANDARD, WITH_EARLIER
from privacy.columns import LevelColumn
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
from privacy.rows import Inline
from privacy.schema import Schema
from privacy.table import Table, read_table
from tests.api.conftest import Desk, call, clean_rows, csv_of, recipe
from tests.api.test_foreign import open_document


@pytest.fixture
def refitting(desk: Desk) -> Refitting:
    """A generator with an open bound and an open list, on 300 rows."""
    desk.table.write_text(csv_of(clean_rows(300, 1)), encoding="utf-8")
    desk.describe(open_document())
    order = place(replace(recipe(desk, epsilon=8.0), synthesizer="mst"))
    parts = assign(read_table(desk.table, order.schema), order.design, seeded_noise(1))
    privacy = PrivacyFilter(order.plan.cost, seeded_noise(2))
    bought = order.plan.fit(parts.train, privacy, np.random.default_rng(1), lambda _: None)
    made = refitting_of(order, Split(train=parts.train, parts=parts), bought.schema, 120)
    assert made is not None
    assert isinstance(made.executor, Processes)
    return replace(made, executor=Inline())


@dataclass(frozen=True, slots=True)
class Seen:
    """Every column of a table, shape (columns, rows), once it was found to be in a schema's domains."""

    schema: Schema

    def of(self, table: Table) -> np.ndarray:
        assert table.schema == self.schema
        assert not table.vocabularies
        for column in self.schema.columns:
            values = table.columns[column.name]
            if isinstance(column, LevelColumn):
                assert values.max() < column.n_codes
            else:
                assert np.nanmin(values) >= column.bounds[0]
                assert np.nanmax(values) <= column.bounds[1]
        return np.stack([table.columns[name].astype(np.float64) for name in self.schema.names])


def _run(given: Refitting, seed: int) -> Run:
    train, control = given.parts.train, given.parts.control
    return Run(np.arange(len(train)) % 2 == 0, np.arange(len(control)) % 3 == 0, seed)


def test_the_seed_decides_the_table_in_any_process(refitting: Refitting) -> None:
    """Two in this process and two in a pool of others: in the release's domains, equal by seed, else different."""
    runs, look = [_run(refitting, 1), _run(refitting, 2)], Seen(refitting.schema).of
    here = list(refitting(runs, look))
    there = list(replace(refitting, executor=Processes(workers=2))(runs, look))
    assert here[0].shape == (len(refitting.schema.columns), 120)
    for one, other in zip(here, there, strict=True):
        assert np.array_equal(one, other, equal_nan=True)
    assert not np.array_equal(here[0], here[1], equal_nan=True)


def test_only_the_rows_that_are_named_are_fitted_to(refitting: Refitting) -> None:
    parts = refitting.parts
    none = Run(np.zeros(len(parts.train), bool), np.zeros(len(parts.control), bool), 3)
    assert len(united(parts, none)) == 0
    run = _run(refitting, 3)
    some = united(parts, run)
    assert some.units.tolist() == [*parts.train.units[run.train], *parts.control.units[run.control]]


def test_a_table_that_was_not_held_is_not_fitted_again(desk: Desk) -> None:
    order = place(recipe(desk))
    parts = assign(read_table(desk.table, order.schema), order.design, seeded_noise(1))
    sample = replace(parts, train=parts.train.select(np.arange(10)), pooled=parts.pooled[:10])
    assert refitting_of(order, Split(train=parts.train, parts=sample), order.schema, 50) is None


def test_the_estimate_grows_with_rows_columns_and_runs() -> None:
    assert deep_seconds(1_000, 15, None, 1) < deep_seconds(10_000, 15, None, 1) < deep_seconds(None, 15, None, 1)
    assert deep_seconds(10**9, 15, None, 1) == deep_seconds(None, 15, None, 1)
    assert deep_seconds(None, 30, None, 1) == pytest.approx(2 * deep_seconds(None, 15, None, 1))
    assert (spoken(40), spoken(600), spoken(9_000)) == ("40 seconds", "10 minutes", "2.5 hours")
    assert suite(deep=False, earlier=False) == STANDARD
    assert suite(deep=True, earlier=True) == (*STANDARD, *WITH_EARLIER, *DEEP)
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
    public = json.loads((desk.out / "scorecard.json").read_text())["findings"]
    assert not {finding["audit"] for finding in public} & {audit.name for audit in DEEP}


def test_the_option_is_on_both_commands() -> None:
    for command in ("release", "audit"):
        assert "--deep" in call(command, "--help").output

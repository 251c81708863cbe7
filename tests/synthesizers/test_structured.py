"""Every drawn row keeps every rule; a column that follows from others costs nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.short import SHORT
from privacy.constraints import broken
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
from privacy.schema import Budget, Schema
from privacy.schema_file import load_schema, parse_schema
from privacy.table import Table, read_table
from synthesizers.registry import SYNTHESIZERS
from synthesizers.structured import StructuredModel
from tests.tables import MIXED_DOCUMENT, mixed_schema, population

BUDGET = Budget(epsilon=1.0, delta=1e-6)
ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
TABLES = {"adult": "adult.csv.gz", "compas": "compas.csv.gz", "nist_acs_ma2019": "nist_acs_ma2019.csv.gz"}


def fitted(table: Table, name: str = "mst", seed: int = 1) -> StructuredModel:
    """A fitted model; of networks, after a short training: rules do not hang on its length."""
    plan = SHORT[name].plan(table.schema, BUDGET)
    model = plan.fit(table, PrivacyFilter(plan.cost, seeded_noise(seed)), np.random.default_rng(seed), lambda _: None)
    assert isinstance(model, StructuredModel)
    return model


def with_rules(rules: list[dict[str, Any]]) -> Schema:
    privacy = {**MIXED_DOCUMENT["privacy"], "constraints": [{"cite": "made up", **rule} for rule in rules]}
    return parse_schema({**MIXED_DOCUMENT, "privacy": privacy})


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.is_dir(), reason="the developer tables are not beside the checkout")
@pytest.mark.parametrize("name", TABLES)
def test_every_rule_holds_in_every_one_of_100_000_rows(name: str) -> None:
    schema = load_schema(ROOT / "bench" / "schemas" / f"{name}.yaml")
    model = fitted(read_table(DATA / TABLES[name], schema))
    drawn = model.sample(100_000, np.random.default_rng(2))
    assert len(drawn) == 100_000
    assert drawn.schema.names == schema.names
    rules = model.constraints
    assert len(rules.rules) == len(schema.constraints.rules) + len(schema.constraints.maps)  # type: ignore[union-attr]
    assert set(broken(rules, drawn).values()) == {0}
    # Rows of the same columns, each on its own, do break rules, so the test can fail.
    rng = np.random.default_rng(3)
    mixed = replace(drawn, columns={column: rng.permutation(values) for column, values in drawn.columns.items()})
    assert sum(broken(rules, mixed).values()) > 0


@pytest.mark.parametrize("name", SYNTHESIZERS)
def test_a_derived_column_is_neither_measured_nor_lost(name: str) -> None:
    schema = with_rules([{"derive": "employed", "cases": [{"when": {"age": {"maximum": 65}}, "then": True}]}])
    bought = SYNTHESIZERS[name].plan(schema, BUDGET).lines
    assert any(line.purpose.startswith("11 one-way") for line in bought)
    drawn = fitted(Table(schema, population(800, 1).columns, {}, np.arange(800)), name).sample(
        500, np.random.default_rng(0)
    )
    assert drawn.schema.names == mixed_schema().names
    working = drawn.numbers("age") <= 65
    assert drawn.codes("employed").tolist() == np.where(working, 1, 3).tolist()


def test_a_map_is_learnt_from_noisy_marginals() -> None:
    """Each ethnicity is said to live in one region; one row in twenty says otherwise, and no drawn row does."""
    schema = with_rules([{"derive": "region", "from": "ethnicity", "map": "measured"}])
    columns = dict(population(6_000, 3).columns)
    home = np.array([5, 2, 7, 1, 0, 0])[columns["ethnicity"]]
    columns["region"] = np.where(np.arange(6_000) % 20 == 0, columns["region"], home).astype(np.int32)
    drawn = fitted(Table(schema, columns, {}, np.arange(6_000))).sample(5_000, np.random.default_rng(1))
    usual = drawn.codes("ethnicity") < 4
    assert np.array_equal(drawn.codes("region")[usual], np.array([5, 2, 7, 1])[drawn.codes("ethnicity")[usual]])


def test_rows_that_break_a_rule_are_learnt_from_as_repaired() -> None:
    """All rows say the impossible: what is learnt is what they were repaired to."""
    schema = with_rules([{"if": {"age": {"minimum": 18}}, "then": {"marital-status": ["divorced", "widowed"]}}])
    columns = dict(population(2_000, 3).columns)
    columns["marital-status"] = np.zeros(2_000, np.int32)
    drawn = fitted(Table(schema, columns, {}, np.arange(2_000))).inner.sample(1_000, np.random.default_rng(1))
    assert (drawn.codes("marital-status") == 2).mean() > 0.95

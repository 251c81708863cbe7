"""What every synthesizer promises, whatever its method. Joining the registry joins this suite."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.short import SHORT, short
from bench.transcript import RecordingFilter, ReplayingFilter, differences
from privacy.accounting import epsilon_of, zcdp_rho
from privacy.columns import LevelColumn, NumberColumn
from privacy.cost import ORDERS
from privacy.errors import OverspendError
from privacy.filter import PrivacyFilter
from privacy.mechanisms import ExponentialMechanism, GaussianMechanism, SampledGaussianMechanism
from privacy.noise import seeded_noise, system_noise
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.table import Table
from synthesizers.protocol import Model, Synthesizer
from synthesizers.registry import GENERATORS
from synthesizers.structured import Structured
from tests.tables import mixed_schema, people, person_schema, population

pytestmark = pytest.mark.parametrize("synthesizer", SHORT.values(), ids=SHORT)

LONG = {generator.name: generator for generator in GENERATORS}
BUDGET = Budget(epsilon=1.0, delta=1e-6)


def quiet(_: str) -> None:
    """No progress."""


def fit(synthesizer: Synthesizer, table: Table, seed: int = 1) -> tuple[Model, PrivacyFilter]:
    plan = synthesizer.plan(table.schema, BUDGET)
    privacy = PrivacyFilter(plan.cost, seeded_noise(seed))
    return plan.fit(table, privacy, np.random.default_rng(0), quiet), privacy


def measured_schema() -> Schema:
    """Every kind of column with everything left to be bought, and one public column."""
    fields: list[dict[str, Any]] = [
        {"name": "kind", "type": "string", "source": "measured", "max_levels": 3},
        {"name": "amount", "type": "number", "source": "measured", "bins": "tree", "tail": 0.01},
        {"name": "visits", "type": "integer", "source": {"minimum": "public", "maximum": "measured"},
         "cite": {"minimum": "counts"}, "constraints": {"minimum": 0}},
        {"name": "day", "type": "date", "source": "measured"},
        {"name": "moment", "type": "datetime", "source": "measured", "format": "%Y-%m-%d %H:%M:%S"},
        {"name": "sex", "type": "string", "categories": ["f", "m"], "source": "public", "cite": "form"},
    ]  # fmt: skip
    privacy = {
        "population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": "measured",
        "cap": {"epsilon": 1, "delta": 1e-6},
    }  # fmt: skip
    return parse_schema({"name": "measured", "fields": fields, "privacy": privacy})


def measured_table(n: int, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    columns = {
        "kind": rng.integers(0, 4, n).astype(np.int32),
        "amount": rng.normal(100, 30, n),
        "visits": rng.geometric(0.2, n).astype(float),
        "day": rng.integers(15_000, 16_000, n).astype(float),
        "moment": rng.integers(1_400_000_000, 1_500_000_000, n).astype(float),
        "sex": rng.integers(0, 2, n).astype(np.int32),
    }
    return Table(measured_schema(), columns, {"kind": ("a", "b", "c", "d")}, np.arange(n))


def hard_tables() -> dict[str, Table]:
    plain = population(200, 3)
    schema = plain.schema
    missing = {
        c.name: np.full(50, c.n_codes - 1, np.int32) if isinstance(c, LevelColumn) else np.full(50, np.nan)
        for c in schema.columns
    }
    constant = {c.name: np.zeros(50, np.int32) if isinstance(c, LevelColumn) else np.full(50, c.bounds[0])
                for c in schema.columns}  # fmt: skip
    return {
        "no row": plain.select(np.zeros(200, dtype=bool)),
        "one row": plain.select(np.arange(1)),
        "all missing": Table(schema, missing, {}, np.arange(50)),
        "one level": Table(schema, constant, {}, np.arange(50)),
        "measured, no row": measured_table(0),
        "measured, one row": measured_table(1),
    }


SCHEMAS = {"mixed": mixed_schema, "measured": measured_schema, "persons": person_schema}
BUDGETS = {"1": BUDGET, "0.1": Budget(epsilon=0.1, delta=1e-9), "10": Budget(epsilon=10, delta=1e-5)}


@pytest.mark.parametrize(
    ("schema", "budget"),
    [
        # Little noise has wide loss distributions, which take seconds: they are tried on one schema.
        pytest.param(schema, budget, id=f"{a}-{b}", marks=[pytest.mark.thorough] if b == "10" and a != "mixed" else [])
        for a, schema in SCHEMAS.items()
        for b, budget in BUDGETS.items()
    ],
)
def test_plans_within_its_budget(synthesizer: Synthesizer, schema: Callable[[], Schema], budget: Budget) -> None:
    cost = synthesizer.plan(schema(), budget).cost
    spent = epsilon_of(cost, budget.delta)
    assert 0.999 * budget.epsilon < spent <= budget.epsilon


def test_spends_exactly_what_it_planned(synthesizer: Synthesizer) -> None:
    """In rho, or at every order, to one part in 10^9: adaptive rounds may divide a planned rho as they go."""
    for table in (population(500, 1), measured_table(500), people(200, 1)):
        plan = synthesizer.plan(table.schema, BUDGET)
        privacy = PrivacyFilter(plan.cost, system_noise())
        plan.fit(table, privacy, np.random.default_rng(0), quiet)
        rho = zcdp_rho(plan.cost)
        if rho is None:
            np.testing.assert_allclose(privacy.spent.rdp(ORDERS), plan.cost.rdp(ORDERS), rtol=1e-9)
        else:
            assert zcdp_rho(privacy.spent) == pytest.approx(rho, rel=1e-9)
        assert privacy.spent.delta == plan.cost.delta


def test_asks_only_the_filter(synthesizer: Synthesizer) -> None:
    """A filter that was charged a little less stops the fit."""
    table = population(300, 1)
    plan = synthesizer.plan(table.schema, BUDGET)
    dearer = synthesizer.plan(table.schema, Budget(epsilon=1.02, delta=1e-6))
    with pytest.raises(OverspendError):
        dearer.fit(table, PrivacyFilter(plan.cost, system_noise()), np.random.default_rng(0), quiet)


@pytest.mark.parametrize("sampler", ["rows", "measured", "persons"])
def test_a_unit_moves_every_measured_vector_by_at_most_the_declared_sensitivity(
    synthesizer: Synthesizer, sampler: str
) -> None:
    """With the noise fixed and the same selections; shapes, domains and the number of questions do not change."""
    table = {"rows": population(400, 2), "measured": measured_table(400), "persons": people(150, 2)}[sampler]
    plan = synthesizer.plan(table.schema, BUDGET)
    for unit in (0, 7, 31):
        number = int(table.units[unit])
        recorded = RecordingFilter(plan.cost, seeded_noise(5), number)
        model = plan.fit(table, recorded, np.random.default_rng(0), quiet)
        without = table.select(table.units != number)
        replayed = ReplayingFilter(plan.cost, seeded_noise(5), recorded.transcript, number)
        other = plan.fit(without, replayed, np.random.default_rng(0), quiet)
        assert other.schema == model.schema
        changes = differences(recorded.transcript, replayed.transcript)
        assert any(change.any() for _, change in changes)
        for mechanism, change in changes:
            if isinstance(mechanism, GaussianMechanism | SampledGaussianMechanism):
                assert np.sqrt((change**2).sum()) <= mechanism.l2_sensitivity + 1e-9
            else:
                assert isinstance(mechanism, ExponentialMechanism)
                assert np.abs(change).max() <= mechanism.sensitivity
        # The same answers make the same model: nothing else of the rows went into it.
        same = other.sample(50, np.random.default_rng(3)), model.sample(50, np.random.default_rng(3))
        for name in model.schema.names:
            np.testing.assert_array_equal(same[0].columns[name], same[1].columns[name])


def test_leaves_global_randomness_alone(synthesizer: Synthesizer) -> None:
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - looked at, not used
    model, _ = fit(synthesizer, population(100, 1))
    model.sample(10, np.random.default_rng(0))
    assert random.getstate() == state
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_samples_exactly_what_was_asked_inside_the_schema(synthesizer: Synthesizer, n: int) -> None:
    model, _ = fit(synthesizer, measured_table(800))
    drawn = model.sample(n, np.random.default_rng(0))
    assert len(drawn) == n
    assert drawn.schema.measured == ()
    for column in drawn.schema.columns:
        if isinstance(column, LevelColumn):
            codes = drawn.codes(column.name)
            assert ((codes >= 0) & (codes < column.n_codes)).all()
        else:
            assert isinstance(column, NumberColumn)
            values = drawn.numbers(column.name)
            present = values[~np.isnan(values)]
            low, high = column.bounds
            assert ((present >= low) & (present <= high)).all()
            if column.is_discrete:
                np.testing.assert_array_equal(present, np.rint(present))


@pytest.mark.parametrize("name", hard_tables())
def test_survives_a_hard_table(synthesizer: Synthesizer, name: str) -> None:
    model, privacy = fit(synthesizer, hard_tables()[name])
    assert len(model.sample(20, np.random.default_rng(0))) == 20
    assert epsilon_of(privacy.spent, BUDGET.delta) <= BUDGET.epsilon
    assert math.isfinite(model.n_rows_estimate)


def test_sampling_is_free_and_needs_no_rows(synthesizer: Synthesizer) -> None:
    table = population(300, 1)
    model, privacy = fit(synthesizer, table)
    before = privacy.spent
    for values in table.columns.values():
        values.fill(0)
    first = model.sample(100, np.random.default_rng(1))
    for _ in range(20):
        again = model.sample(100, np.random.default_rng(1))
    assert privacy.spent == before
    assert first.csv() == again.csv()


def test_the_order_of_rows_does_not_matter(synthesizer: Synthesizer) -> None:
    table = population(300, 1)
    shuffled = table.select(np.random.default_rng(0).permutation(len(table)))
    drawn = [fit(synthesizer, t)[0].sample(50, np.random.default_rng(2)).csv() for t in (table, shuffled)]
    assert drawn[0] == drawn[1]


def test_learns_one_way_marginals(synthesizer: Synthesizer) -> None:
    """At epsilon 1 and 20,000 rows the sex ratio is right to 3 points: 40 deviations of the noise."""
    table = population(20_000, 4)
    assert isinstance(synthesizer, Structured)
    model, _ = fit(Structured(short(LONG[synthesizer.name], pretraining_steps=400)), table)
    drawn = model.sample(20_000, np.random.default_rng(0))
    assert abs((drawn.codes("sex") == 0).mean() - (table.codes("sex") == 0).mean()) < 0.03
    assert model.n_rows_estimate == pytest.approx(20_000, rel=0.02)
    assert all(0 <= error <= 1 for error in model.expected_error.values())


def test_estimates_before_it_runs(synthesizer: Synthesizer) -> None:
    estimate = synthesizer.plan(mixed_schema(), BUDGET).estimate
    assert 0 < estimate.seconds < 600
    assert 1e8 < estimate.memory_bytes < 4e9


def test_its_curve_never_exceeds_the_charge(synthesizer: Synthesizer) -> None:
    plan = synthesizer.plan(measured_schema(), BUDGET)
    privacy = PrivacyFilter(plan.cost, system_noise())
    plan.fit(measured_table(100), privacy, np.random.default_rng(0), quiet)
    assert (privacy.spent.rdp(ORDERS) <= plan.cost.rdp(ORDERS) * (1 + 1e-9)).all()

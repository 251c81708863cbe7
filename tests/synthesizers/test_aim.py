"""What is AIM's own: its workload, its size cap, its rounds, and that it beats MST where trees cannot follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.transcript import RecordingFilter
from privacy.accounting import zcdp_rho
from privacy.cost import Exponential, Gaussian
from privacy.filter import PrivacyFilter
from privacy.mechanisms import ExponentialMechanism
from privacy.noise import seeded_noise
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.table import Table
from synthesizers.marginal.aim import AIM, AIMPlan
from synthesizers.marginal.measurement import LinearMeasurement, first_potential
from synthesizers.marginal.model import MarginalModel
from synthesizers.marginal.mst import MST
from synthesizers.marginal.workload import workload
from tests.tables import mixed_schema, population

BUDGET = Budget(epsilon=1.0, delta=1e-6)


def quiet(_: str) -> None:
    """No progress."""


def fit(method: AIM | MST, table: Table, seed: int = 1) -> tuple[MarginalModel, PrivacyFilter]:
    plan = method.plan(table.schema, BUDGET)
    privacy = PrivacyFilter(plan.cost, seeded_noise(seed))
    return plan.fit(table, privacy, np.random.default_rng(0), quiet), privacy


def parity_schema() -> Schema:
    fields = [
        {"name": n, "type": "string", "categories": ["0", "1"], "source": "public", "cite": "made up"} for n in "abcd"
    ]
    privacy = {"population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": "none",
               "cap": {"epsilon": 1, "delta": 1e-6}}  # fmt: skip
    return parse_schema({"name": "parity", "fields": fields, "privacy": privacy})


def parity_table(n: int) -> Table:
    """c is the parity of a and b: every pair looks independent, and d is noise."""
    rng = np.random.default_rng(0)
    a, b, d = (rng.integers(0, 2, n).astype(np.int32) for _ in range(3))
    return Table(parity_schema(), {"a": a, "b": b, "c": a ^ b, "d": d}, {}, np.arange(n))


def test_triples_find_what_pairs_cannot() -> None:
    """20,000 rows at epsilon 1: the parity holds in nearly all rows of AIM's, in half of MST's (deviation .01)."""
    table = parity_table(20_000)
    held = {}
    for method in (AIM(), MST()):
        drawn = fit(method, table)[0].sample(5_000, np.random.default_rng(1))
        held[method.name] = float(((drawn.codes("a") ^ drawn.codes("b")) == drawn.codes("c")).mean())
    assert held["aim"] > 0.95
    assert held["mst"] == pytest.approx(0.5, abs=0.05)


def test_the_model_stays_within_its_cells() -> None:
    model, _ = fit(AIM(model_bytes=16_000), population(3_000, 1))
    assert model.random_field.tree.n_cells <= 2_000


def test_rounds_are_gaussians_and_selections_that_use_rho_up() -> None:
    table = population(2_000, 1)
    plan = AIM().plan(table.schema, BUDGET)
    assert isinstance(plan, AIMPlan)
    _, privacy = fit(AIM(), table)
    spent = privacy.spent
    n_selections = sum(n for event, n in spent.events if isinstance(event, Exponential))
    n_measured = sum(n for event, n in spent.events if isinstance(event, Gaussian))
    assert n_measured == n_selections + len(table.schema.columns)
    assert 1 <= n_selections <= plan.n_rounds
    assert zcdp_rho(spent) == pytest.approx(zcdp_rho(plan.cost), rel=1e-9)
    assert zcdp_rho(spent) <= zcdp_rho(plan.cost) * (1 + 1e-12)


def test_workload_weighs_the_target_and_offers_its_triples() -> None:
    one_ways = AIM().plan(mixed_schema(), BUDGET).one_ways
    table = population(500, 1)
    privacy = PrivacyFilter(AIM().plan(table.schema, BUDGET).cost, seeded_noise(1))
    found = one_ways.measure(table, privacy)
    d = len(found.domain.sizes)
    weights = workload(found.schema, 2, 20)
    assert len(weights) == d * (d - 1) // 2 + (d - 1) * (d - 2) // 2
    for clique, weight in weights.items():
        assert weight == (2 if len(clique) == 2 and "approved" in clique else 1)
        assert len(clique) == 2 or "approved" in clique
    assert all(len(clique) == 2 for clique in workload(found.schema, 2, d - 1))


def test_a_workload_of_the_schema_is_all_that_is_measured() -> None:
    """The heaviest weight is in the sensitivity, and nothing but what was asked for is bought."""
    asked = {("age", "income"): 3, ("sex", "education"): 1}
    table = population(2_000, 1)
    schema = replace(table.schema, workload=asked)
    plan = AIM().plan(schema, BUDGET)
    privacy = RecordingFilter(plan.cost, seeded_noise(1))
    model = plan.fit(Table(schema, table.columns, {}, table.units), privacy, np.random.default_rng(0), quiet)
    assert {clique for clique in model.expected_error if len(clique) > 1} <= set(asked)
    selections = [p.mechanism for p in privacy.transcript.passages if isinstance(p.mechanism, ExponentialMechanism)]
    assert selections
    assert {m.sensitivity for m in selections} == {3}


def test_a_new_potential_starts_at_the_ratio_and_is_damped_in_noise() -> None:
    measured = LinearMeasurement(("a",), np.array([1e6, 5.0, -40.0]), np.full(3, 100.0))
    start = first_potential(measured, np.array([5e5, 5.0, 0.0]))
    np.testing.assert_allclose(start, [np.log(2), 0.0, 0.0], atol=1e-4)


def test_one_column_needs_no_rounds() -> None:
    schema = parse_schema({**parity_schema().document, "fields": parity_schema().document["fields"][:1]})
    plan = AIM().plan(schema, BUDGET)
    assert plan.rho == 0
    table = Table(schema, {"a": np.zeros(50, np.int32)}, {}, np.arange(50))
    model, _ = fit(AIM(), table)
    assert len(model.sample(7, np.random.default_rng(0))) == 7


def test_the_first_rounds_look_at_the_target_however_far_other_pairs_are() -> None:
    """Six columns repeat each other; the target hangs together weakly with all of them."""
    names = "abcdef"
    fields = [
        {"name": n, "type": "string", "categories": ["0", "1", "2", "3"], "source": "public", "cite": "c"}
        for n in names
    ]
    target = {"name": "t", "type": "boolean", "role": "target"}
    privacy = {"population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": "none",
               "cap": {"epsilon": 1, "delta": 1e-6}}  # fmt: skip
    schema = parse_schema({"name": "wide", "fields": [*fields, target], "privacy": privacy})
    rng = np.random.default_rng(2)
    one = rng.integers(0, 4, 5_000).astype(np.int32)
    columns = dict.fromkeys(names, one) | {"t": (rng.random(5_000) < 0.4 + 0.05 * one).astype(np.int32)}
    model, _ = fit(AIM(), Table(schema, columns, {}, np.arange(5_000)))
    pairs = [m.clique for m in model.uncertainty.measured]
    assert all("t" in pair and len(pair) == 2 for pair in pairs[:3])
    assert any("t" not in pair for pair in pairs[3:])

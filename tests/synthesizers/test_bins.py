"""Bins that are bought: what they cost, how far one unit moves them, and that they are where they should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.columns import Floats, NumberColumn
from privacy.cost import Gaussian, once
from privacy.errors import SchemaError
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from privacy.table import Table
from synthesizers.bins import LEAVES, LEVELS, SENSITIVITY, SIGNIFICANT, CountTree, leaf_edges, tree_counts
from synthesizers.discretize import attributes_of
from synthesizers.domains import DomainPlan, plan_cost


def schema_of(max_rows: int = 1, **field: Any) -> Schema:
    person = [] if max_rows == 1 else [{"name": "who", "type": "string", "role": "identifier"}]
    unit = "row" if max_rows == 1 else {"field": "who", "max_rows": max_rows}
    return parse_schema(
        {
            "name": "t",
            "fields": [*person, {"name": "x", "type": "number", **field}],
            "privacy": {"population": "p", "unit": unit, "adjacency": "add-or-remove", "n_public": "none",
                        "cap": {"epsilon": 1, "delta": 1e-6}},
        }
    )  # fmt: skip


def public(method: str, low: float = 0, high: float = 1000, kind: str = "number", max_rows: int = 1) -> Schema:
    bounds = {"minimum": low, "maximum": high}
    return schema_of(max_rows, type=kind, bins=method, source="public", cite="c", constraints=bounds)


def column_of(schema: Schema) -> NumberColumn:
    column = schema["x"]
    assert isinstance(column, NumberColumn)
    return column


def exact_tree(method: str, values: Floats) -> CountTree:
    column = column_of(public(method))
    return CountTree(column, tree_counts(column, values).astype(float), 1e-9)


def test_the_tree_counts_every_level_like_brute_force() -> None:
    column = column_of(public("tree"))
    values = np.r_[np.random.default_rng(0).lognormal(4, 2, 500), np.nan, -5.0, 0.0, 1000.0, 2000.0]
    counts = tree_counts(column, values)
    assert counts.shape == (2 * LEAVES - 2,)
    present = np.clip(values[~np.isnan(values)], 0, 1000)
    start = 0
    for level in range(1, LEVELS + 1):
        edges = leaf_edges(column)[:: LEAVES >> level]
        np.testing.assert_array_equal(counts[start : start + 2**level], np.histogram(present, edges)[0])
        start += 2**level


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_a_unit_moves_the_counts_by_at_most_the_sensitivity(seed: int, k: int) -> None:
    """And by all of it where its rows lie in one leaf."""
    rng = np.random.default_rng(seed)
    column = column_of(public("tree"))
    others, own = rng.uniform(-10, 1010, 50), rng.uniform(-10, 1010, k)
    change = tree_counts(column, np.r_[others, own]) - tree_counts(column, others)
    assert np.linalg.norm(change) <= k * SENSITIVITY + 1e-9
    worst = tree_counts(column, np.r_[others, np.full(k, own[0])]) - tree_counts(column, others)
    assert np.linalg.norm(worst) == pytest.approx(k * SENSITIVITY)


def test_quantile_bins_hold_equal_shares() -> None:
    """Within one leaf (a 4,096th of the range, here at most 1.2% of the values each) of NumPy's quantiles."""
    values = np.random.default_rng(1).gamma(2.0, 60.0, 20_000).clip(0, 1000)
    edges = exact_tree("quantile", values).edges(16)
    assert len(edges) == 17
    np.testing.assert_allclose(edges[1:-1], np.quantile(values, np.arange(1, 16) / 16), atol=2 * 1000 / LEAVES)


def recursive_cuts(values: Floats, low: float, high: float, least: float, depth: int) -> list[float]:
    if len(values) <= least or depth == LEVELS:
        return []
    middle = (low + high) / 2
    left, right = values[values < middle], values[values >= middle]
    return [
        *recursive_cuts(left, low, middle, least, depth + 1),
        middle,
        *recursive_cuts(right, middle, high, least, depth + 1),
    ]


def test_a_tree_cuts_like_brute_force_without_noise() -> None:
    values = np.random.default_rng(2).gamma(2.0, 60.0, 5_000).clip(0, 999)
    column = column_of(public("tree"))
    edges = CountTree(column, tree_counts(column, values).astype(float), 25 / SIGNIFICANT).edges(LEAVES)
    np.testing.assert_allclose(edges[1:-1], recursive_cuts(values, 0, 1000, 25, 0))
    assert len(exact_tree("tree", values).edges(20)) <= 21


@pytest.mark.parametrize("method", ["quantile", "tree"])
def test_bins_are_fine_where_the_values_are_despite_noise(method: str) -> None:
    """20,000 values of which 95% lie in a hundredth of the range; noise of 30. Uniform bins put them all in one or two.

    Fails by chance < 1e-9: the counts that decide are 20 deviations or more from the threshold.
    """
    rng = np.random.default_rng(3)
    schema = public(method, 0, 100_000)
    values = np.where(rng.random(20_000) < 0.95, rng.uniform(0, 1_000, 20_000), rng.uniform(0, 100_000, 20_000))
    table = Table(schema, {"x": values}, {}, np.arange(20_000))
    plan = DomainPlan(schema=schema, noise_multiplier=30 / SENSITIVITY, delta=1e-6)
    bought = plan.buy(table, PrivacyFilter(plan_cost(plan.lines), seeded_noise(1)))
    (attribute,) = attributes_of(bought, 32)
    assert attribute.edges is not None
    inside = attribute.edges[(attribute.edges > 0) & (attribute.edges <= 1_000)]
    assert len(inside) >= 12
    assert attribute.edges[0] == 0
    assert attribute.edges[-1] == 100_000


def test_a_column_of_noise_alone_is_not_cut_to_pieces() -> None:
    """No row at all: quantiles of nothing are even, and a tree cuts nothing but by chance."""
    for method in ("quantile", "tree"):
        schema = public(method)
        plan = DomainPlan(schema=schema, noise_multiplier=20.0, delta=1e-6)
        empty = Table(schema, {"x": np.zeros(0)}, {}, np.arange(0))
        bought = plan.buy(empty, PrivacyFilter(plan_cost(plan.lines), seeded_noise(2)))
        edges = bought.trees["x"].edges(16)
        assert edges[0] == 0
        assert edges[-1] == 1000
        assert len(edges) <= 17
        assert (np.diff(edges) > 0).all()


def test_bins_are_a_line_of_the_price() -> None:
    plan = DomainPlan(schema=public("tree", max_rows=3), noise_multiplier=7.0, delta=1e-6)
    (line,) = plan.lines
    assert line.purpose == "bins of x"
    assert line.cost == once(Gaussian(7.0))
    table = Table(plan.schema, {"x": np.arange(30.0)}, {}, np.arange(30) // 3)
    privacy = PrivacyFilter(line.cost, seeded_noise(1))
    plan.buy(table, privacy)
    assert privacy.spent.merged == line.cost.merged


def test_bins_of_whole_numbers_are_whole() -> None:
    column = column_of(public("quantile", -3, 40, "integer"))
    values = np.random.default_rng(4).integers(-3, 41, 5_000).astype(float)
    edges = CountTree(column, tree_counts(column, values).astype(float), 1.0).edges(64)
    np.testing.assert_array_equal(edges, np.rint(edges))
    assert edges[0] == -3
    assert edges[-1] == 41


def test_a_tail_is_clamped_at_a_measured_quantile() -> None:
    """10,000 values up to 1,000 and 40 of a million: a tail of 1% leaves those out, none does not (noise of 5)."""
    values = np.r_[np.random.default_rng(5).uniform(0, 1_000, 10_000), np.full(40, 1e6)]
    low = {
        "source": {"minimum": "public", "maximum": "measured"},
        "cite": {"minimum": "c"},
        "constraints": {"minimum": 0},
    }
    found = {}
    for tail in (0, 0.01):
        schema = schema_of(**low, tail=tail)
        plan = DomainPlan(schema=schema, noise_multiplier=5.0, delta=1e-6)
        table = Table(schema, {"x": values}, {}, np.arange(len(values)))
        bought = plan.buy(table, PrivacyFilter(plan_cost(plan.lines), seeded_noise(1)))
        found[tail] = column_of(bought.schema)
    assert found[0].maximum is not None
    assert found[0].maximum >= 1e6
    assert found[0.01].maximum is not None
    assert 900 <= found[0.01].maximum <= 1_250
    assert found[0.01].minimum == 0
    assert found[0.01].clamp(np.array([1e6])) == found[0.01].maximum


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"bins": "wide", "source": "measured"}, "none of"),
        ({"tail": 0.2, "source": "measured"}, "not a share"),
        ({"tail": True, "source": "measured"}, "not a share"),
        ({"tail": 0.01, "source": "public", "cite": "c", "constraints": {"minimum": 0, "maximum": 1}}, "public bounds"),
        ({"type": "string", "bins": "tree", "source": "measured", "max_levels": 3}, "has levels"),
    ],
)
def test_what_cannot_be_meant_is_refused(field: dict[str, Any], words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        schema_of(**field)

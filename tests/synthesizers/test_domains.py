"""Bought domains: bounds, lists, counts, and the grids that follow from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.columns import LevelColumn, NumberColumn
from privacy.cost import Discovery
from privacy.filter import PrivacyFilter
from privacy.noise import NoiseSource, seeded_noise, system_noise
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from privacy.table import Table
from synthesizers.discretize import attributes_of, merge
from synthesizers.domains import DomainPlan, Domains, Histogram, plan_cost, public_edges


def schema_of(*fields: dict[str, Any], unit: Any = "row", n_public: Any = "none") -> Schema:
    privacy = {"population": "p", "unit": unit, "adjacency": "add-or-remove", "n_public": n_public,
               "cap": {"epsilon": 1, "delta": 1e-6}}  # fmt: skip
    return parse_schema({"name": "t", "fields": list(fields), "privacy": privacy})


def number(kind: str = "integer", **extra: Any) -> dict[str, Any]:
    return {"name": "x", "type": kind, "source": "measured", **extra}


def number_column(kind: str = "integer", **extra: Any) -> NumberColumn:
    column = schema_of(number(kind, **extra))["x"]
    assert isinstance(column, NumberColumn)
    return column


def buy(schema: Schema, columns: dict[str, Any], vocabularies: Any = None, noise: NoiseSource | None = None) -> Domains:
    table = Table(schema, columns, vocabularies or {}, np.arange(len(next(iter(columns.values())))))
    plan = DomainPlan(schema=schema, noise_multiplier=5.0, delta=1e-6)
    return plan.buy(table, PrivacyFilter(plan_cost(plan.lines), noise or system_noise()))


@pytest.mark.parametrize("kind", ["integer", "number", "date", "datetime"])
def test_public_edges_cover_every_value_and_rise(kind: str) -> None:
    edges = public_edges(number_column(kind))
    assert (np.diff(edges) > 0).all()
    if kind in ("integer", "number"):
        assert edges[0] < -1e12
        assert edges[-1] > 1e12


def test_public_edges_start_at_a_declared_bound() -> None:
    low = number_column(source={"minimum": "public", "maximum": "measured"}, cite={"minimum": "c"},
                        constraints={"minimum": 17})  # fmt: skip
    assert public_edges(low)[0] == 17
    high = number_column(source={"minimum": "measured", "maximum": "public"}, cite={"maximum": "c"},
                         constraints={"maximum": 9})  # fmt: skip
    assert public_edges(high)[-1] == 9


@pytest.mark.parametrize(("low", "high"), [(0, 90), (-500, 20), (1000, 1_000_000)])
def test_bounds_are_near_the_data_and_ignore_a_lone_outlier(low: int, high: int) -> None:
    """20,000 rows, noise of 5: a bin of 40 rows is seen but for 1e-4; an empty one is taken for full in 1% of draws."""
    values = np.r_[np.random.default_rng(0).integers(low, high, 20_000), 10**11].astype(float)
    column = buy(schema_of(number()), {"x": values}, noise=seeded_noise(1)).schema["x"]
    span = high - low
    assert low - 0.6 * span <= column.bounds[0] <= low + 0.1 * span
    assert high - 0.1 * span <= column.bounds[1] <= high + 0.6 * span


def test_bounds_of_nothing_are_still_an_interval() -> None:
    for values in (np.zeros(0), np.full(5, np.nan), np.array([3.0])):
        low, high = buy(schema_of(number()), {"x": values}).schema["x"].bounds
        assert low <= high


def list_schema(**extra: Any) -> Schema:
    return schema_of({"name": "k", "type": "string", "source": "measured", "max_levels": 2, **extra})


def test_common_levels_are_found_in_alphabetical_order_and_capped() -> None:
    codes = np.repeat([0, 1, 2, 3], [500, 400, 300, 1]).astype(np.int32)
    found = buy(list_schema(), {"k": codes}, {"k": ("zoo", "ant", "bee", "rare")}).schema["k"]
    assert found.levels == ("ant", "zoo")


def test_a_level_of_one_unit_stays_hidden() -> None:
    """Appears with probability at most delta_c = 1e-7 a draw; 2,000 draws see one with probability 2e-4."""
    schema = list_schema()
    plan = DomainPlan(schema=schema, noise_multiplier=3.0, delta=1e-6)
    noise = system_noise()
    table = Table(schema, {"k": np.zeros(1, np.int32)}, {"k": ("secret",)}, np.arange(1))
    for _ in range(2000):
        column = plan.buy(table, PrivacyFilter(plan_cost(plan.lines), noise)).schema["k"]
        assert isinstance(column, LevelColumn)
        assert column.levels == ()


def test_the_threshold_is_as_low_as_its_delta_allows() -> None:
    """With a delta of .1 a lone level appears in about a tenth of the draws: not in none, and not in a fifth.

    400 draws of a coin of at most .1: 80 or more has probability below 1e-8; fewer than 5 below 1e-9.
    """
    schema = list_schema()
    plan = DomainPlan(schema=schema, noise_multiplier=3.0, delta=0.999)
    noise = system_noise()
    table = Table(schema, {"k": np.zeros(1, np.int32)}, {"k": ("secret",)}, np.arange(1))
    seen = sum(len(plan.buy(table, PrivacyFilter(plan_cost(plan.lines), noise)).schema["k"].levels) for _ in range(400))
    assert 5 <= seen < 80


def test_lists_count_people_not_rows() -> None:
    """A thousand rows of one person are one person: the level stays hidden."""
    fields = [
        {"name": "id", "role": "identifier"},
        {"name": "k", "type": "string", "source": "measured", "max_levels": 2},
    ]
    schema = schema_of(*fields, unit={"field": "id", "max_rows": 1000})
    table = Table(schema, {"k": np.zeros(1000, np.int32)}, {"k": ("mine",)}, np.zeros(1000, np.int64))
    plan = DomainPlan(schema=schema, noise_multiplier=0.5, delta=1e-6)
    column = plan.buy(table, PrivacyFilter(plan_cost(plan.lines), system_noise())).schema["k"]
    assert column.levels == ()


def test_every_purchase_is_a_line() -> None:
    schema = schema_of(
        number(), {"name": "k", "type": "string", "source": "measured", "max_levels": 2}, n_public="measured"
    )
    plan = DomainPlan(schema=schema, noise_multiplier=5.0, delta=1e-6)
    assert [line.purpose for line in plan.lines] == ["bounds of x", "category lists of k", "number of rows"]
    assert plan_cost(plan.lines).delta == pytest.approx(1e-7)
    assert any(isinstance(event, Discovery) for event, _ in plan_cost(plan.lines).events)
    assert DomainPlan(schema=schema_of({"name": "b", "type": "boolean"}), noise_multiplier=1, delta=1e-6).lines == ()


def test_the_count_is_bought() -> None:
    """Noise of 5: within 40 with probability 1 - 1e-15."""
    schema = schema_of({"name": "b", "type": "boolean"}, n_public="measured")
    assert buy(schema, {"b": np.zeros(1234, np.int32)}).n_rows == pytest.approx(1234, abs=40)


KINDS = st.sampled_from(["integer", "number", "date", "datetime"])


@settings(max_examples=150, deadline=None)
@given(
    KINDS,
    st.integers(-(10**6), 10**6),
    st.integers(0, 10**6),
    st.integers(8, 128),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_grids_encode_everything_and_decode_inside_the_bin(
    kind: str, low: int, span: int, n_bins: int, seed: int, adapted: bool
) -> None:
    rng = np.random.default_rng(seed)
    column = number_column(kind)
    column = replace(column, minimum=float(low), maximum=float(low + span))
    schema = schema_of(number(kind)).with_columns({"x": column})
    histogram = {}
    if adapted:
        edges = np.unique(np.r_[low, low + np.rint(np.geomspace(1, max(2, span), 12)), low + span + 1.0])
        histogram["x"] = Histogram(edges, rng.normal(50, 60, len(edges) - 1), 20.0)
    (attribute,) = attributes_of(Domains(schema=schema, histograms=histogram), n_bins)
    values = np.r_[rng.uniform(low, low + span + 1e-9, 200), low, low + span, np.nan, low - 5.0, low + span + 5.0]
    values = column.clamp(values)
    codes = attribute.encode(values)
    assert ((codes >= 0) & (codes < attribute.size)).all()
    assert codes[202] == attribute.size - 1
    decoded = attribute.decode(codes, rng)
    again = attribute.encode(np.asarray(decoded))
    if column.is_discrete:
        np.testing.assert_array_equal(again, codes)
    np.testing.assert_array_equal(np.isnan(decoded), np.isnan(values))
    present = decoded[~np.isnan(decoded)]
    assert ((present >= low) & (present <= low + span)).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(2, 40), st.booleans(), st.integers(0, 2**32))
def test_merging_keeps_every_code_and_shares_sum_to_one(levels: int, cells: int, ordered: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    field = {"name": "k", "type": "string", "categories": [f"l{i}" for i in range(levels)], "source": "public",
             "cite": "c", "categoriesOrdered": ordered}  # fmt: skip
    (attribute,) = attributes_of(Domains(schema=schema_of(field)), 16)
    noisy = rng.normal(rng.choice([0, 20, 500]), 30, attribute.size)
    merged = merge(attribute, noisy, 30.0, cells)
    assert merged.cell_of.shape == merged.share.shape == (attribute.size,)
    assert set(merged.cell_of) == set(range(merged.n_cells))
    sums = np.bincount(merged.cell_of, merged.share, minlength=merged.n_cells)
    np.testing.assert_allclose(sums, 1.0)
    drawn = merged.expand(rng.integers(0, merged.n_cells, 300).astype(np.int32), rng)
    assert ((drawn >= 0) & (drawn < attribute.size)).all()


def test_insignificant_missing_and_other_are_never_drawn() -> None:
    field = {"name": "k", "type": "string", "categories": ["a", "b"], "source": "public", "cite": "c"}
    (attribute,) = attributes_of(Domains(schema=schema_of(field)), 16)
    merged = merge(attribute, np.array([1000.0, 900.0, 50.0, 400.0]), 30.0, 8)
    drawn = merged.expand(np.repeat(np.arange(merged.n_cells), 500).astype(np.int32), np.random.default_rng(0))
    assert set(drawn) == {0, 1, 3}


def test_noise_alone_draws_no_other_and_no_missing() -> None:
    """Of 20,000 counts of nothing .6 are believed on average, more than 7 once in a million; three standard deviations
    would believe 27. Counts of ten standard deviations are all believed."""
    rng = np.random.default_rng(7)
    field = {"name": "k", "type": "string", "categories": ["a", "b"], "source": "public", "cite": "c"}
    (attribute,) = attributes_of(Domains(schema=schema_of(field)), 16)
    for count, n, least, most in ((0.0, 10_000, 0, 7), (300.0, 100, 200, 200)):
        noisy = np.c_[np.full((n, 2), 1000.0), count + rng.normal(0, 30, (n, 2))]
        believed = sum(merge(attribute, row, 30.0, 8).n_cells - 2 for row in noisy)
        assert least <= believed <= most


def test_spikes_keep_a_cell_of_their_own() -> None:
    column = number_column(source="public", cite="c", constraints={"minimum": 0, "maximum": 99})
    schema = schema_of(number(source="public", cite="c", constraints={"minimum": 0, "maximum": 99}))
    (attribute,) = attributes_of(Domains(schema=schema), 16)
    assert attribute.size == 101
    noisy = np.full(101, 50.0)
    noisy[40] = 5000.0
    merged = merge(attribute, noisy, 10.0, 20)
    assert (merged.cell_of == merged.cell_of[40]).sum() == 1
    assert column.is_discrete


@pytest.mark.parametrize(("kind", "low", "high"), [("integer", 0, 99_999), ("number", 0, 5e5), ("number", -2e4, 5e5)])
def test_amounts_that_are_mostly_zero_keep_their_zeros(kind: str, low: float, high: float) -> None:
    """Bins of equal width, noise of 5: the share of zeros within .002, and next to none where there are none."""
    rng = np.random.default_rng(3)
    field = number(kind, cite="c", constraints={"minimum": low, "maximum": high}) | {"source": "public"}
    schema = schema_of(field)
    (attribute,) = attributes_of(Domains(schema=schema), 64)
    for zeros in (9_000, 0):
        values = np.r_[np.zeros(zeros), np.rint(rng.lognormal(8, 1, 10_000 - zeros).clip(1, high))]
        codes = attribute.encode(values)
        noisy = np.bincount(codes, minlength=attribute.size) + rng.normal(0, 5, attribute.size)
        merged = merge(attribute, noisy, 5.0, 20)
        cells = rng.permutation(merged.cell_of[codes].astype(np.int32))
        drawn = np.asarray(attribute.decode(merged.expand(cells, rng), rng))
        assert (drawn == 0).mean() == pytest.approx(zeros / 10_000, abs=2e-3)


def test_one_value_takes_one_bin_and_leaves_the_rest_to_the_others() -> None:
    """Nine rows in ten are zero: the bins they would deserve are spread over the tenth."""
    sources = {"minimum": "public", "maximum": "measured"}
    schema = schema_of(number(source=sources, cite={"minimum": "c"}, constraints={"minimum": 0}))
    rng = np.random.default_rng(5)
    bought = buy(schema, {"x": np.r_[np.zeros(9_000), np.rint(rng.lognormal(8, 1, 1_000))]})
    (attribute,) = attributes_of(bought, 64)
    assert attribute.edges is not None
    np.testing.assert_array_equal(attribute.edges[:2], [0, 1])
    assert attribute.size >= 60


def test_seeded_noise_repeats_a_purchase() -> None:
    schema = schema_of(number())
    plan = DomainPlan(schema=schema, noise_multiplier=5.0, delta=1e-6)
    table = Table(schema, {"x": np.arange(100.0)}, {}, np.arange(100))
    bought = [plan.buy(table, PrivacyFilter(plan_cost(plan.lines), seeded_noise(7))) for _ in range(2)]
    np.testing.assert_array_equal(bought[0].histograms["x"].counts, bought[1].histograms["x"].counts)

"""Distances are in public units, exact, and total; the nearest neighbour is never missed."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audits import search
from audits.distance import Features, features, join
from audits.search import nearest, neighbours, others
from privacy.schema_file import parse_schema
from privacy.table import Table, make_table
from tests.tables import MIXED_DOCUMENT, low_cardinality, mixed_schema, population

PUBLIC = {"source": "public", "cite": "codebook"}
SMALL = parse_schema(
    {
        "name": "small",
        "fields": [
            {"name": "colour", "type": "string", "categories": ["red", "green"], **PUBLIC},
            {"name": "size", "type": "string", "categories": ["s", "m", "l"], "categoriesOrdered": True, **PUBLIC},
            {"name": "weight", "type": "number", "constraints": {"minimum": -10, "maximum": 30}, **PUBLIC},
        ],
        "privacy": {**MIXED_DOCUMENT["privacy"]},
    }
)


def small(*rows: tuple[int, int, float]) -> Features:
    colour, size, weight = zip(*rows, strict=True)
    columns = {"colour": np.array(colour, np.int32), "size": np.array(size, np.int32), "weight": np.array(weight)}
    return features(make_table(SMALL, columns), SMALL)


def by_hand(queries: Features, reference: Features) -> np.ndarray:
    """All squared distances, one column at a time, in double precision."""
    squared = np.zeros((len(queries), len(reference)))
    for j in range(queries.levels.shape[1]):
        asked = queries.levels[:, None, j]
        squared += (asked != reference.levels[None, :, j]) & (asked != -1)
    for j in range(queries.values.shape[1]):
        x, y = queries.values[:, None, j], reference.values[None, :, j]
        s, t = queries.states[:, None, j], reference.states[None, :, j]
        squared += np.where((s == 0) & (t == 0), (x - y) ** 2, (s != t) & (s != 3))
    return squared


NAN = float("nan")


@pytest.mark.parametrize(
    ("left", "right", "squared"),
    [
        ((0, 0, 0.0), (0, 0, 0.0), 0),
        ((0, 0, 0.0), (1, 0, 0.0), 1),
        ((0, 0, 0.0), (0, 2, 0.0), 1),
        ((0, 0, 0.0), (0, 1, 0.0), 0.25),
        ((0, 0, -10.0), (0, 0, 30.0), 1),
        ((0, 0, 0.0), (0, 0, 10.0), 1 / 16),
        ((0, 0, NAN), (0, 0, NAN), 0),
        ((0, 0, NAN), (0, 0, -10.0), 1),
        ((0, 0, 30.0), (0, 0, NAN), 1),
        ((2, 0, 0.0), (2, 0, 0.0), 0),
        ((2, 0, 0.0), (3, 0, 0.0), 1),
        ((0, 3, 0.0), (0, 3, 0.0), 0),
        ((0, 3, 0.0), (0, 4, 0.0), 1),
        ((0, 3, 0.0), (0, 2, 0.0), 1),
        ((3, 4, NAN), (0, 0, 0.0), 3),
    ],
)
def test_missing_and_other_are_categories(left, right, squared: float) -> None:
    assert nearest(small(left), small(right), 1)[0, 0] == pytest.approx(np.sqrt(squared), abs=1e-12)
    assert nearest(small(right), small(left), 1)[0, 0] == pytest.approx(np.sqrt(squared), abs=1e-12)


rows = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 4),
        st.one_of(st.just(NAN), st.integers(-10, 30).map(float), st.floats(-10, 30)),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(rows, rows, st.integers(1, 12))
def test_nearest_agrees_with_all_pairs(left, right, k: int) -> None:
    queries, reference = small(*left), small(*right)
    k = min(k, len(reference))
    truth = np.sqrt(np.sort(by_hand(queries, reference), axis=1)[:, :k])
    assert np.allclose(nearest(queries, reference, k), truth, atol=1e-9)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_nearest_agrees_with_all_pairs_across_blocks(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "QUERY_BLOCK", 128)
    monkeypatch.setattr(search, "REFERENCE_BLOCK", 1_024)
    schema = mixed_schema()
    queries, reference = features(population(300, 1), schema), features(population(2_500, 2), schema)
    truth = np.sqrt(np.sort(by_hand(queries, reference), axis=1)[:, :k])
    assert np.allclose(nearest(queries, reference, k), truth, atol=1e-6)


def test_long_lists_of_levels_are_compared_exactly() -> None:
    """A column of 3,000 levels is compared code by code, beside one-hot ones."""
    fields = [
        {"name": "long", "type": "string", "categories": [f"v{i}" for i in range(3_000)], **PUBLIC},
        {"name": "short", "type": "string", "categories": ["a", "b", "c"], **PUBLIC},
    ]
    schema = parse_schema({"name": "wide", "fields": fields, "privacy": MIXED_DOCUMENT["privacy"]})
    rng = np.random.default_rng(0)
    tables = [
        make_table(
            schema,
            {"long": rng.integers(0, 3_002, n).astype(np.int32), "short": rng.integers(0, 5, n).astype(np.int32)},
        )
        for n in (200, 900)
    ]
    queries, reference = (features(table, schema) for table in tables)
    truth = np.sqrt(np.sort(by_hand(queries, reference), axis=1)[:, :3])
    assert np.array_equal(nearest(queries, reference, 3), truth)


def test_distance_zero_means_an_identical_row_and_every_twin_has_it() -> None:
    """A thousand rows within 1e-6 of each query crowd out its twin in single precision; it is found all the same."""
    rng = np.random.default_rng(3)
    weights = 10 + rng.normal(0, 1e-6, 1_000)
    crowd = small(*((0, 1, float(w)) for w in weights))
    twins = nearest(crowd, crowd, 1)
    assert np.all(twins == 0)
    apart = nearest(small((0, 1, 10.5)), join(crowd, small((0, 1, 10.5 + 1e-9))), 1)
    assert 0 < apart[0, 0] < 1e-9


def test_ties_in_a_table_of_few_distinct_rows_are_exact() -> None:
    table = low_cardinality(2_000, 1)
    rows = features(table, table.schema)
    truth = np.sqrt(np.sort(by_hand(rows, rows), axis=1)[:, :20])
    assert np.array_equal(nearest(rows, rows, 20), truth)


@pytest.mark.parametrize("block", [1, 64, 10_000])
def test_a_hidden_column_is_compared_with_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row hides one of its own: as near as if that column were not there."""
    monkeypatch.setattr(search, "REFERENCE_BLOCK", block)
    monkeypatch.setattr(search, "MAX_ONE_HOT", 10)
    schema = mixed_schema()
    queries, reference = population(400, 1), population(900, 2)
    hidden = np.random.default_rng(0).integers(len(schema.columns) + 1, size=len(queries))
    rows, far = neighbours(features(queries, schema, hidden), features(reference, schema), 2)
    for place in range(len(schema.columns) + 1):
        at = np.flatnonzero(hidden == place)
        left = replace(schema, columns=tuple(c for i, c in enumerate(schema.columns) if i != place))
        truth = by_hand(features(queries.select(at), left), features(reference, left))
        assert len(at) > 10
        assert np.allclose(far[at], np.sqrt(np.sort(truth, axis=1)[:, :2]), atol=1e-9)
        assert np.allclose(truth[np.arange(len(at)), rows[at, 0]], truth.min(axis=1), atol=1e-9)


def test_order_of_the_reference_does_not_matter() -> None:
    schema = mixed_schema()
    queries, table = features(population(200, 1), schema), population(9_000, 2)
    shuffled = table.select(np.random.default_rng(0).permutation(len(table)))
    first, second = (nearest(queries, features(t, schema), 5) for t in (table, shuffled))
    assert np.allclose(first, second, atol=1e-6)


def test_others_leave_oneself_out() -> None:
    rows = small((0, 0, 0.0), (0, 0, 4.0), (0, 0, 4.0), (1, 2, 4.0))
    assert others(rows, 1)[:, 0] == pytest.approx([0.1, 0, 0, np.sqrt(2)])
    assert others(rows, 5)[0] == pytest.approx([0.1, 0.1, np.sqrt(2.01)])
    assert np.array_equal(others(small((0, 0, 0.0)), 5), [[0.0]])


@pytest.mark.parametrize("k", [0, 5])
def test_more_neighbours_than_rows_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match="k is at least 1"):
        nearest(small((0, 0, 0.0)), small((0, 0, 0.0), (1, 1, 1.0)), k)


def test_bounds_must_be_known() -> None:
    column = replace(SMALL["weight"], minimum=None)
    schema = replace(SMALL, columns=(*SMALL.columns[:2], column))
    table = Table(schema, {n: np.zeros(1, np.int32) for n in SMALL.names}, {}, np.arange(1))
    with pytest.raises(ValueError, match="not been measured"):
        features(table, schema)


def test_a_column_of_one_value_adds_nothing() -> None:
    column = replace(SMALL["weight"], minimum=4.0, maximum=4.0)
    schema = replace(SMALL, columns=(*SMALL.columns[:2], column))
    columns = {"colour": np.array([0, 1], np.int32), "size": np.zeros(2, np.int32), "weight": np.array([4.0, 4.0])}
    rows = features(make_table(schema, columns), schema)
    assert nearest(rows, rows, 2) == pytest.approx(np.array([[0.0, 1.0], [0.0, 1.0]]))


def test_memory_does_not_grow_with_the_pairs() -> None:
    """12,000 by 12,000 pairs in less than 200 MB of arrays; the matrix of all pairs would take 576 MB."""
    schema = mixed_schema()
    queries, reference = features(population(12_000, 1), schema), features(population(12_000, 2), schema)
    tracemalloc.start()
    nearest(queries, reference, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6

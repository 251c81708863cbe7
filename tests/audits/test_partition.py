"""Blocks hold every row once, and no row of a block is nearer than its box says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audits import search
from audits.distance import Features
from audits.partition import boxes, partition, reach
from audits.search import nearest
from tests.audits.test_distance import by_hand


def made_up(n: int, n_codes: tuple[int, ...], n_values: int, seed: int) -> Features:
    """Rows of unequally common codes, with values that are often 0, missing or OTHER."""
    rng = np.random.default_rng(seed)
    states = rng.choice(3, (n, n_values), p=[0.8, 0.1, 0.1]).astype(np.int8)
    values = np.where((states == 0) & (rng.random(states.shape) < 0.7), rng.random(states.shape), 0.0)
    levels = [np.minimum(rng.geometric(0.4, n) - 1, width - 1) for width in n_codes]
    return Features(
        levels=np.stack(levels, axis=1).astype(np.int32) if levels else np.zeros((n, 0), np.int32),
        n_codes=n_codes,
        values=values,
        states=states,
    )


tables = st.builds(
    made_up,
    st.integers(1, 200),
    st.lists(st.integers(1, 9), max_size=4).map(tuple),
    st.integers(0, 3),
    st.integers(0, 1_000),
)


@settings(deadline=None)
@given(tables, st.integers(1, 40))
def test_every_row_is_in_one_block_of_at_most_the_size(rows: Features, size: int) -> None:
    blocks = partition(rows.levels, rows.values, rows.states, size)
    assert np.array_equal(np.sort(np.concatenate(blocks)), np.arange(len(rows)))
    assert all(1 <= len(block) <= size for block in blocks)


@settings(deadline=None)
@given(st.integers(0, 1_000), st.integers(1, 40))
def test_no_row_is_nearer_than_its_box(seed: int, size: int) -> None:
    queries, reference = made_up(50, (2, 7), 3, seed), made_up(150, (2, 7), 3, seed + 1)
    blocks = partition(reference.levels, reference.values, reference.states, size)
    box = boxes(reference.levels, reference.n_codes, reference.values, reference.states, blocks)
    nearest_of_box = reach(queries.levels, queries.values, queries.states, box)
    truth = by_hand(queries, reference)
    for i, block in enumerate(blocks):
        assert np.all(nearest_of_box[:, i] <= truth[:, block].min(axis=1) + 1e-5)


def test_the_box_of_one_row_is_the_row() -> None:
    queries, reference = made_up(40, (2, 7), 3, 1), made_up(60, (2, 7), 3, 2)
    blocks = partition(reference.levels, reference.values, reference.states, 1)
    box = boxes(reference.levels, reference.n_codes, reference.values, reference.states, blocks)
    squared = reach(queries.levels, queries.values, queries.states, box)
    assert np.allclose(squared, by_hand(queries, reference)[:, np.concatenate(blocks)], atol=1e-5)


@pytest.mark.parametrize("k", [1, 6, 20])
@pytest.mark.parametrize("size", [1, 4, 50])
def test_small_blocks_miss_no_neighbour(k: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks smaller than k, most of them passed over: the k nearest of 1,500 rows all the same."""
    monkeypatch.setattr(search, "REFERENCE_BLOCK", size)
    monkeypatch.setattr(search, "MAX_BLOCKS", 5_000)
    monkeypatch.setattr(search, "QUERY_BLOCK", 100)
    queries, reference = made_up(250, (2, 7, 30), 2, 3), made_up(1_500, (2, 7, 30), 2, 4)
    truth = np.sqrt(np.sort(by_hand(queries, reference), axis=1)[:, :k])
    assert np.allclose(nearest(queries, reference, k), truth, atol=1e-9)


def test_rows_that_are_all_the_same_are_split_and_found() -> None:
    same = made_up(1, (3, 3), 2, 0).select(np.zeros(2_000, np.int64))
    blocks = partition(same.levels, same.values, same.states, 100)
    assert max(map(len, blocks)) <= 100
    assert np.array_equal(nearest(same, same, 7), np.zeros((2_000, 7)))

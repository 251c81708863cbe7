"""The marginal engine against brute force over the whole joint distribution."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.columns import Floats
from synthesizers.discretize import round_counts
from synthesizers.marginal.domain import Clique, Domain, marginal, project
from synthesizers.marginal.estimation import estimate
from synthesizers.marginal.inference import beliefs
from synthesizers.marginal.junction_tree import junction_tree
from synthesizers.marginal.measurement import LinearMeasurement, combined_total
from synthesizers.marginal.sampling import sample_codes
from synthesizers.marginal.triangulation import maximal_cliques, n_cells

DOMAIN = Domain({"a": 2, "b": 3, "c": 4, "d": 2, "e": 3})
SETS = {
    "chain": [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")],
    "star": [("a", "b"), ("a", "c"), ("a", "d"), ("a", "e")],
    "loop": [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")],
    "apart": [("a", "b"), ("d", "e")],
    "triples": [("a", "b", "c"), ("c", "d", "e")],
    "singles": [("a",), ("c",)],
}


def brute_force(potentials: dict[Clique, Floats], total: float) -> Floats:
    """The full joint: one axis an attribute of the domain."""
    log = np.zeros(DOMAIN.shape(tuple(DOMAIN.sizes)))
    for clique, values in potentials.items():
        shape = [DOMAIN.sizes[name] if name in clique else 1 for name in DOMAIN.sizes]
        log = log + values.reshape(shape)
    joint = np.exp(log - log.max())
    scaled: Floats = joint * (total / joint.sum())
    return scaled


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("seed", range(3))
def test_message_passing_equals_brute_force(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = junction_tree(DOMAIN, SETS[name])
    potentials = {clique: rng.normal(0, 2, DOMAIN.shape(clique)) for clique in tree.cliques}
    joint = brute_force(potentials, 100.0)
    for clique, values in beliefs(tree, potentials, 100.0).items():
        np.testing.assert_allclose(values, project(joint, tuple(DOMAIN.sizes), clique), rtol=1e-9)


@pytest.mark.parametrize("name", SETS)
def test_tree_covers_cliques_and_has_running_intersection(name: str) -> None:
    tree = junction_tree(DOMAIN, SETS[name])
    for clique in SETS[name]:
        assert set(clique) <= set(tree.home(clique))
    assert {a for clique in tree.cliques for a in clique} == set(DOMAIN.sizes)
    assert len(tree.edges) == len(tree.cliques) - 1
    seen = set(tree.cliques[0])
    for edge in tree.edges:
        # What a clique shares with everything before it, it shares with its parent.
        assert set(edge.child) & seen == set(edge.separator) <= set(edge.parent)
        seen |= set(edge.child)
    assert tree.n_cells == sum(DOMAIN.n_cells(c) for c in tree.cliques)


def test_home_of_an_uncovered_clique_is_an_error() -> None:
    with pytest.raises(KeyError):
        junction_tree(DOMAIN, [("a", "b")]).home(("a", "e"))


def exact_measurements(cliques: list[Clique], seed: int, rows: int = 2000) -> tuple[list[LinearMeasurement], Floats]:
    """Noise-free marginals of random rows, with a variance that says they are good."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(DOMAIN.n_cells(tuple(DOMAIN.sizes)), 0.3))
    joint = (rows * weights).reshape(DOMAIN.shape(tuple(DOMAIN.sizes)))
    found = []
    for clique in cliques:
        values = project(joint, tuple(DOMAIN.sizes), clique)
        found.append(LinearMeasurement(clique, values, np.full(values.shape, 1.0)))
    return found, joint


@pytest.mark.parametrize("name", SETS)
def test_estimation_reproduces_consistent_marginals(name: str) -> None:
    measured, _ = exact_measurements([DOMAIN.clique(c) for c in SETS[name]], 1)
    model = estimate(DOMAIN, measured)
    assert model.total == pytest.approx(2000)
    for m in measured:
        distance = 0.5 * np.abs(model.project(m.clique) - m.noisy).sum() / 2000
        assert distance < 0.002


def test_estimation_finds_the_maximum_entropy_model() -> None:
    """On a tree the answer is known in closed form: products of pairs over separators."""
    measured, _ = exact_measurements([("a", "b"), ("b", "c")], 2)
    model = estimate(DOMAIN, measured)
    ab, bc = measured[0].noisy, measured[1].noisy
    expected = ab[:, :, None] * bc[None, :, :] / ab.sum(axis=0)[None, :, None]
    potentials = {clique: np.log(np.maximum(v, 1e-300)) for clique, v in model.marginals.items()}
    for edge in model.tree.edges:
        if edge.separator:
            shared = project(model.marginals[edge.parent], edge.parent, edge.separator)
            axes = [DOMAIN.sizes[n] if n in edge.separator else 1 for n in edge.child]
            potentials[edge.child] = potentials[edge.child] - np.log(shared).reshape(axes)
    joint = brute_force(potentials, 2000.0)
    found = project(joint, tuple(DOMAIN.sizes), ("a", "b", "c"))
    assert 0.5 * np.abs(found - expected).sum() / 2000 < 0.01


def test_estimation_averages_disagreeing_measurements_by_their_precision() -> None:
    truth = np.array([500.0, 1500.0])
    measured = [
        LinearMeasurement(("a",), truth + np.array([100, -100]), np.full(2, 1e4)),
        LinearMeasurement(("a",), truth + np.array([-10, 10]), np.full(2, 1e2)),
    ]
    found = estimate(Domain({"a": 2}), measured).project(("a",))
    np.testing.assert_allclose(found, truth + np.array([-900 / 101, 900 / 101]), atol=0.5)


def test_total_is_weighted_by_inverse_variance() -> None:
    one = LinearMeasurement(("a",), np.array([90.0, 0.0]), np.full(2, 1.0))
    two = LinearMeasurement(("b",), np.array([120.0, 0, 0]), np.full(3, 2.0))
    assert combined_total((one, two)) == pytest.approx((90 / 2 + 120 / 6) / (1 / 2 + 1 / 6))
    assert combined_total((LinearMeasurement(("a",), np.array([-50.0, 0]), np.ones(2)),)) == 1.0


def test_expected_error_is_what_noise_does() -> None:
    """Mean over 400 draws within 5% of the stated expectation (20 standard errors)."""
    rng = np.random.default_rng(0)
    truth = np.full((3, 4), 500.0)
    errors = []
    for _ in range(400):
        noisy = truth + rng.normal(0, 20, truth.shape)
        errors.append(0.5 * np.abs(noisy - truth).sum() / truth.sum())
    stated = LinearMeasurement(("b", "c"), truth, np.full(truth.shape, 400.0)).expected_error
    assert np.mean(errors) == pytest.approx(stated, rel=0.05)


def test_marginal_counts_rows() -> None:
    rng = np.random.default_rng(3)
    codes = {name: rng.integers(0, size, 500) for name, size in DOMAIN.sizes.items()}
    for clique in [*combinations(DOMAIN.sizes, 2), ("a", "c", "e"), ("d",)]:
        counts = marginal(DOMAIN, codes, clique)
        slow = np.zeros(DOMAIN.shape(clique), dtype=int)
        for row in zip(*(codes[name] for name in clique), strict=True):
            slow[row] += 1
        np.testing.assert_array_equal(counts, slow)


@pytest.mark.parametrize("name", SETS)
def test_sampled_marginals_are_those_of_the_model(name: str) -> None:
    """Measured one-way marginals differ by rounding alone; pairs by little more."""
    measured, _ = exact_measurements([DOMAIN.clique(c) for c in SETS[name]], 4)
    model = estimate(DOMAIN, measured)
    rows = sample_codes(model, 20_000, np.random.default_rng(0))
    assert all(len(codes) == 20_000 for codes in rows.values())
    root = model.tree.cliques[0]
    counts = marginal(DOMAIN, rows, root)
    np.testing.assert_allclose(counts, model.project(root) * 10, atol=1.0)
    for m in measured:
        distance = 0.5 * np.abs(marginal(DOMAIN, rows, m.clique) / 20_000 - model.project(m.clique) / 2000).sum()
        assert distance < 0.01


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 50), min_size=1, max_size=30), st.integers(0, 2**32))
def test_controlled_rounding(weights: list[float], seed: int) -> None:
    expected = np.array(weights)
    n = round(expected.sum())
    if expected.sum() > 0:
        expected = expected * (n / expected.sum())
    counts = round_counts(expected, n, np.random.default_rng(seed))
    assert counts.sum() == n
    assert (np.abs(counts - expected) < 1 + 1e-6).all()


def test_controlled_rounding_is_unbiased() -> None:
    """Mean of 4,000 roundings within .05 of the expectation: six standard errors of a fair coin's mean."""
    expected = np.array([0.25, 1.5, 0.25, 3.0])
    rng = np.random.default_rng(0)
    mean = np.mean([round_counts(expected, 5, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, expected, atol=0.05)


def test_triangulation_is_chordal_covers_and_is_smaller_than_a_librarys() -> None:
    """networkx judges: our cliques are the maximal cliques of a chordal graph that has every edge."""
    ratios = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        names = [f"x{i:02}" for i in range(12)]
        domain = Domain({name: int(rng.integers(2, 9)) for name in names})
        pairs = list(combinations(names, 2))
        chosen = [pairs[i] for i in rng.choice(len(pairs), int(rng.integers(4, 22)), replace=False)]
        found = maximal_cliques(domain, chosen)
        graph: Any = nx.Graph()
        graph.add_nodes_from(names)
        for clique in found:
            graph.add_edges_from(combinations(clique, 2))
        assert nx.is_chordal(graph)
        assert {frozenset(c) for c in nx.chordal_graph_cliques(graph)} == {frozenset(c) for c in found}
        assert all(graph.has_edge(*pair) for pair in chosen)
        assert n_cells(domain, chosen) == junction_tree(domain, chosen).n_cells
        plain: Any = nx.Graph(chosen)
        plain.add_nodes_from(names)
        library, _ = nx.complete_to_chordal_graph(plain)
        cells = sum(domain.n_cells(domain.clique(c)) for c in nx.chordal_graph_cliques(library))
        ratios.append(n_cells(domain, chosen) / cells)
    assert np.exp(np.mean(np.log(ratios))) < 0.8


def test_one_clique_of_everything_and_none() -> None:
    everything = tuple(DOMAIN.sizes)
    assert maximal_cliques(DOMAIN, [everything]) == [everything]
    assert sorted(maximal_cliques(DOMAIN, [])) == [(name,) for name in everything]

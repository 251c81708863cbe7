"""Error bounds hold as often as they say: each of the four facts on its own, and all of them together."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from privacy.columns import Floats
from privacy.filter import PrivacyFilter
from privacy.mechanisms import ExponentialMechanism
from privacy.noise import seeded_noise
from privacy.schema import Budget
from privacy.table import Table
from synthesizers.marginal import error_bounds as facts
from synthesizers.marginal.aim import AIM
from synthesizers.marginal.domain import Clique, Domain, marginal
from synthesizers.marginal.error_bounds import (
    FAILURE,
    Selection,
    Uncertainty,
    error_bounds,
    neighbourhoods,
    positive_part,
)
from synthesizers.marginal.measurement import LinearMeasurement
from synthesizers.marginal.model import MarginalModel
from synthesizers.marginal.mst import MST
from synthesizers.protocol import Synthesizer
from tests.tables import population


def quiet(_: str) -> None:
    """No progress."""


def too_many(failures: int, runs: int, rate: float) -> bool:
    """Whether so many failures have a probability below 1e-9 where each has at most `rate`."""
    return bool(binom.sf(failures - 1, runs, rate) < 1e-9)


def noisy(counts: Floats, stddev: float, rng: np.random.Generator) -> LinearMeasurement:
    drawn = counts + np.rint(rng.normal(0, stddev, counts.shape))
    return LinearMeasurement(("a",), drawn, np.full(counts.shape, stddev**2))


@pytest.mark.parametrize("n", [1, 7, 200])
def test_the_moment_bound_is_exceeded_as_rarely_as_it_says(n: int) -> None:
    """20,000 draws at 5%: alarms by chance < 1e-9. A bound two fifths too low is exceeded in > 6.5%, and caught."""
    rng = np.random.default_rng(0)
    sums = np.maximum(rng.normal(size=(20_000, n)), 0).sum(axis=1)
    assert not too_many(int((sums > positive_part(n, 0.05)).sum()), 20_000, 0.05)
    assert too_many(int((sums > 0.6 * positive_part(n, 0.05)).sum()), 20_000, 0.05)


def test_the_interval_of_the_row_count() -> None:
    """4,000 draws: alarms by chance < 1e-9. An interval half as wide fails in > 20% of them."""
    rng = np.random.default_rng(1)
    outside = halved = 0
    for _ in range(4_000):
        columns = tuple(noisy(np.full(size, 900 / size), 8.0, rng) for size in (3, 30))
        low, high = Uncertainty(count=(), columns=columns, measured=(), max_measured=0, scored={}).n_rows
        outside += not low <= 900 <= high
        quarter = (high - low) / 4
        halved += not low + quarter <= 900 <= high - quarter
    assert not too_many(outside, 4_000, FAILURE)
    assert too_many(halved, 4_000, FAILURE)


def test_a_measured_marginal_bounds_whatever_was_made_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 draws of the worst kind: the table believes the noise. Alarms by chance < 1e-9.

    Without the noise's share, the bound of such a table is next to nothing and fails in all of them.
    """
    rng = np.random.default_rng(2)
    counts = np.r_[np.full(10, 400.0), np.zeros(30)]
    true = counts / counts.sum()

    def failures() -> int:
        failed = 0
        for _ in range(1_000):
            seen = noisy(counts, 20.0, rng)
            shares = np.maximum(seen.noisy, 0.0)
            shares /= shares.sum()
            summed = facts._Summed(seen, 1.0, 0.05)
            bound = facts._measured(shares, summed, (4_000.0, 4_000.0), counts)
            failed += bool(np.abs(shares - true).sum() / 2 > bound)
        return failed

    assert not too_many(failures(), 1_000, 0.05)
    monkeypatch.setattr(facts, "positive_part", lambda _n, _failure: 0.0)
    monkeypatch.setattr(facts, "ROUNDING", 0.0)
    assert failures() == 1_000


def test_what_was_not_selected_lies_in_its_neighbourhood() -> None:
    """2,000 rounds at 10%: alarms by chance < 1e-9. Without what a selection may miss, most fail.

    Worst case: of many candidates one is far from the model, and selections are too weak to find it.
    """
    rng = np.random.default_rng(3)
    mechanism = ExponentialMechanism(sensitivity=1, epsilon=0.05)
    sizes = np.full(40, 6)
    distances = np.r_[np.zeros(39), 150.0]
    cliques: list[Clique] = [(f"{i}", "z") for i in range(40)]
    weights = dict.fromkeys(cliques, 1) | {cliques[0]: 2}
    stddev = 4.0
    penalties = {c: round(0.8 * stddev * 6) for c in cliques}
    centre = np.full(6, 100)
    failed = without = 0
    for _ in range(2_000):
        scores = np.array([weights[c] * (d - penalties[c]) for c, d in zip(cliques, distances, strict=True)])
        gumbel = mechanism.epsilon / 2 * scores + rng.gumbel(size=40)
        chosen = cliques[int(gumbel.argmax())]
        moved = np.zeros(6)
        moved[0] = distances[int(gumbel.argmax())]
        seen = noisy(centre + moved, stddev, rng)
        measured = LinearMeasurement(chosen, seen.noisy, seen.variance)
        said = Selection(mechanism, 40, weights, penalties, 0.1)
        near = neighbourhoods(said, dict.fromkeys(cliques, centre), measured)
        failed += any(near[c].radius < d for c, d in zip(cliques, distances, strict=True))
        gap = 2 / mechanism.epsilon * (np.log(40) + np.log(20))
        without += any(near[c].radius - gap / weights[c] < d for c, d in zip(cliques, distances, strict=True))
    assert sizes.sum() == 240
    assert not too_many(failed, 2_000, 0.1)
    assert too_many(without, 2_000, 0.1)


@given(st.integers(0, 10_000), st.floats(0.5, 0.999))
@settings(max_examples=200, deadline=None)
def test_a_column_that_hardly_varies_bounds_its_pairs(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    joint = []
    for _ in range(2):
        a = np.r_[share, (1 - share) * rng.dirichlet(np.ones(2))]
        joint.append(a[:, None] * rng.dirichlet(np.full(4, 0.3), size=3))
    p, q = joint
    distance = [np.abs(p.sum(axis=i) - q.sum(axis=i)).sum() / 2 for i in (0, 1)]
    assert np.abs(p - q).sum() / 2 <= sum(distance) + 2 * (1 - q.sum(axis=1).max()) + 1e-12


def distances(model: MarginalModel, train: Table, drawn: Table) -> dict[Clique, float]:
    """Exact total variation distances in the model's codes and cells, by brute force."""
    found = {}
    codes = [{a.column.name: a.encode(t.columns[a.column.name]) for a in model.attributes} for t in (train, drawn)]
    for a in model.attributes:
        shares = [np.bincount(c[a.column.name], minlength=a.size) / len(c[a.column.name]) for c in codes]
        found[a.column.name,] = float(np.abs(shares[0] - shares[1]).sum() / 2)
    cells = [{name: model.merged[name].cell_of[values] for name, values in c.items()} for c in codes]
    domain = Domain({name: m.n_cells for name, m in model.merged.items()})
    for pair in combinations(domain.sizes, 2):
        shares = [marginal(domain, c, pair) / len(t) for c, t in zip(cells, (train, drawn), strict=True)]
        found[pair] = float(np.abs(shares[0] - shares[1]).sum() / 2)
    return found


@pytest.mark.parametrize(
    "method", [AIM(rounds_per_column=0.7, round_steps=15, scored_rows=3_000), MST()], ids=["aim", "mst"]
)
def test_all_bounds_hold_together(method: Synthesizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 fits at epsilon 4, and rows of each: eight failures come by chance < 1e-9, and with these seeds none came.

    Power: had the noise of measured marginals been forgotten, at least 6 would have failed.
    """
    table = population(1_500, 5)
    plan = method.plan(table.schema, Budget(epsilon=4.0, delta=1e-6))
    failed = 0
    fits = []
    for seed in range(8):
        privacy = PrivacyFilter(plan.cost, seeded_noise(seed))
        model = plan.fit(table, privacy, np.random.default_rng(seed), quiet)
        assert isinstance(model, MarginalModel)
        drawn = model.sample(1_500, np.random.default_rng(seed))
        true, bounds = distances(model, table, drawn), model.error_bounds(drawn)
        assert bounds.keys() == true.keys()
        assert all(bounds[(name,)] is not None for name in table.schema.names)
        failed += any(bound is not None and true[clique] > bound for clique, bound in bounds.items())
        fits.append((model, drawn, true))
    assert not too_many(failed, 8, 0.05)
    assert failed == 0

    monkeypatch.setattr(facts, "positive_part", lambda _n, _failure: 0.0)
    monkeypatch.setattr(facts, "ROUNDING", 0.0)
    caught = 0
    for model, drawn, true in fits:
        careless = error_bounds(model.uncertainty, model.attributes, model.merged, drawn)
        caught += any(bound is not None and true[clique] > bound for clique, bound in careless.items())
    assert caught >= 6


def test_bounds_are_about_shares_and_say_where_nothing_is_known() -> None:
    """A hundredth of the rows has the same bounds but for its own sampling error; no row at all has none."""
    table = population(1_500, 5)
    plan = MST().plan(table.schema, Budget(epsilon=4.0, delta=1e-6))
    model = plan.fit(table, PrivacyFilter(plan.cost, seeded_noise(1)), np.random.default_rng(1), quiet)
    assert isinstance(model, MarginalModel)
    drawn = model.sample(60_000, np.random.default_rng(1))
    many, few = model.error_bounds(drawn), model.error_bounds(drawn.select(np.arange(6_000)))
    for clique, bound in many.items():
        other = few[clique]
        assert (bound is None) is (other is None)
        if bound is not None and other is not None:
            assert other == pytest.approx(bound, abs=0.05)
    none = model.error_bounds(drawn.select(np.arange(0)))
    assert all(bound is None for bound in none.values())

"""Rows on request: the model's conditional distribution, shares as asked, and nothing invented."""

from __future__ import annotations

import numpy as np
import pytest

from privacy.conditions import all_met, condition_of, parse_where
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
from privacy.schema import Budget
from privacy.schema_file import parse_schema
from privacy.table import Table
from synthesizers.conditioning import Stratum, Target, draw, thinned, weigh
from synthesizers.errors import VanishingError
from synthesizers.marginal.conditioning import weighted
from synthesizers.marginal.domain import project
from synthesizers.marginal.estimation import MarkovRandomField
from synthesizers.marginal.inference import beliefs
from synthesizers.marginal.junction_tree import junction_tree
from synthesizers.protocol import Model
from synthesizers.registry import SYNTHESIZERS
from tests.synthesizers.test_engine import DOMAIN, SETS, brute_force
from tests.tables import MIXED_DOCUMENT, mixed_schema, population

RULES = [{"cite": "made up", "derive": "employed", "cases": [{"when": {"age": {"maximum": 65}}, "then": True}]}]
SCHEMA = parse_schema({**MIXED_DOCUMENT, "privacy": {**MIXED_DOCUMENT["privacy"], "constraints": RULES}})


@pytest.fixture(scope="module")
def model() -> Model:
    plan = SYNTHESIZERS["mst"].plan(SCHEMA, Budget(epsilon=5.0, delta=1e-6))
    table = Table(SCHEMA, population(8_000, 1).columns, {}, np.arange(8_000))
    return plan.fit(table, PrivacyFilter(plan.cost, seeded_noise(1)), np.random.default_rng(1), lambda _: None)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("attribute", ["a", "c", "e"])
def test_evidence_equals_brute_force(name: str, attribute: str) -> None:
    rng = np.random.default_rng(3)
    tree = junction_tree(DOMAIN, SETS[name])
    potentials = {clique: rng.normal(0, 2, DOMAIN.shape(clique)) for clique in tree.cliques}
    field = MarkovRandomField(tree, beliefs(tree, potentials, 100.0), potentials, 100.0)
    weight = rng.random(DOMAIN.sizes[attribute]) * (np.arange(DOMAIN.sizes[attribute]) > 0)
    shape = [DOMAIN.sizes[n] if n == attribute else 1 for n in DOMAIN.sizes]
    joint = brute_force(potentials, 1.0) * weight.reshape(shape)
    narrowed = weighted(field, attribute, weight)
    assert narrowed is not None
    for clique, values in narrowed.marginals.items():
        expected = project(joint * (100.0 / joint.sum()), tuple(DOMAIN.sizes), clique)
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)
    assert weighted(field, attribute, np.zeros(DOMAIN.sizes[attribute])) is None


@pytest.mark.parametrize(
    "where", [["sex=female"], ["region=islands|abroad", "age>=60"], ["income<=20000"], ["employed!=true"], ["joined="]]
)
def test_every_row_meets_what_was_asked(model: Model, where: list[str]) -> None:
    conditions = tuple(parse_where(SCHEMA, text) for text in where)
    rng = np.random.default_rng(0)
    if where == ["joined="]:  # nobody's date is missing
        with pytest.raises(VanishingError):
            weigh(model, Target(where=conditions), rng)
        return
    weights = weigh(model, Target(where=conditions), rng)
    rows = draw(model, weights, 3_000, rng)
    assert len(rows) == 3_000
    assert all_met(conditions, rows).all()
    plain = all_met(conditions, model.sample(20_000, rng)).mean()
    assert weights.mass == pytest.approx(plain, abs=5 * np.sqrt(plain / 20_000))


def test_rows_that_meet_a_condition_are_distributed_as_the_models(model: Model) -> None:
    """Against plain rejection: distances of other columns stay below 1.5 times what two such samples have."""
    rng = np.random.default_rng(5)
    conditions = (parse_where(SCHEMA, "region=coast|hills"), parse_where(SCHEMA, "age>=40"))
    plain = model.sample(60_000, rng)
    expected = plain.select(all_met(conditions, plain))
    rows = draw(model, weigh(model, Target(where=conditions), rng), len(expected), rng)
    for name in ("region", "sex", "education", "marital-status", "approved", "employed"):
        sizes = mixed_schema()[name].n_codes  # type: ignore[union-attr]
        a, b = (np.bincount(t.codes(name), minlength=sizes) / len(t) for t in (rows, expected))
        noise = np.sqrt(2 * b * (1 - b) / len(expected)).sum() / 2
        assert np.abs(a - b).sum() / 2 < 2.5 * noise + 1e-3
    for name in ("age", "income", "waist_ratio"):
        a, b = (np.sort(t.numbers(name)[~np.isnan(t.numbers(name))]) for t in (rows, expected))
        grid = np.quantile(b, np.linspace(0.05, 0.95, 19))
        distance = np.abs(np.searchsorted(a, grid) / len(a) - np.searchsorted(b, grid) / len(b)).max()
        assert distance < 2.4 * np.sqrt(2 / len(b))  # Kolmogorov-Smirnov, beyond it with probability 2e-5


def test_balanced_groups_are_equal_to_one_row(model: Model) -> None:
    rng = np.random.default_rng(0)
    rows = draw(model, weigh(model, Target(balance=("sex", "ethnicity")), rng), 4_001, rng)
    cells = rows.codes("sex") * 4 + rows.codes("ethnicity")
    counts = np.bincount(cells, minlength=8)
    assert counts.sum() == 4_001
    assert counts.max() - counts.min() <= 1


def test_given_shares(model: Model) -> None:
    groups = ({"sex": "female", "age": {"maximum": 39}}, {"sex": "female", "age": {"minimum": 40}}, {"sex": "male"})
    given = tuple(
        Stratum(conditions=tuple(condition_of(SCHEMA, n, v) for n, v in group.items()), share=share)
        for group, share in zip(groups, (0.25, 0.5, 0.25), strict=True)
    )
    rng = np.random.default_rng(0)
    rows = draw(model, weigh(model, Target(given=given), rng), 1_000, rng)
    assert [int(all_met(s.conditions, rows).sum()) for s in given] == [250, 500, 250]


def test_thinned_rows_are_distributed_as_asked(model: Model) -> None:
    rng = np.random.default_rng(2)
    weights = weigh(model, Target(balance=("ethnicity",), where=(parse_where(SCHEMA, "sex=male"),)), rng)
    table = Table(SCHEMA, population(40_000, 9).columns, {}, np.arange(40_000))
    kept = table.select(thinned(table, weights, rng))
    assert (kept.codes("sex") == 1).all()
    shares = np.bincount(kept.codes("ethnicity"), minlength=4)[:4] / len(kept)
    # The model's own shares stand for the population's: they differ by its noise and a probe's.
    np.testing.assert_allclose(shares, 0.25, atol=0.04)
    assert len(kept) > 1_000


def test_a_plain_target_changes_nothing(model: Model) -> None:
    weights = weigh(model, Target(), np.random.default_rng(0))
    rows = draw(model, weights, 500, np.random.default_rng(4))
    assert weights.mass == 1.0
    assert len(rows) == 500
    assert thinned(rows, weights, np.random.default_rng(0)).all()


def test_groups_nothing_was_learnt_about_are_refused(model: Model) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(VanishingError):
        weigh(model, Target(where=(parse_where(SCHEMA, "sex=female"), parse_where(SCHEMA, "sex=male"))), rng)
    missing = Stratum(conditions=(parse_where(SCHEMA, "sex="),), share=1.0)
    with pytest.raises(VanishingError):
        weigh(model, Target(given=(missing,)), rng)

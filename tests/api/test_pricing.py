"""The division of a budget: what control units are asked is free, what training units are asked besides is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from api.pricing import Price, emitted, free_beside, price
from audits.release.policy import PRICED, load_policy
from privacy.accounting import accountant_of, epsilon_of, recompute
from privacy.cost import ORDERS, Gaussian, Parallel, PrivacyCost, SampledGaussian, once
from privacy.errors import OverspendError, RequestError
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism
from privacy.noise import seeded_noise
from privacy.schema import Budget
from synthesizers.registry import synthesizer
from tests.tables import mixed_schema

BUDGET = Budget(epsilon=1.0, delta=1e-6)


def priced(name: str, policy: str) -> Price:
    return price(lambda b: synthesizer(name).plan(mixed_schema(), b), BUDGET, load_policy(policy), reweighted=False)


@pytest.mark.parametrize("name", ["independent", "mst", "aim"])
def test_a_card_costs_nothing(name: str) -> None:
    """The generator's plan is the one without a card; neither the claim nor any ledger's curve is larger for it."""
    bare, with_card = priced(name, "internal"), priced(name, "public")
    assert bare.card is None
    assert with_card.card is not None
    assert with_card.generator.cost.merged == bare.generator.cost.merged == bare.cost.merged
    np.testing.assert_array_equal(with_card.cost.rdp(ORDERS), bare.cost.rdp(ORDERS))
    assert epsilon_of(with_card.cost, BUDGET.delta) == epsilon_of(bare.cost, BUDGET.delta) <= BUDGET.epsilon
    assert accountant_of(with_card.cost) is accountant_of(bare.cost)
    assert with_card.lines[:-1] == bare.lines
    # And it is as exact as that allows: a hundredth less noise would cost something.
    nearer = once(Parallel((with_card.parts[0], once(Gaussian(0.99 * with_card.card.noise_multiplier)))))
    dearer = np.any(nearer.rdp(ORDERS) > bare.cost.rdp(ORDERS))
    assert dearer or epsilon_of(nearer, BUDGET.delta) > BUDGET.epsilon


def test_noise_is_least_beside_a_sampled_gaussian_too() -> None:
    """Its curve bends, so that no one Gaussian is like it: the least noise is where the two curves touch."""
    trained = once(SampledGaussian(0.05, 4.0)) * 200
    budget = Budget(epsilon=epsilon_of(trained, 1e-6), delta=1e-6)
    multiplier = free_beside(trained, budget)
    touch = trained.rdp(ORDERS) / once(Gaussian(multiplier)).rdp(ORDERS)
    assert touch.min() == pytest.approx(1.0, rel=1e-6)
    assert epsilon_of(once(Gaussian(multiplier)), 1e-6) <= budget.epsilon


@pytest.mark.parametrize("name", ["independent", "mst"])
def test_a_priced_gate_is_paid_within_the_total(name: str) -> None:
    made = priced(name, PRICED)
    assert made.gate is not None
    again = recompute(made.cost, BUDGET.delta, accountant_of(made.cost))
    assert 0.99 * BUDGET.epsilon <= again.epsilon <= BUDGET.epsilon
    train, control = made.parts
    assert train.merged == (made.generator.cost + made.gate[0].cost).merged
    assert np.all(control.rdp(ORDERS) <= train.rdp(ORDERS) * (1 + 1e-12))
    assert PrivacyCost.from_json(json.loads(json.dumps(made.cost.to_json()))) == made.cost.merged
    purposes = [line.purpose for line in made.lines]
    assert [p for p in purposes if "gate" in p or "card" in p] == purposes[-3:]


def test_rows_on_conditions_have_no_card_and_no_priced_gate() -> None:
    def plan(budget: Budget) -> object:
        return synthesizer("independent").plan(mixed_schema(), budget)

    assert price(plan, BUDGET, load_policy("public"), reweighted=True).card is None  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="cannot judge rows drawn under conditions"):
        price(plan, BUDGET, load_policy(PRICED), reweighted=True)  # type: ignore[arg-type]


def test_parts_have_filters_that_keep_to_their_price() -> None:
    made = priced("independent", "public")
    train, control = made.filters(PrivacyFilter(made.cost, seeded_noise(1)))
    assert made.card is not None
    answer = GaussianMechanism(l2_sensitivity=1.0, stddev=made.card.noise_multiplier)
    control.measure(answer, np.zeros(1, np.int64))
    with pytest.raises(OverspendError):
        control.measure(answer, np.zeros(1, np.int64))
    assert emitted(train, control) == once(Parallel((PrivacyCost(), made.card.cost)))


def test_without_a_purchase_everything_is_as_it_was() -> None:
    made = priced("independent", "internal")
    privacy = PrivacyFilter(made.cost, seeded_noise(1))
    train, control = made.filters(privacy)
    with pytest.raises(OverspendError):
        control.spend(once(Gaussian(1e6)))
    assert emitted(train, control) == PrivacyCost()
    train.spend(made.cost)
    assert emitted(train, control) == made.cost
    with pytest.raises(OverspendError):
        train.spend(once(Gaussian(1e3)))

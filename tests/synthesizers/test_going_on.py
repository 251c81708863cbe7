"""Trainings that are stopped and go on: one transcript, one network, nothing private said on the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from api.steps import Steps, StoppedError
from bench.short import SHORT
from privacy.accounting import epsilon_of
from privacy.filter import PrivacyFilter
from privacy.noise import system_noise
from privacy.schema import Budget
from privacy.table import Table
from privacy.transcript import Transcript
from synthesizers.artefact import save
from synthesizers.structured import StructuredModel
from tests.privacy.test_transcript import InMemory
from tests.tables import population

BUDGET = Budget(epsilon=1.0, delta=1e-6)
NETWORKS = ["dp-ctgan", "pate-gan"]
TABLE = population(200, 1)


def fit(name: str, kept: InMemory, table: Table = TABLE, progress: Callable[[str], None] = str) -> StructuredModel:
    """Fit, from whatever is kept; what was spent is what was planned, event by event."""
    plan = SHORT[name].plan(table.schema, BUDGET)
    privacy = PrivacyFilter(plan.cost, system_noise(), Transcript(kept))
    model = plan.fit(table, privacy, np.random.default_rng(3), progress)
    assert isinstance(model, StructuredModel)
    assert privacy.spent.merged == plan.cost.merged
    return model


def network(model: StructuredModel) -> Any:
    inner: Any = model.inner
    return inner.generator.state_dict()


def same(one: StructuredModel, other: StructuredModel) -> bool:
    """The same weights to the last bit, and the same model file."""
    weights, others = network(one), network(other)
    return all(torch.equal(weights[key], others[key]) for key in weights) and save(one, "x") == save(other, "x")


def stopped(name: str, kept: InMemory, after: int) -> list[str]:
    """A run that is stopped when it is told a step for that many times."""
    told: list[str] = []

    def tell(step: str) -> None:
        told.append(step)

    steps = Steps(tell, lambda: len(calls) > after)
    calls: list[None] = []

    def progress(step: str) -> None:
        calls.append(None)
        steps(step)

    with pytest.raises(StoppedError, match="charge stands"):
        fit(name, kept, progress=progress)
    return told


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("after", [2, 6, 7])
def test_a_training_that_goes_on_is_the_one_that_was_stopped(name: str, after: int) -> None:
    """With the states that were kept or without them, and on another table: the same model file to the last bit.

    So a model holds nothing of a row but what the filter answered.
    """
    kept = InMemory()
    stopped(name, kept, after)
    before = list(kept.records)
    model = fit(name, kept)
    assert kept.records[: len(before)] == before
    whole = list(kept.records)
    kept.states.clear()
    assert same(fit(name, kept, population(200, 2)), model)
    assert same(fit(name, kept), model)
    assert kept.records == whole


@pytest.mark.parametrize("name", NETWORKS)
def test_stopped_over_and_over_it_ends_and_spends_what_was_charged(name: str) -> None:
    """Stopped every few steps: one answer a question in the end, as many as an unbroken run has."""
    unbroken, kept = InMemory(), InMemory()
    fit(name, unbroken)
    for after in (6, 2, 2):
        stopped(name, kept, after)
    fit(name, kept)
    assert len(kept.records) == len(unbroken.records)


@pytest.mark.parametrize("name", NETWORKS)
def test_progress_tells_steps_and_what_was_spent_by_the_claims_accountant(name: str) -> None:
    """It rises to the claim and not above; nothing that is told hangs on a row."""
    told: list[list[str]] = []
    for table in (TABLE, population(200, 5)):
        told.append([])
        fit(name, InMemory(), table, told[-1].append)
    assert told[0] == told[1]
    assert not any("loss" in line for line in told[0])
    spent = [float(found[1]) for line in told[0] if (found := re.search(r"epsilon so far ([0-9.]+)\)", line))]
    assert spent == sorted(spent)
    assert 0 < spent[0] < spent[-1] <= BUDGET.epsilon
    plan = SHORT[name].plan(TABLE.schema, BUDGET)
    assert spent[-1] == pytest.approx(epsilon_of(plan.cost, BUDGET.delta), rel=5e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_kept_state_holds_no_row(name: str) -> None:
    """Every state is the same where only the table differs and the answers do not."""
    states = []
    kept = InMemory()
    for table in (TABLE, population(200, 2)):
        kept.states = {}
        fit(name, kept, table)
        states.append(kept.states)
    assert states[0].keys() == states[1].keys()
    assert states[0] == states[1]

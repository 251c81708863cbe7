"""The ledger's rules one by one, against an accountant that is not ours, and between real processes that are killed."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import dp_accounting
import numpy as np
import pytest
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.accounting import Accountant, Claim, epsilon_of, rdp_epsilon
from privacy.admission import DISCOVERY_SHARE, REPORT_ORDERS, filter_order
from privacy.cost import (
    ORDERS,
    Discovery,
    Exponential,
    Gaussian,
    Laplace,
    PrivacyCost,
    SampledGaussian,
    once,
)
from privacy.errors import BudgetExceededError, JournalError, OverspendError, RequestError
from privacy.journal import GENESIS, Entry, SqliteJournal, Transaction, verify
from privacy.ledger import AlreadyOpenedError, Charge, JudgedError, Ledger, LedgerError
from privacy.mechanisms import GaussianMechanism
from privacy.noise import system_noise
from privacy.schema import Budget
from privacy.transcript import CheckpointError, Transcript
from tests.contracts.test_journals import MemoryJournal
from tests.privacy.test_transcript import InMemory

CAP = Budget(epsilon=1.0, delta=1e-6)
NOON = "2026-01-01T12:00:00+00:00"


def noon() -> str:
    return NOON


def in_memory() -> Ledger:
    return Ledger(journal=MemoryJournal(), now=noon)


def on_disk(path: Path) -> Ledger:
    return Ledger(journal=SqliteJournal(path=path), now=noon)


def claimed(cost: PrivacyCost, delta: float = CAP.delta, accountant: Accountant = Accountant.RDP) -> Claim:
    return Claim(epsilon=epsilon_of(cost, delta, accountant), delta=delta, accountant=accountant)


def charge(
    ledger: Ledger,
    cost: PrivacyCost,
    *,
    request: str = "r1",
    cap: Budget = CAP,
    claim: Claim | None = None,
    population: str = "people",
    schema_digest: str = "5" * 64,
) -> Charge:
    return ledger.charge(
        population=population, cap=cap, cost=cost, claim=claim or claimed(cost), request=request,
        purpose="a test", schema_digest=schema_digest,
    )  # fmt: skip


def kinds(ledger: Ledger) -> list[str]:
    with ledger.journal.transaction() as transaction:
        return [entry.kind for entry in transaction.entries()]


def bodies(ledger: Ledger) -> list[Mapping[str, Any]]:
    with ledger.journal.transaction() as transaction:
        return [entry.body for entry in transaction.entries()]


SMALL = once(Gaussian(20.0))
"""Several fit under CAP."""


# --- one rule a test


def test_the_first_charge_fixes_cap_and_order() -> None:
    ledger = in_memory()
    receipt = charge(ledger, SMALL)
    cap, charged = bodies(ledger)
    assert kinds(ledger) == ["cap", "charge"]
    assert (cap["epsilon"], cap["delta"], cap["reason"]) == (1.0, 1e-6, "first charge")
    assert cap["order"] == filter_order(CAP)
    assert charged["rdp"]["value"] > float(SMALL.rdp(np.array([cap["order"]]))[0])
    assert charged["cost"] == SMALL.to_json()
    assert ledger.cap("people") == CAP
    assert (receipt.cost, receipt.claim, receipt.head) == (SMALL, claimed(SMALL), ledger.head())
    assert ledger.charge_of(receipt.id) == receipt


def test_entries_carry_the_time_in_utc() -> None:
    ledger = Ledger(journal=MemoryJournal())
    charge(ledger, SMALL)
    times = [datetime.fromisoformat(body["at"]) for body in bodies(ledger)]
    assert all(abs(datetime.now(UTC) - at) < timedelta(minutes=5) and at.tzinfo == UTC for at in times)


def test_no_sum_of_epsilons_is_stored() -> None:
    ledger = in_memory()
    for request in "ab":
        charge(ledger, SMALL, request=request)
    claims = [body["claim"]["epsilon"] for body in bodies(ledger)[1:]]
    assert claims == [claimed(SMALL).epsilon] * 2
    assert all("total" not in body and "left" not in body for body in bodies(ledger))


@given(epsilon=st.floats(0.05, 20), exponent=st.floats(-12, -3))
def test_the_fixed_order_is_the_one_gaussians_convert_best_at(epsilon: float, exponent: float) -> None:
    """Against a search written from the formula, order by order."""
    cap = Budget(epsilon=epsilon, delta=10**exponent)

    def rho(order: float) -> float:
        delta = cap.delta * 3 / 8
        return (epsilon - math.log1p(-1 / order) + math.log(delta * order) / (order - 1)) / order

    assert rho(filter_order(cap)) == pytest.approx(max(rho(float(order)) for order in ORDERS if order > 1.01))


@pytest.mark.parametrize("accountant", Accountant)
def test_a_first_charge_of_exactly_the_cap_is_admitted_and_is_the_last(accountant: Accountant) -> None:
    """By rule (a); its curve at the order is beyond the filter, so rule (b) refuses whatever comes."""
    ledger, cost = in_memory(), once(Gaussian(4.7))
    cap = Budget(epsilon=epsilon_of(cost, 1e-6, accountant), delta=1e-6)
    charge(ledger, cost, cap=cap, claim=claimed(cost, 1e-6, accountant))
    assert ledger.total("people") == cap.epsilon
    assert ledger.left("people") == 0.0
    with pytest.raises(BudgetExceededError) as caught:
        charge(ledger, once(Gaussian(1000.0)), cap=cap, request="r2")
    assert (caught.value.population, caught.value.cap_epsilon, caught.value.left) == ("people", cap.epsilon, 0.0)
    assert caught.value.total > cap.epsilon
    assert kinds(ledger) == ["cap", "charge"]


def test_a_refused_first_charge_records_nothing() -> None:
    ledger = in_memory()
    with pytest.raises(BudgetExceededError) as caught:
        charge(ledger, once(Gaussian(2.0)))
    assert caught.value.left == CAP.epsilon
    assert caught.value.total > CAP.epsilon
    assert kinds(ledger) == []
    assert ledger.head() == GENESIS


def test_a_first_charge_at_a_larger_delta_needs_the_filter() -> None:
    """Rule (a) compares deltas too; rule (b) prices the events at the cap's delta, whatever was claimed."""
    ledger = in_memory()
    wide = once(Gaussian(4.7))
    with pytest.raises(BudgetExceededError):
        charge(ledger, wide, claim=claimed(wide, 1e-4))
    assert claimed(wide, 1e-4).epsilon < CAP.epsilon
    charge(ledger, SMALL, claim=claimed(SMALL, 1e-4))
    assert ledger.total("people") <= CAP.epsilon


def test_no_charge_is_refunded_and_the_population_is_what_counts() -> None:
    ledger, cost = in_memory(), once(Gaussian(6.5))
    ledger.open(charge(ledger, cost), system_noise())
    with pytest.raises(BudgetExceededError):
        charge(ledger, cost, request="r2", schema_digest="6" * 64)
    charge(ledger, cost, population="others")
    assert ledger.populations() == ("people", "others")


def test_what_is_left_fits_and_a_little_more_does_not() -> None:
    """With both accountants: what `left` names must not be refused to a plan that is calibrated sharply."""
    for first in (Gaussian(8.0), Laplace(12.0)):
        ledger = in_memory()
        charge(ledger, once(first))
        left = ledger.left("people")
        for accountant in Accountant:
            cost = gaussian_of(left, accountant)
            ledger.void(charge(ledger, cost, request=str(accountant), claim=claimed(cost, accountant=accountant)), "x")
        more = gaussian_of(left * 1.01 + 1e-3, Accountant.PLD)
        with pytest.raises(BudgetExceededError) as caught:
            charge(ledger, more, request="more", claim=claimed(more, accountant=Accountant.PLD))
        assert caught.value.left == left


def test_what_the_total_would_become_is_what_it_becomes_and_fits_as_it_is_admitted() -> None:
    ledger = in_memory()
    charge(ledger, once(Gaussian(8.0)))
    cost = gaussian_of(0.6 * ledger.left("people"), Accountant.PLD)
    claim = claimed(cost, accountant=Accountant.PLD)
    before = kinds(ledger)
    for i in range(4):
        thought, fits = ledger.becomes("people", cost, claim)
        if not fits:
            break
        charge(ledger, cost, request=str(i), claim=claim)
        assert ledger.total("people") == thought
    assert 0 < i < 3
    assert len(kinds(ledger)) == len(before) + i
    with pytest.raises(BudgetExceededError):
        charge(ledger, cost, request="more", claim=claim)
    with pytest.raises(RequestError):
        ledger.becomes("nobody", cost, claim)


def gaussian_of(epsilon: float, accountant: Accountant) -> PrivacyCost:
    low, high = 3.0, 300.0
    while high / low > 1 + 1e-5:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if epsilon_of(once(Gaussian(middle)), 1e-6, accountant) <= epsilon else (middle, high)
    return once(Gaussian(high))


def test_discovered_lists_have_their_own_share_of_delta() -> None:
    ledger = in_memory()
    half = SMALL + once(Discovery(DISCOVERY_SHARE * CAP.delta / 2))
    for request in "ab":
        charge(ledger, half, request=request)
    with pytest.raises(BudgetExceededError) as caught:
        charge(ledger, SMALL + once(Discovery(1e-12)), request="c")
    assert caught.value.total == math.inf
    assert caught.value.left > 0
    charge(ledger, SMALL, request="c")


def test_lists_beyond_a_lowered_delta_leave_no_bound() -> None:
    ledger = in_memory()
    for request in "ab":
        charge(ledger, SMALL + once(Discovery(1e-7)), request=request)
    assert ledger.total("people") <= CAP.epsilon
    ledger.set_cap("people", Budget(epsilon=1.0, delta=1e-7), "a stricter rule")
    assert ledger.total("people") == math.inf
    assert ledger.left("people") == 0.0


@pytest.mark.parametrize(("factor", "counted"), [(3.0, 3.0), (0.1, 1.0)])
def test_a_charge_counts_as_recorded_or_as_priced_today_whichever_is_more(factor: float, counted: float) -> None:
    """Three of these fit. One that was recorded at three times its price leaves no room for the second."""
    cost, before, after = once(Gaussian(8.5)), in_memory(), MemoryJournal()
    charge(before, cost)
    with before.journal.transaction() as old, after.transaction() as new:
        for entry in old.entries():
            body = dict(entry.body)
            if entry.kind == "charge":
                body["rdp"] = {"order": body["rdp"]["order"], "value": body["rdp"]["value"] * factor}
            new.append(entry.kind, body)
    ledger = Ledger(journal=after, now=noon)
    granted = 0
    for request in "abcd":
        try:
            charge(ledger, cost, request=request)
        except BudgetExceededError:
            break
        granted += 1
    assert granted + counted == 3


def test_a_claim_is_never_trusted() -> None:
    ledger, cost = in_memory(), once(Gaussian(4.7))
    honest = claimed(cost)
    charge(
        ledger, cost, claim=Claim(epsilon=honest.epsilon * (1 - 5e-7), delta=honest.delta, accountant=Accountant.RDP)
    )
    for low in (honest.epsilon * 0.99, 1e-3):
        with pytest.raises(RequestError, match="below the price"):
            charge(in_memory(), cost, claim=Claim(epsilon=low, delta=1e-6, accountant=Accountant.RDP))


def test_a_selection_cannot_be_claimed_by_pld() -> None:
    """PLD composes no selections: taken at its word, a claim by it would leave them out."""
    cost = once(Gaussian(20.0)) + once(Exponential(0.5))
    without = claimed(once(Gaussian(20.0)), accountant=Accountant.PLD)
    with pytest.raises(RequestError, match="below the price"):
        charge(in_memory(), cost, claim=without)


@pytest.mark.parametrize(
    "event", [Gaussian(0.0), Gaussian(math.nan), Gaussian(math.inf), Laplace(-1.0), Discovery(0.0)], ids=repr
)
def test_events_out_of_range_are_refused(event: Any) -> None:
    with pytest.raises(RequestError, match="not positive and finite"):
        charge(in_memory(), once(event), claim=Claim(epsilon=1.0, delta=1e-6, accountant=Accountant.RDP))


@pytest.mark.parametrize("count", [0, -3])
def test_counts_out_of_range_are_refused(count: int) -> None:
    with pytest.raises(RequestError, match="not positive"):
        charge(in_memory(), SMALL * count, claim=claimed(SMALL))


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(math.nan, 1e-6), (-1.0, 1e-6), (math.inf, 1e-6), (1.0, 0.0), (1.0, 1.0)]
)
def test_claims_and_caps_out_of_range_are_refused(epsilon: float, delta: float) -> None:
    ledger = in_memory()
    with pytest.raises(RequestError):
        charge(ledger, SMALL, claim=Claim(epsilon=epsilon, delta=delta, accountant=Accountant.RDP))
    with pytest.raises(RequestError, match="cap's epsilon"):
        charge(ledger, SMALL, cap=Budget(epsilon=epsilon, delta=delta))
    charge(ledger, SMALL)
    with pytest.raises(RequestError, match="cap's epsilon"):
        ledger.set_cap("people", Budget(epsilon=epsilon, delta=delta), "a reason")
    assert kinds(ledger) == ["cap", "charge"]


def test_another_cap_in_the_file_is_refused() -> None:
    ledger = in_memory()
    charge(ledger, SMALL)
    for cap in (Budget(epsilon=2.0, delta=1e-6), Budget(epsilon=0.5, delta=1e-6), Budget(epsilon=1.0, delta=1e-5)):
        with pytest.raises(RequestError, match="differs from the ledger's"):
            charge(ledger, SMALL, request="r2", cap=cap)
    assert kinds(ledger) == ["cap", "charge"]


def test_a_recorded_cap_is_used_and_the_order_stays() -> None:
    ledger, raised = in_memory(), Budget(epsilon=3.0, delta=1e-6)
    charge(ledger, once(Gaussian(4.7)))
    with pytest.raises(BudgetExceededError):
        charge(ledger, once(Gaussian(4.7)), request="r2")
    entry = ledger.set_cap("people", raised, "a second survey wave was approved")
    assert entry.body["order"] == filter_order(CAP) != filter_order(raised)
    assert entry.body["reason"] == "a second survey wave was approved"
    charge(ledger, once(Gaussian(4.7)), request="r2", cap=raised)
    ledger.set_cap("people", Budget(epsilon=0.5, delta=1e-6), "too generous")
    assert ledger.left("people") == 0.0
    assert ledger.total("people") > 0.5
    with pytest.raises(BudgetExceededError):
        charge(ledger, once(Gaussian(1000.0)), request="r3", cap=Budget(epsilon=0.5, delta=1e-6))


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_reason_is_required(reason: str) -> None:
    ledger = in_memory()
    receipt = charge(ledger, SMALL)
    with pytest.raises(RequestError, match="No reason"):
        ledger.set_cap("people", CAP, reason)
    with pytest.raises(RequestError, match="No reason"):
        ledger.void(receipt, reason)


def test_an_unknown_population_is_said() -> None:
    ledger = in_memory()
    for call in (ledger.left, ledger.show, lambda name: ledger.set_cap(name, CAP, "why")):
        with pytest.raises(RequestError, match="No charge was ever made"):
            call("nobody")
    assert (ledger.cap("nobody"), ledger.attempts("nobody"), ledger.total("nobody")) == (None, 0, 0.0)
    with pytest.raises(LedgerError, match="not in this ledger"):
        ledger.charge_of("0" * 64)


def test_the_same_request_takes_its_unopened_charge_up_again() -> None:
    ledger = in_memory()
    first = charge(ledger, SMALL)
    assert charge(ledger, SMALL) == first
    assert kinds(ledger) == ["cap", "charge"]
    ledger.open(first, system_noise())
    second = charge(ledger, SMALL)
    assert second.id != first.id
    ledger.void(second, "not needed")
    assert charge(ledger, SMALL).id not in (first.id, second.id)


def test_another_cost_claim_schema_or_population_is_another_charge() -> None:
    ledger = in_memory()
    first = charge(ledger, SMALL)
    other = once(Gaussian(21.0))
    loose = Claim(epsilon=claimed(SMALL).epsilon * 1.1, delta=CAP.delta, accountant=Accountant.RDP)
    found = [
        charge(ledger, other),
        charge(ledger, SMALL, claim=loose),
        charge(ledger, SMALL, schema_digest="6" * 64),
        charge(ledger, SMALL, population="others"),
        charge(ledger, SMALL, request="r2"),
    ]
    assert len({first.id, *(receipt.id for receipt in found)}) == 6


def test_opening_gives_the_filter_once() -> None:
    ledger = in_memory()
    receipt = charge(ledger, SMALL)
    door = ledger.open(receipt, system_noise())
    door.measure(GaussianMechanism(l2_sensitivity=1.0, stddev=20.0), np.zeros(3, dtype=np.int64))
    with pytest.raises(OverspendError):
        door.spend(SMALL)
    with pytest.raises(AlreadyOpenedError) as caught:
        ledger.open(receipt, system_noise())
    assert caught.value.code == "already-opened"
    assert ledger.attempts("people") == 1


def test_a_run_that_died_unseen_runs_again_for_the_same_charge_until_a_verdict() -> None:
    ledger = in_memory()
    receipt = charge(ledger, SMALL)
    with pytest.raises(LedgerError, match="never opened"):
        ledger.reopen(receipt, system_noise(), "the process died")
    ledger.open(receipt, system_noise()).spend(SMALL)
    spent = ledger.total("people")
    with pytest.raises(RequestError):
        ledger.reopen(receipt, system_noise(), " ")
    ledger.reopen(receipt, system_noise(), "the process died").spend(SMALL)
    assert (ledger.total("people"), ledger.attempts("people")) == (spent, 1)
    ledger.record(receipt, "verdict", {"verdict": "WITHHOLD"})
    with pytest.raises(LedgerError, match="verdict"):
        ledger.reopen(receipt, system_noise(), "the process died")


def test_a_run_goes_on_from_all_the_answers_the_ledger_speaks_of() -> None:
    """A transcript put back from before a mark, another one, or none: refused, and nothing is recorded."""
    ledger, kept = in_memory(), InMemory()
    receipt = charge(ledger, SMALL * 4)
    door = ledger.open(receipt, system_noise(), Transcript(kept))
    question = GaussianMechanism(l2_sensitivity=1.0, stddev=20.0)
    answers = [door.measure(question, np.zeros(3, dtype=np.int64)).tolist() for _ in range(2)]
    ledger.reopen(receipt, system_noise(), "stopped", Transcript(kept))
    older = InMemory(kept.records[:1])
    forged = InMemory([*kept.records[:1], b"{}\n", b"{}\n"])
    head = ledger.head()
    for other in (Transcript(older), Transcript(forged), Transcript(InMemory()), None):
        with pytest.raises(CheckpointError, match="not those"):
            ledger.reopen(receipt, system_noise(), "stopped", other)
    assert ledger.head() == head
    door = ledger.reopen(receipt, system_noise(), "stopped", Transcript(kept))
    assert [door.measure(question, np.zeros(3, dtype=np.int64)).tolist() for _ in range(2)] == answers
    assert ledger.attempts("people") == 1


def test_a_fitted_run_goes_on_with_everything_or_not_at_all_and_is_another_attempt() -> None:
    ledger, kept = in_memory(), InMemory([b"{}\n", b"{}\n"])
    receipt = charge(ledger, SMALL)
    with pytest.raises(LedgerError, match="not opened"):
        ledger.fitted(receipt, Transcript(kept))
    ledger.open(receipt, system_noise(), Transcript(kept))
    ledger.fitted(receipt, Transcript(kept))
    with pytest.raises(CheckpointError):
        ledger.reopen(receipt, system_noise(), "stopped", Transcript(InMemory(kept.records[:1])))
    assert ledger.attempts("people") == 1
    ledger.reopen(receipt, system_noise(), "stopped", Transcript(kept))
    assert ledger.attempts("people") == 2
    ledger.record(receipt, "verdict", {"verdict": "WITHHOLD"})
    with pytest.raises(JudgedError):
        ledger.reopen(receipt, system_noise(), "stopped", Transcript(kept))


def test_the_filter_spends_what_was_recorded_not_what_a_receipt_says() -> None:
    ledger = in_memory()
    receipt = charge(ledger, SMALL)
    forged = Charge(**{name: getattr(receipt, name) for name in Charge.__slots__} | {"cost": SMALL * 1000})
    with pytest.raises(OverspendError):
        ledger.open(forged, system_noise()).spend(SMALL * 2)


def test_a_charge_is_voided_only_before_it_is_opened() -> None:
    ledger, cost = in_memory(), once(Gaussian(6.5))
    voided = charge(ledger, cost)
    ledger.void(voided, "the job was cancelled in the queue")
    assert ledger.total("people") == 0.0
    assert ledger.left("people") == CAP.epsilon
    for step in (lambda: ledger.open(voided, system_noise()), lambda: ledger.void(voided, "again")):
        with pytest.raises(LedgerError, match="voided or not in this ledger"):
            step()
    opened = charge(ledger, cost, request="r2")
    ledger.open(opened, system_noise())
    with pytest.raises(LedgerError, match="opened and stands"):
        ledger.void(opened, "changed my mind")
    assert ledger.total("people") == opened.claim.epsilon


def test_a_charge_of_another_ledger_opens_nothing() -> None:
    ledger, other = in_memory(), in_memory()
    foreign = charge(other, once(Gaussian(21.0)))
    for step in (
        lambda: ledger.open(foreign, system_noise()),
        lambda: ledger.void(foreign, "why"),
        lambda: ledger.record(foreign, "verdict", {}),
    ):
        with pytest.raises(LedgerError, match="not in this ledger"):
            step()


def test_what_came_of_a_charge_is_recorded_once_it_is_open() -> None:
    ledger = in_memory()
    receipt = charge(ledger, SMALL)
    with pytest.raises(LedgerError, match="not opened"):
        ledger.record(receipt, "verdict", {"verdict": "pass"})
    ledger.open(receipt, system_noise())
    entry = ledger.record(receipt, "verdict", {"verdict": "pass", "bundle": "b" * 64})
    assert entry.body == {
        "population": "people", "charge": receipt.id, "at": NOON, "facts": {"verdict": "pass", "bundle": "b" * 64},
    }  # fmt: skip
    rows = ledger.show("people")
    assert [row["kind"] for row in rows] == ["cap", "charge", "opened", "verdict"]
    assert [row["charge"] for row in rows] == ["", receipt.id, receipt.id, receipt.id]
    assert [row["seq"] for row in rows] == [1, 2, 3, 4]
    assert {row["at"] for row in rows} == {NOON}


def test_heads_of_this_chain_are_known_and_others_are_not() -> None:
    ledger = in_memory()
    receipt = charge(ledger, SMALL)
    charge(ledger, SMALL, request="r2")
    assert ledger.contains(receipt.head)
    assert ledger.contains(ledger.head())
    assert not ledger.contains((receipt.head[0] + 1, receipt.head[1]))
    assert not ledger.contains((receipt.head[0], "0" * 64))
    assert not ledger.contains(GENESIS)


def test_a_ledger_cut_short_has_lost_a_head(tmp_path: Path) -> None:
    ledger = on_disk(tmp_path / "ledger.sqlite")
    charge(ledger, SMALL)
    copy = ledger.journal.path.read_bytes()  # type: ignore[attr-defined]
    later = charge(ledger, SMALL, request="r2")
    assert ledger.contains(later.head)
    ledger.journal.path.write_bytes(copy)  # type: ignore[attr-defined]
    assert ledger.head()[0] == 2
    assert not ledger.contains(later.head)


def test_a_broken_chain_is_refused_by_every_call() -> None:
    ledger = in_memory()
    receipt = charge(ledger, SMALL)
    kept: list[Entry] = ledger.journal.kept  # type: ignore[attr-defined]
    del kept[0]
    for call in (
        lambda: charge(ledger, SMALL, request="r2"),
        lambda: ledger.open(receipt, system_noise()),
        lambda: ledger.void(receipt, "why"),
        lambda: ledger.record(receipt, "verdict", {}),
        lambda: ledger.set_cap("people", CAP, "why"),
        lambda: ledger.contains(receipt.head),
        ledger.head,
        ledger.populations,
    ):
        with pytest.raises(JournalError, match="Entry 1 of"):
            call()


def test_entries_no_ledger_writes_are_refused() -> None:
    ledger = in_memory()
    with ledger.journal.transaction() as transaction:
        transaction.append("opened", {"population": "people", "charge": "0" * 64, "at": NOON})
    with pytest.raises(JournalError, match="Entry 1 of the ledger is not one"):
        charge(ledger, SMALL)


# --- the total


def test_the_total_of_a_few_small_charges_is_near_the_best_bound() -> None:
    """Within 50% of the bound that may choose its order afterwards, under a cap far above; never below it."""
    ledger, cap = in_memory(), Budget(epsilon=10.0, delta=1e-6)
    cost = once(SampledGaussian(0.01, 2.0)) + once(Gaussian(20.0))
    for request in "abc":
        charge(ledger, cost, request=request, cap=cap)
    best = rdp_epsilon((cost * 3).rdp(ORDERS), cap.delta)
    assert best <= ledger.total("people") <= 1.5 * best


EVENTS = st.one_of(
    st.floats(6.0, 60.0).map(Gaussian),
    st.floats(6.0, 60.0).map(Laplace),
    st.floats(0.01, 0.15).map(Exponential),
    st.floats(1e-9, 3e-7).map(Discovery),
)
COSTS = st.lists(EVENTS, min_size=1, max_size=3).map(lambda events: PrivacyCost(tuple((e, 1) for e in events)))


def priced_elsewhere(costs: list[PrivacyCost], orders: list[float]) -> RdpAccountant:
    """The same events by dp_accounting alone."""
    accountant = RdpAccountant(orders)
    for cost in costs:
        for event, n in cost.events:
            match event:
                case Gaussian(noise_multiplier=z):
                    accountant.compose(dp_accounting.GaussianDpEvent(z), n)
                case Laplace(noise_multiplier=b):
                    accountant.compose(dp_accounting.LaplaceDpEvent(b), n)
                case Exponential(epsilon=e):
                    accountant.compose(dp_accounting.ZCDpEvent(e**2 / 8, 0.0), n)
    return accountant


@settings(max_examples=40, deadline=None)
@given(costs=st.lists(st.tuples(COSTS, st.sampled_from(["keep", "open", "void"])), min_size=1, max_size=7))
def test_no_sequence_of_charges_exceeds_the_cap(costs: list[tuple[PrivacyCost, str]]) -> None:
    """Whatever is admitted, dp_accounting finds it within the cap, at the fixed order and so at the best one."""
    ledger, standing = in_memory(), []
    for i, (cost, then) in enumerate(costs):
        try:
            receipt = charge(ledger, cost, request=str(i), claim=claimed(cost + once(Gaussian(500.0))))
        except BudgetExceededError:
            continue
        if then == "void":
            ledger.void(receipt, "a test")
            continue
        standing.append(receipt)
        if then == "open":
            ledger.open(receipt, system_noise())
    left = CAP.delta - sum(receipt.cost.delta for receipt in standing)
    if len(standing) == 1:
        assert standing[0].claim.epsilon <= CAP.epsilon
        assert priced_elsewhere([standing[0].cost], list(ORDERS)).get_epsilon(left) <= CAP.epsilon
    elif standing:
        oracle = priced_elsewhere([receipt.cost for receipt in standing], [filter_order(CAP)])
        assert oracle.get_epsilon(left) <= CAP.epsilon
        assert ledger.total("people") <= CAP.epsilon
    if len(standing) > 1 and not any(kind == "exponential" for kind in kinds_of(standing)):
        # Not with selections: ours are bounded by their epsilon too, which matters at the highest of these orders.
        orders = [filter_order(CAP), *map(float, REPORT_ORDERS)]
        oracle = priced_elsewhere([receipt.cost for receipt in standing], orders)
        assert oracle.get_epsilon(left) <= ledger.total("people")


def kinds_of(standing: list[Charge]) -> list[str]:
    return [event.kind for receipt in standing for event, _ in receipt.cost.events]


# --- real processes


PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.privacy.test_ledger"])


@dataclass(frozen=True, slots=True)
class KillAt:
    """A journal that kills its own process, as kill -9 does, at one numbered moment."""

    inner: SqliteJournal
    moment: int
    passed: list[str]

    def reach(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self.inner.transaction() as transaction:
            self.reach("begun")
            yield KillingTransaction(transaction, self)
            self.reach("before commit")
        self.reach("after commit")


@dataclass(frozen=True, slots=True)
class KillingTransaction:
    inner: Transaction
    journal: KillAt

    def entries(self) -> Iterator[Entry]:
        return self.inner.entries()

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        self.journal.reach(f"before {kind}")
        entry = self.inner.append(kind, body)
        self.journal.reach(f"after {kind}")
        return entry


STEPS = ["begun", "before cap", "after cap", "before charge", "after charge", "before commit", "after commit"]
STEPS += ["begun", "before opened", "after opened", "before commit", "after commit"]
STEPS += ["begun", "before verdict", "after verdict", "before commit", "after commit"]


def release(ledger: Ledger, acknowledge: Callable[[str], object]) -> None:
    receipt = charge(ledger, SMALL)
    acknowledge("charge")
    ledger.open(receipt, system_noise())
    acknowledge("opened")
    ledger.record(receipt, "verdict", {"verdict": "pass"})
    acknowledge("verdict")


def release_and_die(path: Path, moment: int, acknowledged: Path) -> None:
    with acknowledged.open("a") as file:
        release(
            Ledger(journal=KillAt(SqliteJournal(path=path), moment, []), now=noon),
            lambda step: (file.write(step + "\n"), file.flush()),
        )


def test_the_steps_killed_at_are_all_there_are(tmp_path: Path) -> None:
    journal = KillAt(SqliteJournal(path=tmp_path / "ledger.sqlite"), 0, [])
    release(Ledger(journal=journal, now=noon), lambda _: None)
    assert journal.passed == STEPS


def test_kill_9_at_every_step_loses_nothing_and_charges_nothing_twice(tmp_path: Path) -> None:
    children = []
    for moment in range(1, len(STEPS) + 1):
        paths = tmp_path / f"{moment}.sqlite", tmp_path / f"{moment}.txt"
        children.append(started(release_and_die, paths[0], moment, paths[1]))
    for moment, child in enumerate(children, 1):
        assert ended(child) == -signal.SIGKILL
        ledger = on_disk(tmp_path / f"{moment}.sqlite")
        found = kinds(ledger)
        assert found in ([], ["cap", "charge"], ["cap", "charge", "opened"], ["cap", "charge", "opened", "verdict"])
        acknowledged = (tmp_path / f"{moment}.txt").read_text().split()
        assert acknowledged == [k for k in found if k != "cap"][: len(acknowledged)]
        commits = STEPS[:moment].count("after commit")
        assert len([k for k in found if k != "cap"]) == commits
        assert ledger.head()[0] == len(found)
        again = charge(ledger, SMALL)
        if "opened" in found:
            assert kinds(ledger) == [*found, "charge"]  # what was opened may have been read, and stays paid for
        else:
            assert kinds(ledger) == ["cap", "charge"]
            ledger.open(again, system_noise())


def charge_until_killed(path: Path, acknowledged: Path) -> None:
    with acknowledged.open("a") as file:
        for i in range(10_000):
            receipt = charge(on_disk(path), SMALL, population=f"population-{i}")
            file.write(receipt.id + "\n")
            file.flush()


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.1, 0.3])
def test_kill_9_at_any_moment_keeps_what_was_acknowledged(tmp_path: Path, delay: float) -> None:
    path, acknowledged = tmp_path / "new" / "ledger.sqlite", tmp_path / "acknowledged.txt"
    child = started(charge_until_killed, path, acknowledged)
    while delay and not (acknowledged.exists() and acknowledged.read_text()):
        time.sleep(0.005)
    time.sleep(delay)
    child.kill()
    assert ended(child) == -signal.SIGKILL
    ledger = on_disk(path)
    with ledger.journal.transaction() as transaction:
        entries = list(transaction.entries())
    verify(entries)
    charged = [entry.digest for entry in entries if entry.kind == "charge"]
    known = acknowledged.read_text().split() if acknowledged.exists() else []
    assert charged[: len(known)] == known
    assert len(charged) - len(known) <= 1
    assert [entry.kind for entry in entries] == ["cap", "charge"] * len(charged)
    assert known or delay == 0.0


def race_for_the_last(path: Path, racer: int, cost: PrivacyCost, n_races: int, start: Any, won: Path) -> None:
    ledger = on_disk(path)
    for race in range(n_races):
        start.wait()
        try:
            charge(ledger, cost, request=f"{racer}", population=f"population-{race}")
        except BudgetExceededError:
            continue
        with won.open("a") as file:
            file.write(f"{race}\n")


def fitting(cost: PrivacyCost) -> int:
    """How many of a cost are granted one after the other."""
    ledger, n = in_memory(), 0
    while True:
        try:
            charge(ledger, cost, request=str(n))
        except BudgetExceededError:
            return n
        n += 1


@pytest.mark.parametrize(("n_racers", "n_races", "noise_multiplier", "fit"), [(2, 8, 6.5, 1), (8, 2, 8.5, 3)])
def test_processes_racing_for_the_last_of_a_budget(
    tmp_path: Path, n_racers: int, n_races: int, noise_multiplier: float, fit: int
) -> None:
    """Exactly as many are granted as fit one after the other, and the file's first use is part of the race."""
    cost = once(Gaussian(noise_multiplier))
    assert fitting(cost) == fit
    start = PROCESSES.Barrier(n_racers, timeout=30)
    path = tmp_path / "ledger.sqlite"
    racers = [
        started(race_for_the_last, path, racer, cost, n_races, start, tmp_path / f"{racer}.txt")
        for racer in range(n_racers)
    ]
    assert [ended(racer) for racer in racers] == [0] * n_racers
    won = [int(line) for file in tmp_path.glob("*.txt") for line in file.read_text().split()]
    assert sorted(won) == sorted(list(range(n_races)) * fit)
    ledger = on_disk(path)
    assert all(0 < ledger.total(f"population-{race}") <= CAP.epsilon for race in range(n_races))
    assert kinds(ledger).count("charge") == len(won)


def race_to_open(path: Path, n_races: int, start: Any, won: Path) -> None:
    ledger = on_disk(path)
    for race in range(n_races):
        receipt = charge(ledger, SMALL, population=f"population-{race}")  # the same request: one charge for all
        start.wait()
        try:
            ledger.open(receipt, system_noise())
        except AlreadyOpenedError:
            continue
        finally:
            start.wait()
        with won.open("a") as file:
            file.write(f"{race}\n")


def test_processes_racing_to_open_one_charge(tmp_path: Path) -> None:
    n_racers, n_races = 8, 4
    path, start = tmp_path / "ledger.sqlite", PROCESSES.Barrier(n_racers, timeout=30)
    racers = [started(race_to_open, path, n_races, start, tmp_path / f"{i}.txt") for i in range(n_racers)]
    assert [ended(racer) for racer in racers] == [0] * n_racers
    won = [int(line) for file in tmp_path.glob("*.txt") for line in file.read_text().split()]
    assert sorted(won) == list(range(n_races))
    assert kinds(on_disk(path)).count("charge") == n_races
    assert kinds(on_disk(path)).count("opened") == n_races


def started(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    process = PROCESSES.Process(target=target, args=arguments)
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    process.join(60)
    code = process.exitcode
    process.close()
    return code

"""What the ledger knows of generators without a proof: on record before a row is read, and no number made up."""

from __future__ import annotations

import pytest

from privacy.errors import RequestError
from privacy.ledger import Ledger, LedgerError, Unproven
from privacy.schema import Budget
from tests.privacy.test_ledger import CAP, SMALL, charge, in_memory, kinds


def read(ledger: Ledger, *, cap: Budget = CAP, population: str = "people") -> Unproven:
    return ledger.unproven(
        population=population, cap=cap, generator="other:x", request="", purpose="a test", schema_digest="5" * 64
    )


def test_nothing_is_charged_and_the_table_is_counted() -> None:
    ledger = in_memory()
    charge(ledger, SMALL)
    before = ledger.total("people"), ledger.left("people")
    read(ledger)
    read(ledger)
    assert (ledger.total("people"), ledger.left("people")) == before
    assert ledger.unproven_tables("people") == 2
    assert ledger.attempts("people") == 2
    assert ledger.unproven_tables("others") == 0


def test_it_fixes_the_cap_as_a_first_charge_does() -> None:
    ledger = in_memory()
    read(ledger)
    assert kinds(ledger) == ["cap", "unproven"]
    assert (ledger.cap("people"), ledger.left("people"), ledger.total("people")) == (CAP, CAP.epsilon, 0.0)
    assert ledger.populations() == ("people",)
    with pytest.raises(RequestError, match="cap"):
        read(ledger, cap=Budget(epsilon=2.0, delta=1e-6))
    charge(ledger, SMALL)
    assert ledger.show("people")[1]["kind"] == "unproven"


def test_what_came_of_it_is_recorded() -> None:
    ledger = in_memory()
    reading = read(ledger)
    ledger.record(reading, "candidate", {"version": "v", "file": "f", "policy": "p"})
    ledger.record(reading, "verdict", {"verdict": "PASS"})
    assert ledger.receipt_of(reading.id) == reading
    assert len(ledger.candidates("people")) == 1
    assert ledger.total("people") == 0.0  # the books are replayed over all of it


def test_it_is_no_charge() -> None:
    ledger = in_memory()
    reading = read(ledger)
    with pytest.raises(LedgerError):
        ledger.charge_of(reading.id)
    with pytest.raises(LedgerError):
        ledger.record(Unproven(id="0" * 64, population="people"), "verdict", {})
    assert ledger.receipt_of(charge(ledger, SMALL).id) == charge(ledger, SMALL)

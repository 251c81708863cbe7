"""Every journal keeps the same promises: order, atomicity, one at a time, and a chain anybody can recompute."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.store.database import connect
from api.store.journal import LEDGER, DatabaseJournal
from api.store.migrate import migrate
from privacy.accounting import Accountant, Claim, epsilon_of
from privacy.cost import Gaussian, once
from privacy.errors import BudgetExceededError, JournalError
from privacy.journal import GENESIS, Entry, Journal, SqliteJournal, Transaction, chained, verify
from privacy.ledger import AlreadyOpenedError, Ledger
from privacy.noise import system_noise
from privacy.schema import Budget


@dataclass(frozen=True, slots=True)
class _MemoryTransaction:
    kept: list[Entry]

    def entries(self) -> Iterator[Entry]:
        return iter(tuple(self.kept))

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        self.kept.append(chained(self.kept[-1].head if self.kept else GENESIS, kind, body))
        return self.kept[-1]


@dataclass(frozen=True, slots=True)
class MemoryJournal:
    """The second implementation: a list and a lock, for one process."""

    kept: list[Entry] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self.lock:
            draft = list(self.kept)
            yield _MemoryTransaction(draft)
            self.kept[:] = draft


Maker: TypeAlias = Callable[[Path], Journal]


def service_journal(folder: Path) -> Journal:
    """The service's ledger, in a database of its own."""
    engine = connect(f"sqlite:///{folder / 'service.db'}")
    migrate(engine)
    return DatabaseJournal(engine, LEDGER)


JOURNALS: dict[str, Maker] = {
    "memory": lambda _: MemoryJournal(),
    "sqlite": lambda folder: SqliteJournal(path=folder / "ledger.sqlite"),
    "service": service_journal,
}

pytestmark = pytest.mark.parametrize("make", JOURNALS.values(), ids=JOURNALS)


def entries(journal: Journal) -> tuple[Entry, ...]:
    with journal.transaction() as transaction:
        return tuple(transaction.entries())


def test_an_empty_journal_has_the_genesis_head(make: Maker, tmp_path: Path) -> None:
    assert verify(entries(make(tmp_path))) == GENESIS


def test_entries_come_back_in_order_and_chained(make: Maker, tmp_path: Path) -> None:
    journal = make(tmp_path)
    with journal.transaction() as transaction:
        first = transaction.append("one", {"a": 1, "b": [0.5, None, True], "c": {"d": "ü"}})
        assert tuple(transaction.entries()) == (first,)
    with journal.transaction() as transaction:
        second = transaction.append("two", {})
    assert entries(journal) == (first, second)
    assert (first.seq, first.previous, second.seq, second.previous) == (1, "0" * 64, 2, first.digest)
    for entry in (first, second):
        fields = {"seq": entry.seq, "kind": entry.kind, "body": entry.body, "previous": entry.previous}
        assert entry.digest == hashlib.sha256(rfc8785.dumps(fields)).hexdigest()
    assert verify(entries(journal)) == second.head


def test_what_raises_leaves_nothing(make: Maker, tmp_path: Path) -> None:
    journal = make(tmp_path)
    with journal.transaction() as transaction:
        kept = transaction.append("kept", {})

    def fail() -> None:
        with journal.transaction() as transaction:
            transaction.append("lost", {})
            transaction.append("lost", {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert entries(journal) == (kept,)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), object(), "\ud800", 2**60], ids=["nan", "inf", "object", "surrogate", "large"]
)
def test_what_canonical_json_cannot_hold_is_refused(make: Maker, tmp_path: Path, value: object) -> None:
    journal = make(tmp_path)
    with pytest.raises(JournalError, match="canonical JSON"), journal.transaction() as transaction:
        transaction.append("kind", {"value": value})
    assert entries(journal) == ()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, max_size=4))
def test_any_body_comes_back_as_it_was(make: Maker, tmp_path: Path, body: dict[str, Any]) -> None:
    journal = make(tmp_path)
    with journal.transaction() as transaction:
        written = transaction.append("kind", body)
    read = entries(journal)
    assert read[-1] == written
    assert written.body == body
    verify(read)


def test_eight_threads_never_interleave(make: Maker, tmp_path: Path) -> None:
    journal = make(tmp_path)

    def write(writer: int) -> None:
        for turn in range(5):
            with journal.transaction() as transaction:
                transaction.append("first", {"writer": writer, "turn": turn})
                transaction.append("second", {"writer": writer, "turn": turn})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    found = entries(journal)
    verify(found)
    assert len(found) == 80
    assert all(
        (a.kind, b.kind) == ("first", "second") and a.body == b.body
        for a, b in zip(found[::2], found[1::2], strict=True)
    )


def test_two_threads_one_budget_one_winner(make: Maker, tmp_path: Path) -> None:
    ledger, cost = Ledger(journal=make(tmp_path)), once(Gaussian(5.5))
    claim = Claim(epsilon=epsilon_of(cost, 1e-6, Accountant.RDP), delta=1e-6, accountant=Accountant.RDP)
    start = threading.Barrier(2, timeout=30)

    def race(request: str) -> bool:
        start.wait()
        try:
            ledger.charge(
                population="p", cap=Budget(epsilon=1.0, delta=1e-6), cost=cost, claim=claim, request=request,
                purpose="race", schema_digest="0" * 64,
            )  # fmt: skip
        except BudgetExceededError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(race, ("a", "b"))) == [False, True]
    assert [entry.kind for entry in entries(ledger.journal)] == ["cap", "charge"]


def test_two_threads_one_charge_one_filter(make: Maker, tmp_path: Path) -> None:
    ledger, cost = Ledger(journal=make(tmp_path)), once(Gaussian(8.0))
    claim = Claim(epsilon=1.0, delta=1e-6, accountant=Accountant.RDP)
    charge = ledger.charge(
        population="p", cap=Budget(epsilon=1.0, delta=1e-6), cost=cost, claim=claim, request="a",
        purpose="race", schema_digest="0" * 64,
    )  # fmt: skip
    start = threading.Barrier(2, timeout=30)

    def race(_: int) -> bool:
        start.wait()
        try:
            ledger.open(charge, system_noise())
        except AlreadyOpenedError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(race, range(2))) == [False, True]

"""What every population has spent, and whether one more release fits under its cap.

A population is the people whose rows a table holds, whatever file or version is uploaded. Its cap is fixed at its first
charge. Entries are events, never sums of epsilons; epsilons are recomputed from them. A charge is on disk before the
first byte is read, an `opened` record before the first row is; a charge nobody opened may be voided or taken up again
by the same request, and every other charge stands, whatever became of its release. A run that was stopped goes on under
its charge from the answers it kept (`reopened`, `fitted`; `privacy.transcript`). Which charges are admitted, and why
that is sound, is `privacy.admission`. Rows that a generator without a proof is let read are on record too, and nothing
is charged for them: no epsilon bounds what it gives away, so that any number would be made up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from privacy.accounting import Claim
from privacy.admission import (
    check_cap,
    check_price,
    curve_at,
    epsilon_left,
    epsilon_with,
    filter_order,
    total_epsilon,
    total_with,
)
from privacy.books import (
    AlreadyOpenedError,
    Books,
    Charge,
    JudgedError,
    LedgerError,
    Unproven,
    books_of,
    charge_from,
    check_marks,
    check_same_cap,
    find,
    known,
    mark,
    receipt,
    unknown_charge,
)
from privacy.cost import ORDERS, PrivacyCost
from privacy.errors import BudgetExceededError, RequestError
from privacy.filter import PrivacyFilter
from privacy.journal import Entry, Head, Journal, Transaction, canonical, checked, verify
from privacy.noise import NoiseSource
from privacy.schema import Budget
from privacy.transcript import Transcript

__all__ = ["AlreadyOpenedError", "Charge", "JudgedError", "Ledger", "LedgerError", "Unproven"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Charges over a journal. Every call verifies the whole chain and raises JournalError where it is broken.

    Attributes:
        journal: where entries are kept.
        now: the time, as ISO 8601 text in UTC.
    """

    journal: Journal
    now: Callable[[], str] = lambda: datetime.now(UTC).isoformat(timespec="seconds")

    def charge(
        self,
        *,
        population: str,
        cap: Budget,
        cost: PrivacyCost,
        claim: Claim,
        request: str,
        purpose: str,
        schema_digest: str,
    ) -> Charge:
        """Record a cost before anything is read, or refuse it and record nothing.

        A request that was charged the same cost, claim and schema before, and never opened, gets that charge again.

        Args:
            population: who pays.
            cap: the schema's cap; recorded at the first charge, equal to the recorded one at every later one.
            cost: events the release may emit.
            claim: total epsilon and delta of the release, at least the price of `cost`.
            request: the caller's id of the release.
            purpose: in words, public.
            schema_digest: digest of the schema.

        Raises:
            RequestError: the claim is below the price of its events, a number is out of range, or the cap differs.
            BudgetExceededError: neither rule of admission holds. Its total is infinite where the share of the cap's
                delta for discovered lists is used up.
        """
        check_price(cost, claim)
        check_cap(cap)
        wanted = {
            "population": population,
            "request": request,
            "schema": schema_digest,
            "cost": cost.to_json(),
            "claim": {"epsilon": claim.epsilon, "delta": claim.delta, "accountant": str(claim.accountant)},
        }
        with self.journal.transaction() as transaction:
            books = books_of(checked(transaction.entries()), population)
            if books is not None:
                check_same_cap(books.cap, cap)
                for standing in books.standing:
                    if not standing.opened and _same(standing.body, wanted):
                        return standing.charge
            first, books = books is None, books or Books(cap=cap, order=filter_order(cap), standing=())
            becomes = epsilon_with(books.account, cost, claim)
            if becomes <= books.cap.epsilon:
                if first:
                    self._first_cap(transaction, population, books)
                curve = {"order": books.order, "value": curve_at(cost, books.order)}
                body = wanted | {"purpose": purpose, "rdp": curve, "at": self.now()}
                return charge_from(transaction.append("charge", body))
        raise BudgetExceededError(
            population=population,
            total=becomes,
            cap_epsilon=cap.epsilon,
            cap_delta=cap.delta,
            left=epsilon_left(books.account),
        )

    def unproven(
        self, *, population: str, cap: Budget, generator: str, request: str, purpose: str, schema_digest: str
    ) -> Unproven:
        """Record, before a row is read, that a generator without a proof will read this population.

        Charges keep their meaning: a private mechanism stays private whatever else is known. But whoever holds such a
        table as well is bound by no total, so that every later statement counts them. Raises RequestError for a cap
        that is out of range or differs from the recorded one.
        """
        check_cap(cap)
        facts = {"population": population, "generator": generator, "request": request, "schema": schema_digest}
        with self.journal.transaction() as transaction:
            books = books_of(checked(transaction.entries()), population)
            if books is None:
                self._first_cap(transaction, population, Books(cap=cap, order=filter_order(cap), standing=()))
            else:
                check_same_cap(books.cap, cap)
            entry = transaction.append("unproven", facts | {"purpose": purpose, "at": self.now()})
        return Unproven(id=entry.digest, population=population)

    def unproven_tables(self, population: str) -> int:
        """How many tables of a population were asked of generators without a proof."""
        books = books_of(self._entries(), population)
        return 0 if books is None else len(books.unproven)

    def open(self, charge: Charge, noise: NoiseSource, kept: Transcript | None = None) -> PrivacyFilter:
        """Record that reading starts, and give the only key to the rows: exactly one caller gets it.

        Args:
            charge: what pays.
            noise: the source of every draw.
            kept: where answers are kept, for a run that may be stopped and go on.

        Raises:
            AlreadyOpenedError: the charge was opened before, by whomever.
            LedgerError: the charge is voided, or not in this ledger.
        """
        with self.journal.transaction() as transaction:
            standing = find(books_of(checked(transaction.entries()), charge.population), charge)
            if standing.opened:
                raise AlreadyOpenedError(
                    "The charge has been opened before.",
                    why="A second run could draw other noise for the price of one.",
                    fix="Charge a new release.",
                )
            transaction.append("opened", self._about(charge))
        return PrivacyFilter(standing.charge.cost, noise, kept)

    def reopen(self, charge: Charge, noise: NoiseSource, reason: str, kept: Transcript | None = None) -> PrivacyFilter:
        """Give the key to the rows once more, after a run that died.

        What nobody saw teaches nobody, and what was kept is given again and not drawn again (`privacy.transcript`): the
        second run is then the only release of the charge. That nothing else left (no bundle, stream or log) is the
        caller's to know; that no verdict was recorded, and that no answer marked here is missing, is checked.

        Raises:
            JudgedError: the charge came to a verdict.
            LedgerError: it was never opened, is voided, or is not in this ledger.
            CheckpointError: `kept` has not the answers an earlier mark speaks of.
            RequestError: no reason is given.
        """
        _check_reason(reason)
        with self.journal.transaction() as transaction:
            standing = find(books_of(checked(transaction.entries()), charge.population), charge)
            if standing.judged:
                raise JudgedError(
                    "The charge has come to a verdict.",
                    why="A charge pays for one release.",
                    fix="Charge a new release.",
                )
            if not standing.opened:
                raise LedgerError(
                    "The charge was never opened.", why="A charge pays for one release.", fix="Open it first."
                )
            check_marks(standing.marks, kept)
            transaction.append("reopened", self._about(charge) | {"reason": reason, **mark(kept)})
        return PrivacyFilter(standing.charge.cost, noise, kept)

    def fitted(self, charge: Charge, kept: Transcript) -> Entry:
        """Record that the generator's answers, or those bought after it too, are kept: from here on none is drawn anew.

        Raises:
            LedgerError: the charge was never opened, is voided, or is not in this ledger.
        """
        with self.journal.transaction() as transaction:
            self._opened(transaction, charge)
            return transaction.append("fitted", self._about(charge) | mark(kept))

    def void(self, charge: Charge, reason: str) -> None:
        """Take a charge back that nobody opened.

        Raises:
            LedgerError: it was opened, is voided already, or is not in this ledger.
            RequestError: no reason is given.
        """
        _check_reason(reason)
        with self.journal.transaction() as transaction:
            if find(books_of(checked(transaction.entries()), charge.population), charge).opened:
                raise LedgerError(
                    "The charge was opened and stands.",
                    why="Rows may have been read, and what was learned from them cannot be taken back.",
                    fix="Leave it; ask for what is left, or raise the cap with a reason.",
                )
            transaction.append("void", self._about(charge) | {"reason": reason})

    def record(
        self,
        charge: Charge | Unproven,
        kind: Literal["attempt", "candidate", "verdict", "review"],
        facts: Mapping[str, Any],
    ) -> Entry:
        """Write down what came of an opened charge: public facts, such as a bundle's digest and its verdict.

        Raises:
            LedgerError: the charge was never opened, is voided, or is not in this ledger.
        """
        with self.journal.transaction() as transaction:
            self._opened(transaction, charge)
            return transaction.append(kind, self._about(charge) | {"facts": dict(facts)})

    def set_cap(self, population: str, cap: Budget, reason: str) -> Entry:
        """Record another cap. One below what is spent takes nothing back; it refuses what comes.

        Raises:
            RequestError: no reason is given, a number is out of range, or the population is unknown.
        """
        _check_reason(reason)
        check_cap(cap)
        with self.journal.transaction() as transaction:
            books = known(books_of(checked(transaction.entries()), population), population)
            body = _cap_body(population, cap, books.order) | {"reason": reason, "at": self.now()}
            return transaction.append("cap", body)

    def charge_of(self, identity: str) -> Charge:
        """The charge with an id. Raises LedgerError where there is none."""
        receipt = self.receipt_of(identity)
        if isinstance(receipt, Unproven):
            raise unknown_charge()
        return receipt

    def receipt_of(self, identity: str) -> Charge | Unproven:
        """The charge with an id, or the reading nothing was charged for. Raises LedgerError where there is neither."""
        return receipt(self._entries(), identity)

    def stages(self, charge: Charge) -> tuple[bool, bool]:
        """Whether a charge was opened, and whether it came to a verdict. Raises LedgerError where none stands."""
        standing = find(books_of(self._entries(), charge.population), charge)
        return standing.opened, standing.judged

    def cap(self, population: str) -> Budget | None:
        """The cap in force, or None before the first charge."""
        books = books_of(self._entries(), population)
        return None if books is None else books.cap

    def attempts(self, population: str) -> int:
        """How many tables were put before the gate, at most.

        Opened charges, runs that went on from a fitted model, further rows of a released one, and tables of generators
        without a proof.
        """
        entries = list(self._entries())
        books = books_of(entries, population)
        opened = 0 if books is None else sum(s.opened + s.again for s in books.standing) + len(books.unproven)
        further = [e for e in entries if e.kind == "attempt" and e.body.get("population") == population]
        return opened + len(further)

    def candidates(self, population: str) -> list[tuple[int, Mapping[str, Any]]]:
        """Place and facts of every table that was put before an exact gate, in order."""
        entries = [e for e in self._entries() if e.kind == "candidate" and e.body.get("population") == population]
        return [(entry.seq, entry.body["facts"]) for entry in entries]

    def total(self, population: str) -> float:
        """Upper bound on the epsilon of all standing charges together, at the cap's delta."""
        books = books_of(self._entries(), population)
        return 0.0 if books is None else total_epsilon(books.account)

    def spent(self, population: str) -> float:
        """The part of `total` that was opened and stands for good; the rest is reserved."""
        books = books_of(self._entries(), population)
        opened = () if books is None else tuple(one.charge for one in books.standing if one.opened)
        return 0.0 if books is None else total_epsilon(replace(books.account, charges=opened))

    def left(self, population: str) -> float:
        """The largest epsilon, at the cap's delta, of one more release by a single Gaussian that still fits.

        Raises:
            RequestError: the population is unknown.
        """
        return epsilon_left(known(books_of(self._entries(), population), population).account)

    def becomes(self, population: str, cost: PrivacyCost, claim: Claim) -> tuple[float, bool]:
        """`total` with one release more, and whether it would be admitted. RequestError: unknown population."""
        account = known(books_of(self._entries(), population), population).account
        return total_with(account, cost, claim), epsilon_with(account, cost, claim) <= account.cap.epsilon

    def populations(self) -> tuple[str, ...]:
        """All populations whose rows were ever let read, in the order in which they first were."""
        entries = [entry for entry in self._entries() if entry.kind in ("charge", "unproven")]
        return tuple(dict.fromkeys(entry.body["population"] for entry in entries))

    def head(self) -> Head:
        """Number and digest of the last entry."""
        return verify(self._entries())

    def contains(self, head: Head) -> bool:
        """Whether a head stands in this chain; False shows that the ledger was cut, replaced or rewritten."""
        return any(entry.head == (head[0], head[1]) for entry in self._entries())

    def show(self, population: str) -> list[dict[str, Any]]:
        """One row an entry: its number, time, kind, the charge it belongs to and its body.

        Raises:
            RequestError: the population is unknown.
        """
        entries = [entry for entry in self._entries() if entry.body.get("population") == population]
        if not entries:
            known(None, population)
        return [
            {
                "seq": entry.seq,
                "at": entry.body["at"],
                "kind": entry.kind,
                "charge": entry.digest if entry.kind == "charge" else entry.body.get("charge", ""),
                "body": dict(entry.body),
            }
            for entry in entries
        ]

    def _entries(self) -> tuple[Entry, ...]:
        with self.journal.transaction() as transaction:
            return tuple(checked(transaction.entries()))

    def _opened(self, transaction: Transaction, charge: Charge | Unproven) -> None:
        books = books_of(checked(transaction.entries()), charge.population)
        if isinstance(charge, Unproven):
            if books is None or charge.id not in books.unproven:
                raise unknown_charge()
        elif not find(books, charge).opened:
            raise LedgerError(
                "The charge was not opened, so nothing can have come of it.",
                why="Rows are read after the `opened` record, never before.",
                fix="This is a defect of the caller: open the charge first.",
            )

    def _first_cap(self, transaction: Transaction, population: str, books: Books) -> None:
        """The grid's digest says which orders the fixed one was chosen from, should a later version change them."""
        grid = hashlib.sha256(ORDERS.tobytes()).hexdigest()
        words = {"reason": "first charge", "orders": grid, "at": self.now()}
        transaction.append("cap", _cap_body(population, books.cap, books.order) | words)

    def _about(self, charge: Charge | Unproven) -> dict[str, Any]:
        return {"population": charge.population, "charge": charge.id, "at": self.now()}


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise RequestError(
            "No reason is given.",
            why="Whoever reads the ledger later must see why it was done.",
            fix="Say why in a sentence.",
        )


def _cap_body(population: str, cap: Budget, order: float) -> dict[str, Any]:
    return {"population": population, "epsilon": cap.epsilon, "delta": cap.delta, "order": order}


def _same(body: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return canonical({key: body[key] for key in wanted}) == canonical(wanted)

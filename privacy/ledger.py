"""What every population has spent, and whether one more release fits under its cap.

A population is the people whose rows a table holds, whatever file or version is uploaded. Its cap is fixed at its first
charge. Entries are events, never sums of epsilons; epsilons are recomputed from them. A charge is on disk before the
first byte is read, an `opened` record before the first row is; a charge nobody opened may be voided or taken up again
by the same request, and every other charge stands, whatever became of its release.

Admission. Parameters of a release are chosen after the results of earlier ones, so composition must be fully adaptive.
A charge is admitted when either holds:

(a) no other charge of the population stands, and its claim, recomputed from its events, is within the cap;
(b) the Rényi curves of all standing charges and this one, added up at one order, convert to at most the cap's epsilon.

(b) is the filter of Feldman & Zrnic 2021 ("Individual privacy accounting via a Rényi filter", theorem 3.1). Its proof
needs the order to be fixed beforehand: exp((order - 1) (loss - curve)) is a supermartingale at each fixed order, but
the order that looks best once results are known is a choice made from the results. So one order is fixed when a
population is first charged, from its cap alone (the one at which Gaussians of exactly the cap convert best), and stays
when the cap is changed. For the same reason the cap's delta is divided beforehand. Were the conversion given whatever
discovered lists leave over, a run could spend delta on lists when its losses are low and on noise when they are high,
and the two could add up to more than the cap (Whitehouse et al. 2023, "Fully adaptive composition in differential
privacy", theorem 1, keep them apart too).

Why (a) or (b) is sound: which of them governs is settled by the first charge, before there is a result. Either its
curve at the order fits, and everything after it is inside one filter; or it does not, and (b) refuses every later
charge, so that the total is the first alone. A raised cap is the filter of the larger cap. Charges that run at the same
time are covered: Rényi bounds compose concurrently (Lyu 2022, "Composition theorems for interactive differential
privacy").
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from privacy.accounting import PLD_INTERVAL, Accountant, Claim, accountant_of, epsilon_of
from privacy.cost import ORDERS, Curve, Gaussian, PrivacyCost, once
from privacy.errors import BudgetExceededError, JournalError, ReleaseError, RequestError
from privacy.filter import PrivacyFilter
from privacy.journal import Entry, Head, Journal, Transaction, canonical, checked, verify
from privacy.noise import NoiseSource
from privacy.schema import Budget

FILTER_SHARE, DISCOVERY_SHARE, REPORT_SHARE = 3 / 8, 1 / 2, 1 / 8
"""Shares of a cap's delta: conversion at the fixed order, discovered lists, conversion at the orders `total` adds.
Against a filter with the whole delta they cost 4 to 5% of epsilon (caps .1 to 10), and a first charge nothing."""

REPORT_ORDERS: Curve = 1 + np.geomspace(2, 2048, 18)
"""Orders at which `total` is bounded too: the fixed order is best near the cap, and poor far below it."""

TOLERANCE = 1e-6
"""Relative room between a claim and its recomputation, as at the gate."""


class LedgerError(ReleaseError):
    """A charge is not in the state the step needs."""

    code = "ledger"
    title = "The ledger refused the step"


class AlreadyOpenedError(LedgerError):
    """Somebody else has opened the charge: the rows it paid for may have been read."""

    code = "already-opened"
    title = "The charge is already in use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A receipt.

    Attributes:
        id: digest of the charge's entry.
        population: who pays.
        request: the caller's id of the release.
        purpose: in words.
        schema_digest: digest of the public schema.
        cost: what was charged.
        claim: what the release will promise.
        curve: Rényi curve at the population's order, rounded up, as it counts against the cap.
        head: the chain's head once the charge was recorded.
    """

    id: str
    population: str
    request: str
    purpose: str
    schema_digest: str
    cost: PrivacyCost
    claim: Claim
    curve: float
    head: Head


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
        _check_price(cost, claim)
        _check_cap(cap)
        wanted = {
            "population": population,
            "request": request,
            "schema": schema_digest,
            "cost": cost.to_json(),
            "claim": {"epsilon": claim.epsilon, "delta": claim.delta, "accountant": str(claim.accountant)},
        }
        with self.journal.transaction() as transaction:
            account = _account(checked(transaction.entries()), population)
            if account is not None:
                _check_same_cap(account.cap, cap)
                for standing in account.standing:
                    if not standing.opened and _same(standing.body, wanted):
                        return standing.charge
            first, account = account is None, account or _Account(cap=cap, order=filter_order(cap), standing=())
            total = _total_with(account, cost, claim)
            if total <= account.cap.epsilon:
                if first:
                    self._first_cap(transaction, population, account)
                curve = {"order": account.order, "value": _curve(cost, account.order)}
                body = wanted | {"purpose": purpose, "rdp": curve, "at": self.now()}
                return _charge(transaction.append("charge", body))
        raise BudgetExceededError(
            population=population,
            total=total,
            cap_epsilon=cap.epsilon,
            cap_delta=cap.delta,
            left=_left(account),
        )

    def open(self, charge: Charge, noise: NoiseSource) -> PrivacyFilter:
        """Record that reading starts, and give the only key to the rows: exactly one caller gets it.

        Raises:
            AlreadyOpenedError: the charge was opened before, by whomever.
            LedgerError: the charge is voided, or not in this ledger.
        """
        with self.journal.transaction() as transaction:
            standing = _find(_account(checked(transaction.entries()), charge.population), charge)
            if standing.opened:
                raise AlreadyOpenedError(
                    "The charge has been opened before.",
                    why="A second run could draw other noise for the price of one.",
                    fix="Charge a new release.",
                )
            transaction.append("opened", self._about(charge))
        return PrivacyFilter(standing.charge.cost, noise)

    def void(self, charge: Charge, reason: str) -> None:
        """Take a charge back that nobody opened.

        Raises:
            LedgerError: it was opened, is voided already, or is not in this ledger.
            RequestError: no reason is given.
        """
        _check_reason(reason)
        with self.journal.transaction() as transaction:
            if _find(_account(checked(transaction.entries()), charge.population), charge).opened:
                raise LedgerError(
                    "The charge was opened and stands.",
                    why="Rows may have been read, and what was learned from them cannot be taken back.",
                    fix="Leave it; ask for what is left, or raise the cap with a reason.",
                )
            transaction.append("void", self._about(charge) | {"reason": reason})

    def record(self, charge: Charge, kind: Literal["attempt", "verdict", "review"], facts: Mapping[str, Any]) -> Entry:
        """Write down what came of an opened charge: public facts, such as a bundle's digest and its verdict.

        Raises:
            LedgerError: the charge was never opened, is voided, or is not in this ledger.
        """
        with self.journal.transaction() as transaction:
            if not _find(_account(checked(transaction.entries()), charge.population), charge).opened:
                raise LedgerError(
                    "The charge was not opened, so nothing can have come of it.",
                    why="Rows are read after the `opened` record, never before.",
                    fix="This is a defect of the caller: open the charge first.",
                )
            return transaction.append(kind, self._about(charge) | {"facts": dict(facts)})

    def set_cap(self, population: str, cap: Budget, reason: str) -> Entry:
        """Record another cap. One below what is spent takes nothing back; it refuses what comes.

        Raises:
            RequestError: no reason is given, a number is out of range, or the population is unknown.
        """
        _check_reason(reason)
        _check_cap(cap)
        with self.journal.transaction() as transaction:
            account = _known(_account(checked(transaction.entries()), population), population)
            body = _cap_body(population, cap, account.order) | {"reason": reason, "at": self.now()}
            return transaction.append("cap", body)

    def charge_of(self, identity: str) -> Charge:
        """The charge with an id. Raises LedgerError where there is none."""
        for entry in self._entries():
            if entry.kind == "charge" and entry.digest == identity:
                return _charge(entry)
        raise _unknown_charge()

    def cap(self, population: str) -> Budget | None:
        """The cap in force, or None before the first charge."""
        account = _account(self._entries(), population)
        return None if account is None else account.cap

    def attempts(self, population: str) -> int:
        """How many releases were attempted: the charges that were opened."""
        account = _account(self._entries(), population)
        return 0 if account is None else sum(standing.opened for standing in account.standing)

    def total(self, population: str) -> float:
        """Upper bound on the epsilon of all standing charges together, at the cap's delta.

        One charge alone counts as its claim. For more it is the best of the fixed order and `REPORT_ORDERS`, each with
        its share of delta, which bounds every adaptive sequence: the failures of all orders together stay within the
        cap's delta. The promise for all time is the cap, not this number.
        """
        account = _account(self._entries(), population)
        return 0.0 if account is None else _total(account)

    def left(self, population: str) -> float:
        """The largest epsilon, at the cap's delta, of one more release by a single Gaussian that still fits.

        By PLD, less its discretisation, so that a release of that epsilon is admitted whichever accountant prices it.

        Raises:
            RequestError: the population is unknown.
        """
        return _left(_known(_account(self._entries(), population), population))

    def populations(self) -> tuple[str, ...]:
        """All populations ever charged, in order of their first charge."""
        return tuple(dict.fromkeys(entry.body["population"] for entry in self._entries() if entry.kind == "charge"))

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
            _known(None, population)
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

    def _first_cap(self, transaction: Transaction, population: str, account: _Account) -> None:
        """The grid's digest says which orders the fixed one was chosen from, should a later version change them."""
        grid = hashlib.sha256(ORDERS.tobytes()).hexdigest()
        words = {"reason": "first charge", "orders": grid, "at": self.now()}
        transaction.append("cap", _cap_body(population, account.cap, account.order) | words)

    def _about(self, charge: Charge) -> dict[str, Any]:
        return {"population": charge.population, "charge": charge.id, "at": self.now()}


def filter_order(cap: Budget) -> float:
    """The order of `ORDERS` at which Gaussians that use up a cap, and nothing else, fit most rho.

    A Gaussian's curve is order * rho, so this maximises (room at the order) / order.
    """
    orders = ORDERS[ORDERS > 1.01]
    rooms = cap.epsilon - _conversion(orders, FILTER_SHARE * cap.delta)
    return float(orders[np.argmax(rooms / orders)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    charge: Charge
    body: Mapping[str, Any]
    opened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """One population: the cap in force, the order of its filter, and the charges that stand."""

    cap: Budget
    order: float
    standing: tuple[_Standing, ...]


def _account(entries: Iterable[Entry], population: str) -> _Account | None:
    """Replay what happened. Reads every entry, so that `checked` sees the whole chain."""
    cap, order, standing = None, math.nan, dict[str, _Standing]()
    for entry in entries:
        body = entry.body
        if body.get("population") != population:
            continue
        try:
            match entry.kind:
                case "cap":
                    cap = Budget(epsilon=float(body["epsilon"]), delta=float(body["delta"]))
                    order = float(body["order"])
                case "charge":
                    standing[entry.digest] = _Standing(charge=_charge(entry), body=body)
                case "opened":
                    standing[body["charge"]] = replace(standing[body["charge"]], opened=True)
                case "void":
                    del standing[body["charge"]]
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(
                f"Entry {entry.seq} of the ledger is not one a ledger writes.",
                why="What the population has spent cannot be told from it.",
                fix="Restore the ledger's last intact copy.",
            ) from error
    return None if cap is None else _Account(cap=cap, order=order, standing=tuple(standing.values()))


def _charge(entry: Entry) -> Charge:
    body, claim = entry.body, entry.body["claim"]
    return Charge(
        id=entry.digest,
        population=body["population"],
        request=body["request"],
        purpose=body["purpose"],
        schema_digest=body["schema"],
        cost=PrivacyCost.from_json(body["cost"]),
        claim=Claim(
            epsilon=float(claim["epsilon"]), delta=float(claim["delta"]), accountant=Accountant(claim["accountant"])
        ),
        curve=float(body["rdp"]["value"]),
        head=entry.head,
    )


def _total_with(account: _Account, cost: PrivacyCost, claim: Claim) -> float:
    """What the total becomes, by the rule of admission that gives less."""
    filtered = _filtered(account, cost)
    alone = not account.standing and claim.delta <= account.cap.delta
    return min(filtered, claim.epsilon) if alone else filtered


def _filtered(account: _Account, more: PrivacyCost) -> float:
    """Epsilon at the fixed order of all that stands and of one cost more; infinite beyond the share for lists."""
    lists = sum(standing.charge.cost.delta for standing in account.standing) + more.delta
    if lists > DISCOVERY_SHARE * account.cap.delta:
        return math.inf
    curve = _spent(account) + _curve(more, account.order)
    return curve + float(_conversion(np.array([account.order]), FILTER_SHARE * account.cap.delta)[0])


def _spent(account: _Account) -> float:
    """Summed curve at the fixed order.

    Every charge counts as what was recorded or as what its events cost today, whichever is more: a later accountant
    with sharper bounds must not forget what the filter has already counted, nor one with a fault repaired keep it.
    """
    return math.fsum(
        max(standing.charge.curve, _curve(standing.charge.cost, account.order)) for standing in account.standing
    )


def _total(account: _Account) -> float:
    cap, charges = account.cap, [standing.charge for standing in account.standing]
    if not charges:
        return 0.0
    if len(charges) == 1 and charges[0].claim.delta <= cap.delta:
        return charges[0].claim.epsilon
    if sum(charge.cost.delta for charge in charges) > DISCOVERY_SHARE * cap.delta:
        return math.inf
    curve = sum((charge.cost.rdp(REPORT_ORDERS) for charge in charges), np.zeros_like(REPORT_ORDERS))
    others = curve + _conversion(REPORT_ORDERS, REPORT_SHARE * cap.delta / len(REPORT_ORDERS))
    return max(0.0, min(_filtered(account, PrivacyCost()), float(others.min())))


def _left(account: _Account) -> float:
    if not account.standing:
        return account.cap.epsilon
    room = account.cap.epsilon - _filtered(account, PrivacyCost())
    if not room > 0:
        return 0.0
    gaussian = Gaussian(math.sqrt(account.order / (2 * room)))
    return max(0.0, epsilon_of(once(gaussian), account.cap.delta) - 2 * PLD_INTERVAL)


def _conversion(orders: Curve, delta: float) -> Curve:
    """What an epsilon at delta adds to a Rényi curve (Canonne, Kamath & Steinke 2020, proposition 12)."""
    return np.asarray(np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1), dtype=np.float64)


def _curve(cost: PrivacyCost, order: float) -> float:
    """The curve at one order, rounded up."""
    return math.nextafter(float(cost.rdp(np.array([order]))[0]), math.inf)


def _check_price(cost: PrivacyCost, claim: Claim) -> None:
    """Price the events afresh: a claim is never trusted, and PLD cannot price a selection."""
    numbers = [value for event in cost.to_json() for value in event.values() if not isinstance(value, str)]
    if not all(math.isfinite(number) and number > 0 for number in (*numbers, claim.epsilon, claim.delta)):
        raise _out_of_range("An event or the claim has a number that is not positive and finite.")
    if not claim.delta < 1:
        raise _out_of_range("The claimed delta is not below 1.")
    rdp = Accountant.RDP in (claim.accountant, accountant_of(cost))
    if not epsilon_of(cost, claim.delta, Accountant.RDP if rdp else Accountant.PLD) <= claim.epsilon * (1 + TOLERANCE):
        raise RequestError(
            "The claimed epsilon is below the price of its events.",
            why="The release would promise more than it keeps.",
            fix="This is a defect of the plan: claim what `privacy.accounting.epsilon_of` gives, or more.",
        )


def _check_cap(cap: Budget) -> None:
    if not (0 < cap.epsilon < math.inf and 0 < cap.delta < 1):
        raise _out_of_range("The cap's epsilon is not positive and finite, or its delta not between 0 and 1.")


def _check_same_cap(recorded: Budget, cap: Budget) -> None:
    if recorded != cap:
        raise RequestError(
            f"The schema's cap (epsilon {cap.epsilon:g}, delta {cap.delta:g}) differs from the ledger's (epsilon "
            f"{recorded.epsilon:g}, delta {recorded.delta:g}).",
            why="A population's cap is fixed at its first charge, and another file cannot widen it.",
            fix="Write the ledger's cap into the schema, or record a change of it with `tablegate ledger cap`.",
        )


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


def _find(account: _Account | None, charge: Charge) -> _Standing:
    for standing in () if account is None else account.standing:
        if standing.charge.id == charge.id:
            return standing
    raise _unknown_charge()


def _known(account: _Account | None, population: str) -> _Account:
    if account is None:
        raise RequestError(
            f"No charge was ever made to the population '{population}'.",
            why="Its cap is fixed at its first charge.",
            fix="Check the name and the ledger's path; `tablegate ledger show` lists what is there.",
        )
    return account


def _unknown_charge() -> LedgerError:
    return LedgerError(
        "The charge is voided or not in this ledger.",
        why="Nothing stands that would pay for it.",
        fix="Charge the release again, in the ledger it is run with.",
    )


def _out_of_range(what: str) -> RequestError:
    return RequestError(what, why="Nothing can be accounted for with it.", fix="Correct the number.")

"""A population's books: what happened to it, replayed from the ledger's entries.

Charges and the errors of their states are here too, since reading the books makes the one and finds the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from privacy.accounting import Accountant, Claim
from privacy.admission import Account
from privacy.cost import PrivacyCost
from privacy.errors import JournalError, ReleaseError, RequestError
from privacy.journal import Entry, Head
from privacy.schema import Budget
from privacy.transcript import CheckpointError, Transcript


class LedgerError(ReleaseError):
    """A charge is not in the state the step needs."""

    code = "ledger"
    title = "The ledger refused the step"


class JudgedError(LedgerError):
    """The charge has come to a verdict: its release is made."""

    code = "judged"
    title = "The charge has done its work"


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
class Unproven:
    """A receipt of rows that a generator without a proof was let read: nothing was charged, since nothing bounds it.

    Attributes:
        id: digest of its entry.
        population: whose rows.
    """

    id: str
    population: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A charge that stands, and what came of it.

    Attributes:
        charge: the receipt.
        body: its entry.
        opened, judged, fitted: whether rows may have been read, a verdict was recorded, every answer was drawn.
        again: how often a run went on after that.
        marks: entries that speak of kept answers.
    """

    charge: Charge
    body: Mapping[str, Any]
    opened: bool = False
    judged: bool = False
    fitted: bool = False
    again: int = 0
    marks: tuple[Mapping[str, Any], ...] = ()

    def after(self, kind: str, body: Mapping[str, Any]) -> Standing:
        """The same charge one entry later."""
        marks = (*self.marks, body) if "answers" in body else self.marks
        match kind:
            case "opened":
                return replace(self, opened=True)
            case "verdict":
                return replace(self, judged=True)
            case "fitted":
                return replace(self, fitted=True, marks=marks)
            case _:
                return replace(self, again=self.again + self.fitted, marks=marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """One population: the cap in force, the order of its filter, the charges that stand, and what was not charged.

    Attributes:
        unproven: ids of the readings of generators without a proof.
    """

    cap: Budget
    order: float
    standing: tuple[Standing, ...]
    unproven: frozenset[str] = frozenset()

    @property
    def account(self) -> Account:
        """What admission adds up."""
        return Account(cap=self.cap, order=self.order, charges=tuple(standing.charge for standing in self.standing))


def books_of(entries: Iterable[Entry], population: str) -> Books | None:
    """Replay what happened. Reads every entry, so that `checked` sees the whole chain."""
    cap, order, standing, unproven = None, math.nan, dict[str, Standing](), set[str]()
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
                    standing[entry.digest] = Standing(charge=charge_from(entry), body=body)
                case "unproven":
                    unproven.add(entry.digest)
                case "opened" | "reopened" | "fitted" | "verdict" if body["charge"] not in unproven:
                    standing[body["charge"]] = standing[body["charge"]].after(entry.kind, body)
                case "void":
                    del standing[body["charge"]]
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(
                f"Entry {entry.seq} of the ledger is not one a ledger writes.",
                why="What the population has spent cannot be told from it.",
                fix="Restore the ledger's last intact copy.",
            ) from error
    if cap is None:
        return None
    return Books(cap=cap, order=order, standing=tuple(standing.values()), unproven=frozenset(unproven))


def receipt(entries: Iterable[Entry], identity: str) -> Charge | Unproven:
    """The charge, or the reading nothing was charged for, with an id. Raises LedgerError where there is neither."""
    for entry in entries:
        if entry.digest == identity and entry.kind == "charge":
            return charge_from(entry)
        if entry.digest == identity and entry.kind == "unproven":
            return Unproven(id=identity, population=entry.body["population"])
    raise unknown_charge()


def charge_from(entry: Entry) -> Charge:
    """The receipt an entry stands for."""
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


def mark(kept: Transcript | None) -> dict[str, Any]:
    """How many answers are kept, and their digest."""
    return {} if kept is None else {"answers": kept.answers, "head": kept.head(kept.answers)}


def check_marks(marks: Iterable[Mapping[str, Any]], kept: Transcript | None) -> None:
    """Refuse to draw anew what was drawn: every mark's answers must be there."""
    for mark in marks:
        answers = int(mark["answers"])
        if kept is None or kept.answers < answers or kept.head(answers) != mark["head"]:
            raise CheckpointError(
                "The kept answers are not those the ledger speaks of.",
                why="They are older, or of another run; what is missing would be drawn twice at the price of once.",
                fix="Restore the newest ones, or charge anew with another --request.",
            )


def check_same_cap(recorded: Budget, cap: Budget) -> None:
    """Refuse a cap other than the recorded one. Raises RequestError."""
    if recorded != cap:
        raise RequestError(
            f"The schema's cap (epsilon {cap.epsilon:g}, delta {cap.delta:g}) differs from the ledger's (epsilon "
            f"{recorded.epsilon:g}, delta {recorded.delta:g}).",
            why="A population's cap is fixed at its first charge, and another file cannot widen it.",
            fix="Write the ledger's cap into the schema, or record a change of it with `tablegate ledger cap`.",
        )


def find(books: Books | None, charge: Charge) -> Standing:
    """A charge that stands. Raises LedgerError where it does not."""
    for standing in () if books is None else books.standing:
        if standing.charge.id == charge.id:
            return standing
    raise unknown_charge()


def known(books: Books | None, population: str) -> Books:
    """The books of a population that was charged. Raises RequestError for another."""
    if books is None:
        raise RequestError(
            f"No charge was ever made to the population '{population}'.",
            why="Its cap is fixed at its first charge.",
            fix="Check the name and the ledger's path; `tablegate ledger show` lists what is there.",
        )
    return books


def unknown_charge() -> LedgerError:
    """The refusal of a charge that does not stand."""
    return LedgerError(
        "The charge is voided or not in this ledger.",
        why="Nothing stands that would pay for it.",
        fix="Charge the release again, in the ledger it is run with.",
    )

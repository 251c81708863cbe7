"""Whether one more release fits under a population's cap: the arithmetic of the ledger, without a ledger.

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

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from privacy.accounting import PLD_INTERVAL, Accountant, Claim, accountant_of, epsilon_of
from privacy.cost import ORDERS, Curve, Gaussian, PrivacyCost, once
from privacy.errors import RequestError
from privacy.schema import Budget

FILTER_SHARE, DISCOVERY_SHARE, REPORT_SHARE = 3 / 8, 1 / 2, 1 / 8
"""Shares of a cap's delta: conversion at the fixed order, discovered lists, conversion at the other orders reported.
Against a filter with the whole delta they cost 4 to 5% of epsilon (caps .1 to 10), and a first charge nothing."""

REPORT_ORDERS: Curve = 1 + np.geomspace(2, 2048, 18)
"""Orders at which `total_epsilon` is bounded too: the fixed order is best near the cap, and poor far below it."""

TOLERANCE = 1e-6
"""Relative room between a claim and its recomputation, as at the gate."""


class Priced(Protocol):
    """A charge, as far as admission looks at it."""

    @property
    def cost(self) -> PrivacyCost:
        """What was charged."""
        ...

    @property
    def claim(self) -> Claim:
        """What the release promises."""
        ...

    @property
    def curve(self) -> float:
        """Rényi curve at the population's order, as recorded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One population.

    Attributes:
        cap: the cap in force.
        order: of its filter, fixed at its first charge.
        charges: those that stand.
    """

    cap: Budget
    order: float
    charges: tuple[Priced, ...]


def filter_order(cap: Budget) -> float:
    """The order of `ORDERS` at which Gaussians that use up a cap, and nothing else, fit most rho.

    A Gaussian's curve is order * rho, so this maximises (room at the order) / order.
    """
    orders = ORDERS[ORDERS > 1.01]
    rooms = cap.epsilon - conversion(orders, FILTER_SHARE * cap.delta)
    return float(orders[np.argmax(rooms / orders)])


def epsilon_with(account: Account, cost: PrivacyCost, claim: Claim) -> float:
    """What the total becomes with one release more, by the rule of admission that gives less.

    Args:
        account: what stands, under which cap.
        cost: events the release may emit.
        claim: what the release will promise, checked by `check_price`.

    Returns:
        Epsilon at the cap's delta; the release fits when it is at most the cap's. Infinite where the share of delta for
        discovered lists is used up.
    """
    together = filtered_epsilon(account, cost)
    alone = not account.charges and claim.delta <= account.cap.delta
    return min(together, claim.epsilon) if alone else together


def filtered_epsilon(account: Account, more: PrivacyCost) -> float:
    """Epsilon at the fixed order of all that stands and of one cost more; infinite beyond the share for lists."""
    lists = sum(charge.cost.delta for charge in account.charges) + more.delta
    if lists > DISCOVERY_SHARE * account.cap.delta:
        return math.inf
    curve = _spent(account) + curve_at(more, account.order)
    return curve + float(conversion(np.array([account.order]), FILTER_SHARE * account.cap.delta)[0])


def total_epsilon(account: Account) -> float:
    """Upper bound on the epsilon of all that stands together, at the cap's delta.

    One charge alone counts as its claim. For more it is the best of the fixed order and `REPORT_ORDERS`, each with
    its share of delta, which bounds every adaptive sequence: the failures of all orders together stay within the
    cap's delta. The promise for all time is the cap, not this number.
    """
    cap, charges = account.cap, account.charges
    if not charges:
        return 0.0
    if len(charges) == 1 and charges[0].claim.delta <= cap.delta:
        return charges[0].claim.epsilon
    if sum(charge.cost.delta for charge in charges) > DISCOVERY_SHARE * cap.delta:
        return math.inf
    curve = sum((charge.cost.rdp(REPORT_ORDERS) for charge in charges), np.zeros_like(REPORT_ORDERS))
    others = curve + conversion(REPORT_ORDERS, REPORT_SHARE * cap.delta / len(REPORT_ORDERS))
    return max(0.0, min(filtered_epsilon(account, PrivacyCost()), float(others.min())))


@dataclass(frozen=True, slots=True)
class _More:
    """A charge that is only thought of."""

    cost: PrivacyCost
    claim: Claim
    curve: float


def total_with(account: Account, cost: PrivacyCost, claim: Claim) -> float:
    """What `total_epsilon` would say with one release more, whether or not it fits."""
    more = _More(cost, claim, curve_at(cost, account.order))
    return total_epsilon(replace(account, charges=(*account.charges, more)))


def epsilon_left(account: Account) -> float:
    """The largest epsilon, at the cap's delta, of one more release by a single Gaussian that still fits.

    By PLD, less its discretisation, so that a release of that epsilon is admitted whichever accountant prices it.
    """
    if not account.charges:
        return account.cap.epsilon
    room = account.cap.epsilon - filtered_epsilon(account, PrivacyCost())
    if not room > 0:
        return 0.0
    gaussian = Gaussian(math.sqrt(account.order / (2 * room)))
    return max(0.0, epsilon_of(once(gaussian), account.cap.delta) - 2 * PLD_INTERVAL)


def conversion(orders: Curve, delta: float) -> Curve:
    """What an epsilon at delta adds to a Rényi curve.

    Source: Canonne, Kamath & Steinke 2020, "The discrete Gaussian for differential privacy", proposition 12.
    """
    return np.asarray(np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1), dtype=np.float64)


def curve_at(cost: PrivacyCost, order: float) -> float:
    """The curve at one order, rounded up."""
    return math.nextafter(float(cost.rdp(np.array([order]))[0]), math.inf)


def check_price(cost: PrivacyCost, claim: Claim) -> None:
    """Price the events afresh: a claim is never trusted, and PLD cannot price a selection.

    Raises:
        RequestError: a number is out of range, or the claimed epsilon below the price.
    """
    events = [event for case in cost.cases for event in case.to_json()]
    numbers = [value for event in events for value in event.values() if not isinstance(value, str)]
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


def check_cap(cap: Budget) -> None:
    """Raises RequestError where the cap's epsilon or delta is out of range."""
    if not (0 < cap.epsilon < math.inf and 0 < cap.delta < 1):
        raise _out_of_range("The cap's epsilon is not positive and finite, or its delta not between 0 and 1.")


def _spent(account: Account) -> float:
    """Summed curve at the fixed order.

    Every charge counts as what was recorded or as what its events cost today, whichever is more: a later accountant
    with sharper bounds must not forget what the filter has already counted, nor one with a fault repaired keep it.
    """
    return math.fsum(max(charge.curve, curve_at(charge.cost, account.order)) for charge in account.charges)


def _out_of_range(what: str) -> RequestError:
    return RequestError(what, why="Nothing can be accounted for with it.", fix="Correct the number.")

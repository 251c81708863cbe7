"""What a release buys, part by part of the units: generator and priced gate of training units, card of control units.

Training and control units are disjoint by independent coins, so a unit pays the larger of the two parts and not their
sum (`privacy.cost.Parallel`). What control units are asked therefore costs nothing as long as it stays below what
training units pay; `free_beside` finds the least noise for which it does. What is asked of training units beside the
generator's questions adds to these, and the generator gets what is left of the caller's total.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audits.bought.purchase import Purchase
from audits.release.policy import Gate, Policy
from privacy.accounting import epsilon_of
from privacy.calibration import calibrate
from privacy.cost import ORDERS, Gaussian, Parallel, PrivacyCost, once
from privacy.errors import RequestError
from privacy.filter import PrivacyFilter
from privacy.schema import Budget
from privacy.statement import Line
from synthesizers.protocol import Plan

GATE_SHARE = 0.2
"""Of the caller's budget, in squared noise: what a priced gate asks of training units."""

FITS = (0.99, 1.0)
"""Where the search for the generator's budget ends, as a share of the caller's epsilon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A priced release. Public.

    Attributes:
        generator: the generator's plan.
        gate: counts over training units, and over control units, for a priced gate; None for an exact one.
        card: counts over control units for the public card; None where the policy buys none.
    """

    generator: Plan
    gate: tuple[Purchase, Purchase] | None
    card: Purchase | None

    @property
    def parts(self) -> tuple[PrivacyCost, PrivacyCost]:
        """What a training unit pays, and what a control unit pays."""
        train, control = self.generator.cost, PrivacyCost()
        if self.gate is not None:
            train, control = train + self.gate[0].cost, control + self.gate[1].cost
        if self.card is not None:
            control = control + self.card.cost
        return train, control

    @property
    def cost(self) -> PrivacyCost:
        """What is charged."""
        train, control = self.parts
        return once(Parallel((train, control))) if control.events else train

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is bought, by purpose; those of control units stand beside the rest and do not add to it."""
        found = list(self.generator.lines)
        if self.gate is not None:
            found.append(Line(purpose="priced gate: counts over training units", cost=self.gate[0].cost))
        return (*found, *self.beside)

    @property
    def beside(self) -> tuple[Line, ...]:
        """The lines of control units."""
        found = []
        if self.gate is not None:
            found.append(Line(purpose="priced gate: counts over control units, beside it", cost=self.gate[1].cost))
        if self.card is not None:
            found.append(Line(purpose="public card: counts over control units, beside it", cost=self.card.cost))
        return tuple(found)

    def filters(self, privacy: PrivacyFilter) -> tuple[PrivacyFilter, PrivacyFilter]:
        """The filter of training units and that of control units, from the one the ledger gave."""
        train, control = privacy.parallel(self.parts)
        return train, control


def emitted(train: PrivacyFilter, control: PrivacyFilter) -> PrivacyCost:
    """What both filters let through, as a unit pays for it."""
    return once(Parallel((train.spent, control.spent))) if control.spent.events else train.spent


def price(plan: Callable[[Budget], Plan], budget: Budget, policy: Policy, *, reweighted: bool) -> Price:
    """Divide a budget between generator, gate and card.

    Args:
        plan: the generator's plan within a budget.
        budget: the caller's totals.
        policy: says whether the gate is priced and whether a card is bought.
        reweighted: whether the rows asked for are no plain draw; nothing is bought to compare such rows with.

    Raises:
        RequestError: the policy's gate is priced and the rows are reweighted, or nothing fits the budget.
    """
    if policy.gate is Gate.EXACT:
        whole = plan(budget)
        card = policy.card and not reweighted
        return Price(
            generator=whole,
            gate=None,
            card=Purchase(noise_multiplier=free_beside(whole.cost, budget)) if card else None,
        )
    if reweighted:
        raise RequestError(
            f"Policy '{policy.name}' cannot judge rows drawn under conditions or in shares of somebody's choice.",
            why="Its gate compares bought counts of all units, and the rows asked for are not meant to be like them.",
            fix="Ask for plain rows, or name a policy whose gate is exact.",
        )
    asked = Purchase(noise_multiplier=calibrate(lambda s: once(Gaussian(s)), budget) / math.sqrt(GATE_SHARE))
    generator = _beside(plan, asked.cost, budget)
    least = free_beside(generator.cost + asked.cost, budget)
    shares = 2 if policy.card else 1
    control = Purchase(noise_multiplier=least * math.sqrt(shares))
    return Price(generator=generator, gate=(asked, control), card=control if policy.card else None)


def free_beside(other: PrivacyCost, budget: Budget) -> float:
    """The least noise of a Gaussian on one part of the units that costs nothing beside a mechanism on another part.

    A unit pays the larger of the two (`privacy.cost.Parallel`). This is the smallest noise multiplier whose Rényi curve
    stays below the other's at every order, so that no ledger's total is larger for it, and whose own epsilon at the
    budget's delta is within the budget, so that no claim is.
    """
    curve = other.rdp(ORDERS)
    below = float(np.sqrt(np.max(ORDERS / (2 * np.maximum(curve, 1e-300)))))
    multiplier = below * (1 + 1e-9)
    if epsilon_of(once(Gaussian(multiplier)), budget.delta) > budget.epsilon:
        multiplier = max(multiplier, calibrate(lambda scale: once(Gaussian(scale)), budget))
    return multiplier


def _beside(plan: Callable[[Budget], Plan], other: PrivacyCost, budget: Budget) -> Plan:
    """The generator's plan in what another cost on the same units leaves of a budget.

    Its share is scaled by what the two together miss or exceed; the total moves less than the share does, so that this
    converges. Raises RequestError where it does not.
    """
    share = math.sqrt(1 - GATE_SHARE)
    for _ in range(12):
        made = plan(Budget(epsilon=share * budget.epsilon, delta=budget.delta))
        reached = epsilon_of(made.cost + other, budget.delta) / budget.epsilon
        if FITS[0] <= reached <= FITS[1]:
            return made
        share *= (sum(FITS) / 2) / reached
    raise RequestError(
        "No division of the budget between generator and gate was found.",
        why="The generator's price does not follow its budget closely enough.",
        fix="Ask for another epsilon or delta, or name a policy whose gate is exact.",
    )

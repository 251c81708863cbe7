"""The largest cost within a budget: a monotone search over one number, rounded towards privacy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from scipy.optimize import brentq

from privacy.accounting import Accountant, Claim, accountant_of, epsilon_of
from privacy.cost import PrivacyCost
from privacy.errors import RequestError
from privacy.schema import Budget

MUCH = 700.0
"""Stands for the logarithm of an infinite epsilon."""

CLOSER = 0.85
"""Step of the search below the Rényi answer, which is seldom more than a tenth above that of loss distributions. Less
noise makes wider distributions, which take longer."""

MAX_DELTA = 1e-4
"""Largest delta where no public row count says what one in n would be."""


def calibrate(
    cost_at: Callable[[float], PrivacyCost], budget: Budget, *, low: float = 1e-3, high: float = 1e7
) -> float:
    """The smallest noise scale whose cost fits a budget.

    Args:
        cost_at: the cost at a noise scale; decreasing in it.
        budget: total epsilon and delta.
        low: smallest scale searched.
        high: largest scale searched.

    Guarantees:
        The cost at the returned scale is within the budget; at a scale smaller by one part in 10^6 it is not, unless
        the answer is `low`.

    Raises:
        RequestError: even `high` does not fit, as when discovered lists alone use up the delta.
    """
    accountant = accountant_of(cost_at(high))

    @cache  # a loss distribution with little noise takes a second, and the ends of a bracket are looked at often
    def excess(scale: float, by: Accountant) -> float:
        """Above zero where the cost does not fit; in logs, where it is nearly straight."""
        found = epsilon_of(cost_at(scale), budget.delta, by)
        return math.log(max(found, 1e-300) / budget.epsilon) if math.isfinite(found) else MUCH

    if excess(high, Accountant.RDP) > 0:
        raise RequestError(
            "No amount of noise fits this epsilon and delta.",
            why="What must be bought for the schema already uses the delta up, or the epsilon is next to nothing.",
            fix="Ask for a larger delta or epsilon, or declare categories from a codebook instead of measuring them.",
        )
    # The Rényi bound is cheap and never below the PLD, so it finds the neighbourhood.
    scale = _smallest(lambda s: excess(s, Accountant.RDP), low, high)
    if accountant is Accountant.PLD and scale > low:
        below = max(low, CLOSER * scale)
        while below > low and excess(below, accountant) <= 0:
            scale, below = below, max(low, CLOSER * below)
        return _smallest(lambda s: excess(s, accountant), below, scale)
    return scale


def _smallest(excess: Callable[[float], float], low: float, high: float) -> float:
    """Smallest argument with no excess, to one part in 10^6 and rounded up; `high` is known to have none."""
    if excess(low) <= 0:
        return low
    root = math.exp(brentq(lambda x: excess(math.exp(x)), math.log(low), math.log(high), xtol=1e-7))
    above = root * (1 + 3e-7)
    if above < high and excess(above) <= 0:
        return above
    while high / root >= 1 + 5e-7:  # a kink in the accountant's answer: halve what the root finder left
        middle = math.sqrt(root * high)
        root, high = (root, middle) if excess(middle) <= 0 else (middle, high)
    return high


def check_budget(epsilon: float, delta: float, n_public: int | None) -> Budget:
    """A budget from what a caller wrote. Raises RequestError for what no statement could be made of."""
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise RequestError(
            "Epsilon is not a positive number.",
            why="It bounds how much the release may tell of one unit.",
            fix="Give a number such as 1.",
        )
    if not (math.isfinite(delta) and 0 < delta < 1):
        raise RequestError(
            "Delta is not between 0 and 1.",
            why="It is the probability with which the epsilon may fail to hold.",
            fix="Give a number such as 1e-6.",
        )
    limit = MAX_DELTA if n_public is None else min(1.0 / n_public, 1.0)
    if delta >= limit:
        rule = "1 / n_public" if n_public is not None else f"{MAX_DELTA:g} (no public row count is declared)"
        raise RequestError(
            f"Delta is not below {rule}.",
            why="At that size publishing one whole row at random would satisfy the definition.",
            fix="Ask for a smaller delta, well below one over the number of units.",
        )
    return Budget(epsilon=epsilon, delta=delta)


def claim_for(budget: Budget, cost: PrivacyCost) -> Claim:
    """The promise of a budget, by the accountant of what it buys."""
    return Claim(epsilon=budget.epsilon, delta=budget.delta, accountant=accountant_of(cost))

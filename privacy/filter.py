"""The one door from private to public.

`PrivacyFilter.measure` is the only call that turns a private value into a public one. It refuses, before any noise is
drawn, what would take the run past the curve that was charged for it: at every Rényi order, and in its delta. A
pointwise bound on the curve is a filter in the sense of Rogers et al. 2016 at each fixed order (Feldman & Zrnic 2021,
theorem 3.1), so later mechanisms may be chosen from earlier results.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from privacy.cost import ORDERS, PrivacyCost
from privacy.errors import OverspendError
from privacy.mechanisms import Integers, Mechanism
from privacy.noise import NoiseSource

Measured = TypeVar("Measured")

ROUNDING = 1e-9
"""Relative room for floating-point sums; the gate's tolerance on the recomputed epsilon is a thousand times wider."""


class PrivacyFilter:
    """Spends a charge.

    Args:
        charged: the cost the ledger has recorded for this run.
        noise: the source every draw of this run comes from.
    """

    def __init__(self, charged: PrivacyCost, noise: NoiseSource) -> None:
        self._limit = charged.rdp(ORDERS) * (1 + ROUNDING)
        self._delta = charged.delta * (1 + ROUNDING)
        self._spent = PrivacyCost()
        self.noise = noise

    @property
    def spent(self) -> PrivacyCost:
        """The events emitted so far."""
        return self._spent

    def measure(self, mechanism: Mechanism[Measured], value: Integers) -> Measured:
        """Spend the mechanism's cost, then draw it. Raises OverspendError before any noise is drawn."""
        self.spend(mechanism.cost)
        return mechanism.draw(value, self.noise)

    def spend(self, cost: PrivacyCost) -> None:
        """Record a cost, or refuse it. Only mechanisms that draw their own noise call this directly."""
        total = self._spent + cost
        if np.any(total.rdp(ORDERS) > self._limit) or total.delta > self._delta:
            raise OverspendError(
                "A mechanism asked for more than the plan had charged.",
                why="The statement would be false; nothing was drawn.",
                fix="This is a defect of the synthesizer: its plan and its fit disagree.",
            )
        self._spent = total

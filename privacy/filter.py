"""The one door from private to public.

`PrivacyFilter.measure` is the only call that turns a private value into a public one. It refuses, before any noise is
drawn, what would take the run past the curve that was charged for it: at every Rényi order, and in its delta. A
pointwise bound on the curve is a filter in the sense of Rogers et al. 2016 at each fixed order (Feldman & Zrnic 2021,
theorem 3.1), so later mechanisms may be chosen from earlier results.

A run that may be stopped and go on has a transcript: every answer is kept before it is given, and given again, not
drawn again, by the run that goes on. Why that is one run of what was charged is in `privacy.transcript`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from privacy.cost import ORDERS, Parallel, PrivacyCost, once
from privacy.errors import OverspendError
from privacy.mechanisms import Bools, Integers, Mechanism, SampledGaussianMechanism
from privacy.noise import NoiseSource
from privacy.transcript import Transcript

Measured = TypeVar("Measured")

ROUNDING = 1e-9
"""Relative room for floating-point sums; the gate's tolerance on the recomputed epsilon is a thousand times wider."""


class PrivacyFilter:
    """Spends a charge.

    Args:
        charged: the cost the ledger has recorded for this run.
        noise: the source every draw of this run comes from.
        kept: where its answers are kept; None for a run that is not gone on from.
    """

    def __init__(self, charged: PrivacyCost, noise: NoiseSource, kept: Transcript | None = None) -> None:
        self._limit = charged.rdp(ORDERS) * (1 + ROUNDING)
        self._delta = charged.delta * (1 + ROUNDING)
        self._spent = PrivacyCost()
        self._curve = np.zeros_like(ORDERS)
        self.noise = noise
        self.kept = kept

    @property
    def spent(self) -> PrivacyCost:
        """The events emitted so far."""
        return self._spent

    def measure(self, mechanism: Mechanism[Measured], value: Integers) -> Measured:
        """Spend the mechanism's cost, then draw it. Raises OverspendError before any noise is drawn."""
        self.spend(mechanism.cost)
        return self._once(str(mechanism), mechanism.cost, lambda: mechanism.draw(value, self.noise))

    def measure_sample(
        self, mechanism: SampledGaussianMechanism, units: Integers, sum_of: Callable[[Bools], Integers]
    ) -> Integers:
        """Spend the mechanism's cost, draw its sample, and publish the sum over it with noise.

        Args:
            mechanism: how likely units are to take part, and the noise.
            units: the units of the table, each once, shape (n,).
            sum_of: the sum over the units of a mask, shape (n,); an empty sample has one too. The mask is private.

        Raises:
            OverspendError: before anything is drawn.
        """
        self.spend(mechanism.cost)

        def draw() -> Integers:
            return mechanism.draw(sum_of(mechanism.sample(len(units), self.noise)), self.noise)

        return self._once(str(mechanism), mechanism.cost, draw)

    def shards(self, units: Integers, n_shards: int) -> Integers:
        """A shard for every unit, by its own secret coin, each as likely: shape of `units`. Private, hence free."""
        coins = [1 / n_shards] * n_shards
        return self._once(f"shards among {n_shards}", PrivacyCost(), lambda: self.noise.categories(coins, len(units)))

    def secret(self, name: str, draw: Callable[[], bytes]) -> bytes:
        """Bytes that are the same in a run that goes on. Private, hence free."""
        return self._once(name, PrivacyCost(), draw)

    def keep(self, name: str, state: Callable[[], bytes]) -> None:
        """Keep a state computed from the answers so far, for a run that goes on; otherwise nothing."""
        if self.kept is not None:
            self.kept.keep(name, state())

    def resumed(self, name: str) -> bytes | None:
        """The state a stopped run kept last; what it had been answered by then is spent again, and not asked."""
        found = None if self.kept is None else self.kept.resumed(name)
        if found is None:
            return None
        self.spend(found[1])
        return found[0]

    def parallel(self, costs: Sequence[PrivacyCost]) -> tuple[PrivacyFilter, ...]:
        """A filter for each of disjoint parts of the units (`privacy.cost.Parallel`), each with its own limit.

        Their parallel composition is spent here, whole, before any of them is used. That a part's filter is asked of
        that part's units alone is the caller's to keep. They share the transcript, since a run that goes on asks in the
        same order. Raises OverspendError as `measure` does.
        """
        self.spend(once(Parallel(tuple(costs))))
        return tuple(PrivacyFilter(cost, self.noise, self.kept) for cost in costs)

    def spend(self, cost: PrivacyCost) -> None:
        """Record a cost, or refuse it. Only mechanisms that draw their own noise call this directly."""
        total = self._spent + cost
        curve = self._curve + cost.rdp(ORDERS)
        if np.any(curve > self._limit) or total.delta > self._delta:
            raise OverspendError(
                "A mechanism asked for more than the plan had charged.",
                why="The statement would be false; nothing was drawn.",
                fix="This is a defect of the synthesizer: its plan and its fit disagree.",
            )
        self._spent, self._curve = total, curve

    def _once(self, question: str, cost: PrivacyCost, draw: Callable[[], Measured]) -> Measured:
        return draw() if self.kept is None else self.kept.answer(question, cost, draw)

"""What is said of every histogram: drift proven, steady, or neither; with one rate of false alarms for a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from numpy.random import Generator

from audits.drift.contrast import Move, Shift, Side, compare, risen
from audits.drift.histograms import Histogram
from audits.finding import Interval
from audits.release.family import rejected


class State(StrEnum):
    """Of one test. Neither proven nor excluded is an answer of its own: the budget did not buy more."""

    DRIFT = "drift"
    STEADY = "steady"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One histogram compared.

    Attributes:
        histogram: what was compared.
        shift: how far apart the two are.
        state: what that proves against the tolerance, all tests of the run together.
    """

    histogram: Histogram
    shift: Shift
    state: State

    @property
    def moves(self) -> tuple[tuple[str, Move], ...]:
        """Cells that changed for certain, by what they are called."""
        return tuple((self.histogram.cells[move.cell], move) for move in self.shift.moves)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewValues:
    """Values that are not in a column's list: rise of their share since the release.

    Attributes:
        column: the column.
        before, after: shares, at least 0.
        rise: after less before, with noise.
        interval: one-sided 95% bounds on the rise.
        state: DRIFT where a rise is proven, all tests of the run together; UNCLEAR otherwise.
    """

    column: str
    before: float
    after: float
    rise: float
    interval: Interval
    state: State


def judge(
    histograms: Sequence[Histogram],
    later: Sequence[Side],
    *,
    cluster: int,
    tolerance: float,
    false_alarms: float,
    rng: Generator,
) -> tuple[tuple[Told, ...], tuple[NewValues, ...]]:
    """Compare every histogram, and look for values outside every list.

    Args:
        histograms: the earlier sides.
        later: the new version's, in the same order.
        cluster: rows of one person at most.
        tolerance: total variation distance that is no drift.
        false_alarms: probability that a run tells of any drift while every distance is within the tolerance and no
            share of unlisted values has risen, at most.
        rng: draws the null.
    """
    pairs = list(zip(histograms, later, strict=True))
    shifts = [
        compare(h.earlier, side, ordered=h.ordered, cluster=cluster, tolerance=tolerance, rng=rng) for h, side in pairs
    ]
    open_lists = [(h, side) for h, side in pairs if h.unlisted]
    rises = [risen(h.earlier, side, h.unlisted, cluster=cluster) for h, side in open_lists]
    p_values = [shift.p_value for shift in shifts] + [p for _, _, p in rises]
    proven = rejected(p_values, [1.0] * len(p_values), false_alarms)
    told = tuple(
        Told(histogram=h, shift=shift, state=_state(drift, shift, tolerance))
        for (h, _), shift, drift in zip(pairs, shifts, proven, strict=False)
    )
    new = tuple(
        NewValues(
            column=h.columns[0],
            before=max(0.0, float(h.earlier.shares[list(h.unlisted)].sum())),
            after=max(0.0, float(side.shares[list(h.unlisted)].sum())),
            rise=rise,
            interval=interval,
            state=State.DRIFT if drift else State.UNCLEAR,
        )
        for (h, side), (rise, interval, _), drift in zip(open_lists, rises, proven[len(shifts) :], strict=True)
    )
    return told, new


def overall(told: Sequence[Told], new: Sequence[NewValues]) -> State:
    """Of a whole run: drift where any is proven, steady where every histogram is, else unclear."""
    states = [one.state for one in told]
    if State.DRIFT in states or any(one.state is State.DRIFT for one in new):
        return State.DRIFT
    return State.STEADY if set(states) == {State.STEADY} else State.UNCLEAR


def _state(drift: bool, shift: Shift, tolerance: float) -> State:
    if drift:
        return State.DRIFT
    return State.STEADY if shift.interval.high <= tolerance else State.UNCLEAR

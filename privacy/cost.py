"""What a computation reveals: events as they happened, each with its Rényi curve.

A cost is a description, an epsilon comes last (`privacy.accounting`). Events are frozen, can be stored in a ledger and
priced by any accountant; multiplicity is applied in `PrivacyCost` and nowhere else, because a version of a well-known
accountant forgets it for one event.

Sources: Mironov 2017, "Rényi differential privacy" (Gaussian, pure DP); Bun & Steinke 2016, "Concentrated DP";
Rogers & Steinke 2021, "A better privacy analysis of the exponential mechanism" (epsilon^2 / 8 zCDP).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp, xlog1py, xlogy

Curve: TypeAlias = npt.NDArray[np.float64]

ORDERS: Curve = np.unique(
    np.concatenate([1 + np.geomspace(1e-4, 1, 60), np.geomspace(2, 64, 400), np.geomspace(64, 1e6, 240)])
)
"""Rényi orders every curve is kept at; dense where epsilons of .1 to 10 at delta 1e-4 to 1e-12 find their best."""

MAX_SAMPLED_ORDER = 1024


class Event(Protocol):
    """One thing that happened to private rows."""

    kind: ClassVar[str]

    def rdp(self, orders: Curve) -> Curve:
        """Rényi divergence bound at each order, shape of `orders`."""
        ...


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Gaussian noise of `noise_multiplier` times the L2 sensitivity was added once."""

    noise_multiplier: float
    kind: ClassVar[str] = "gaussian"

    def rdp(self, orders: Curve) -> Curve:
        """Order / (2 noise_multiplier^2) (Mironov 2017, corollary 3)."""
        return orders / (2 * self.noise_multiplier**2)


@dataclass(frozen=True, slots=True)
class Exponential:
    """One selection by the exponential mechanism, epsilon-DP."""

    epsilon: float
    kind: ClassVar[str] = "exponential"

    def rdp(self, orders: Curve) -> Curve:
        """Order * epsilon^2 / 8 (Rogers & Steinke 2021, lemma 3.2), never above epsilon."""
        return np.minimum(orders * self.epsilon**2 / 8, self.epsilon)


@dataclass(frozen=True, slots=True)
class ZeroConcentrated:
    """A budget for adaptive rounds: Gaussians and selections whose rhos add up to at most `rho`."""

    rho: float
    kind: ClassVar[str] = "zcdp"

    def rdp(self, orders: Curve) -> Curve:
        """Order * rho (Bun & Steinke 2016, definition 1.1)."""
        return orders * self.rho


@dataclass(frozen=True, slots=True)
class Laplace:
    """Discrete Laplace noise of `noise_multiplier` times the L1 sensitivity was added once, to integers.

    Not the continuous curve (Mironov 2017, table II): on integers the noise costs more than that, by 19% at order 2 for
    noise multiplier 1. At sensitivity 1 each output has a loss of plus or minus epsilon = 1 / noise_multiplier: this is
    randomized response, the worst of all epsilon-DP mechanisms (Kairouz, Oh & Viswanath 2015, theorem 3.3). At larger
    sensitivities its curve is a bound.
    """

    noise_multiplier: float
    kind: ClassVar[str] = "laplace"

    def rdp(self, orders: Curve) -> Curve:
        """Of randomized response (Mironov 2017, proposition 5).

        Its moment is 1 + 2 sinh(order epsilon / 2) sinh((order - 1) epsilon / 2) / cosh(epsilon / 2), here in logs: the
        textbook sum overflows at high orders and cancels to zero at small epsilon.
        """
        epsilon = 1 / self.noise_multiplier
        excess = orders - 1
        log_sinhs = np.log(-np.expm1(-orders * epsilon)) + np.log(-np.expm1(-excess * epsilon))
        log_moment: Curve = np.logaddexp(0, excess * epsilon + log_sinhs - np.log1p(np.exp(-epsilon)))
        return log_moment / excess


@dataclass(frozen=True, slots=True)
class SampledGaussian:
    """A Gaussian sum over a Poisson sample: each unit took part with probability `sampling_rate`."""

    sampling_rate: float
    noise_multiplier: float
    kind: ClassVar[str] = "sampled-gaussian"

    def rdp(self, orders: Curve) -> Curve:
        """Mironov, Talwar & Zhang 2019, "Rényi DP of the sampled Gaussian mechanism", section 3.3, at whole orders.

        Between whole orders the chord stands: order - 1 times the divergence is convex in the order. Above
        `MAX_SAMPLED_ORDER`, where no budget of use finds its best, the plain Gaussian's curve does: sampling never
        costs more.
        """
        curve = Gaussian(self.noise_multiplier).rdp(orders)
        series = orders <= MAX_SAMPLED_ORDER
        inside = orders[series]
        moments = _log_moments(self.sampling_rate, self.noise_multiplier)
        sampled = np.interp(inside, np.arange(1, len(moments) + 1), moments) / (inside - 1)
        # The series cancels where the noise is very large; its first term does not. The larger never understates.
        first = inside * self.sampling_rate**2 / (2 * self.noise_multiplier**2)
        curve[series] = np.minimum(curve[series], np.maximum(sampled, first))
        return curve


@lru_cache(maxsize=256)
def _log_moments(rate: float, noise_multiplier: float) -> Curve:
    """Logarithm of the moment at orders 1 to `MAX_SAMPLED_ORDER`; kept, since a training has one event many times.

    The sum over k of binomial(order, k) (1 - rate)^(order - k) rate^k exp(k (k - 1) / (2 noise_multiplier^2)).
    """
    k = np.arange(MAX_SAMPLED_ORDER + 1, dtype=np.float64)
    order = k[1:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        binomial = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
        terms = binomial + xlogy(k, rate) + xlog1py(order - k, -rate) + k * (k - 1) / (2 * noise_multiplier**2)
    found: Curve = logsumexp(np.where(k <= order, terms, -np.inf), axis=1)
    return np.maximum(found, 0.0)


@dataclass(frozen=True, slots=True)
class Discovery:
    """A thresholded list of levels was published: its failure probability `delta`, beside the noise it paid for."""

    delta: float
    kind: ClassVar[str] = "discovery"

    def rdp(self, orders: Curve) -> Curve:
        """Zero: the noise has its own event, and the delta is added to the total delta."""
        return np.zeros_like(orders)


@dataclass(frozen=True, slots=True)
class Parallel:
    """Mechanisms on disjoint parts of the units: independent coins assign each unit to one part, whose price it pays.

    Parallel composition (McSherry 2009, "Privacy integrated queries", theorem 4), here with randomly assigned parts and
    parts that read each other's answers. Let D' be D without one unit. Hold all coins. Without the unit the run is the
    same whatever its own coin was; with it, only the mechanisms of the part it falls into have another input, and they
    are an adaptive composition of that part's events. So under each outcome of its coin the two runs are as close as
    that part's price says. The runs are mixtures of these with equal weights, and neither Rényi divergences (van Erven
    & Harremoës 2014, theorem 13: joint quasi-convexity) nor hockey-stick divergences (joint convexity) of mixtures
    exceed the largest of the parts'. A mechanism that reads units of two parts stands in both.

    Attributes:
        parts: the price of every part.
    """

    parts: tuple[PrivacyCost, ...]
    kind: ClassVar[str] = "parallel"

    def rdp(self, orders: Curve) -> Curve:
        """The largest of the parts' curves, at each order."""
        curve: Curve = np.max([part.rdp(orders) for part in self.parts], axis=0)
        return curve

    @property
    def delta(self) -> float:
        """The largest failure probability of a part."""
        return max(part.delta for part in self.parts)


KINDS: dict[str, type[Any]] = {
    c.kind: c for c in (Gaussian, Exponential, ZeroConcentrated, Laplace, SampledGaussian, Discovery, Parallel)
}


@dataclass(frozen=True, slots=True)
class PrivacyCost:
    """Events and how often each happened."""

    events: tuple[tuple[Event, int], ...] = field(default=())

    def __add__(self, other: PrivacyCost) -> PrivacyCost:
        return PrivacyCost(self.events + other.events)

    def __mul__(self, times: int) -> PrivacyCost:
        return PrivacyCost(tuple((event, n * times) for event, n in self.events))

    def rdp(self, orders: Curve) -> Curve:
        """The composed Rényi curve."""
        return sum((n * event.rdp(orders) for event, n in self.events), np.zeros_like(orders))

    @property
    def delta(self) -> float:
        """Failure probabilities to be added to an accountant's delta."""
        return sum(n * event.delta for event, n in self.events if isinstance(event, Discovery | Parallel))

    @property
    def cases(self) -> tuple[PrivacyCost, ...]:
        """What one unit may pay: a cost without `Parallel` for every way it may fall into the parts of each."""
        cases = [PrivacyCost(tuple((event, n) for event, n in self.events if not isinstance(event, Parallel)))]
        for event, n in self.events:
            if isinstance(event, Parallel):
                parts = [case for part in event.parts for case in part.cases]
                falls = [sum(fall, PrivacyCost()) for fall in combinations_with_replacement(parts, n)]
                cases = [case + fall for case in cases for fall in falls]
        return tuple(cases)

    @property
    def merged(self) -> PrivacyCost:
        """The same cost with equal events counted together, in a canonical order."""
        counts: dict[Event, int] = {}
        for event, n in self.events:
            one = Parallel(tuple(part.merged for part in event.parts)) if isinstance(event, Parallel) else event
            counts[one] = counts.get(one, 0) + n
        return PrivacyCost(tuple(sorted(counts.items(), key=lambda item: repr(item[0]))))

    def to_json(self) -> list[dict[str, Any]]:
        """Events as plain values, for ledger and statement."""
        return [{"event": event.kind, **_fields(event), "count": n} for event, n in self.merged.events]

    @staticmethod
    def from_json(written: Sequence[Mapping[str, Any]]) -> PrivacyCost:
        """The cost that `to_json` wrote. Raises KeyError or TypeError for anything else."""
        events = []
        for entry in written:
            values = {key: value for key, value in entry.items() if key not in ("event", "count")}
            if "parts" in values:
                values["parts"] = tuple(PrivacyCost.from_json(part) for part in values["parts"])
            events.append((KINDS[entry["event"]](**values), int(entry["count"])))
        return PrivacyCost(tuple(events))


def once(event: Event) -> PrivacyCost:
    """The cost of one event."""
    return PrivacyCost(((event, 1),))


def _fields(event: Event) -> dict[str, Any]:
    if isinstance(event, Parallel):
        return {"parts": [part.to_json() for part in event.parts]}
    return asdict(event)  # type: ignore[call-overload,no-any-return]

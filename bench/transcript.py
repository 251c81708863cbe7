"""What passed the door: recording a fit, and replaying it on a neighbouring table.

A recording filter keeps every private value beside what was published of it. A replaying filter runs a second fit on
another table, answers every question with what was published the first time, and keeps the values it would have
answered with. Two aligned transcripts show by how much a unit moves each measured vector, and give the likelihood ratio
of the whole run: the best statistic any attacker could have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from scipy.special import log_softmax
from scipy.stats import norm

from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.mechanisms import (
    Bools,
    ExponentialMechanism,
    GaussianMechanism,
    Integers,
    Mechanism,
    SampledGaussianMechanism,
)
from privacy.noise import NoiseSource

Measured = TypeVar("Measured")

SUSPICION = 1e-3
"""Prior weight of a question having been answered without noise. Were it zero, noise forgotten on one question of many
would go unseen: under the declared noise an answer equal to the private value tells no more than one next to it."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One question: the mechanism, the private value it was asked of, and the published answer.

    Where a sample was drawn and the table has the unit in question, `value` is the sum had it been drawn and
    `unsampled` the sum had it not: the answer is of the first with the sampling rate as its probability.
    """

    mechanism: Mechanism[Any] | SampledGaussianMechanism
    value: Integers
    answer: Any
    unsampled: Integers | None = None


@dataclass(slots=True)
class Transcript:
    """Everything that passed, in order; and every unit's coins, for samples and shards, in theirs."""

    passages: list[Passage] = field(default_factory=list)
    coins: list[dict[int, int]] = field(default_factory=list)


class RecordingFilter(PrivacyFilter):
    """A filter that keeps what it saw.

    Args:
        charged: as of any filter.
        noise: as of any filter.
        unit: the unit in question, where the table has it.
    """

    def __init__(self, charged: PrivacyCost, noise: NoiseSource, unit: int | None = None) -> None:
        super().__init__(charged, noise)
        self.transcript = Transcript()
        self._unit = unit

    def measure(self, mechanism: Mechanism[Measured], value: Integers) -> Measured:
        """Measure, and keep value and answer."""
        answer = super().measure(mechanism, value)
        self.transcript.passages.append(Passage(mechanism, value.copy(), answer))
        return answer

    def measure_sample(
        self, mechanism: SampledGaussianMechanism, units: Integers, sum_of: Callable[[Bools], Integers]
    ) -> Integers:
        """Measure, and keep coins, sums and answer."""
        self.spend(mechanism.cost)
        taken = mechanism.sample(len(units), self.noise)
        self.transcript.coins.append(_by_unit(units, taken))
        answer = mechanism.draw(sum_of(taken), self.noise)
        value, unsampled = _sums(units, taken, self._unit, sum_of)
        self.transcript.passages.append(Passage(mechanism, value, answer, unsampled))
        return answer

    def shards(self, units: Integers, n_shards: int) -> Integers:
        """Shards, kept."""
        drawn = super().shards(units, n_shards)
        self.transcript.coins.append(_by_unit(units, drawn))
        return drawn


class ReplayingFilter(PrivacyFilter):
    """A filter that answers as an earlier run was answered, and lets every unit's coins fall as they fell.

    Args:
        charged: as of any filter.
        noise: draws the coins of a unit the earlier run did not have.
        script: the earlier run.
        unit: the unit in question, where the table has it.
    """

    def __init__(self, charged: PrivacyCost, noise: NoiseSource, script: Transcript, unit: int | None = None) -> None:
        super().__init__(charged, noise)
        self.transcript = Transcript()
        self._script, self._coins = iter(script.passages), iter(script.coins)
        self._unit = unit

    def measure(self, mechanism: Mechanism[Measured], value: Integers) -> Measured:
        """Spend as usual, keep the value, give the recorded answer. Raises ValueError where the runs part ways."""
        self.spend(mechanism.cost)
        answer: Measured = self._answered(mechanism, value, None)
        return answer

    def measure_sample(
        self, mechanism: SampledGaussianMechanism, units: Integers, sum_of: Callable[[Bools], Integers]
    ) -> Integers:
        """The same for a sample; a unit that has no coin yet is not drawn."""
        self.spend(mechanism.cost)
        fell = next(self._coins)
        taken = np.array([bool(fell.get(int(unit), 0)) for unit in units], dtype=np.bool_)
        self.transcript.coins.append(_by_unit(units, taken))
        answer: Integers = self._answered(mechanism, *_sums(units, taken, self._unit, sum_of))
        return answer

    def shards(self, units: Integers, n_shards: int) -> Integers:
        """The recorded shards; a fresh one for a unit that has none."""
        fell, fresh = next(self._coins), super().shards(units, n_shards)
        drawn = np.array([fell.get(int(u), int(f)) for u, f in zip(units, fresh, strict=True)], dtype=np.int64)
        self.transcript.coins.append(_by_unit(units, drawn))
        return drawn

    def _answered(
        self, mechanism: Mechanism[Any] | SampledGaussianMechanism, value: Integers, unsampled: Integers | None
    ) -> Any:
        before = next(self._script)
        if before.mechanism != mechanism or before.value.shape != value.shape:
            raise ValueError("the two runs ask different questions")
        self.transcript.passages.append(Passage(mechanism, value.copy(), before.answer, unsampled))
        return before.answer


def _by_unit(units: Integers, coins: Integers | Bools) -> dict[int, int]:
    return dict(zip(units.tolist(), coins.astype(np.int64).tolist(), strict=True))


def _sums(
    units: Integers, taken: Bools, unit: int | None, sum_of: Callable[[Bools], Integers]
) -> tuple[Integers, Integers | None]:
    """The sum with the unit in question drawn, and not drawn; of a table without it, the one sum there is."""
    own = np.zeros(len(units), dtype=np.bool_) if unit is None else units == unit
    if not own.any():
        return sum_of(taken), None
    return sum_of(taken | own), sum_of(taken & ~own)


def log_likelihood_ratio(with_unit: Transcript, without: Transcript) -> float:
    """Log P(answers | values with the unit) - log P(answers | values without it), over aligned transcripts."""
    total = 0.0
    for a, b in zip(with_unit.passages, without.passages, strict=True):
        total += _log_density(a) - _log_density(b)
    return total


def kullback_leibler(ran: Transcript, other: Transcript) -> float:
    """Divergence of what each question's answer told, given the answers before it, summed over aligned transcripts.

    Its mean over runs of P, `other` being their replay on Q, is KL(P || Q) of the whole transcript by the chain rule
    (Cover & Thomas 2006, theorem 2.5.3). It is of the mechanisms as declared and looks at no answer but through the
    questions it led to; the Gaussian is taken before it is rounded, which can only overstate.

    Returns:
        In nats, at least 0. A rho-zCDP mechanism allows rho at most on average (Bun & Steinke 2016, definition 1.1).

    Raises:
        TypeError: no divergence is written for a mechanism.
    """
    return sum(_divergence(a, b) for a, b in zip(ran.passages, other.passages, strict=True))


def differences(with_unit: Transcript, without: Transcript) -> Sequence[tuple[Mechanism[Any], Integers]]:
    """The change of every private value, with the mechanism that declares how large it may be."""
    return [(a.mechanism, a.value - b.value) for a, b in zip(with_unit.passages, without.passages, strict=True)]


def _divergence(ran: Passage, other: Passage) -> float:
    """KL divergence of the answer in one run from the answer in another."""
    match ran.mechanism:
        case GaussianMechanism(stddev=stddev):
            return float((((ran.value - other.value) / stddev) ** 2).sum() / 2)
        case SampledGaussianMechanism(sampling_rate=rate, stddev=stddev):
            with_unit, without = (ran, other) if ran.unsampled is not None else (other, ran)
            shift = float(np.linalg.norm((with_unit.value - without.value) / stddev))
            return _sampled_divergence(rate, shift, from_sampled=ran is with_unit)
        case ExponentialMechanism(sensitivity=sensitivity, epsilon=epsilon):
            scale = epsilon / (2 * sensitivity)
            here, there = log_softmax(scale * ran.value), log_softmax(scale * other.value)
            return float((np.exp(here) * (here - there)).sum())
        case _:
            raise TypeError("no divergence is written for this mechanism")


def _sampled_divergence(rate: float, shift: float, *, from_sampled: bool) -> float:
    """KL divergence between (1 - rate) N(0, 1) + rate N(shift, 1) and N(0, 1), by quadrature.

    Args:
        rate: probability of the shift.
        shift: in standard deviations.
        from_sampled: of the mixture from the normal, or the other way.
    """
    x = np.linspace(-10.0, shift + 10.0, 4001)
    plain = norm.logpdf(x)
    with np.errstate(divide="ignore"):  # at rate 1 nothing is left of the plain part
        mixed = np.logaddexp(np.log1p(-rate) + plain, np.log(rate) + norm.logpdf(x, loc=shift))
    density, ratio = (mixed, mixed - plain) if from_sampled else (plain, plain - mixed)
    return float(np.trapezoid(np.exp(density) * ratio, x))


def _log_density(passage: Passage) -> float:
    """Of an answer, perhaps given without noise."""
    answer, value = passage.answer, passage.value
    match passage.mechanism:
        case GaussianMechanism(stddev=stddev):
            noisy, exact = _log_normal(answer, value, stddev), bool((answer == value).all())
        case SampledGaussianMechanism(sampling_rate=rate, stddev=stddev):
            noisy, exact = _log_normal(answer, value, stddev), bool((answer == value).all())
            if passage.unsampled is not None:
                plain = _log_normal(answer, passage.unsampled, stddev)
                with np.errstate(divide="ignore"):
                    noisy = float(np.logaddexp(np.log(rate) + noisy, np.log1p(-rate) + plain))
                exact |= bool((answer == passage.unsampled).all())
        case ExponentialMechanism(sensitivity=sensitivity, epsilon=epsilon):
            noisy = float(log_softmax(value * (epsilon / (2 * sensitivity)))[answer])
            exact = bool(value[answer] == value.max())
        case _:
            raise TypeError("no density is written for this mechanism")
    return float(np.logaddexp(np.log1p(-SUSPICION) + noisy, np.log(SUSPICION) if exact else -np.inf))


def _log_normal(answer: Integers, value: Integers, stddev: float) -> float:
    off = np.asarray(answer - value, dtype=np.float64) / stddev
    return float(-(off**2 / 2 + np.log(stddev * np.sqrt(2 * np.pi))).sum())

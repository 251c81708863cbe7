"""What passed the door: recording a fit, and replaying it on a neighbouring table.

A recording filter keeps every private value beside what was published of it. A replaying filter runs a second fit on
another table, answers every question with what was published the first time, and keeps the values it would have
answered with. Two aligned transcripts show by how much a unit moves each measured vector, and give the likelihood ratio
of the whole run: the best statistic any attacker could have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from scipy.special import log_softmax

from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.mechanisms import ExponentialMechanism, GaussianMechanism, Integers, Mechanism
from privacy.noise import NoiseSource

Measured = TypeVar("Measured")

SUSPICION = 1e-3
"""Prior weight of a question having been answered without noise. Were it zero, noise forgotten on one question of many
would go unseen: under the declared noise an answer equal to the private value tells no more than one next to it."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One question: the mechanism, the private value it was asked of, and the published answer."""

    mechanism: Mechanism[Any]
    value: Integers
    answer: Any


@dataclass(slots=True)
class Transcript:
    """Everything that passed, in order."""

    passages: list[Passage] = field(default_factory=list)


class RecordingFilter(PrivacyFilter):
    """A filter that keeps what it saw."""

    def __init__(self, charged: PrivacyCost, noise: NoiseSource) -> None:
        super().__init__(charged, noise)
        self.transcript = Transcript()

    def measure(self, mechanism: Mechanism[Measured], value: Integers) -> Measured:
        """Measure, and keep value and answer."""
        answer = super().measure(mechanism, value)
        self.transcript.passages.append(Passage(mechanism, value.copy(), answer))
        return answer


class ReplayingFilter(PrivacyFilter):
    """A filter that answers as an earlier run was answered."""

    def __init__(self, charged: PrivacyCost, noise: NoiseSource, script: Transcript) -> None:
        super().__init__(charged, noise)
        self.transcript = Transcript()
        self._script = iter(script.passages)

    def measure(self, mechanism: Mechanism[Measured], value: Integers) -> Measured:
        """Spend as usual, keep the value, give the recorded answer. Raises ValueError where the runs part ways."""
        self.spend(mechanism.cost)
        before = next(self._script)
        if before.mechanism != mechanism or before.value.shape != value.shape:
            raise ValueError("the two runs ask different questions")
        self.transcript.passages.append(Passage(mechanism, value.copy(), before.answer))
        answer: Measured = before.answer
        return answer


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
    return sum(_divergence(a.mechanism, a.value, b.value) for a, b in zip(ran.passages, other.passages, strict=True))


def differences(with_unit: Transcript, without: Transcript) -> Sequence[tuple[Mechanism[Any], Integers]]:
    """The change of every private value, with the mechanism that declares how large it may be."""
    return [(a.mechanism, a.value - b.value) for a, b in zip(with_unit.passages, without.passages, strict=True)]


def _divergence(mechanism: Mechanism[Any], ran: Integers, other: Integers) -> float:
    """KL divergence of the answer on one value from the answer on another."""
    match mechanism:
        case GaussianMechanism(stddev=stddev):
            return float((((ran - other) / stddev) ** 2).sum() / 2)
        case ExponentialMechanism(sensitivity=sensitivity, epsilon=epsilon):
            rate = epsilon / (2 * sensitivity)
            here, there = log_softmax(rate * ran), log_softmax(rate * other)
            return float((np.exp(here) * (here - there)).sum())
        case _:
            raise TypeError("no divergence is written for this mechanism")


def _log_density(passage: Passage) -> float:
    """Of an answer, perhaps given without noise."""
    match passage.mechanism:
        case GaussianMechanism(stddev=stddev):
            off = np.asarray(passage.answer - passage.value, dtype=np.float64)
            noisy = float(-((off / stddev) ** 2 / 2 + np.log(stddev * np.sqrt(2 * np.pi))).sum())
            exact = not off.any()
        case ExponentialMechanism(sensitivity=sensitivity, epsilon=epsilon):
            noisy = float(log_softmax(passage.value * (epsilon / (2 * sensitivity)))[passage.answer])
            exact = bool(passage.value[passage.answer] == passage.value.max())
        case _:
            raise TypeError("no density is written for this mechanism")
    return float(np.logaddexp(np.log1p(-SUSPICION) + noisy, np.log(SUSPICION) if exact else -np.inf))

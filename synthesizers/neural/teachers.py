"""Teachers: one logistic regression a shard, trained on its real rows and on generated ones; only votes leave.

Every unit is in exactly one shard, by its own secret coin, for good. A teacher sees its shard and generated rows, so
one unit changes one teacher, hence every count of votes by at most 1: k labels move by at most sqrt(k) in L2. Training
is the same arithmetic for all teachers at once, without randomness. A teacher whose shard is empty sees generated rows
alone.
Sources: Papernot et al. 2017, "Semi-supervised knowledge transfer for deep learning from private training data"
(PATE); Jordon, Yoon & van der Schaar 2019, "PATE-GAN". Votes are released with Gaussian noise, whatever they were:
data-dependent accounts are functions of private votes (generators.md 2.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from privacy.columns import Floats
from privacy.mechanisms import Integers

STEPS = 25
LEARNING_RATE = 1.0
PENALTY = 1e-2
"""Weight of the squared norm of a teacher's coefficients."""

TIE = 1e-9
"""Log-odds within this of even count as even, and a row that is as likely real as not is called real."""


@dataclass(slots=True)
class Teachers:
    """The teachers and their shards. All of it private.

    Attributes:
        width: cells of all columns.
        n_teachers: number of shards.
        places: where each real row's ones are, shape (n, d).
        shard: of each real row, shape (n,).
        weights: coefficients of every teacher, shape (teachers, width).
        bias: intercepts, shape (teachers,).
    """

    width: int
    n_teachers: int
    places: npt.NDArray[np.int64]
    shard: npt.NDArray[np.int64]
    weights: Floats
    bias: Floats

    def train(self, fakes: npt.NDArray[np.int64]) -> None:
        """Gradient descent from zero, every time anew.

        A teacher that went on from where it was would come to know its few real rows, but not the generated ones, which
        change: it would call whatever is rare generated.

        Args:
            fakes: places of generated rows, shape (m, d); teacher t sees rows t, t + teachers, ...
        """
        seen_by = np.arange(len(fakes)) % self.n_teachers
        places = np.concatenate([self.places, fakes])
        teacher = np.concatenate([self.shard, seen_by])
        label = np.repeat([1.0, 0.0], [len(self.places), len(fakes)])
        # Each class weighs half, so that a teacher votes on the row and not on the size of its shard.
        real_rows = np.bincount(self.shard, minlength=self.n_teachers)
        fake_rows = np.bincount(seen_by, minlength=self.n_teachers)
        weight = 0.5 / np.concatenate([real_rows[self.shard], fake_rows[seen_by]])
        flat = teacher[:, None] * self.width + places
        self.weights[:], self.bias[:] = 0.0, 0.0
        for _ in range(STEPS):
            logits = self.weights.reshape(-1)[flat].sum(1) + self.bias[teacher]
            residual = weight * (1 / (1 + np.exp(-np.clip(logits, -30, 30))) - label)
            slope = np.bincount(
                flat.ravel(), np.repeat(residual, flat.shape[1]), minlength=self.n_teachers * self.width
            )
            self.weights -= LEARNING_RATE * (slope.reshape(self.weights.shape) + PENALTY * self.weights)
            self.bias -= LEARNING_RATE * np.bincount(teacher, residual, minlength=self.n_teachers)

    def votes(self, fakes: npt.NDArray[np.int64]) -> Integers:
        """How many teachers call each generated row real, shape (m,)."""
        counts = np.empty(len(fakes), dtype=np.int64)
        for i, row in enumerate(fakes):
            counts[i] = int((self.weights[:, row].sum(1) + self.bias >= -TIE).sum())
        return counts


def teachers_of(places: npt.NDArray[np.int64], shard: npt.NDArray[np.int64], n_teachers: int, width: int) -> Teachers:
    """Untrained teachers."""
    return Teachers(width, n_teachers, places, shard, np.zeros((n_teachers, width)), np.zeros(n_teachers))

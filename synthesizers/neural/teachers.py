"""Teachers: one a shard, each asked which of its rows a generated row is nearer to, real ones or generated ones.

Every unit is in exactly one shard, by its own secret coin, for good. A teacher sees its shard and generated rows, so
one unit changes one teacher, hence every count of votes by at most 1: k labels move by at most sqrt(k) in L2.

A teacher weighs a row by its mean similarity to its real rows against that to its generated rows; two rows that agree
in m columns have similarity 4^m. This is the witness of the kernel two-sample test, with a kernel that sees
combinations of all orders: once the generator fits every pair of columns, a teacher that adds up single columns sees
nothing any more, and one with some twenty-five rows cannot learn which combinations to look at. It need not: there is
nothing to train. All sums are of whole numbers, hence exact whatever the order: a unit of another shard cannot move a
vote by rounding. A teacher whose shard is empty calls every row generated.

Sources: Papernot et al. 2017, "Semi-supervised knowledge transfer for deep learning from private training data"
(PATE); Jordon, Yoon & van der Schaar 2019, "PATE-GAN"; Gretton et al. 2012, "A kernel two-sample test" (section 2.3,
the witness). Votes are released with Gaussian noise, whatever they were: data-dependent accounts are functions of
private votes (generators.md 2.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from privacy.mechanisms import Integers

MOST = 15
"""Agreements that count, of the last columns to agree: 4^15 times a shard's rows, times as many, fits 64 bits."""

BLOCK = 8192
"""Rows compared at a time."""


@dataclass(frozen=True, slots=True)
class Teachers:
    """The teachers and their shards. All of it private.

    Attributes:
        width: cells of all columns.
        n_teachers: number of shards.
        places: where each real row's ones are, shape (n, d).
        shard: of each real row, shape (n,).
    """

    width: int
    n_teachers: int
    places: npt.NDArray[np.int64]
    shard: npt.NDArray[np.int64]

    def votes(self, asked: npt.NDArray[np.int64], fakes: npt.NDArray[np.int64]) -> Integers:
        """How many teachers call each row real, shape (k,).

        Args:
            asked: places of generated rows, shape (k, d).
            fakes: places of others to compare with, shape (m, d), m at least the number of teachers; teacher t sees
                rows t, t + teachers, ...
        """
        seen_by = np.arange(len(fakes)) % self.n_teachers
        to_real = self._similarities(asked, self.places, self.shard)
        to_fakes = self._similarities(asked, fakes, seen_by)
        n_real = np.bincount(self.shard, minlength=self.n_teachers)[:, None]
        n_fakes = np.bincount(seen_by, minlength=self.n_teachers)[:, None]
        # Means compared without a division. A row that is as near to both is called real.
        real = (to_real * n_fakes >= to_fakes * n_real) & (n_real > 0)
        counts: Integers = real.sum(0)
        return counts

    def _similarities(
        self, asked: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], of: npt.NDArray[np.int64]
    ) -> Integers:
        """Summed similarity of the rows of every teacher to each row asked, shape (teachers, k)."""
        d = asked.shape[1]
        similarity = 4 ** np.maximum(np.arange(d + 1) - max(0, d - MOST), 0)
        one_hot = self._one_hot(asked).T
        total = np.zeros((self.n_teachers, len(asked)), dtype=np.int64)
        for start in range(0, len(rows), BLOCK):
            block, teacher = rows[start : start + BLOCK], of[start : start + BLOCK]
            agreements = (self._one_hot(block) @ one_hot).astype(np.int64)
            ones = np.ones(len(block), dtype=np.int64)
            by_teacher = sparse.csr_array((ones, (teacher, np.arange(len(block)))), shape=(self.n_teachers, len(block)))
            total += by_teacher @ similarity[agreements]
        return total

    def _one_hot(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Rows of width W, shape (n, W); products of two of them are whole and exact."""
        rows = np.zeros((len(places), self.width), dtype=np.float32)
        rows[np.arange(len(places))[:, None], places] = 1.0
        return rows

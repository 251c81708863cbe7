"""Who trains, who controls, who is the attacker's sample: secret coins, once, by unit.

Each unit gets one independent draw from the `NoiseSource` with public probabilities (decision: no fixed counts, no
permutation, no row position, no publishable seed). *reference* is a population sample an attacker might have and is
never scored by an attack that uses it. The *pool* is split into train and control by a fair coin, so that membership
of every unit in it is a secret bit with p = 1/2, as auditing in one run needs (Steinke, Nasr & Jagielski 2023).
Everybody else trains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from privacy.noise import NoiseSource
from privacy.table import Table

REFERENCE_SHARE = 0.05
MAX_POOL_SHARE = 0.3
POOL_UNITS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Public probabilities of the assignment.

    Attributes:
        reference: probability of the attacker's reference sample.
        pool: probability of the audit pool; half of it trains, half controls.
    """

    reference: float
    pool: float

    @property
    def train(self) -> float:
        """Probability that a unit trains, pooled or not."""
        return 1 - self.reference - self.pool / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A table taken apart.

    Attributes:
        train: every row that trains.
        pooled: which rows of `train` are in the audit pool, shape (len(train),).
        control: the pool's other half; it never trains.
        reference: the attacker's sample.
    """

    train: Table
    pooled: npt.NDArray[np.bool_]
    control: Table
    reference: Table


def design_for(n_public: int | None) -> Design:
    """The default probabilities, from the public row count or none."""
    pool = MAX_POOL_SHARE if n_public is None else min(MAX_POOL_SHARE, POOL_UNITS / n_public)
    return Design(reference=REFERENCE_SHARE, pool=pool)


def assign(table: Table, design: Design, noise: NoiseSource) -> Parts:
    """Assign every unit by secret coins; all rows of a unit go the same way."""
    units, row_unit = np.unique(table.units, return_inverse=True)
    half = design.pool / 2
    part = noise.categories((design.reference, half, half, 1 - design.reference - design.pool), len(units))[row_unit]
    train = part >= 2
    return Parts(
        train=table.select(train),
        pooled=(part == 2)[train],
        control=table.select(part == 1),
        reference=table.select(part == 0),
    )

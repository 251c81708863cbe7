"""Who trains, who controls, who is the attacker's sample: secret coins, once, by unit.

Each unit gets one independent draw from the `NoiseSource` with public probabilities (decision: no fixed counts, no
permutation, no row position, no publishable seed). *reference* is a population sample an attacker might have and is
never scored by an attack that uses it. The *pool* is split into train and control by a fair coin, so that membership
of every unit in it is a secret bit with p = 1/2, as auditing in one run needs (Steinke, Nasr & Jagielski 2023).
Everybody else trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from privacy.noise import NoiseSource
from privacy.table import Table, UnitNumbers, rows_within
from privacy.unit import PrivacyUnit

Places: TypeAlias = npt.NDArray[np.uint8]
"""What becomes of rows or of units."""

REFERENCE_SHARE = 0.05
MAX_POOL_SHARE = 0.3
POOL_UNITS = 20_000

REFERENCE, CONTROL, POOLED, TRAIN = range(4)
"""What becomes of a unit: the attacker's sample, held back, trains by a fair coin, trains."""

LEFT_OUT = 255
"""A row without a unit, or one more than its unit may have."""

DRAWS = 1 << 20
"""Coins thrown at a time: a long table has many."""


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
        train: rows that train: all of them, or of a long table the pool and a random sample of whole other units.
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
    return parts_of(table, _assigned(table.units, table.schema.unit, design, noise))


def places_of(units: UnitNumbers, unit: PrivacyUnit, design: Design, noise: NoiseSource) -> Places:
    """What becomes of every row of a file, shape (n,): as `Table.bounded` and `assign` decide with the same noise.

    Args:
        units: unit number of every row, -1 for rows without one.
        unit: who is protected.
        design: public probabilities.
        noise: the coins.
    """
    if unit.field is None:
        return _assigned(units, unit, design, noise)
    places = np.full(len(units), LEFT_OUT, dtype=np.uint8)
    owned = np.flatnonzero(units >= 0)
    kept = owned[rows_within(unit, units[owned], noise)]
    places[kept] = _assigned(units[kept], unit, design, noise)
    return places


def parts_of(table: Table, places: Places) -> Parts:
    """The parts of an assigned table."""
    train = places >= POOLED
    return Parts(
        train=table.select(train),
        pooled=(places == POOLED)[train],
        control=table.select(places == CONTROL),
        reference=table.select(places == REFERENCE),
    )


def _assigned(units: UnitNumbers, unit: PrivacyUnit, design: Design, noise: NoiseSource) -> Places:
    half = design.pool / 2
    probabilities = (design.reference, half, half, 1 - design.reference - design.pool)
    if unit.field is None:
        return coins(probabilities, len(units), noise)
    different, row_unit = np.unique(units, return_inverse=True)
    return coins(probabilities, len(different), noise)[row_unit]


def coins(probabilities: tuple[float, ...], n: int, noise: NoiseSource) -> Places:
    """Independent draws of some few categories, shape (n,)."""
    drawn = np.empty(n, dtype=np.uint8)
    for start in range(0, n, DRAWS):
        drawn[start : start + DRAWS] = noise.categories(probabilities, min(DRAWS, n - start))
    return drawn

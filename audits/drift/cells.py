"""Which cells two tables are compared in: few enough that each says something, and chosen without looking at either.

Cells follow from the earlier table's noisy counts. Were they cut by the very noise they are then compared with, the
cells that noise made large would be kept and would seem to have shrunk since. So the noise is split first: of a count
with Gaussian noise of deviation s, two copies are made whose noises are independent. One cuts, the other compares.

Source: Leiner, Duan, Wasserman & Ramdas 2023, "Data fission: splitting a single data point", section 2 (Gaussian case).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from privacy.columns import Floats

Groups: TypeAlias = npt.NDArray[np.int64]

COMPARED = 0.5
"""Noise added to the copy that compares, in units of s: its variance is 1.25 s^2, that of the copy that cuts 5 s^2."""


def split_noise(noisy: Floats, variance: Floats, rng: Generator) -> tuple[Floats, Floats, Floats]:
    """Two copies of noisy counts whose Gaussian noises are independent, and the variance of the first's.

    Args:
        noisy: counts with noise, of any shape.
        variance: of the noise of each, same shape.
        rng: public coins.

    Returns:
        A copy to compare with, a copy to cut by, and the noise variance of the copy to compare with.
    """
    more = rng.standard_normal(noisy.shape) * np.sqrt(variance)
    return noisy + COMPARED * more, noisy - more / COMPARED, variance * (1 + COMPARED**2)


def grouped(mass: Floats, n_ordinary: int, most: int, *, ordered: bool) -> Groups:
    """Group of every code, numbered from 0 without gaps, shape of `mass`.

    Up to `most` ordinary codes stay as they are. Of more, neighbours of an ordered column are joined until they hold
    their part of the mass; of other columns the largest stay and the rest is one group. Special codes, which stand
    behind the ordinary ones, always stay: OTHER is where new categories are found.

    Args:
        mass: roughly the rows of each code; what is below zero counts as none.
        n_ordinary: how many codes are ordinary.
        most: groups the ordinary codes are put into, at most.
        ordered: whether neighbours are alike.
    """
    mass = np.maximum(mass, 0.0)
    group = np.arange(len(mass), dtype=np.int64)
    if n_ordinary > most:
        ordinary = mass[:n_ordinary]
        if ordered:
            # A group ends with the code in whose middle its part of the mass is reached.
            middle = np.cumsum(ordinary) - ordinary / 2
            group[:n_ordinary] = np.minimum(middle / max(float(ordinary.sum()), 1e-9) * most, most - 1).astype(np.int64)
        else:
            largest = np.sort(np.argsort(-ordinary, kind="stable")[: most - 1])
            group[:n_ordinary] = most - 1
            group[largest] = np.arange(len(largest))
        group[n_ordinary:] = most + np.arange(len(mass) - n_ordinary)
    return np.unique(group, return_inverse=True)[1].astype(np.int64)

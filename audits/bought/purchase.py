"""Buying the answers: one Gaussian mechanism over the counts of all questions, one row of every unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audits.bought.questions import UNITS, Questions, tally
from privacy.columns import Floats
from privacy.cost import Gaussian, PrivacyCost, once
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism
from privacy.noise import NoiseSource
from privacy.table import Table


@dataclass(frozen=True, slots=True)
class Bought:
    """Noisy counts. Public.

    Attributes:
        counts: of every question's cells, by its name.
        stddev: standard deviation of the noise of each count.
        l2_sensitivity: what one unit can move all counts together.
    """

    counts: Mapping[str, Floats]
    stddev: float
    l2_sensitivity: float

    @property
    def units(self) -> float:
        """Noisy number of units, at least 1."""
        return max(1.0, float(self.counts[UNITS][0]))

    def to_json(self) -> dict[str, Any]:
        """Plain values, for whoever wants to form other figures of the counts."""
        return {
            "stddev": self.stddev,
            "l2_sensitivity": self.l2_sensitivity,
            "counts": [{"question": name, "noisy": counts.tolist()} for name, counts in self.counts.items()],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """The counts of one part of the units, at a noise multiplier that is public before anything is read."""

    noise_multiplier: float

    @property
    def cost(self) -> PrivacyCost:
        """One Gaussian event, however many questions there are."""
        return once(Gaussian(self.noise_multiplier))

    def buy(self, asked: Sequence[Questions], rows: Table, privacy: PrivacyFilter, *, share: float = 1.0) -> Bought:
        """Count one row of every unit, and publish the counts with noise.

        Args:
            asked: at least one question, all of different names; fixed by public facts and synthetic rows.
            rows: rows of the part, coded by the schema the questions are about. Private.
            privacy: the part's filter.
            share: probability with which each unit takes part, by its own coin; public.

        Guarantees:
            No exception, shape or message depends on the rows; any table has an answer, an empty one too.
        """
        names = [name for some in asked for name in some.names]
        sensitivity = math.sqrt(len(names))
        mechanism = GaussianMechanism(l2_sensitivity=sensitivity, stddev=self.noise_multiplier * sensitivity)
        counted = one_secret_row(rows, privacy.noise)
        if share < 1:
            counted = counted.select(privacy.noise.categories((1 - share, share), len(counted)) == 1)
        noisy = privacy.measure(mechanism, tally(asked, counted)).astype(np.float64)
        ends = np.cumsum([size for some in asked for size in some.sizes])[:-1]
        counts = dict(zip(names, np.split(noisy, ends), strict=True))
        return Bought(counts=counts, stddev=mechanism.stddev, l2_sensitivity=sensitivity)


def one_secret_row(rows: Table, noise: NoiseSource) -> Table:
    """One row of every unit, picked by its own secret coins: nobody's presence changes what is picked of others."""
    unit = replace(rows.schema.unit, max_rows=1)
    return replace(rows, schema=replace(rows.schema, unit=unit)).bounded(noise)

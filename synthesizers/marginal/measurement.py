"""Measuring marginals through the filter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from privacy.columns import Floats
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism, Integers
from synthesizers.marginal.domain import Clique


@dataclass(frozen=True, slots=True)
class LinearMeasurement:
    """A noisy marginal: public.

    Attributes:
        clique: its attributes.
        noisy: noisy counts, shape of the marginal.
        variance: noise variance of every cell, same shape.
    """

    clique: Clique
    noisy: Floats
    variance: Floats

    @property
    def total(self) -> tuple[float, float]:
        """Estimate of the number of rows, and its variance."""
        return float(self.noisy.sum()), float(self.variance.sum())

    @property
    def expected_error(self) -> float:
        """Expected total variation distance from the true marginal, by the noise alone: E|N(0, s)| = s sqrt(2 / pi)."""
        rows = max(self.total[0], 1.0)
        return float(min(1.0, np.sqrt(self.variance * 2 / np.pi).sum() / (2 * rows)))


def measure_marginal(
    clique: Clique, counts: Integers, mechanism: GaussianMechanism, privacy: PrivacyFilter
) -> LinearMeasurement:
    """Buy one marginal of exact counts. A unit with k rows moves it by at most k in L2: the mechanism's sensitivity."""
    noisy = privacy.measure(mechanism, counts).astype(np.float64)
    return LinearMeasurement(clique, noisy, np.full(noisy.shape, mechanism.stddev**2))


def combined_total(measurements: tuple[LinearMeasurement, ...]) -> float:
    """Number of rows by inverse-variance weighting of every measurement's own total; at least 1."""
    totals = np.array([m.total for m in measurements])
    weights = 1 / totals[:, 1]
    return max(1.0, float((totals[:, 0] * weights).sum() / weights.sum()))


def first_potential(measured: LinearMeasurement, predicted: Floats) -> Floats:
    """Log ratio of measured to predicted counts, damped where noise is of their size: a start near the fit."""
    noise = np.sqrt(measured.variance)
    ratio: Floats = np.log((np.maximum(measured.noisy, 0.0) + noise) / (predicted + noise))
    return ratio

"""Mechanisms: public fields, a price known before they run, and a draw.

A mechanism's fields are public and may be logged; the value it is drawn on is private and kept by nobody. All values
are integers: counts, votes and scores live on an integer grid so that `privacy.noise` can be exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from privacy.cost import Exponential, Gaussian, Laplace, PrivacyCost, SampledGaussian, once
from privacy.noise import NoiseSource

Integers: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Measured = TypeVar("Measured", covariant=True)


class Mechanism(Protocol[Measured]):
    """What `PrivacyFilter.measure` accepts."""

    @property
    def cost(self) -> PrivacyCost:
        """The price, from public fields alone."""
        ...

    def draw(self, value: Integers, noise: NoiseSource) -> Measured:
        """Apply to a private value."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianMechanism:
    """Adds the exactly rounded Gaussian to integer vectors.

    Attributes:
        l2_sensitivity: largest L2 change of the value between neighbours.
        stddev: standard deviation of the noise, in units of the value.
    """

    l2_sensitivity: float
    stddev: float

    @property
    def cost(self) -> PrivacyCost:
        """One Gaussian event at stddev / sensitivity: rounding is post-processing of the ideal Gaussian."""
        return once(Gaussian(self.stddev / self.l2_sensitivity))

    def draw(self, value: Integers, noise: NoiseSource) -> Integers:
        """Value plus noise, same shape."""
        return _integers(value) + noise.rounded_gaussian(self.stddev, value.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledGaussianMechanism:
    """Adds the exactly rounded Gaussian to an integer sum over a Poisson sample of the units.

    The sample is part of the mechanism and kept by nobody: it is drawn by `PrivacyFilter.measure_sample`, unit by unit,
    by independent coins of the noise source.

    Attributes:
        sampling_rate: probability with which each unit takes part.
        l2_sensitivity: largest L2 norm of what one unit adds to the sum.
        stddev: standard deviation of the noise, in units of the sum.
    """

    sampling_rate: float
    l2_sensitivity: float
    stddev: float

    @property
    def cost(self) -> PrivacyCost:
        """One sampled Gaussian event; rounding is post-processing of the ideal Gaussian."""
        return once(SampledGaussian(self.sampling_rate, self.stddev / self.l2_sensitivity))

    def sample(self, n_units: int, noise: NoiseSource) -> Bools:
        """Which units take part, shape (n_units,): each with a probability of the rate, or up to 2^-64 less."""
        # The first category has floor(rate * 2^64) of 2^64 words; the last, which takes the rest, would round upwards.
        taken: Bools = noise.categories([self.sampling_rate, 1 - self.sampling_rate], n_units) == 0
        return taken

    def draw(self, value: Integers, noise: NoiseSource) -> Integers:
        """The sum over the sample plus noise, same shape."""
        return _integers(value) + noise.rounded_gaussian(self.stddev, value.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaplaceMechanism:
    """Adds exact discrete Laplace noise to integer vectors.

    Attributes:
        l1_sensitivity: largest L1 change of the value between neighbours.
        scale: the noise has probability proportional to exp(-|x| / scale).
    """

    l1_sensitivity: int
    scale: float

    @property
    def cost(self) -> PrivacyCost:
        """One Laplace event, priced as the discrete noise it is (it costs more than the continuous one)."""
        return once(Laplace(self.scale / self.l1_sensitivity))

    def draw(self, value: Integers, noise: NoiseSource) -> Integers:
        """Value plus noise, same shape."""
        return _integers(value) + noise.discrete_laplace(self.scale, value.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialMechanism:
    """Selects an index with probability proportional to exp(epsilon * score / (2 * sensitivity)).

    Attributes:
        sensitivity: largest change of any one score between neighbours.
        epsilon: pure-DP price of one selection.
    """

    sensitivity: int
    epsilon: float

    @property
    def cost(self) -> PrivacyCost:
        """One exponential-mechanism event."""
        return once(Exponential(self.epsilon))

    def draw(self, value: Integers, noise: NoiseSource) -> int:
        """Index of the selected candidate; `value` holds integer scores, shape (k,)."""
        return noise.select(_integers(value), self.epsilon / (2 * self.sensitivity))


def _integers(value: npt.NDArray[Any]) -> Integers:
    if not np.issubdtype(value.dtype, np.integer):
        raise TypeError("private values are put on an integer grid before noise is added")
    return value.astype(np.int64)

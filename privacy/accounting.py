"""From a cost to an epsilon at a delta.

A plan whose events are fixed beforehand is claimed by privacy-loss distributions (PLD); one with selections, whose
later parameters depend on earlier results, by Rényi curves (RDP). Both accountants are dp_accounting's. Gaussians are
first composed into one, which is exact (m of noise multiplier z are one of z / sqrt(m)); all other multiplicity is
applied by `PrivacyCost`. Where Gaussians are all there is, the loss distribution is known in closed form.

A released delta is a total: failure probabilities of discovered lists are taken off before an accountant sees it.
Sources: Koskela et al. 2020 and Doroshenko et al. 2022 (PLD); Balle & Wang 2018, theorem 8 (Gaussians); Canonne,
Kamath & Steinke 2020, proposition 12 (RDP to epsilon); Bun & Steinke 2016 (zCDP).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, reduce
from typing import TypeAlias

import numpy as np
from dp_accounting.gaussian_mechanism import get_epsilon_gaussian
from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.rdp import compute_epsilon
from scipy.optimize import minimize_scalar

from privacy.cost import (
    ORDERS,
    Curve,
    Exponential,
    Gaussian,
    Laplace,
    PrivacyCost,
    SampledGaussian,
    ZeroConcentrated,
)

PLD_INTERVAL = 1e-4
"""Discretisation of privacy losses. The accountant rounds up, its optimistic twin down."""

_Fixed: TypeAlias = Gaussian | SampledGaussian | Laplace
_NOT_GAUSSIAN = (SampledGaussian, Laplace)

PLD_LIMIT = 100.0
"""Above this the Rényi bound stands for the PLD where there is no closed form: a loss distribution that wide fills the
memory and helps nobody."""


class Accountant(StrEnum):
    """Who computed an epsilon."""

    PLD = "PLD"
    RDP = "RDP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a release promises: a total epsilon at a total delta, and who computed it."""

    epsilon: float
    delta: float
    accountant: Accountant


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputation:
    """The same events priced again, and by a second method.

    Attributes:
        epsilon: by the claimed accountant.
        rdp: by Rényi curves.
        optimistic: a lower estimate, by PLD rounded down; None for plans with selections.
        closed_form: from total rho, for plans of Gaussians and selections; None otherwise.
    """

    epsilon: float
    rdp: float
    optimistic: float | None
    closed_form: float | None

    def faults(self, claim: Claim) -> tuple[str, ...]:
        """Rules the claim breaks; empty when it stands."""
        found = []
        if not self.epsilon <= claim.epsilon * (1 + 1e-6):
            found.append("the claimed accountant gives more than the claimed epsilon")
        if self.optimistic is not None and self.optimistic > claim.epsilon * (1 + 1e-6):
            found.append("even the optimistic estimate is above the claimed epsilon")
        if claim.accountant is Accountant.PLD and self.rdp < self.epsilon * (1 - 1e-6):
            found.append("the Rényi bound is below the numerical one")
        if self.closed_form is not None and abs(self.rdp - self.closed_form) > 0.01 * max(self.rdp, self.closed_form):
            found.append("the Rényi bound and the closed form from rho differ by more than 1%")
        return tuple(found)


def accountant_of(cost: PrivacyCost) -> Accountant:
    """PLD where every event was fixed beforehand, RDP where something was selected."""
    events = [event for case in cost.cases for event, _ in case.events]
    return Accountant.RDP if any(isinstance(e, Exponential | ZeroConcentrated) for e in events) else Accountant.PLD


def epsilon_of(cost: PrivacyCost, delta: float, accountant: Accountant | None = None) -> float:
    """Total epsilon of a cost at a total delta, by its own accountant unless one is named.

    Infinite when the delta is used up by discovered lists alone, and by PLD where something was selected: its later
    events depend on earlier results, which PLD does not price. Of parts in parallel it is the largest.
    """
    by = accountant or accountant_of(cost)
    return max(_epsilon_of(case, delta, by) for case in cost.cases)


def _epsilon_of(cost: PrivacyCost, delta: float, accountant: Accountant) -> float:
    """Of a cost without parts."""
    left = delta - cost.delta
    if left <= 0:
        return math.inf
    if accountant is Accountant.PLD and accountant_of(cost) is Accountant.RDP:
        return math.inf
    if accountant is Accountant.PLD and not any(isinstance(e, _NOT_GAUSSIAN) for e, _ in cost.events):
        with np.errstate(divide="ignore"):  # far above the answer delta is zero, and its logarithm is asked for
            return float(get_epsilon_gaussian(gaussian_multiplier(cost), left))
    bound = rdp_epsilon(cost.rdp(ORDERS), left)
    if accountant is Accountant.RDP or bound > PLD_LIMIT:
        return bound
    return _pld_epsilon(cost, left)


def recompute(cost: PrivacyCost, delta: float, accountant: Accountant) -> Recomputation:
    """Price events a second time, for the gate and for `verify`."""
    fixed = accountant is Accountant.PLD
    closed = [_closed_form(case, delta) for case in cost.cases]
    return Recomputation(
        epsilon=epsilon_of(cost, delta, accountant),
        rdp=epsilon_of(cost, delta, Accountant.RDP),
        optimistic=max(_optimistic_epsilon(case, delta - case.delta) for case in cost.cases) if fixed else None,
        closed_form=None if fixed or None in closed else max(e for e in closed if e is not None),
    )


def _closed_form(cost: PrivacyCost, delta: float) -> float | None:
    rho = zcdp_rho(cost)
    return None if rho is None else zcdp_epsilon(rho, delta - cost.delta)


def rdp_epsilon(curve: Curve, delta: float, orders: Curve = ORDERS) -> float:
    """Epsilon at delta of a Rényi curve, the best over all orders."""
    usable = orders > 1.01
    epsilon, _ = compute_epsilon(orders[usable], curve[usable], delta)
    return float(epsilon)


def zcdp_rho(cost: PrivacyCost) -> float | None:
    """Total rho of a cost of Gaussians and selections; None where another event is in it."""
    total = 0.0
    for event, n in cost.events:
        match event:
            case Gaussian(noise_multiplier=z):
                total += n / (2 * z**2)
            case Exponential(epsilon=e):
                total += n * e**2 / 8
            case ZeroConcentrated(rho=r):
                total += n * r
            case _ if event.kind != "discovery":
                return None
    return total


def zcdp_epsilon(rho: float, delta: float) -> float:
    """Epsilon at delta of rho-zCDP, minimised over real orders (Canonne, Kamath & Steinke 2020, proposition 12)."""
    if rho == 0:
        return 0.0

    def at(log_excess: float) -> float:
        a = 1 + math.exp(log_excess)
        return float(a * rho + math.log1p(-1 / a) - math.log(delta * a) / (a - 1))

    return max(0.0, float(minimize_scalar(at, bounds=(math.log(0.01), math.log(1e6)), method="bounded").fun))


def gaussian_multiplier(cost: PrivacyCost) -> float:
    """Noise multiplier of the one Gaussian all Gaussians of a cost compose to; infinite when there is none."""
    precision = sum(n / e.noise_multiplier**2 for e, n in cost.events if isinstance(e, Gaussian))
    return 1 / math.sqrt(precision) if precision else math.inf


@lru_cache(maxsize=256)  # progress, charge, statement and verdict ask for the price of the same events
def _pld_epsilon(cost: PrivacyCost, delta: float) -> float:
    return _composed_epsilon(cost, delta, rounded_up=True)


def _optimistic_epsilon(cost: PrivacyCost, delta: float) -> float:
    """The same by PLDs rounded down: a figure the true epsilon is not below by more than the discretisation."""
    return _composed_epsilon(cost, delta, rounded_up=False)


def _composed_epsilon(cost: PrivacyCost, delta: float, *, rounded_up: bool) -> float:
    multiplier = gaussian_multiplier(cost)
    parts: list[tuple[_Fixed, int]] = [(Gaussian(multiplier), 1)] if math.isfinite(multiplier) else []
    parts += [(event, n) for event, n in cost.merged.events if isinstance(event, _NOT_GAUSSIAN)]
    if not parts:
        return 0.0
    distributions = [_distribution(event, rounded_up).self_compose(n) for event, n in parts]
    return max(0.0, float(reduce(lambda a, b: a.compose(b), distributions).get_epsilon_for_delta(delta)))


@lru_cache(maxsize=8)  # making one takes longer than composing it, and a training is priced at many of its steps
def _distribution(event: _Fixed, rounded_up: bool) -> privacy_loss_distribution.PrivacyLossDistribution:
    how = {"value_discretization_interval": PLD_INTERVAL, "pessimistic_estimate": rounded_up,
           "use_connect_dots": rounded_up}  # fmt: skip
    match event:
        case Gaussian(noise_multiplier=z):
            return privacy_loss_distribution.from_gaussian_mechanism(z, **how)
        case SampledGaussian(sampling_rate=q, noise_multiplier=z):
            return privacy_loss_distribution.from_gaussian_mechanism(z, sampling_prob=q, **how)
        case Laplace(noise_multiplier=b) if rounded_up:
            # On integers the loss is randomized response's: more than the continuous Laplace mechanism's.
            return privacy_loss_distribution.from_discrete_laplace_mechanism(
                1 / b, sensitivity=1, value_discretization_interval=PLD_INTERVAL
            )
        case Laplace(noise_multiplier=b):
            return privacy_loss_distribution.from_laplace_mechanism(b, **how)

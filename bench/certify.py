"""Empirical certificates of the synthesizers: python -m bench.certify [--runs N] [--store] [NAME ...].

Each synthesizer is run many times on two neighbouring tables, and the best attack there is, the likelihood ratio of
everything that passed the privacy filter, tries to tell which one it was. What it achieves bounds the true epsilon from
below with 99.9% confidence; a bound above the claim is a proof that the claim is false.

The attack answers "with the unit" where the ratio is above 1: a threshold fixed beforehand, so every run counts
(Clopper-Pearson on both error rates). The bound is the better of two conversions, each at half the error: for any
mechanism, log((TPR - delta) / FPR); and for the Gaussian trade-off curves our mechanisms have, mu = z(TPR) - z(FPR).
Source: Nasr et al. 2023, "Tight auditing of differentially private machine learning", sections 3 and 4.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import default_rng
from scipy.optimize import brentq
from scipy.stats import beta, norm

from audits.release.certificate import Certificate, code_digest, store_certificate
from bench.transcript import RecordingFilter, ReplayingFilter, log_likelihood_ratio
from privacy.columns import Floats
from privacy.noise import NoiseSource, system_noise
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.table import Table
from synthesizers.protocol import Plan, Synthesizer
from synthesizers.registry import SYNTHESIZERS, sources_of

Bools: TypeAlias = npt.NDArray[np.bool_]

BUDGET = Budget(epsilon=1.0, delta=1e-2)
"""A large delta makes the Gaussian trade-off curve, hence the attack, visible in a thousand runs."""

CONFIDENCE = 0.999
ROWS = 12


@dataclass(frozen=True, slots=True)
class Attack:
    """What the runs showed.

    Attributes:
        epsilon_lower_bound: at `CONFIDENCE`, at the budget's delta.
        mu: point estimate of the Gaussian trade-off parameter, from the two means and spreads.
        mu_claimed: the parameter the budget allows.
        ceiling: the bound a perfect attack would have had.
    """

    epsilon_lower_bound: float
    mu: float
    mu_claimed: float
    ceiling: float


def tiny_schema() -> Schema:
    """Three columns: a public list, a list to be bought, and a number whose bound is to be bought."""
    return parse_schema(
        {
            "name": "tiny",
            "fields": [
                {"name": "a", "type": "string", "categories": ["x", "y"], "source": "public", "cite": "made up"},
                {"name": "b", "type": "string", "source": "measured", "max_levels": 4},
                {
                    "name": "c",
                    "type": "integer",
                    "constraints": {"minimum": 0},
                    "source": {"minimum": "public", "maximum": "measured"},
                    "cite": {"minimum": "made up"},
                },
            ],
            "privacy": {
                "population": "tiny",
                "unit": "row",
                "adjacency": "add-or-remove",
                "n_public": "measured",
                "cap": {"epsilon": 1, "delta": 0.01},
            },
        }
    )


def neighbours(schema: Schema) -> tuple[Table, Table]:
    """A table of equal rows with one more, far from the others in every column, and the same without it."""
    codes = np.r_[np.zeros(ROWS, np.int32), np.int32(1)]
    values = np.r_[np.full(ROWS, 1.0), 1000.0]
    vocabulary = {"b": ("p", "q")}
    full = Table(schema, {"a": codes, "b": codes, "c": values}, vocabulary, np.arange(ROWS + 1))
    return full, full.select(np.arange(ROWS + 1) < ROWS)


def attack(synthesizer: Synthesizer, runs: int, noise: NoiseSource) -> Attack:
    """Run a synthesizer `runs` times on each of two neighbours and attack what it published."""
    schema = tiny_schema()
    plan = synthesizer.plan(schema, BUDGET)
    with_unit, without = neighbours(schema)
    members = np.array([_statistic(plan, with_unit, with_unit, without, noise) for _ in range(runs)])
    others = np.array([_statistic(plan, without, with_unit, without, noise) for _ in range(runs)])
    bound = lower_bound(members, others)
    spread = math.sqrt((members.var(ddof=1) + others.var(ddof=1)) / 2)
    perfect = lower_bound(np.ones(runs), -np.ones(runs))
    return Attack(
        epsilon_lower_bound=bound,
        mu=float((members.mean() - others.mean()) / spread),
        mu_claimed=_mu_of(BUDGET),
        ceiling=perfect,
    )


def lower_bound(members: Floats, others: Floats) -> float:
    """Lower bound on epsilon at `BUDGET.delta` from log-likelihood ratios of both sides, shape (runs,) each."""
    return max(0.0, _bounds(members > 0, others > 0))


def certify(synthesizer: Synthesizer, runs: int, noise: NoiseSource) -> tuple[Certificate, Attack]:
    """A certificate of the sources as they are now."""
    found = attack(synthesizer, runs, noise)
    certificate = Certificate(
        synthesizer=synthesizer.name,
        code_digest=code_digest(sources_of(synthesizer.name)),
        epsilon_claimed=BUDGET.epsilon,
        delta=BUDGET.delta,
        epsilon_lower_bound=found.epsilon_lower_bound,
        confidence=CONFIDENCE,
        runs_per_side=runs,
        ceiling=found.ceiling,
        statistic="likelihood ratio of everything that passed the privacy filter, domain purchases included",
    )
    return certificate, found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=sorted(SYNTHESIZERS))
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--store", action="store_true")
    arguments = parser.parse_args()
    failed = False
    for name in arguments.names:
        certificate, found = certify(SYNTHESIZERS[name], arguments.runs, system_noise())
        failed |= certificate.epsilon_lower_bound > certificate.epsilon_claimed
        print(
            f"{name}: claimed epsilon {BUDGET.epsilon} at delta {BUDGET.delta}; at least "
            f"{certificate.epsilon_lower_bound:.3f} ({CONFIDENCE:.1%} confidence, {arguments.runs} runs a side, "
            f"ceiling {certificate.ceiling:.2f}); mu {found.mu:.3f} of {found.mu_claimed:.3f} allowed"
        )
        if arguments.store:
            store_certificate(certificate)
    raise SystemExit(1 if failed else 0)


def _statistic(plan: Plan, ran: Table, with_unit: Table, without: Table, noise: NoiseSource) -> float:
    """Log-likelihood ratio of one run on the table `ran`."""
    recorded = RecordingFilter(plan.cost, noise)
    plan.fit(ran, recorded, default_rng(0), _quiet)
    other = without if ran is with_unit else with_unit
    replayed = ReplayingFilter(plan.cost, noise, recorded.transcript)
    plan.fit(other, replayed, default_rng(0), _quiet)
    pair = (recorded.transcript, replayed.transcript)
    return log_likelihood_ratio(*(pair if ran is with_unit else pair[::-1]))


def _quiet(_: str) -> None:
    """Certificates show no progress: a run takes milliseconds."""


def _bounds(hits: Bools, alarms: Bools) -> float:
    """The better of the two conversions; each error rate is bounded at a quarter of the total error."""
    error = (1 - CONFIDENCE) / 4
    n = len(hits)
    tpr = _low(int(hits.sum()), n, error)
    fpr = _high(int(alarms.sum()), n, error)
    plain = math.log((tpr - BUDGET.delta) / fpr) if tpr > BUDGET.delta and fpr > 0 else -math.inf
    mu = norm.ppf(tpr) - norm.ppf(fpr)
    gaussian = _epsilon_of(mu) if mu > 0 else -math.inf
    return max(plain, gaussian)


def _low(k: int, n: int, error: float) -> float:
    return float(beta.ppf(error, k, n - k + 1)) if k else 0.0


def _high(k: int, n: int, error: float) -> float:
    return float(beta.ppf(1 - error, k + 1, n - k)) if k < n else 1.0


def _gaussian_delta(epsilon: float, mu: float) -> float:
    """Balle & Wang 2018, theorem 8."""
    return float(norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu))


def _epsilon_of(mu: float) -> float:
    if _gaussian_delta(0.0, mu) <= BUDGET.delta:
        return 0.0
    return float(brentq(lambda e: _gaussian_delta(e, mu) - BUDGET.delta, 0.0, 100.0))


def _mu_of(budget: Budget) -> float:
    return float(brentq(lambda mu: _gaussian_delta(budget.epsilon, mu) - budget.delta, 1e-3, 50.0))


if __name__ == "__main__":
    main()

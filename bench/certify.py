"""Empirical certificates of the synthesizers: python -m bench.certify [--runs N] [--epsilon E] [--store] [NAME ...].

Each synthesizer (training cut short, see `bench.short`) is run many times on two neighbouring tables, and the best
attack there is, the likelihood ratio of everything that passed the privacy filter, tries to tell which one it was.
What it achieves bounds the true epsilon from below with 99.9% confidence; a bound above the claim is a proof that the
claim is false.

A certificate also says how much of the promise the attack could see, as Gaussian trade-off parameters (mu). Two are
promised: by the claimed (epsilon, delta); and by the charged events, which is less where an epsilon comes from Rényi
curves. Two are seen: `mu_found`, from the ranks of the likelihood ratios alone; and `mu_realised`, which trusts the
mechanisms to draw what they declare, and asks how far the unit moved what they were drawn on. On the worst neighbours
it would be all that was charged. What is missing is in the selections: an exponential mechanism of small epsilon tells
epsilon^2 / 4 (mu^2) when the unit raises half of the likely scores and lowers the others, and nothing when it raises
all of them alike, as one unit often does.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator, default_rng

from audits.release import priced
from audits.release.certificate import Certificate, code_digest, store_certificate
from bench.priced import PricedGate, rows
from bench.short import SHORT
from bench.tradeoff import lower_bound, mu_allowed, mu_charged, mu_of_ranks
from bench.transcript import RecordingFilter, ReplayingFilter, kullback_leibler, log_likelihood_ratio
from privacy.columns import Floats
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.noise import NoiseSource, system_noise
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.table import Table
from synthesizers.protocol import Progress
from synthesizers.registry import sources_of

BUDGET = Budget(epsilon=4.0, delta=1e-2)
"""So large that the standard error of mu, sqrt(2 / runs), is a small part of it: 3% of aim's at 1,500 runs, and 8% at
epsilon 1. Noise scales with the budget, and so does a fault in it."""

CONFIDENCE = 0.999
UNITS = 12


class Run(Protocol):
    """A priced run."""

    @property
    def cost(self) -> PrivacyCost:
        """What it may emit."""
        ...

    def fit(self, train: Table, privacy: PrivacyFilter, rng: Generator, progress: Progress) -> Any:
        """Read the rows through the filter."""
        ...


class Certifiable(Protocol):
    """What can be certified: a synthesizer, or whatever else reads rows through a filter alone."""

    @property
    def name(self) -> str:
        """Name of its certificate."""
        ...

    def plan(self, schema: Schema, budget: Budget) -> Run:
        """Calibrate to a budget."""
        ...


CERTIFIED: Mapping[str, Certifiable] = {**SHORT, priced.NAME: PricedGate()}


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Two tables of one schema, the second without one unit of the first."""

    with_unit: Table
    without: Table


@dataclass(frozen=True, slots=True)
class Attack:
    """What the runs showed.

    Attributes:
        epsilon_lower_bound: at `CONFIDENCE`, at the budget's delta.
        ceiling: the bound a perfect attack would have had.
        mu_allowed: the Gaussian trade-off parameter the claim allows.
        mu_charged: the one the charged events allow.
        mu_realised: the one whose symmetrised Kullback-Leibler divergence, mu^2, the mechanisms as declared had.
        mu_found: the one the likelihood ratios showed.
        mu_error: standard error of `mu_found`.
    """

    epsilon_lower_bound: float
    ceiling: float
    mu_allowed: float
    mu_charged: float
    mu_realised: float
    mu_found: float
    mu_error: float


def tiny_schema(max_rows: int | None = None) -> Schema:
    """Three columns: a public list, a list to be bought, and a number whose bound is to be bought.

    Protects rows, or persons with at most `max_rows` rows each.
    """
    person = [] if max_rows is None else [{"name": "person", "type": "string", "role": "identifier"}]
    return parse_schema(
        {
            "name": "tiny",
            "fields": [
                *person,
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
                "unit": "row" if max_rows is None else {"field": "person", "max_rows": max_rows},
                "adjacency": "add-or-remove",
                "n_public": "measured",
                "cap": {"epsilon": BUDGET.epsilon, "delta": BUDGET.delta},
            },
        }
    )


def vote_schema() -> Schema:
    """One column, whose list is to be bought."""
    document = tiny_schema().document
    return parse_schema({**document, "fields": [f for f in document["fields"] if f["name"] == "b"]})


def vote_neighbours() -> Neighbours:
    """Equal rows, and one more like them: its teacher has no other real row, and every label is its to give."""
    schema = vote_schema()
    codes = np.zeros(UNITS + 1, dtype=np.int32)
    full = Table(schema, {"b": codes}, {"b": ("p",)}, np.arange(UNITS + 1))
    return Neighbours(full, full.select(np.arange(UNITS)))


def neighbours(max_rows: int | None = None) -> Neighbours:
    """Equal units of one row; and one more, with all the rows a unit may have, far from the others in every column.

    Its rows are equal, so that every marginal moves by its full sensitivity, in one cell. Only a list of levels, for
    which units are counted and not rows, could be moved more by a person with rows that differ.
    """
    schema = tiny_schema(max_rows)
    k = schema.unit.max_rows
    codes = np.repeat(np.array([0, 1], dtype=np.int32), [UNITS, k])
    values = np.repeat([1.0, 1000.0], [UNITS, k])
    vocabulary = {"b": ("p", "q")}
    units = np.minimum(np.arange(UNITS + k), UNITS)
    full = Table(schema, {"a": codes, "b": codes, "c": values}, vocabulary, units)
    return Neighbours(full, full.select(units < UNITS))


def priced_neighbours() -> Neighbours:
    """Equal rows, and one more that is like one synthetic row and unlike all others."""
    full = rows(UNITS, 1)
    return Neighbours(full, full.select(np.arange(UNITS)))


def worst_neighbours(name: str) -> Neighbours:
    """The neighbours a named synthesizer's, or the priced gate's, certificate is made on."""
    if name == priced.NAME:
        return priced_neighbours()
    return vote_neighbours() if name == "pate-gan" else neighbours()


def attack(
    synthesizer: Certifiable,
    runs: int,
    noise: NoiseSource,
    budget: Budget = BUDGET,
    tables: Neighbours | None = None,
) -> Attack:
    """Run a synthesizer `runs` times on each of two neighbours and attack what it published.

    Args:
        synthesizer: what to run.
        runs: on each side, at least 2.
        noise: what the mechanisms draw from.
        budget: what the runs claim.
        tables: what to tell apart; those of `neighbours` by default.
    """
    tables = tables or neighbours()
    plan = synthesizer.plan(tables.with_unit.schema, budget)
    members = np.array([_run(plan, tables.with_unit, tables.without, noise) for _ in range(runs)])
    # From the other side the ratio is the other way up.
    others = np.array([_run(plan, tables.without, tables.with_unit, noise) for _ in range(runs)]) * (-1, 1)
    found = mu_of_ranks(members[:, 0], others[:, 0])
    return Attack(
        epsilon_lower_bound=_bound(members[:, 0], others[:, 0], budget),
        ceiling=_bound(np.ones(runs), -np.ones(runs), budget),
        mu_allowed=mu_allowed(budget),
        mu_charged=mu_charged(plan.cost, budget.delta),
        mu_realised=math.sqrt(members[:, 1].mean() + others[:, 1].mean()),
        mu_found=found.value,
        mu_error=found.error,
    )


def certify(synthesizer: Certifiable, runs: int, noise: NoiseSource, budget: Budget = BUDGET) -> Certificate:
    """A certificate of the sources as they are now."""
    found = attack(synthesizer, runs, noise, budget, worst_neighbours(synthesizer.name))
    return Certificate(
        synthesizer=synthesizer.name,
        code_digest=code_digest(sources(synthesizer.name)),
        epsilon_claimed=budget.epsilon,
        delta=budget.delta,
        epsilon_lower_bound=found.epsilon_lower_bound,
        confidence=CONFIDENCE,
        runs_per_side=runs,
        ceiling=found.ceiling,
        mu_allowed=found.mu_allowed,
        mu_charged=found.mu_charged,
        mu_realised=found.mu_realised,
        mu_found=found.mu_found,
        mu_error=found.mu_error,
        statistic="likelihood ratio of everything that passed the privacy filter, domain purchases included",
    )


def sources(name: str) -> tuple[Path, ...]:
    """The sources a certificate vouches for."""
    return priced.sources() if name == priced.NAME else sources_of(name)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=sorted(CERTIFIED))
    parser.add_argument("--runs", type=int, default=1500)
    parser.add_argument("--epsilon", type=float, default=BUDGET.epsilon)
    parser.add_argument("--store", action="store_true")
    arguments = parser.parse_args()
    budget = Budget(epsilon=arguments.epsilon, delta=BUDGET.delta)
    failed = False
    for name in arguments.names:
        made = certify(CERTIFIED[name], arguments.runs, system_noise(), budget)
        failed |= made.epsilon_lower_bound > made.epsilon_claimed
        print(
            f"{name}: claimed epsilon {made.epsilon_claimed} at delta {made.delta}; at least "
            f"{made.epsilon_lower_bound:.3f} ({CONFIDENCE:.1%} confidence, {made.runs_per_side} runs a side, "
            f"ceiling {made.ceiling:.2f}); mu {made.mu_found:.3f} +- {made.mu_error:.3f} found, "
            f"{made.mu_realised:.3f} realised, {made.mu_charged:.3f} charged, {made.mu_allowed:.3f} allowed"
        )
        if arguments.store:
            store_certificate(made)
    raise SystemExit(1 if failed else 0)


def _run(plan: Run, ran: Table, other: Table, noise: NoiseSource) -> tuple[float, float]:
    """Of one run on the table `ran`: log-likelihood ratio of it to `other`, and Kullback-Leibler divergence."""
    recorded = RecordingFilter(plan.cost, noise, UNITS)
    plan.fit(ran, recorded, default_rng(0), _quiet)
    replayed = ReplayingFilter(plan.cost, noise, recorded.transcript, UNITS)
    plan.fit(other, replayed, default_rng(0), _quiet)
    pair = (recorded.transcript, replayed.transcript)
    return log_likelihood_ratio(*pair), kullback_leibler(*pair)


def _bound(members: Floats, others: Floats, budget: Budget) -> float:
    return lower_bound(members, others, delta=budget.delta, confidence=CONFIDENCE)


def _quiet(_: str) -> None:
    """Certificates show no progress: a run takes milliseconds."""


if __name__ == "__main__":
    main()

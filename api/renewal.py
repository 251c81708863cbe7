"""A release like an earlier one, of a new version of its table: what it would cost. Proposed, never made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.home import Installation
from api.pricing import price
from audits.release.policy import parse_policy
from privacy.calibration import claim_for
from privacy.schema import Budget, Schema
from privacy.statement import stated
from synthesizers.registry import synthesizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A release like the last one, of the new version: proposed, not made.

    Attributes:
        synthesizer, epsilon, delta, policy: as it was released.
        becomes: the population's total with it.
        fits: whether the ledger would admit it.
        cap: the population's cap.
        seconds: about how long it would take on two cores, without the audits.
    """

    synthesizer: str
    epsilon: float
    delta: float
    policy: str
    becomes: float
    fits: bool
    cap: Budget
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "synthesizer": self.synthesizer,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "policy": self.policy,
            "population_epsilon_after": stated(self.becomes),
            "cap": {"epsilon": self.cap.epsilon, "delta": self.cap.delta},
            "fits": self.fits,
            "seconds": self.seconds,
        }


def renewal_of(bundle: Path, schema: Schema, home: Installation) -> Renewal:
    """What a release like that of a bundle would cost now, from public facts and the ledger."""
    statement = json.loads((bundle / "statement.json").read_bytes())
    policy = parse_policy(json.loads((bundle / "policy.json").read_bytes()))
    chosen = synthesizer(statement["synthesizer"])
    budget = Budget(epsilon=float(statement["epsilon"]), delta=float(statement["delta"]))
    priced = price(lambda b: chosen.plan(schema, b), budget, policy, reweighted=False)
    claim = claim_for(budget, priced.cost)
    population = schema.population
    becomes, fits = home.ledger.becomes(population, priced.cost, claim)
    return Renewal(
        synthesizer=chosen.name,
        epsilon=budget.epsilon,
        delta=budget.delta,
        policy=policy.name,
        becomes=becomes,
        fits=fits,
        cap=home.ledger.cap(population) or schema.require_releasable(),
        seconds=priced.generator.estimate.seconds,
    )

"""The guarantee in words and as JSON: what is promised, to whom, by which accountant, and what it does not cover."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from privacy.accounting import Accountant, Claim
from privacy.columns import LevelColumn, Source
from privacy.cost import PrivacyCost
from privacy.schema import Schema

UNBOUNDED = "more than can be stated"
UNPAID_VERDICT = (
    "The decision to release itself, the number of attempts, and what withheld attempts taught: the gate reads private "
    "rows and its verdict is not charged."
)
PRICED_VERDICT = (
    "That releases were attempted, and how many. Each paid for its generator and its gate in full; verdict and reasons "
    "were formed from what was bought, and are covered."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One purpose a budget is spent on, and its cost."""

    purpose: str
    cost: PrivacyCost


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyStatement:
    """What a release promises. Everything in it is public.

    Attributes:
        synthesizer: name of the generator.
        schema: the declared schema.
        claim: epsilon and delta, totals of everything bought.
        lines: what was bought, by purpose.
        emitted: the events the run really emitted.
        noise_is_secret: whether noise came from the operating system's generator; a seeded source voids the promise.
        attempts: how many releases of this population were attempted, this one included.
        population_epsilon: upper bound on the total of everything charged to the population, at its cap's delta.
        gate_is_priced: whether the verdict was formed from what was bought alone.
        unproven: how many tables of this population were asked of generators without a proof.
    """

    synthesizer: str
    schema: Schema
    claim: Claim
    lines: tuple[Line, ...]
    emitted: PrivacyCost
    noise_is_secret: bool
    attempts: int
    population_epsilon: float
    gate_is_priced: bool = False
    unproven: int = 0

    @property
    def dp_valid(self) -> bool:
        """Whether the promise may be relied on at all."""
        return self.noise_is_secret

    @property
    def promise(self) -> str:
        """The guarantee in one sentence."""
        e = self.claim.epsilon
        return (
            f"Whatever is computed from this release, adding or removing {self.schema.unit.words} changes the "
            f"probability of any outcome by at most a factor of e^{e:.4g} = {_factor(e)}, except with probability "
            f"{self.claim.delta:.3g} (({e:.4g}, {self.claim.delta:.3g})-differential privacy, add-or-remove adjacency, "
            f"{self.claim.accountant} accountant)."
        )

    @property
    def belief(self) -> str:
        """What the epsilon means for somebody's suspicion."""
        after = 1 / (1 + math.exp(-min(self.claim.epsilon, 700)))
        return (
            "Someone who holds it even odds that a given unit is in the data can, from this release, come to at most "
            f"{after:.1%} certainty (and to no less than {1 - after:.1%}), delta aside."
        )

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the promise rests on."""
        source = (
            "Noise, private selections and the assignment of rows come from the operating system's cryptographic "
            "generator; the promise is computational, given that generator."
            if self.noise_is_secret
            else "NOT VALID: noise came from a seeded source, which anyone with the seed can subtract."
        )
        return (
            source,
            "Noise is the exactly rounded Gaussian on integer counts, and selections are sampled exactly: no "
            "floating-point residue.",
            "Bounds and lists declared public in the schema are public for the reason each of them cites.",
            "Rows of one unit are the only ones removed or added between neighbouring tables; facts about many people "
            "at once are not hidden.",
        )

    @property
    def not_covered(self) -> tuple[str, ...]:
        """What the epsilon does not cover, in words."""
        items = [
            PRICED_VERDICT if self.gate_is_priced else UNPAID_VERDICT,
            "That the table exists, its column names, and everything declared in the schema.",
            "How long the run took and how much memory it used, as seen by somebody on the same machine.",
            "That the file could be read to its end: a file damaged behind its header is refused after the charge.",
            "Groups: for a family of k units the bound is k times epsilon.",
        ]
        if self.schema.unit.field is not None:
            items.append(
                f"Rows beyond {self.schema.unit.max_rows} of one person, and rows without a person's identifier, are "
                "left out of the table."
            )
        if self.unproven:
            items.append(
                f"{self.unproven} further table(s) of this population, made for use inside by generators without a "
                "proof: whoever holds one of them as well may know more than the population's total says."
            )
        items += [
            f"The {entry}: declared public after the rows were read; not covered by epsilon."
            for entry in self.schema.declared_after_reading
        ]
        return tuple(items)

    @property
    def domains(self) -> dict[str, str]:
        """Where each column's domain comes from."""
        found = {}
        for column in self.schema.columns:
            if isinstance(column, LevelColumn):
                found[column.name] = _origin("categories", column.source, column.cite)
            else:
                found[column.name] = "; ".join(
                    (
                        _origin("minimum", column.minimum_source, column.minimum_cite),
                        _origin("maximum", column.maximum_source, column.maximum_cite),
                    )
                )
        return found

    def to_json(self) -> dict[str, Any]:
        """The statement as plain values; numbers are exact."""
        unit = self.schema.unit
        n = self.schema.n_public
        return {
            "promise": self.promise,
            "belief": self.belief,
            "synthesizer": self.synthesizer,
            "epsilon": self.claim.epsilon,
            "delta": self.claim.delta,
            "accountant": str(self.claim.accountant),
            "unit": {"words": unit.words, "field": unit.field, "max_rows": unit.max_rows},
            "adjacency": str(unit.adjacency),
            "population": self.schema.population,
            "population_epsilon_at_cap_delta": stated(self.population_epsilon),
            "cap": None if self.schema.cap is None else
            {"epsilon": self.schema.cap.epsilon, "delta": self.schema.cap.delta},
            "attempts": self.attempts,
            "n_public": n.value if n.value is not None else ("measured" if n.measured else "none"),
            "bought": [{"purpose": line.purpose, "events": line.cost.to_json()} for line in self.lines],
            "emitted": self.emitted.to_json(),
            "dp_valid": self.dp_valid,
            "domains": self.domains,
            "assumptions": list(self.assumptions),
            "not_covered": list(self.not_covered),
            "schema_digest": self.schema.digest,
        }  # fmt: skip


def stated(epsilon: float) -> float | str:
    """An epsilon as JSON has it: the number, or words where it is infinite (as when lists used up the cap's delta)."""
    return epsilon if math.isfinite(epsilon) else UNBOUNDED


def claim_of_json(statement: dict[str, Any]) -> tuple[Claim, PrivacyCost]:
    """Claim and emitted events of a statement's JSON, to be priced again."""
    claim = Claim(
        epsilon=float(statement["epsilon"]),
        delta=float(statement["delta"]),
        accountant=Accountant(statement["accountant"]),
    )
    return claim, PrivacyCost.from_json(statement["emitted"])


def _origin(part: str, source: Source, cite: str) -> str:
    return f"{part} public ({cite})" if source is Source.PUBLIC else f"{part} {source}"


def _factor(epsilon: float) -> str:
    return f"{math.exp(epsilon):.3g}" if epsilon < 20 else "more than 10^8: no protection to speak of"

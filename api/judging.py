"""A table that may leave, with everything it is judged by: audited, judged and sealed.

The same steps for a release and for further rows of a released model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.random import Generator

from api.earlier import NO_EARLIER, Earlier
from api.home import Installation
from api.steps import Steps
from api.streams import Streams
from audits.assignment import Design, Parts
from audits.bought.answers import Answers
from audits.content import Content
from audits.evidence import Evidence, Refit
from audits.fidelity.picture import joint_map
from audits.finding import Outcome
from audits.protocol import Audit
from audits.registry import STANDARD
from audits.release import priced
from audits.release.bundle import Bundle, Contents, seal
from audits.release.certificate import code_digest, load_certificate, standing
from audits.release.gate import Attempt, Decision, decide
from audits.release.policy import Gate, Policy
from audits.release.scorecard import build
from audits.release.signing import SigningKey
from audits.suite import run_suite
from privacy.ledger import Charge
from privacy.recompute import recompute_in_fresh_process
from privacy.schema import Schema
from privacy.statement import PrivacyStatement
from privacy.table import Table
from synthesizers.conditioning import Weights, thinned
from synthesizers.marginal.error_bounds import CONFIDENCE
from synthesizers.protocol import Model
from synthesizers.registry import sources_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What may leave, and what it is judged by.

    Attributes:
        synthetic: the rows.
        model: what they were drawn from.
        weights: how they were asked for.
        reweighted: the same in words; empty for a plain draw.
        parts: the real rows, as they were assigned before the model was fitted.
        design: the probabilities they were assigned with.
        schema: the schema as declared.
        statement: the promise the model was made under.
        policy: what is asked of the table.
        kept: further files for the internal half.
        seed: of the streams that protect nobody.
        out: where the bundle goes.
        held: whether people must let the table out even where every check passed.
        audits: what is asked of it, in order.
        refit: the generator, for audits that fit it again; None where it is not at hand.
        bought: what was bought of real rows for card and gate; None where nothing was.
        attempt: which attempt on this version of the table it is; None where none are counted.
        earlier: released tables of the population that are held beside it.
    """

    synthetic: Table
    model: Model
    weights: Weights
    reweighted: tuple[str, ...]
    parts: Parts
    design: Design
    schema: Schema
    statement: PrivacyStatement
    policy: Policy
    kept: Mapping[str, bytes]
    seed: int
    out: Path
    held: bool = False
    audits: tuple[Audit, ...] = STANDARD
    refit: Refit | None = None
    bought: Answers | None = None
    attempt: Attempt | None = None
    earlier: Earlier = NO_EARLIER


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What came of a request."""

    bundle: Bundle
    decision: Decision
    statement: PrivacyStatement
    outcomes: tuple[Outcome, ...]

    @property
    def population(self) -> str:
        """Who pays."""
        return self.statement.schema.population


def judge(candidate: Candidate, home: Installation, charge: Charge, key: SigningKey, steps: Steps) -> Release:
    """Audit, judge and seal; the verdict goes into the ledger. Raises RequestError where OUT was taken meanwhile."""
    streams = Streams(candidate.seed)
    evidence = evidence_of(candidate, streams["thinning"])
    outcomes = audited(candidate, evidence, streams, steps)
    # With a priced gate no real row is looked at; see `audited`.
    points = joint_map(evidence, streams["map"]) if candidate.policy.gate is Gate.EXACT else ()

    steps("judging")
    statement, policy = candidate.statement, candidate.policy
    certificate = load_certificate(statement.synthesizer)
    digest = code_digest(sources_of(statement.synthesizer))
    faults = recompute_in_fresh_process(statement.to_json())
    gate = standing(load_certificate(priced.NAME), synthesizer=priced.NAME, code_digest=code_digest(priced.sources()))
    decision = decide(outcomes, policy, statement, faults, certificate, digest, candidate.attempt, gate)

    steps("sealing the bundle")
    scorecard = build(
        schema=candidate.model.schema,
        statement=statement,
        design=candidate.design,
        policy=policy,
        outcomes=outcomes,
        decision=decision,
        synthetic=candidate.synthetic,
        expected_error=candidate.model.expected_error,
        # A reweighted table has other marginals than the rows it was learnt from, by intention.
        bounds={} if candidate.reweighted else candidate.model.error_bounds(candidate.synthetic),
        confidence=CONFIDENCE,
        certificate=certificate,
        reproducibility=_reproducibility(candidate, digest),
        reweighted=candidate.reweighted,
        held=candidate.held,
        bought=candidate.bought,
        attempt=candidate.attempt,
    )
    contents = Contents(
        schema=candidate.schema,
        statement=statement.to_json(),
        policy=policy,
        decision=decision,
        scorecard=scorecard,
        timings=steps.seconds,
        charge=charge.id,
        ledger_head=home.ledger.head(),
        code_version=version("tablegate"),
        date=home.ledger.now()[:10],
        held=candidate.held,
        points=points,
        kept=candidate.kept,
    )
    bundle = seal(candidate.out, contents, synthetic=candidate.synthetic, key=key, quarantine=home.quarantine)
    home.ledger.record(charge, "verdict", {"verdict": str(decision.verdict), "bundle": bundle.digest})
    return Release(bundle=bundle, decision=decision, statement=statement, outcomes=outcomes)


def audited(candidate: Candidate, evidence: Evidence, streams: Streams, steps: Steps) -> tuple[Outcome, ...]:
    """What the verdict will be formed from: every audit that was asked for; or, for a priced gate, what was bought.

    With a priced gate no audit reads a real row: whatever it did, an error or a silence too, would be one more answer
    that nothing was paid for. The content scan reads synthetic rows alone.
    """

    def tell(title: str) -> None:
        steps(f"audit: {title}")

    if candidate.policy.gate is Gate.EXACT:
        return run_suite(candidate.audits, evidence, streams, tell)
    if candidate.bought is None:
        raise ValueError("a priced gate needs bought counts")
    nobody = np.zeros(0, np.int64)
    blind = replace(
        evidence,
        train=evidence.train.select(nobody),
        pooled=evidence.pooled[nobody],
        control=evidence.control.select(nobody),
        reference=evidence.reference.select(nobody),
    )
    return (*run_suite([Content()], blind, streams, tell), candidate.bought.gate_outcome())


def evidence_of(candidate: Candidate, rng: Generator) -> Evidence:
    """The real rows as the audits see them.

    A reweighted table is held against real rows reweighted alike: each row is kept by a coin whose probability follows
    from public figures and from the row alone. Kept rows are then independent draws of the reweighted population, so
    that every interval means what it says; there are fewer of them, and an audit that has too few says so.
    """
    schema = candidate.model.schema
    train, control, reference = (
        table.conform(schema) for table in (candidate.parts.train, candidate.parts.control, candidate.parts.reference)
    )
    pooled = candidate.parts.pooled
    if candidate.reweighted:
        kept = thinned(train, candidate.weights, rng)
        train, pooled = train.select(kept), pooled[kept]
        control = control.select(thinned(control, candidate.weights, rng))
        reference = reference.select(thinned(reference, candidate.weights, rng))
    return Evidence(
        schema=schema,
        train=train,
        pooled=np.asarray(pooled, dtype=np.bool_),
        control=control,
        reference=reference,
        synthetic=candidate.synthetic,
        claimed_delta=candidate.statement.claim.delta,
        expected_error=candidate.model.expected_error,
        refit=None if candidate.reweighted else candidate.refit,
        earlier=candidate.earlier.tables,
    )


def _reproducibility(candidate: Candidate, digest: str) -> dict[str, str]:
    """Versions, digests and the seed that protects nobody."""
    packages = ("tablegate", "dp-accounting", "numpy", "scipy", "pandas", "scikit-learn")
    return {
        **{f"version of {name}": version(name) for name in packages},
        "seed of sampling and audits": str(candidate.seed),
        "generator sources": digest,
        "schema": candidate.schema.digest,
        "policy": candidate.policy.digest,
        "earlier releases held beside it": ", ".join(candidate.earlier.digests) or "none",
    }

"""A table in, a sealed bundle out: the order of the steps, and nothing else.

Data moves down the page and never back. Up to `charge` no row has been read; from `open` on the charge stands, whatever
happens. What the generator learns goes through the filter; what the audits learn stays in the internal half.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from api.home import Home
from api.recipe import Order, Recipe, place
from api.steps import Steps
from api.streams import Streams
from audits.assignment import assign
from audits.evidence import Evidence
from audits.finding import Outcome
from audits.registry import STANDARD
from audits.release.bundle import Bundle, Contents, seal
from audits.release.certificate import code_digest, load_certificate
from audits.release.gate import Decision, decide
from audits.release.scorecard import build
from audits.suite import run_suite
from privacy.accounting import Claim, accountant_of
from privacy.filter import PrivacyFilter
from privacy.ledger import AlreadyOpenedError, Charge
from privacy.noise import NoiseSource, system_noise
from privacy.recompute import recompute_in_fresh_process
from privacy.statement import PrivacyStatement
from privacy.table import read_table
from synthesizers.registry import sources_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What came of a request."""

    bundle: Bundle
    decision: Decision
    statement: PrivacyStatement
    outcomes: tuple[Outcome, ...]


def release(recipe: Recipe, home: Home, steps: Steps) -> Release:
    """Make one release. Raises a ReleaseError for what is refused before the charge."""
    steps("checking the request")
    order = place(recipe)
    key = home.signing_key  # made before the charge: a folder nobody may write to must not cost budget
    streams = Streams(recipe.seed)
    noise = system_noise()
    charge, privacy = charge_and_open(order, home, noise)

    steps("reading the table")
    table = read_table(recipe.table, order.schema).bounded(noise)
    parts = assign(table, order.design, noise)

    model = order.plan.fit(parts.train, privacy, streams["fit"], steps)
    steps("sampling")
    synthetic = model.sample(order.rows(model.n_rows_estimate), streams["sample"])

    evidence = Evidence(
        schema=model.schema,
        train=parts.train.conform(model.schema),
        pooled=parts.pooled,
        control=parts.control.conform(model.schema),
        reference=parts.reference.conform(model.schema),
        synthetic=synthetic,
        expected_error=model.expected_error,
    )
    outcomes = run_suite(STANDARD, evidence, streams, lambda title: steps(f"audit: {title}"))

    steps("judging")
    statement = state(order, home, charge, privacy)
    certificate = load_certificate(order.synthesizer.name)
    digest = code_digest(sources_of(order.synthesizer.name))
    faults = recompute_in_fresh_process(statement.to_json())
    decision = decide(outcomes, order.policy, statement, faults, certificate, digest)

    steps("sealing the bundle")
    scorecard = build(
        schema=model.schema,
        statement=statement,
        design=order.design,
        policy=order.policy,
        outcomes=outcomes,
        decision=decision,
        synthetic=synthetic,
        expected_error=model.expected_error,
        certificate=certificate,
        reproducibility=reproducibility(order, digest),
    )
    contents = Contents(
        schema=order.schema,
        statement=statement.to_json(),
        policy=order.policy,
        decision=decision,
        scorecard=scorecard,
        timings=steps.seconds,
        charge=charge.id,
        ledger_head=home.ledger.head(),
        code_version=version("tablegate"),
    )
    bundle = seal(recipe.out, contents, synthetic=synthetic, key=key, quarantine=home.quarantine)
    home.ledger.record(charge, "verdict", {"verdict": str(decision.verdict), "bundle": bundle.digest})
    return Release(bundle=bundle, decision=decision, statement=statement, outcomes=outcomes)


def charge_and_open(order: Order, home: Home, noise: NoiseSource) -> tuple[Charge, PrivacyFilter]:
    """Charge the plan and open the charge: the last point at which nothing has been read.

    The loop ends because a charge somebody else has opened is never handed out again.
    """
    while True:
        charge = home.ledger.charge(
            population=order.schema.population,
            cap=order.cap,
            cost=order.plan.cost,
            claim=claim_of(order),
            request=order.request,
            purpose=f"{order.synthesizer.name} release under policy {order.policy.name}",
            schema_digest=order.schema.digest,
        )
        try:
            return charge, home.ledger.open(charge, noise)
        except AlreadyOpenedError:
            continue


def claim_of(order: Order) -> Claim:
    """What the release will promise."""
    return Claim(epsilon=order.budget.epsilon, delta=order.budget.delta, accountant=accountant_of(order.plan.cost))


def state(order: Order, home: Home, charge: Charge, privacy: PrivacyFilter) -> PrivacyStatement:
    """The privacy statement of a finished fit, from the events it really emitted."""
    return PrivacyStatement(
        synthesizer=order.synthesizer.name,
        schema=order.schema,
        claim=charge.claim,
        lines=order.plan.lines,
        emitted=privacy.spent,
        noise_is_secret=privacy.noise.is_secret,
        attempts=home.ledger.attempts(order.schema.population),
        population_epsilon=home.ledger.total(order.schema.population),
    )


def reproducibility(order: Order, digest: str) -> dict[str, str]:
    """Versions, digests and the seed that protects nobody."""
    packages = ("tablegate", "dp-accounting", "numpy", "scipy", "pandas", "scikit-learn")
    return {
        **{f"version of {name}": version(name) for name in packages},
        "seed of sampling and audits": str(order.recipe.seed),
        "generator sources": digest,
        "schema": order.schema.digest,
        "policy": order.policy.digest,
    }

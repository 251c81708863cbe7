"""A table by a generator whose guarantee nobody here has proven: fitted, audited and judged, and nothing is promised.

The walk of `api.pipeline` without its filter. Nothing is charged, since no epsilon bounds what such a generator gives
away: a number in the ledger would be made up. That it will read the population is on record before a row is read, and
every later statement of the population says so. The gate gets no statement, so that a policy which needs a guarantee
withholds whatever the audits found; such a request is refused before anything is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np

from api.asked_rows import target_of
from api.attempts import check_room, put_forward
from api.coins import fresh_coins
from api.deep import suite
from api.foreign import resolve
from api.home import Home
from api.integrations.frames import coded, plain
from api.integrations.synthcity import PREFIX, plugin
from api.recipe import Recipe, check_policy, check_rows, check_seed, check_target
from api.splitting import split
from api.steps import Steps
from api.streams import Streams
from audits.assignment import Parts, design_for
from audits.evidence import Evidence
from audits.fidelity.picture import joint_map
from audits.finding import Outcome
from audits.release.bundle import Bundle, Contents, seal
from audits.release.gate import Decision, decide
from audits.release.policy import Gate, Policy, load_policy
from audits.release.scorecard import build
from audits.suite import run_suite
from privacy.calibration import check_budget
from privacy.constraints import Constraints
from privacy.errors import RequestError
from privacy.files import check_file
from privacy.noise import system_noise
from privacy.rows import Inline
from privacy.schema import Schema
from privacy.schema_file import load_schema
from privacy.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class UnprovenTable:
    """What came of a request.

    Attributes:
        unverified: what made it, and what that says of privacy itself.
    """

    bundle: Bundle
    decision: Decision
    outcomes: tuple[Outcome, ...]
    population: str
    unverified: Mapping[str, str]


def is_unproven(synthesizer: str) -> bool:
    """Whether a name means a generator of another library."""
    return synthesizer.startswith(PREFIX)


def release_unproven(recipe: Recipe, home: Home, steps: Steps) -> UnprovenTable:
    """Make one table. Raises a ReleaseError for what is refused."""
    steps("checking the request")
    schema, policy = load_schema(recipe.schema), load_policy(recipe.policy)
    cap = schema.require_releasable()
    budget = check_budget(recipe.epsilon, recipe.delta, schema.n_public.value)
    check_policy(policy, budget)
    rows = _check(recipe, schema, policy)
    check_file(recipe.table, schema)
    check_room(home, schema, recipe.table, policy)
    key = home.signing_key
    constraints = schema.constraints or Constraints()
    modelled = constraints.modelled(schema)
    target = modelled.target.name if modelled.target is not None else None
    name = recipe.synthesizer.removeprefix(PREFIX)

    steps("starting the generator")
    with plugin(name, rows=rows, epsilon=budget.epsilon, delta=budget.delta, target=target) as made:
        reading = home.ledger.unproven(
            population=schema.population,
            cap=cap,
            generator=recipe.synthesizer,
            request=recipe.request,
            purpose=f"{recipe.synthesizer} under policy {policy.name}",
            schema_digest=schema.digest,
        )
        steps("reading the table")
        design = design_for(schema.n_public.value)
        halves = split(recipe.table, schema, design, fresh_coins(system_noise()), Inline())
        train = constraints.repair(halves.train.whole())
        steps("fitting and sampling")
        known = resolve(modelled, (train.only(modelled),))
        drawn = coded(
            made.sampled(train.only(modelled).conform(known), lambda: steps("fitting and sampling")), modelled
        )
        claim = made.claim(budget.epsilon, budget.delta)
        unverified = {"generator": recipe.synthesizer, "made_by": made.made_by, "claim": claim}

    # What leaves is coded by what the schema declares and by what the synthetic rows alone show.
    drawn = drawn.conform(resolve(modelled, (drawn,)))
    constraints = constraints.resolved(drawn) if constraints.maps else constraints
    shown = replace(constraints.completed(schema, drawn.schema), constraints=constraints)
    synthetic = constraints.complete(drawn, shown)
    attempt = put_forward(home, reading, schema, recipe.table, policy)
    streams = Streams(recipe.seed)
    evidence = _evidence(schema, halves.parts, synthetic)
    audits = suite(deep=recipe.deep, earlier=False, beside=recipe.beside)
    outcomes = run_suite(audits, evidence, streams, lambda title: steps(f"audit: {title}"))
    points = joint_map(evidence, streams["map"])

    steps("judging")
    decision = decide(outcomes, policy, None, (), None, "", attempt)
    steps("sealing the bundle")
    scorecard = build(
        schema=shown,
        statement=None,
        design=design,
        policy=policy,
        outcomes=outcomes,
        decision=decision,
        synthetic=synthetic,
        expected_error={},
        bounds={},
        confidence=1.0,
        certificate=None,
        reproducibility={"version of tablegate": version("tablegate"), "seed of the audits": str(recipe.seed)},
        held=recipe.held,
        attempt=attempt,
        unverified=unverified,
    )
    contents = Contents(
        schema=schema,
        statement=None,
        policy=policy,
        decision=decision,
        scorecard=scorecard,
        timings=steps.seconds,
        charge=reading.id,
        ledger_head=home.ledger.head(),
        code_version=version("tablegate"),
        held=recipe.held,
        points=points,
    )
    bundle = seal(recipe.out, contents, synthetic=synthetic, key=key, quarantine=home.quarantine)
    home.ledger.record(reading, "verdict", {"verdict": str(decision.verdict), "bundle": bundle.digest})
    return UnprovenTable(
        bundle=bundle,
        decision=decision,
        outcomes=outcomes,
        population=schema.population,
        unverified=unverified,
    )


def unpriced(synthesizer: str) -> RequestError:
    """What is said to whoever asks for the price of such a generator."""
    return RequestError(
        f"'{synthesizer}' has no price.",
        why="Its guarantee is unverified: nothing is charged for it, and a policy that needs a proof withholds.",
        fix="Ask for a release under a policy for people who may see the rows, or plan with another synthesizer.",
    )


def _check(recipe: Recipe, schema: Schema, policy: Policy) -> int:
    """The number of rows to draw. Raises RequestError for what only a proven generator can be asked."""
    if policy.requires_dp or policy.gate is Gate.PRICED:
        raise RequestError(
            f"Policy '{policy.name}' needs a guarantee, and that of '{recipe.synthesizer}' is unverified.",
            why="Nobody has proven here what a plugin of another library claims; the table would be withheld for sure.",
            fix="Choose a synthesizer of Tablegate's own, or a policy for people who may see the rows themselves.",
        )
    if target_of(schema, recipe.where, recipe.balance, recipe.given).words:
        raise RequestError(
            "Rows under conditions or in shares of somebody's choice are asked of an unverified generator.",
            why="They are drawn from a model of Tablegate's own.",
            fix="Leave --where, --balance and --given out.",
        )
    if recipe.earlier:
        raise RequestError(
            "Earlier releases are to be held beside a table of an unverified generator.",
            why="That audit is of what proven releases of a population reveal together.",
            fix="Leave --with-earlier out.",
        )
    check_seed(recipe.seed)
    check_target(recipe.out)
    rows = recipe.rows if recipe.rows is not None else schema.n_public.value
    if rows is None or (recipe.rows is None and schema.unit.field is not None):
        raise RequestError(
            "The number of rows is not given and no document publishes it.",
            why="The exact number of the table's rows is private, and nothing here measures it.",
            fix="Say how many with --rows.",
        )
    check_rows(rows)
    return rows


def _evidence(schema: Schema, parts: Parts, synthetic: Table) -> Evidence:
    """All tables, coded by whatever stands in any of them: internal."""
    made = coded(plain(synthetic), schema)
    full = resolve(schema, (parts.train, parts.control, parts.reference, made))
    return Evidence(
        schema=full,
        train=parts.train.conform(full),
        pooled=np.asarray(parts.pooled, dtype=np.bool_),
        control=parts.control.conform(full),
        reference=parts.reference.conform(full),
        synthetic=made.conform(full),
    )

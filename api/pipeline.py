"""A table in, a sealed bundle out: the order of the steps, and nothing else.

Data moves down the page and never back. Up to `charge` no row has been read; from `open` on the charge stands, whatever
happens. What the generator learns goes through the filter, and so does what is bought for the card or a priced gate;
what the audits learn stays in the internal half.
"""

from __future__ import annotations

from api.attempts import check_room, put_forward
from api.coins import fresh_coins
from api.home import Installation
from api.judging import Candidate, Release, judge
from api.pricing import emitted
from api.recipe import Order, Recipe, place
from api.steps import Steps
from api.streams import Streams
from audits.assignment import Parts
from audits.bought.answers import Answers, buy_card, buy_gate
from audits.release.bundle import COINS, MODEL
from audits.release.policy import Gate
from privacy.accounting import Claim, accountant_of
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.ledger import AlreadyOpenedError, Charge
from privacy.noise import NoiseSource, system_noise
from privacy.schema import Schema
from privacy.statement import PrivacyStatement
from privacy.table import Table, read_table
from synthesizers.artefact import save
from synthesizers.conditioning import draw, weigh


def release(recipe: Recipe, home: Installation, steps: Steps) -> Release:
    """Make one release. Raises a ReleaseError for what is refused before the charge."""
    steps("checking the request")
    order = place(recipe)
    _ = home.signing_key  # made before the charge: a folder nobody may write to must not cost budget
    charge, privacy = charge_and_open(order, home, system_noise())
    return make(order, home, charge, privacy, steps)


def make(order: Order, home: Installation, charge: Charge, privacy: PrivacyFilter, steps: Steps) -> Release:
    """Everything from the first row to the sealed bundle, under a charge that was opened."""
    recipe = order.recipe
    streams = Streams(recipe.seed)

    steps("reading the table")
    attempt = put_forward(home, charge, order.schema, recipe.table, order.policy)
    coins = fresh_coins(privacy.noise)
    table = read_table(recipe.table, order.schema)
    parts = coins.parts(table, order.design)

    train, control = order.price.filters(privacy)
    model = order.plan.fit(parts.train, train, streams["fit"], steps)
    steps("sampling")
    weights = weigh(model, order.target, streams["weights"])
    synthetic = draw(model, weights, order.rows(model.n_rows_estimate, weights.mass), streams["sample"])

    if order.price.beside:
        steps("asking control units for card and gate")
    bought = buy(order, model.schema, synthetic, parts, (train, control), streams)
    kept = {
        MODEL: save(model, order.synthesizer.name),
        COINS: coins.to_bytes(recipe.table),
    }
    candidate = Candidate(
        synthetic=synthetic,
        model=model,
        weights=weights,
        reweighted=order.target.words,
        parts=parts,
        design=order.design,
        schema=order.schema,
        statement=state(order, home, charge, emitted(train, control), is_secret=privacy.noise.is_secret),
        policy=order.policy,
        kept=kept,
        seed=recipe.seed,
        out=recipe.out,
        held=recipe.held,
        bought=bought,
        attempt=attempt,
    )
    return judge(candidate, home, charge, home.signing_key, steps)


def buy(
    order: Order,
    schema: Schema,
    synthetic: Table,
    parts: Parts,
    filters: tuple[PrivacyFilter, PrivacyFilter],
    streams: Streams,
) -> Answers:
    """What the policy has bought of real rows beside the generator, each part of the units through its own filter."""
    control = parts.control.conform(schema)
    gate = card = None
    if order.price.gate is not None:
        sides, n_public = (parts.train.conform(schema), control), order.schema.n_public.value
        gate = buy_gate(order.price.gate, synthetic, sides, filters, streams["gate"], n_public=n_public)
    if order.price.card is not None:
        card = buy_card(order.price.card, synthetic, control, filters[1], streams["card"])
    return Answers(card=card, gate=gate)


def charge_and_open(order: Order, home: Installation, noise: NoiseSource) -> tuple[Charge, PrivacyFilter]:
    """Charge the plan and open the charge: the last point at which nothing has been read.

    The loop ends because a charge somebody else has opened is never handed out again. Raises RequestError where the
    attempts on the table are used up.
    """
    check_room(home, order.schema, order.recipe.table, order.policy)
    while True:
        charge = home.ledger.charge(
            population=order.schema.population,
            cap=order.cap,
            cost=order.price.cost,
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
    return Claim(epsilon=order.budget.epsilon, delta=order.budget.delta, accountant=accountant_of(order.price.cost))


def state(order: Order, home: Installation, charge: Charge, spent: PrivacyCost, *, is_secret: bool) -> PrivacyStatement:
    """The privacy statement of a finished run, from the events it really emitted."""
    return PrivacyStatement(
        synthesizer=order.synthesizer.name,
        schema=order.schema,
        claim=charge.claim,
        lines=order.price.lines,
        emitted=spent,
        noise_is_secret=is_secret,
        attempts=home.ledger.attempts(order.schema.population),
        population_epsilon=home.ledger.total(order.schema.population),
        gate_is_priced=order.policy.gate is Gate.PRICED,
    )

"""A table in, a sealed bundle out: the order of the steps, and nothing else.

Data moves down the page and never back. Up to `charge` no row has been read; from `open` on the charge stands, whatever
happens. What the generator learns goes through the filter, and so does what is bought for the card or a priced gate;
what the audits learn stays in the internal half.
"""

from __future__ import annotations

from api.attempts import put_forward
from api.charging import opened
from api.coins import Coins, fresh_coins
from api.deep import announce, suite
from api.earlier import read_earlier
from api.home import Home, Installation
from api.judging import Candidate, Release, judge
from api.pricing import emitted
from api.recipe import Order, Recipe, place
from api.refitting import refitting_of
from api.splitting import Split, split
from api.steps import Steps
from api.streams import Streams
from audits.bought.answers import Answers, buy_card, buy_gate
from audits.release.bundle import COINS, MODEL
from audits.release.policy import Gate
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.ledger import Charge
from privacy.noise import system_noise
from privacy.schema import Schema
from privacy.statement import PrivacyStatement
from privacy.table import Table
from synthesizers.artefact import save
from synthesizers.conditioning import draw, weigh


def release(recipe: Recipe, home: Home, steps: Steps) -> Release:
    """Make one release, or go on with one that was stopped. Raises a ReleaseError for what is refused."""
    steps("checking the request")
    order = place(recipe)
    announce(order, steps)
    _ = home.signing_key  # made before the charge: a folder nobody may write to must not cost budget
    with opened(order, home, system_noise()) as (order, charge, privacy):
        return make(order, home, charge, privacy, steps)


def make(order: Order, home: Installation, charge: Charge, privacy: PrivacyFilter, steps: Steps) -> Release:
    """Everything from the first row to the sealed bundle, under a charge that was opened."""
    recipe = order.recipe
    streams = Streams(recipe.seed)

    steps("reading the table")
    coins = Coins(privacy.secret("coins of the assignment", lambda: fresh_coins(privacy.noise).key))
    halves = split(recipe.table, order.schema, order.design, coins, order.executor)

    train, control = order.price.filters(privacy)
    model = order.plan.fit(halves.train, train, streams["fit"], steps)
    if privacy.kept is not None:
        home.ledger.fitted(charge, privacy.kept)
    steps("sampling")
    weights = weigh(model, order.target, streams["weights"])
    synthetic = draw(model, weights, order.rows(model.n_rows_estimate, weights.mass), streams["sample"])

    if order.price.beside:
        steps("asking control units for card and gate")
    bought = buy(order, model.schema, synthetic, halves, (train, control), streams)
    if privacy.kept is not None and order.price.beside:
        home.ledger.fitted(charge, privacy.kept)
    kept = {
        MODEL: save(model, order.synthesizer.name),
        COINS: coins.to_bytes(recipe.table),
    }
    earlier = read_earlier(recipe.earlier, model.schema)
    attempt = put_forward(home, charge, order.schema, recipe.table, order.policy)
    candidate = Candidate(
        synthetic=synthetic,
        model=model,
        weights=weights,
        reweighted=order.target.words,
        parts=halves.parts,
        design=order.design,
        schema=order.schema,
        statement=state(order, home, charge, emitted(train, control), is_secret=privacy.noise.is_secret),
        policy=order.policy,
        kept=kept,
        seed=recipe.seed,
        out=recipe.out,
        held=recipe.held,
        audits=suite(deep=recipe.deep, earlier=bool(earlier.tables), beside=recipe.beside),
        refit=refitting_of(order, halves, model.schema, len(synthetic)),
        bought=bought,
        attempt=attempt,
        earlier=earlier,
    )
    return judge(candidate, home, charge, home.signing_key, steps)


def buy(
    order: Order,
    schema: Schema,
    synthetic: Table,
    halves: Split,
    filters: tuple[PrivacyFilter, PrivacyFilter],
    streams: Streams,
) -> Answers:
    """What the policy has bought of real rows beside the generator, each part of the units through its own filter."""
    control = halves.parts.control.conform(schema)
    gate = card = None
    if order.price.gate is not None:
        # All rows that train: the audits' sample of a long table is of a size that follows from its row count.
        sides, n_public = (halves.train.whole().conform(schema), control), order.schema.n_public.value
        gate = buy_gate(order.price.gate, synthetic, sides, filters, streams["gate"], n_public=n_public)
    if order.price.card is not None:
        card = buy_card(order.price.card, synthetic, control, filters[1], streams["card"])
    return Answers(card=card, gate=gate)


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
        unproven=home.ledger.unproven_tables(order.schema.population),
    )

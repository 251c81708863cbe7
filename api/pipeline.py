"""A table in, a sealed bundle out: the order of the steps, and nothing else.

Data moves down the page and never back. Up to `charge` no row has been read; from `open` on the charge stands, whatever
happens. What the generator learns goes through the filter; what the audits learn stays in the internal half.
"""

from __future__ import annotations

from api.charging import opened
from api.coins import Coins, fresh_coins
from api.deep import announce, suite
from api.home import Home, Installation
from api.judging import Candidate, Release, judge
from api.recipe import Order, Recipe, place
from api.refitting import refitting_of
from api.splitting import split
from api.steps import Steps
from api.streams import Streams
from audits.release.bundle import COINS, MODEL
from privacy.filter import PrivacyFilter
from privacy.ledger import Charge
from privacy.noise import system_noise
from privacy.statement import PrivacyStatement
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

    model = order.plan.fit(halves.train, privacy, streams["fit"], steps)
    if privacy.kept is not None:
        home.ledger.fitted(charge, privacy.kept)
    steps("sampling")
    weights = weigh(model, order.target, streams["weights"])
    synthetic = draw(model, weights, order.rows(model.n_rows_estimate, weights.mass), streams["sample"])

    kept = {
        MODEL: save(model, order.synthesizer.name),
        COINS: coins.to_bytes(recipe.table),
    }
    candidate = Candidate(
        synthetic=synthetic,
        model=model,
        weights=weights,
        reweighted=order.target.words,
        parts=halves.parts,
        design=order.design,
        schema=order.schema,
        statement=state(order, home, charge, privacy),
        policy=order.policy,
        kept=kept,
        seed=recipe.seed,
        out=recipe.out,
        held=recipe.held,
        audits=suite(deep=recipe.deep),
        refit=refitting_of(order, halves, model.schema, len(synthetic)),
    )
    return judge(candidate, home, charge, home.signing_key, steps)


def state(order: Order, home: Installation, charge: Charge, privacy: PrivacyFilter) -> PrivacyStatement:
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

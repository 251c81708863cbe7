"""From an order to an opened charge: a new one, or that of a stopped run that goes on.

A run that is expected to take long keeps what it is answered (`privacy.transcript`, which has the argument): the same
request, given again after the run was stopped or killed, then goes on under the charge it made. Before the charge is
opened only public facts are written: its id, the seed, the digest of the program. The first thing kept after that is
the table's digest, so that another table is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from api.attempts import check_room
from api.coins import file_digest
from api.home import Home, Installation
from api.recipe import Order
from audits.release.certificate import code_digest
from privacy.accounting import Claim
from privacy.calibration import claim_for
from privacy.checkpoint import Checkpoint
from privacy.filter import PrivacyFilter
from privacy.journal import canonical
from privacy.ledger import AlreadyOpenedError, Charge, JudgedError
from privacy.noise import NoiseSource
from privacy.transcript import CheckpointError, Transcript
from synthesizers.registry import sources_of

WORTH_KEEPING = 20.0
"""Expected seconds, from public facts, from which on a run keeps what it is answered."""

BEGUN = "begun"


@contextmanager
def opened(order: Order, home: Home, noise: NoiseSource) -> Iterator[tuple[Order, Charge, PrivacyFilter]]:
    """An opened charge; what was kept is erased once the block is done, and stays where the block was stopped."""
    if order.plan.estimate.seconds < WORTH_KEEPING:
        yield (order, *charge_and_open(order, home, noise))
        return
    with home.checkpoints.held(_name(order)) as checkpoint:
        yield _begin_or_go_on(order, home, noise, checkpoint)
        checkpoint.erase()


def charge_and_open(
    order: Order, home: Installation, noise: NoiseSource, checkpoint: Checkpoint | None = None
) -> tuple[Charge, PrivacyFilter]:
    """Charge the price of an order and open the charge. Raises RequestError where the table's attempts are used up."""
    check_room(home, order.schema, order.recipe.table, order.policy)

    def make() -> Charge:
        charge = home.ledger.charge(
            population=order.schema.population,
            cap=order.cap,
            cost=order.price.cost,
            claim=claim_of(order),
            request=order.request,
            purpose=f"{order.synthesizer.name} release under policy {order.policy.name}",
            schema_digest=order.schema.digest,
        )
        if checkpoint is not None:
            begun = {"charge": charge.id, "seed": order.recipe.seed, "sources": _sources(order)}
            checkpoint.put(BEGUN, json.dumps(begun).encode())
        return charge

    return open_own(home, noise, make, checkpoint)


def open_own(
    home: Installation, noise: NoiseSource, make: Callable[[], Charge], checkpoint: Checkpoint | None = None
) -> tuple[Charge, PrivacyFilter]:
    """Make a charge and open it: the last point at which nothing has been read.

    The loop ends because a charge somebody else has opened is never handed out again.

    Args:
        home: whose ledger.
        noise: what the filter draws from.
        make: charges, or takes up a charge of the same request that was never opened.
        checkpoint: where answers are kept; None for nowhere.
    """
    while True:
        charge = make()
        try:
            return charge, home.ledger.open(charge, noise, None if checkpoint is None else Transcript(checkpoint))
        except AlreadyOpenedError:
            continue


def claim_of(order: Order) -> Claim:
    """What the release will promise."""
    return claim_for(order.budget, order.price.cost)


def _begin_or_go_on(
    order: Order, home: Home, noise: NoiseSource, checkpoint: Checkpoint
) -> tuple[Order, Charge, PrivacyFilter]:
    begun = checkpoint.get(BEGUN)
    if begun is not None:
        try:
            order, charge, privacy = _go_on(order, home, noise, checkpoint, json.loads(begun))
        except JudgedError:  # stopped between the verdict and erasing
            checkpoint.clear()
            begun = None
    if begun is None:
        charge, privacy = charge_and_open(order, home, noise, checkpoint)
    digest = bytes.fromhex(file_digest(order.recipe.table))
    if privacy.secret("digest of the table", lambda: digest) != digest:
        raise CheckpointError(
            "The table is not the one the stopped run read.",
            why="Its charge pays for one release of the table as it was.",
            fix="Put the table back as it was, or charge anew with another --request.",
        )
    return order, charge, privacy


def _go_on(
    order: Order, home: Home, noise: NoiseSource, checkpoint: Checkpoint, begun: dict[str, str | int]
) -> tuple[Order, Charge, PrivacyFilter]:
    if begun["sources"] != _sources(order):
        raise CheckpointError(
            "The program is not the one the run was begun with.",
            why="Another version may ask other questions than those that were answered.",
            fix="Go on with the version the run was begun with, or charge anew with another --request.",
        )
    charge = home.ledger.charge_of(str(begun["charge"]))
    order = replace(order, recipe=replace(order.recipe, seed=int(begun["seed"])))
    try:
        return order, charge, home.ledger.open(charge, noise, Transcript(checkpoint))
    except AlreadyOpenedError:
        reason = "the run was stopped and goes on from what it kept"
        return order, charge, home.ledger.reopen(charge, noise, reason, Transcript(checkpoint))


def _name(order: Order) -> str:
    """Of an order's checkpoint: whatever asks other questions has another."""
    plan = {"population": order.schema.population, "request": order.request, "schema": order.schema.digest,
            "synthesizer": order.synthesizer.name, "cost": order.price.cost.to_json()}  # fmt: skip
    return hashlib.sha256(canonical(plan)).hexdigest()[:32]


def _sources(order: Order) -> str:
    return code_digest(sources_of(order.synthesizer.name))

"""Asking for a release: its price, the request itself, and taking it back.

A request is one commit: the charge in the ledger, the release, the record and the job are there together or not at all.
The charge is the reservation: it counts against the cap from here on, and is void only if the request is taken back
before its table was opened.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.roles import Action, Principal, forbidden
from api.charging import claim_of
from api.desk.charges import ledger_in, void_unopened
from api.desk.desk import CPU, GPU, Desk, Job, dataset_for, release_for
from api.desk.errors import ConflictError
from api.desk.ordering import Asked, order_for, policy_named
from api.desk.record import deciding, record
from api.desk.states import RELEASE, DatasetState, ReleaseState, moved
from api.desk.words import LONGEST_TITLE, sentence
from api.recipe import Order
from api.store.database import reading
from api.store.identity import new_id, now
from api.store.tables import Dataset, Release
from privacy.errors import BudgetExceededError, RequestError
from privacy.ledger import Charge, Ledger

ONCE = re.compile(r"[\x21-\x7e]{1,200}")
RELEASE_JOB = "release_v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a request would cost; public, computed without a row.

    Attributes:
        epsilon, delta: totals that are promised.
        lines: what is bought, in words.
        seconds, memory_bytes: estimates of the run.
        spent, total_after: epsilon of the population now and then, at the cap's delta.
        left_after: epsilon of one more Gaussian release that would still fit; None where this one does not.
        fits: whether it would be admitted.
        approvers: how many people must approve.
    """

    epsilon: float
    delta: float
    lines: tuple[str, ...]
    seconds: float
    memory_bytes: int
    spent: float
    total_after: float | None
    left_after: float | None
    fits: bool
    approvers: int


class _Rehearsed(Exception):
    """Carries an answer out of a transaction that is to leave nothing."""


def price(desk: Desk, who: Principal, dataset: str, asked: Asked, policy: str) -> Price:
    """What a request would cost: the very charge, made and undone. Raises a ReleaseError for what would be refused."""
    with reading(desk.engine) as session:
        found = dataset_for(session, who, dataset, Action.REQUEST)
    order = order_for(found, asked.stored(), policy_named(desk.settings, policy), new_id())
    population = order.schema.population
    after: tuple[float, float] | None = None
    spent = 0.0
    try:
        with deciding(desk.engine) as session:
            ledger = ledger_in(session)
            spent = ledger.total(population)
            _charge(ledger, order)
            after = ledger.total(population), ledger.left(population)
            raise _Rehearsed
    except (_Rehearsed, BudgetExceededError):
        pass
    return Price(
        epsilon=order.budget.epsilon,
        delta=order.budget.delta,
        lines=tuple(line.purpose for line in order.price.lines),
        seconds=order.plan.estimate.seconds,
        memory_bytes=order.plan.estimate.memory_bytes,
        spent=spent,
        total_after=None if after is None else after[0],
        left_after=None if after is None else after[1],
        fits=after is not None,
        approvers=order.policy.approvers,
    )


def request(
    desk: Desk, who: Principal, dataset: str, asked: Asked, *, policy: str, purpose: str, recipient: str, once: str = ""
) -> Release:
    """Ask for a release: charge it, and queue its job.

    Args:
        desk: where.
        who: asks.
        dataset: id of the dataset.
        asked: the recipe.
        policy: name of a policy of the installation.
        purpose: what the table is for.
        recipient: who will have it.
        once: id of this request, chosen by the caller: the same id and request again give the same release.

    Raises:
        ConflictError: the dataset has no table, or `once` was used for another request.
        BudgetExceededError, RequestError, ...: as `Ledger.charge` and `api.recipe.ordered`.
    """
    purpose, recipient = sentence(purpose, "purpose"), sentence(recipient, "recipient", LONGEST_TITLE)
    _check_once(once)
    with reading(desk.engine) as session:
        found = dataset_for(session, who, dataset, Action.REQUEST)
    release = new_id()
    stored = asked.stored()
    order = order_for(found, stored, policy_named(desk.settings, policy), release)
    said = {"policy": json.dumps(dict(order.policy.document)), "purpose": purpose, "recipient": recipient}
    with deciding(desk.engine) as session:
        known = _asked_before(session, who, once)
        if known is not None:
            _check_same(known, dataset, stored, said)
            return known
        found = dataset_for(session, who, dataset, Action.REQUEST)
        _check_ready(found)
        charge = _charge(ledger_in(session), order)
        made = Release(
            id=release,
            dataset=dataset,
            asked_by=who.id,
            asked_at=now(),
            once=once or release,
            asked=stored,
            approvers=order.policy.approvers,
            queue=GPU if asked.device.startswith("cuda") else CPU,
            state=ReleaseState.QUEUED,
            table_name=found.table_name,
            charge=charge.id,
            **said,
        )
        session.add(made)
        facts = {"dataset": dataset, "charge": charge.id, "policy": order.policy.digest, "purpose": purpose}
        record(session, who.id, "request", release, recipient=recipient, **facts)
        job = Job(kind=RELEASE_JOB, id=job_of(release), about=release, queue=made.queue, alone=found.population)
        desk.jobs.put(session.connection(), job)
        return made


def job_of(release: str) -> str:
    """Id of a release's job."""
    return f"release-{release}"


def cancel(desk: Desk, who: Principal, release: str, reason: str) -> Release:
    """Take a request back; whoever asked may, and the steward.

    Of a queued one the charge is voided at once. A running one is stopped by its worker; its charge stands unless
    no row was read.

    Raises:
        ConflictError: it is neither queued nor running.
    """
    reason = sentence(reason, "reason")
    with deciding(desk.engine) as session:
        found, dataset = release_for(session, who, release, Action.STOP)
        if found.asked_by != who.id and not who.may(Action.ERASE, dataset.id):
            raise forbidden(Action.STOP)
        if found.state == ReleaseState.RUNNING:
            found.stop_asked = True
            record(session, who.id, "stop asked", release, reason=reason)
            return found
        found.state = moved(RELEASE, found.state, "cancel")
        found.ended_at = now()
        void_unopened(session, found.charge, reason)
        record(session, who.id, "cancel", release, reason=reason)
        return found


def _charge(ledger: Ledger, order: Order) -> Charge:
    return ledger.charge(
        population=order.schema.population,
        cap=ledger.cap(order.schema.population) or order.cap,
        cost=order.price.cost,
        claim=claim_of(order),
        request=order.request,
        purpose=f"{order.synthesizer.name} release under policy {order.policy.name}",
        schema_digest=order.schema.digest,
    )


def _asked_before(session: Session, who: Principal, once: str) -> Release | None:
    if not once:
        return None
    return session.scalar(select(Release).where(Release.asked_by == who.id, Release.once == once))


def _check_same(known: Release, dataset: str, stored: dict[str, Any], said: dict[str, str]) -> None:
    asked = {**stored, "seed": known.asked["seed"]}
    before = {"policy": known.policy, "purpose": known.purpose, "recipient": known.recipient}
    if known.dataset != dataset or known.asked != asked or before != said:
        raise ConflictError(
            "This request id was used for another request.",
            why="The same id means the same request, so that sending it twice charges once.",
            fix="Choose a new id.",
        )


def _check_ready(dataset: Dataset) -> None:
    if dataset.state != DatasetState.READY:
        raise ConflictError(
            f"The dataset is {dataset.state}.",
            why="A release is made from a table that was uploaded and checked.",
            fix="Wait for the check, or have the table uploaded.",
        )


def _check_once(once: str) -> None:
    if once and not ONCE.fullmatch(once):
        raise RequestError(
            "The request id is not 1 to 200 visible ASCII characters.",
            why="It names this request, so that sending it twice charges once.",
            fix="Use a random UUID.",
        )

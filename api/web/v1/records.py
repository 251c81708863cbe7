"""`/v1/records`, `/v1/workers`, `/v1/policies`: what was done, by whom, on what, and by which limits."""

from __future__ import annotations

from time import time
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select

from api.access.roles import Action, Principal
from api.desk import record
from api.desk.ordering import policies as known_policies
from api.store.database import reading
from api.store.journal import AUDIT, LEDGER
from api.store.tables import Worker
from api.web.access import HouseDep, asks
from api.web.problems import responses
from api.web.wire import Chain, PolicyOut, RecordOut, Records, WorkerOut

router = APIRouter(prefix="/v1", tags=["records"])
After = Annotated[int, Query(ge=0, le=1 << 53, description="`next` of the part before.")]
RecordLimit = Annotated[int, Query(ge=1, le=500)]
About = Annotated[str, Query(pattern=r"^[0-9a-zA-Z_.-]{0,64}$", description="Id of what the entries are about.")]


@router.get("/records", responses=responses())
def records(
    _: Annotated[Principal, asks(Action.SEE_LOG)],
    house: HouseDep,
    after: After = 0,
    limit: RecordLimit = 100,
    about: About = "",
) -> Records:
    """The audit log from its beginning. Entries are only ever added, and each holds the digest of the one before."""
    found = record.entries(house.desk.engine, after, limit + 1, about)
    items = [RecordOut.model_validate(entry) for entry in found[:limit]]
    return Records(items=items, next=items[-1].seq if len(found) > limit else None)


@router.get("/records/verification", responses=responses())
def verification(_: Annotated[Principal, asks(Action.VERIFY)], house: HouseDep) -> list[Chain]:
    """Recompute the audit log's chain and the ledger's, entry by entry. 500 says where one does not hold."""
    heads = [(name, record.verified_head(house.desk.engine, name)) for name in (AUDIT, LEDGER)]
    return [Chain(name=name, length=seq, head=digest) for name, (seq, digest) in heads]


@router.get("/workers", responses=responses())
def workers(_: Annotated[Principal, asks(Action.SEE_WORKERS)], house: HouseDep) -> list[WorkerOut]:
    """The slots that run jobs, and for how long each has been silent."""
    moment, lease = time(), house.desk.settings.lease_seconds
    with reading(house.desk.engine) as session:
        return [
            WorkerOut(
                slot=one.slot,
                queues=one.queues,
                host=one.host,
                started_at=one.started_at,
                silent_seconds=round(max(0.0, moment - one.beat), 1),
                alive=moment - one.beat < lease,
            )
            for one in session.scalars(select(Worker).order_by(Worker.slot))
        ]


@router.get("/policies", responses=responses())
def policies(_: Annotated[Principal, asks(Action.SEE_POLICIES)], house: HouseDep) -> list[PolicyOut]:
    """The policies releases are judged by, with every limit."""
    return [
        PolicyOut(
            name=name,
            tier=policy.tier,
            digest=policy.digest,
            approvers=policy.approvers,
            max_epsilon=policy.max_epsilon,
            document=dict(policy.document),
        )
        for name, policy in known_policies(house.desk.settings).items()
    ]

"""The audit log, policies and workers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import func, select
from starlette.responses import Response

from api.access.roles import Action, Principal
from api.desk import record
from api.store.database import reading
from api.store.journal import AUDIT
from api.store.tables import ChainEntry
from api.web.access import HouseDep, asks
from api.web.pages.rendering import page
from api.web.v1 import records as resource
from api.web.v1.people import everybody
from api.web.v1.records import About

router = APIRouter(include_in_schema=False)
PAGE_SIZE = 50
MOST_ABOUT_ONE = 500


@router.get("/records")
def records(
    request: Request,
    _: Annotated[Principal, asks(Action.SEE_LOG)],
    house: HouseDep,
    before: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
    about: About = "",
) -> Response:
    """The audit log, the newest entries first."""
    with reading(house.desk.engine) as session:
        last = session.scalar(select(func.max(ChainEntry.seq)).where(ChainEntry.chain == AUDIT)) or 0
        names = {person.id: person.name for person in everybody(session)}
    end = min(before or last + 1, last + 1)
    start = 0 if about else max(0, end - 1 - PAGE_SIZE)
    limit = MOST_ABOUT_ONE if about else end - 1 - start
    found = record.entries(house.desk.engine, start, limit, about) if limit else []
    older = start + 1 if start > 0 else None
    shown = list(reversed(found))
    return page(request, "records", entries=shown, names=names, older=older, about=about, length=last)


@router.get("/records/verification")
def verification(request: Request, who: Annotated[Principal, asks(Action.VERIFY)], house: HouseDep) -> Response:
    """Recompute the chains: a part of the page."""
    return page(request, "parts/verification", chains=resource.verification(who, house))


@router.get("/policies")
def policies(request: Request, who: Annotated[Principal, asks(Action.SEE_POLICIES)], house: HouseDep) -> Response:
    """The policies with every limit."""
    return page(request, "policies", policies=resource.policies(who, house))


@router.get("/workers")
def workers(request: Request, who: Annotated[Principal, asks(Action.SEE_WORKERS)], house: HouseDep) -> Response:
    """The slots that run jobs."""
    return page(request, "workers", workers=resource.workers(who, house))

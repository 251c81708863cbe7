"""`/v1/releases`: what became of a request, and taking what was released."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from time import monotonic
from typing import Annotated

from anyio import sleep
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from api.access.roles import Action, Principal
from api.desk import releases, requests
from api.desk.states import ReleaseState
from api.store.tables import Release
from api.web.access import HouseDep, asks
from api.web.problems import responses
from api.web.serving import served
from api.web.wire import (
    ID,
    Card,
    Cursor,
    End,
    FileOut,
    Limit,
    Page,
    ReleaseId,
    ReleaseOut,
    ReviewedRelease,
    Step,
    Terms,
    TermsAccepted,
    Why,
)

router = APIRouter(prefix="/v1/releases", tags=["releases"])
Seer = Annotated[Principal, asks(Action.SEE_RELEASES)]
Taker = Annotated[Principal, asks(Action.DOWNLOAD)]
DatasetFilter = Annotated[
    str, Query(pattern=ID.replace("^", "^(").replace("$", ")?$"), description="Of this one only.")
]

AT_WORK = frozenset({ReleaseState.QUEUED, ReleaseState.RUNNING, ReleaseState.APPROVED})
LOOK_SECONDS, STREAM_SECONDS = 0.5, 600.0
"""How often progress is looked for, and for how long by one request: whoever comes again is recognised again."""


@router.get("", responses=responses())
def listed(
    who: Seer, house: HouseDep, dataset: DatasetFilter = "", before: Cursor = "", limit: Limit = 50
) -> Page[ReviewedRelease | ReleaseOut]:
    """Releases you may see, the newest first: a researcher sees their own, and what was released."""
    found = releases.releases(house.desk, who, dataset=dataset, before=before, limit=limit + 1)
    items = [shown(who, one) for one in found[:limit]]
    return Page(items=items, next=found[limit - 1].id if len(found) > limit else None)


@router.get("/{release}", responses=responses(404))
def one(release: ReleaseId, who: Seer, house: HouseDep) -> ReviewedRelease | ReleaseOut:
    """One release."""
    return shown(who, releases.release(house.desk, who, release))


@router.post("/{release}/cancellation", responses=responses(404, 409))
def cancel(
    release: ReleaseId, asked: Why, who: Annotated[Principal, asks(Action.STOP)], house: HouseDep
) -> ReviewedRelease | ReleaseOut:
    """Take a request back. Its charge is voided only if no row was read for it."""
    return shown(who, requests.cancel(house.desk, who, release, asked.reason))


def seen(release: ReleaseId, who: Seer, house: HouseDep) -> Release:
    """The release, before anything is streamed about it."""
    return releases.release(house.desk, who, release)


@router.get(
    "/{release}/events",
    responses={**responses(404), 200: {"content": {"text/event-stream": {}}}},
    response_class=EventSourceResponse,
)
async def events(
    found: Annotated[Release, Depends(seen)],
    who: Seer,
    house: HouseDep,
    last_event_id: Annotated[int, Header(ge=0, le=1 << 53)] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Steps as they happen (`step`), then its state when it came to rest (`rest`). Resumes after `Last-Event-ID`."""
    after, started = last_event_id, monotonic()
    while monotonic() - started < STREAM_SECONDS:
        steps = await run_in_threadpool(releases.progress, house.desk, who, found.id, after)
        for step in steps:
            after = step.id
            yield ServerSentEvent(id=str(step.id), event="step", data=Step.model_validate(step))
        now = await run_in_threadpool(releases.release, house.desk, who, found.id)
        if now.state not in AT_WORK:
            yield ServerSentEvent(event="rest", data={"state": now.state})
            return
        await sleep(LOOK_SECONDS)


@router.get("/{release}/card", responses=responses(404))
def card(release: ReleaseId, who: Seer, house: HouseDep) -> Card:
    """The scorecard as its recipient has it: nothing in it was computed from private rows but what was bought."""
    return Card(scorecard=releases.scorecard(house.desk, who, release))


@router.get("/{release}/terms", responses=responses(404))
def terms(release: ReleaseId, who: Taker, house: HouseDep) -> Terms:
    """The terms of use."""
    accepted = releases.accepted(house.desk, who, release)
    return Terms(text=releases.TERMS, digest=releases.terms_digest(), accepted=accepted)


@router.post("/{release}/terms/acceptance", responses=responses(404, 409))
def accept(release: ReleaseId, asked: TermsAccepted, who: Taker, house: HouseDep) -> Terms:
    """Accept the terms you read; recorded with your name."""
    releases.accept_terms(house.desk, who, release, asked.digest)
    return terms(release, who, house)


@router.get("/{release}/files", responses=responses(404))
def files(release: ReleaseId, who: Taker, house: HouseDep) -> list[FileOut]:
    """The files of the released bundle."""
    return [FileOut(name=name, size=size) for name, size in releases.files(house.desk, who, release).items()]


@router.get(
    "/{release}/files/{name:path}",
    responses={
        **responses(404, 409, 416),
        200: {"content": {"application/octet-stream": {}}},
        206: {"description": "The range asked for.", "content": {"application/octet-stream": {}}},
    },
    response_class=Response,
)
def download(request: Request, release: ReleaseId, name: str, who: Taker, house: HouseDep) -> Response:
    """One file, streamed; takes one `Range`. Recorded with your name before the first byte is sent."""
    file = releases.download(house.desk, who, release, name)
    return served(request, file.name, file.size, file.stream)


@router.post("/{release}/withdrawal", responses=responses(404, 409))
def withdraw(
    release: ReleaseId, asked: Why, who: Annotated[Principal, asks(Action.WITHDRAW)], house: HouseDep
) -> ReviewedRelease | ReleaseOut:
    """Take a released table back: no more downloads, and everybody who took it is told."""
    return shown(who, releases.withdraw(house.desk, who, release, asked.reason))


@router.put("/{release}/end", responses=responses(404, 409))
def set_end(
    release: ReleaseId, asked: End, who: Annotated[Principal, asks(Action.WITHDRAW)], house: HouseDep
) -> ReviewedRelease | ReleaseOut:
    """Say when downloads end by themselves."""
    return shown(who, releases.set_end(house.desk, who, release, asked.at))


def shown(who: Principal, release: Release) -> ReviewedRelease | ReleaseOut:
    """A release for somebody: the gate's word only for those who may see findings."""
    model = ReviewedRelease if who.may(Action.SEE_FINDINGS, release.dataset) else ReleaseOut
    columns = {name: getattr(release, name) for name in model.model_fields if name != "policy"}
    return model(**columns, policy=str(json.loads(release.policy)["name"]))

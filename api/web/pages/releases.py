"""Releases: what became of a request, its progress, and taking what was released."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from api.access.roles import Action, Principal
from api.desk import datasets, releases, requests
from api.desk.states import ReleaseState
from api.store.tables import Release
from api.web.access import House, HouseDep, asks
from api.web.pages.monitors import part
from api.web.pages.rendering import REPORT_HEADERS, page, to
from api.web.v1.releases import AT_WORK, download
from api.web.v1.releases import shown as wired
from api.web.wire import DIGEST, ID, ReleaseId

router = APIRouter(include_in_schema=False)
Seer = Annotated[Principal, asks(Action.SEE_RELEASES)]
Taker = Annotated[Principal, asks(Action.DOWNLOAD)]
Reason = Annotated[str, Form(max_length=2000)]
PAGE_SIZE = 30


@router.get("/releases")
def listed(
    request: Request, who: Seer, house: HouseDep, before: Annotated[str, Query(pattern=f"({ID})|^$")] = ""
) -> Response:
    """Releases somebody may see."""
    found = releases.releases(house.desk, who, before=before, limit=PAGE_SIZE + 1)
    titles = {one.id: one.title for one in datasets.catalogue(house.desk, who)}
    following = found[PAGE_SIZE - 1].id if len(found) > PAGE_SIZE else None
    return page(request, "releases", releases=found[:PAGE_SIZE], titles=titles, following=following)


@router.get("/releases/{release}")
def one(request: Request, release: ReleaseId, who: Seer, house: HouseDep) -> Response:
    """One release, whatever its state."""
    found = releases.release(house.desk, who, release)
    published = found.state == ReleaseState.PUBLISHED
    dataset = datasets.dataset(house.desk, who, found.dataset)
    taker = published and who.may(Action.DOWNLOAD, found.dataset)
    return page(
        request,
        "release",
        release=found,
        wire=wired(who, found),
        dataset=dataset,
        work=_work(house, who, found),
        card=releases.scorecard(house.desk, who, release) if published else None,
        files=releases.files(house.desk, who, release) if taker else {},
        accepted=taker and releases.accepted(house.desk, who, release),
        terms=releases.TERMS,
        terms_digest=releases.terms_digest(),
        monitor=part(house, who, found, dataset),
        may_stop=found.asked_by == who.id or who.may(Action.ERASE, found.dataset),
    )


@router.get("/releases/{release}/progress")
def progress(request: Request, release: ReleaseId, who: Seer, house: HouseDep) -> Response:
    """The steps so far, for a page to put in place of those it has; at the end it loads the page anew."""
    found = releases.release(house.desk, who, release)
    answer = page(request, "parts/progress", release=found, work=_work(house, who, found))
    if found.state not in AT_WORK:
        answer.headers["HX-Refresh"] = "true"
    return answer


@router.post("/releases/{release}/cancellation")
def cancel(
    release: ReleaseId, who: Annotated[Principal, asks(Action.STOP)], house: HouseDep, reason: Reason
) -> Response:
    """Take a request back."""
    requests.cancel(house.desk, who, release, reason)
    return to(f"/releases/{release}")


@router.post("/releases/{release}/terms")
def accept(release: ReleaseId, who: Taker, house: HouseDep, digest: Annotated[str, Form(pattern=DIGEST)]) -> Response:
    """Accept the terms that were shown."""
    releases.accept_terms(house.desk, who, release, digest)
    return to(f"/releases/{release}")


@router.get("/releases/{release}/files/{name:path}")
def take(request: Request, release: ReleaseId, name: str, who: Taker, house: HouseDep) -> Response:
    """Download a file."""
    return download(request, release, name, who, house)


@router.get("/releases/{release}/report")
def report(release: ReleaseId, who: Taker, house: HouseDep) -> Response:
    """The recipient's report."""
    return Response(releases.report(house.desk, who, release), headers=REPORT_HEADERS, media_type="text/html")


@router.post("/releases/{release}/withdrawal")
def withdraw(
    release: ReleaseId, who: Annotated[Principal, asks(Action.WITHDRAW)], house: HouseDep, reason: Reason
) -> Response:
    """Take a released table back."""
    releases.withdraw(house.desk, who, release, reason)
    return to(f"/releases/{release}")


def _work(house: House, who: Principal, found: Release) -> dict[str, object]:
    """Steps of the latest run, and whether there is more to come."""
    steps = [step for step in releases.progress(house.desk, who, found.id) if step.run == found.run]
    return {"steps": steps, "going": found.state in AT_WORK}

"""Monitors: parts of the pages of a release and its dataset, for those who see findings."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from api.access.roles import Action, Principal
from api.desk import monitors, proposals
from api.desk.errors import NotFoundError
from api.desk.states import AT_WORK
from api.store.tables import Check, Dataset, Release
from api.web.access import House, HouseDep, asks, counted
from api.web.pages.forms import fields, monitor_of
from api.web.pages.rendering import REPORT_HEADERS, page, to
from api.web.v1.monitors import inner, shown
from api.web.wire import ReleaseId
from api.web.wire_monitors import CheckId, MonitorOut

router = APIRouter(include_in_schema=False)
Reader = Annotated[Principal, asks(Action.SEE_FINDINGS)]
Setter = Annotated[Principal, asks(Action.MONITOR)]


@router.post("/releases/{release}/monitor")
def set_one(
    release: ReleaseId, who: Setter, house: HouseDep, given: Annotated[dict[str, str], Depends(fields)]
) -> Response:
    """Have a release compared with new versions of its table."""
    monitors.set_monitor(house.desk, who, release, *inner(monitor_of(given)))
    return to(f"/releases/{release}#monitor")


@router.post("/releases/{release}/monitor/end")
def end(release: ReleaseId, who: Setter, house: HouseDep) -> Response:
    """Compare it no more."""
    monitors.end_monitor(house.desk, who, release)
    return to(f"/releases/{release}#monitor")


@router.post("/releases/{release}/checks", dependencies=[Depends(counted("request"))])
def ask(release: ReleaseId, who: Setter, house: HouseDep) -> Response:
    """Have the version at hand compared now."""
    monitors.ask(house.desk, who, release)
    return to(f"/releases/{release}#monitor")


@router.get("/releases/{release}/checks/{check}/state")
def state(request: Request, release: ReleaseId, check: CheckId, who: Reader, house: HouseDep) -> Response:
    """Where a check is, for a page to look again; once it is over the page is loaded anew."""
    found = monitors.check(house.desk, who, release, check)
    answer = page(request, "parts/check_state", check=found)
    if found.state not in AT_WORK:
        answer.headers["HX-Refresh"] = "true"
    return answer


@router.get("/releases/{release}/checks/{check}/report")
def report(release: ReleaseId, check: CheckId, who: Reader, house: HouseDep) -> Response:
    """The report of a check."""
    with monitors.file(house.desk, who, release, check, monitors.REPORT).stream as stream:
        return Response(stream.read(), headers=REPORT_HEADERS, media_type="text/html")


@router.post("/releases/{release}/checks/{check}/cancellation")
def cancel(
    release: ReleaseId,
    check: CheckId,
    who: Setter,
    house: HouseDep,
    reason: Annotated[str, Form(max_length=2000)],
) -> Response:
    """Stop a check."""
    monitors.cancel(house.desk, who, release, check, reason)
    return to(f"/releases/{release}#monitor")


def part(house: House, who: Principal, release: Release, dataset: Dataset) -> dict[str, Any] | None:
    """What the page of a release shows of its monitor, for those who see findings; None for others."""
    if not who.may(Action.SEE_FINDINGS, release.dataset):
        return None
    watching: MonitorOut | None = None
    try:
        watching = shown(house, who, release.id)
    except NotFoundError:
        pass
    checks: list[Check] = monitors.checks(house.desk, who, release.id)
    proposed = proposals.proposals(house.desk, who, release.dataset)
    return {
        "watching": watching,
        "checks": checks,
        "askable": monitors.is_newer(release, dataset) and not monitors.answered(checks, dataset),
        "proposal": next((one for one in proposed if one.release.id == release.id), None),
    }

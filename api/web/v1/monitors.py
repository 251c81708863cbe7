"""`/v1/releases/{release}`: its monitor and checks, for those who see findings. What a check finds was bought."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response

from api.access.roles import Action, Principal
from api.desk import monitors
from api.store.tables import Check
from api.web.access import House, HouseDep, asks, counted
from api.web.problems import responses
from api.web.serving import served
from api.web.wire import ReleaseId, Why
from api.web.wire_monitors import CheckFound, CheckId, CheckOut, MonitorOut, NewMonitor

router = APIRouter(prefix="/v1/releases", tags=["monitors"])
Reader = Annotated[Principal, asks(Action.SEE_FINDINGS)]
Setter = Annotated[Principal, asks(Action.MONITOR)]
Kept = Literal["report.html", "monitor.json", "weights.csv", "weights.parquet"]


@router.get("/{release}/monitor", responses=responses(404))
def one(release: ReleaseId, who: Reader, house: HouseDep) -> MonitorOut:
    """The release's monitor, and what its next check would cost."""
    return shown(house, who, release)


@router.put("/{release}/monitor", responses=responses(404, 409))
def set_one(release: ReleaseId, asked: NewMonitor, who: Setter, house: HouseDep) -> MonitorOut:
    """Have the release compared with new versions of its table; one that was paused goes on. Nothing is charged yet."""
    monitors.set_monitor(house.desk, who, release, *inner(asked))
    return shown(house, who, release)


@router.delete("/{release}/monitor", status_code=204, responses=responses(404))
def end(release: ReleaseId, who: Setter, house: HouseDep) -> None:
    """Compare the release no more. What was found stays."""
    monitors.end_monitor(house.desk, who, release)


@router.get("/{release}/checks", responses=responses(404))
def listed(release: ReleaseId, who: Reader, house: HouseDep) -> list[CheckOut]:
    """Every comparison of the release, the newest first."""
    return [told(one) for one in monitors.checks(house.desk, who, release)]


@router.post(
    "/{release}/checks", status_code=202, responses=responses(404, 409), dependencies=[Depends(counted("request"))]
)
def ask(release: ReleaseId, who: Setter, house: HouseDep) -> CheckOut:
    """Have the version at hand compared now: charged and queued, both or neither. The same version is asked of once."""
    return told(monitors.ask(house.desk, who, release))


@router.get("/{release}/checks/{check}", responses=responses(404))
def found(release: ReleaseId, check: CheckId, who: Reader, house: HouseDep) -> CheckFound:
    """One comparison; what it found once it is done, every figure of it bought."""
    one = monitors.check(house.desk, who, release, check)
    facts = monitors.facts(house.desk, who, release, check) if one.verdict else None
    return CheckFound(**told(one).model_dump(), found=facts)


@router.get(
    "/{release}/checks/{check}/files/{name}",
    responses={
        **responses(404, 416),
        200: {"content": {"application/octet-stream": {}}},
        206: {"description": "The range asked for.", "content": {"application/octet-stream": {}}},
    },
    response_class=Response,
)
def file(request: Request, release: ReleaseId, check: CheckId, name: Kept, who: Reader, house: HouseDep) -> Response:
    """A file of a comparison that is done: the report, its figures, and weights for the released rows."""
    kept = monitors.file(house.desk, who, release, check, name)
    return served(request, kept.name, kept.size, kept.stream)


@router.post("/{release}/checks/{check}/cancellation", responses=responses(404, 409))
def cancel(release: ReleaseId, check: CheckId, asked: Why, who: Setter, house: HouseDep) -> CheckOut:
    """Stop a comparison. Its charge is voided only if no row was read for it."""
    return told(monitors.cancel(house.desk, who, release, check, asked.reason))


def inner(asked: NewMonitor) -> tuple[monitors.Comparing, int]:
    """The inner values of what was asked: how to compare, and the days between."""
    given = {name: value for name, value in asked if value is not None}
    days = given.pop("days", monitors.DAYS)
    return monitors.Comparing(**given), days


def shown(house: House, who: Principal, release: str) -> MonitorOut:
    """A monitor, for those who see findings."""
    watching, prospect = monitors.monitor(house.desk, who, release), monitors.prospect(house.desk, who, release)
    return MonitorOut(
        release=release,
        **watching.asked,
        days=watching.days,
        set_at=watching.set_at,
        problem=watching.problem,
        total_after=prospect.total_after,
        fits=prospect.fits,
    )


def told(check: Check) -> CheckOut:
    """A comparison, for those who see findings."""
    columns = {name: getattr(check, name) for name in CheckOut.model_fields}
    return CheckOut(**columns)

"""The review room: what was asked, what the gate found, what was said. Internal, all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from api.access.roles import Action, Principal
from api.desk import datasets, reaudits, releases, room
from api.desk.errors import NotFoundError
from api.desk.states import ReleaseState
from api.store.tables import Release
from api.web.access import House, HouseDep, asks
from api.web.pages.charts import excess_chart
from api.web.pages.rendering import REPORT_HEADERS, page, to
from api.web.v1.releases import shown
from api.web.wire import DIGEST, ReleaseId
from audits.release.gate import Verdict
from audits.release.wire import read_number

router = APIRouter(include_in_schema=False)
Reader = Annotated[Principal, asks(Action.SEE_FINDINGS)]
KEYS = ("audit", "quantity", "subject")

Check = dict[str, Any]


@router.get("/releases/{release}/review")
def review(request: Request, release: ReleaseId, who: Reader, house: HouseDep) -> Response:
    """The room of one release."""
    found = releases.release(house.desk, who, release)
    card = releases.findings(house.desk, who, release)
    previous = _previous(house, who, found)
    checks = _checks(card, None if previous is None else previous[1])
    blocking = [check for check in checks if check["effect"] == "block"]
    return page(
        request,
        "review",
        release=found,
        wire=shown(who, found),
        dataset=datasets.dataset(house.desk, who, found.dataset),
        card=card,
        open_checks=[check for check in blocking if check["verdict"] != "PASS"],
        passed_checks=[check for check in blocking if check["verdict"] == "PASS"],
        labels=[check for check in checks if check["effect"] != "block"],
        chart=excess_chart(tuple(_row(check) for check in blocking if _is_excess(check))),
        previous=None if previous is None else previous[0],
        budget=house.gauges.of(house.desk, who, found.dataset),
        votes=room.votes(house.desk, who, release),
        needed=room.needed(Verdict(found.verdict), found.approvers),
        may_vote=found.state == ReleaseState.REVIEW and who.may(Action.REVIEW, found.dataset),
        own=found.asked_by == who.id,
        again=reaudits.reaudits(house.desk, who, release),
        may_audit=found.state == ReleaseState.PUBLISHED and who.may(Action.REVIEW, found.dataset),
    )


@router.post("/releases/{release}/votes")
def vote(
    release: ReleaseId,
    who: Annotated[Principal, asks(Action.REVIEW)],
    house: HouseDep,
    bundle: Annotated[str, Form(pattern=DIGEST)],
    decision: Annotated[str, Form(pattern="^(approve|reject)$")],
    reason: Annotated[str, Form(max_length=2000)],
) -> Response:
    """Say whether it may leave."""
    room.vote(house.desk, who, release, bundle=bundle, approve=decision == "approve", reason=reason)
    return to(f"/releases/{release}/review")


@router.post("/releases/{release}/reaudits")
def audit_again(release: ReleaseId, who: Annotated[Principal, asks(Action.REVIEW)], house: HouseDep) -> Response:
    """Have the released table audited once more."""
    reaudits.reaudit(house.desk, who, release)
    return to(f"/releases/{release}/review")


@router.get("/releases/{release}/findings")
def findings(release: ReleaseId, who: Reader, house: HouseDep) -> Response:
    """The whole internal report."""
    content = releases.internal_report(house.desk, who, release)
    return Response(content, headers=REPORT_HEADERS, media_type="text/html")


def _previous(house: House, who: Principal, found: Release) -> tuple[Release, Mapping[str, Any]] | None:
    """The latest release of the same dataset before this one that came to a bundle, and its findings."""
    for one in releases.releases(house.desk, who, dataset=found.dataset, before=found.id, limit=20):
        if one.bundle:
            try:
                return one, releases.findings(house.desk, who, one.id)
            except NotFoundError:
                continue
    return None


def _checks(card: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[Check]:
    """Every check beside its finding, and the estimate the previous release had."""
    now = _findings(card)
    then = {} if before is None else _findings(before)
    return [
        {
            **check,
            "finding": now.get(_key(check)),
            "before": then[_key(check)]["estimate"] if _key(check) in then else None,
        }
        for check in card["decision"]["checks"]
    ]


def _findings(card: Mapping[str, Any]) -> dict[tuple[str, ...], Mapping[str, Any]]:
    return {_key(finding): finding for finding in card["findings"]}


def _key(of: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(of[name]) for name in KEYS)


def _is_excess(check: Check) -> bool:
    return bool(check["finding"]) and "excess" in check["quantity"] and "variation" not in check["quantity"]


def _row(check: Check) -> tuple[tuple[str, Any], ...]:
    finding, rule = check["finding"], check["rule"]
    row = {
        "label": f"{check['audit']}: {check['subject'] or 'whole table'}",
        "estimate": read_number(finding["estimate"]),
        "low": read_number(finding["interval"]["low"]),
        "high": read_number(finding["interval"]["high"]),
        "limit": rule["pass_limit"] if rule else None,
        "verdict": check["verdict"],
    }
    return tuple(row.items())

"""`/v1/releases/{release}`: the review room, for those who may see findings. Everything here is internal."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from api.access.roles import Action, Principal
from api.desk import reaudits, releases, room
from api.web.access import HouseDep, asks
from api.web.problems import responses
from api.web.v1.releases import shown
from api.web.wire import (
    Findings,
    ReauditAsked,
    ReauditOut,
    ReleaseId,
    ReleaseOut,
    ReviewedRelease,
    VoteAsked,
    VoteOut,
)

router = APIRouter(prefix="/v1/releases", tags=["reviews"])
Reader = Annotated[Principal, asks(Action.SEE_FINDINGS)]


@router.get("/{release}/findings", responses=responses(404))
def findings(release: ReleaseId, who: Reader, house: HouseDep) -> Findings:
    """Exact findings, their bounds, and the gate's decision check by check."""
    return Findings(scorecard=releases.findings(house.desk, who, release))


@router.get("/{release}/votes", responses=responses(404))
def votes(release: ReleaseId, who: Reader, house: HouseDep) -> list[VoteOut]:
    """What was said of the release as it is sealed now."""
    return [
        VoteOut(person=name, bundle=vote.bundle, approve=vote.approve, reason=vote.reason, at=vote.at)
        for vote, name in room.votes(house.desk, who, release)
    ]


@router.post("/{release}/votes", responses=responses(404, 409))
def vote(
    release: ReleaseId, asked: VoteAsked, who: Annotated[Principal, asks(Action.REVIEW)], house: HouseDep
) -> ReviewedRelease | ReleaseOut:
    """Say whether it may leave. The last word needed decides; nobody decides on what they asked for."""
    said = room.vote(house.desk, who, release, bundle=asked.bundle, approve=asked.approve, reason=asked.reason)
    return shown(who, said)


@router.get("/{release}/reaudits", responses=responses(404))
def audited_again(release: ReleaseId, who: Reader, house: HouseDep) -> list[ReauditOut]:
    """What the gate decided each time the released table was audited again, in order."""
    found = reaudits.reaudits(house.desk, who, release)
    return [ReauditOut(id=identity, decision=decision) for identity, decision in found.items()]


@router.post("/{release}/reaudits", status_code=202, responses=responses(404, 409))
def audit_again(release: ReleaseId, who: Annotated[Principal, asks(Action.REVIEW)], house: HouseDep) -> ReauditAsked:
    """Have a released table audited once more, with the audits of today. Nothing follows from it by itself."""
    return ReauditAsked(id=reaudits.reaudit(house.desk, who, release))

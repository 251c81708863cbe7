"""Releases that people may want to make anew, since their table has moved on. Asking is theirs, like any request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.roles import Action, Principal
from api.desk.desk import Desk
from api.desk.monitors import facts
from api.desk.states import FINAL, CheckState, ReleaseState
from api.store.database import reading
from api.store.tables import Check, Release
from audits.drift.verdicts import State

IN_VAIN: Final = FINAL - {ReleaseState.WITHDRAWN, ReleaseState.EXPIRED}
"""States of a request that renewed nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Drift was found, and no release was asked for since.

    Attributes:
        release: the one that was compared.
        check: what found it.
        drift: names of what moved.
        renewal: what the same recipe would cost of the new version, as of the check.
    """

    release: Release
    check: Check
    drift: tuple[str, ...]
    renewal: Mapping[str, Any]


def proposals(desk: Desk, who: Principal, dataset: str) -> list[Proposal]:
    """Releases of a dataset that the table has moved on from, for whoever may see what was found; the newest first."""
    if not who.may(Action.SEE_FINDINGS, dataset):
        return []
    with reading(desk.engine) as session:
        query = select(Release).where(Release.dataset == dataset, Release.state == ReleaseState.PUBLISHED)
        released = list(session.scalars(query.order_by(Release.id.desc())))
        moved_on = [(one, check) for one in released if (check := _drifted(session, one)) is not None]
    found = [(release, check, facts(desk, who, release.id, check.id)) for release, check in moved_on]
    return [
        Proposal(release=release, check=check, drift=tuple(told["drift"]), renewal=told["renewal"])
        for release, check, told in found
    ]


def _drifted(session: Session, release: Release) -> Check | None:
    """The latest answer, if it is drift and nothing that may yet come out was asked for since."""
    done = select(Check).where(Check.release == release.id, Check.state == CheckState.DONE)
    latest = session.scalar(done.order_by(Check.id.desc()).limit(1))
    if latest is None or latest.verdict != State.DRIFT:
        return None
    since = select(Release.state).where(Release.dataset == release.dataset, Release.id > latest.id)
    return latest if all(state in IN_VAIN for state in session.scalars(since)) else None

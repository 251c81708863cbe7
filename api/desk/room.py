"""The review room: people of compliance decide on exactly what was audited and sealed.

A vote is on one bundle, by its digest; a bundle that was sealed anew has no votes. Nobody votes on what they asked for,
nobody counts twice, and until it is decided nobody sees what others said. One rejection is enough. An approval takes as
many different people as the policy says; where the checks alone did not decide, approving overrides them, which takes
two people at least.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.roles import Action, ForbiddenError, Principal
from api.desk.desk import LIGHT, Desk, Job, release_for
from api.desk.errors import ConflictError
from api.desk.record import deciding, record
from api.desk.states import RELEASE, ReleaseState, moved
from api.desk.words import sentence
from api.store.database import reading
from api.store.identity import new_id, now
from api.store.tables import Person, Release, Vote
from audits.release.gate import Verdict
from audits.release.review import Said

DECIDE_JOB = "decide_v1"
OVERRIDE_APPROVERS = 2


def needed(verdict: Verdict, approvers: int) -> int:
    """How many different people must approve."""
    return approvers if verdict is Verdict.PASS else max(approvers, OVERRIDE_APPROVERS)


def vote(desk: Desk, who: Principal, release: str, *, bundle: str, approve: bool, reason: str) -> Release:
    """Say whether a release may leave; the last word needed decides, and queues what follows.

    Args:
        desk: where.
        who: says so.
        release: its id.
        bundle: digest of the bundle they looked at.
        approve: whether it may leave.
        reason: why; kept inside.

    Raises:
        ConflictError: it is not under review, was sealed anew, or they have voted on it.
        ForbiddenError: they asked for it themselves.
    """
    reason = sentence(reason, "reason")
    with deciding(desk.engine) as session:
        found, dataset = release_for(session, who, release, Action.REVIEW)
        decided = moved(RELEASE, found.state, "approve" if approve else "reject")
        if found.asked_by == who.id:
            raise ForbiddenError(
                "You may not decide on a release you asked for.",
                why="Whoever wants a table out is not the one who lets it out.",
                fix="Ask a colleague with the role compliance.",
            )
        if bundle != found.bundle:
            raise ConflictError(
                "The release was sealed anew since you looked at it.",
                why="A vote is on exactly what was audited.",
                fix="Look at it again, and vote on what it is now.",
            )
        votes = _votes(session, found)
        if any(one.person == who.id for one in votes):
            raise ConflictError("You have voted on this.", why="Nobody counts twice.", fix="Leave it to the others.")
        said = Vote(
            id=new_id(), release=release, person=who.id, bundle=bundle, approve=approve, reason=reason, at=now()
        )
        session.add(said)
        word = "approve" if approve else "reject"
        record(session, who.id, f"vote to {word}", release, bundle=bundle, verdict=found.verdict)
        if not approve or len(votes) + 1 >= found.approvers:
            found.state = decided
            record(session, who.id, word, release, bundle=bundle, votes=len(votes) + 1)
            job = Job(kind=DECIDE_JOB, id=f"decide-{release}", about=release, queue=LIGHT, alone=dataset.population)
            desk.jobs.put(session.connection(), job)
        return found


def votes(desk: Desk, who: Principal, release: str) -> list[tuple[Vote, str]]:
    """What was said, with names: all of it once it is decided, one's own until then."""
    with reading(desk.engine) as session:
        found, _ = release_for(session, who, release, Action.SEE_FINDINGS)
        said = [(one, session.get_one(Person, one.person).name) for one in _votes(session, found)]
        return [pair for pair in said if found.state != ReleaseState.REVIEW or pair[0].person == who.id]


def words_of(session: Session, release: Release, *, approve: bool) -> Sequence[Said]:
    """The votes that decided, as the bundle records them."""
    return [
        Said(reviewer=session.get_one(Person, one.person).name, role="compliance", reason=one.reason, time=one.at)
        for one in _votes(session, release)
        if one.approve is approve and one.bundle == release.bundle
    ]


def _votes(session: Session, release: Release) -> list[Vote]:
    """On the bundle as it is; once it is decided, and so sealed with the decision, all there were."""
    on = select(Vote).where(Vote.release == release.id).order_by(Vote.id)
    undecided = on.where(Vote.bundle == release.bundle)
    return list(session.scalars(undecided if release.state == ReleaseState.REVIEW else on))

"""Auditing a released table once more: with today's audits, against the rows it was made from and those it was not.

What comes of it is internal, and nothing follows by itself: whether to withdraw the release is for people to say. It is
one more look at private rows by the gate, so the ledger counts it as an attempt.
"""

from __future__ import annotations

import json
from typing import Any

from api.access.roles import Action, Principal
from api.desk.desk import CPU, Desk, Job, release_for
from api.desk.errors import ConflictError
from api.desk.record import SERVICE, deciding, record
from api.desk.states import DatasetState, ReleaseState
from api.store.database import reading
from api.store.identity import new_id

REAUDIT_JOB = "reaudit_v1"
DECISION, FINDINGS = "decision.json", "findings.json"


def reaudit(desk: Desk, who: Principal, release: str) -> str:
    """Have a released table audited again; the re-audit's id.

    Raises:
        ConflictError: it is not out, or the table it was made from is no longer here.
    """
    with deciding(desk.engine) as session:
        found, dataset = release_for(session, who, release, Action.REVIEW)
        kept = dataset.state == DatasetState.READY and dataset.table_name == found.table_name
        if found.state != ReleaseState.PUBLISHED or not kept:
            raise ConflictError(
                "This release cannot be audited again.",
                why="It takes a released table, and the private table it was made from, unchanged.",
                fix="Withdraw the release if it may not stay without evidence.",
            )
        identity = new_id()
        record(session, who.id, "re-audit asked", release, reaudit=identity)
        about = f"{release}/{identity}"
        job = Job(REAUDIT_JOB, id=f"reaudit-{identity}", about=about, queue=CPU, alone=dataset.population)
        desk.jobs.put(session.connection(), job)
        return identity


def reaudits(desk: Desk, who: Principal, release: str) -> dict[str, dict[str, Any]]:
    """What the gate decided in each re-audit, by its id, in order: internal."""
    with reading(desk.engine) as session:
        release_for(session, who, release, Action.SEE_FINDINGS)
    found = {}
    for name in desk.vault.files.names(place(release)):
        identity, _, file = name.partition("/")
        if file == DECISION:
            with desk.vault.files.open(f"{place(release)}/{name}") as stream:
                found[identity] = json.loads(stream.read())
    return found


def give_up(desk: Desk, about: str) -> None:
    """Write down that a re-audit, "RELEASE/ID", came to nothing."""
    release, _, identity = about.partition("/")
    with deciding(desk.engine) as session:
        record(session, SERVICE, "re-audit failed", release, reaudit=identity)


def place(release: str) -> str:
    """Below which the re-audits of a release lie in the store."""
    return f"reaudits/{release}"

"""Releases after the request: looking at them, taking them, and taking them back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, BinaryIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.roles import Action, Principal
from api.desk.desk import Desk, release_for
from api.desk.errors import ConflictError, not_found
from api.desk.notices import tell
from api.desk.record import SERVICE, deciding, record
from api.desk.states import RELEASE, ReleaseState, moved
from api.desk.words import sentence
from api.store.database import reading
from api.store.identity import new_id, now
from api.store.tables import Acceptance, Download, Progress, Release
from api.vault.vault import bundle_name
from audits.release.staging import BUNDLE

TERMS = """\
Terms of use
============

You receive a synthetic table that was made under differential privacy. You will

1. use it for the purpose that was stated when it was asked for;
2. not try to find out anything about a person in the table it was made from;
3. not pass it on outside your organisation without these terms and its bundle;
4. tell its steward of anything in it that seems to identify somebody;
5. stop using it, and destroy your copies, when you are told that it was withdrawn.

Each download is recorded with your name.
"""


def terms_digest() -> str:
    """SHA-256 of the terms, which names the version somebody accepted."""
    return hashlib.sha256(TERMS.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class File:
    """A file of a bundle, open at its start; whoever takes it closes it."""

    name: str
    size: int
    stream: BinaryIO


def releases(desk: Desk, who: Principal, *, dataset: str = "", before: str = "", limit: int = 50) -> list[Release]:
    """Releases somebody may see, the newest first, those before an id. A researcher sees their own and published ones.

    Args:
        desk: where.
        who: looks.
        dataset: of this one only; empty for all.
        before: id to go on from; empty for the newest.
        limit: how many at most.
    """
    query = select(Release).order_by(Release.id.desc())
    if dataset:
        query = query.where(Release.dataset == dataset)
    if before:
        query = query.where(Release.id < before)
    found: list[Release] = []
    with reading(desk.engine) as session:
        for one in session.scalars(query):
            if who.may(Action.SEE_RELEASES, one.dataset) and _visible(who, one):
                found.append(one)
            if len(found) == limit:
                break
    return found


def release(desk: Desk, who: Principal, release: str) -> Release:
    """One release. Raises NotFoundError."""
    with reading(desk.engine) as session:
        return _seen(session, who, release)


def progress(desk: Desk, who: Principal, release: str, after: int = 0) -> list[Progress]:
    """Steps of its runs behind a number, in order. Raises NotFoundError."""
    with reading(desk.engine) as session:
        _seen(session, who, release)
        steps = select(Progress).where(Progress.release == release, Progress.id > after).order_by(Progress.id)
        return list(session.scalars(steps))


def scorecard(desk: Desk, who: Principal, release: str) -> dict[str, Any]:
    """The recipient's half of a released bundle's scorecard; for those who decide, of one under review too."""
    with reading(desk.engine) as session:
        found = _seen(session, who, release)
    if found.state != ReleaseState.PUBLISHED and not who.may(Action.SEE_FINDINGS, found.dataset):
        raise not_found("scorecard")
    return _document(desk, found, f"{BUNDLE}/scorecard.json")


def findings(desk: Desk, who: Principal, release: str) -> dict[str, Any]:
    """The exact findings: internal, for those who decide and for the auditor."""
    with reading(desk.engine) as session:
        found, _ = release_for(session, who, release, Action.SEE_FINDINGS)
    return _document(desk, found, f"{BUNDLE}.internal/findings.json")


def decision(desk: Desk, who: Principal, release: str) -> dict[str, Any]:
    """What the gate decided, check by check: internal."""
    with reading(desk.engine) as session:
        found, _ = release_for(session, who, release, Action.SEE_FINDINGS)
    return _document(desk, found, f"{BUNDLE}.internal/decision.json")


def internal_report(desk: Desk, who: Principal, release: str) -> bytes:
    """The report with the exact findings, HTML: internal."""
    with reading(desk.engine) as session:
        found, _ = release_for(session, who, release, Action.SEE_FINDINGS)
    return _content(desk, found, f"{BUNDLE}.internal/report.html")


def report(desk: Desk, who: Principal, release: str) -> bytes:
    """The recipient's report, HTML, of a released bundle."""
    with reading(desk.engine) as session:
        found = _published(session, who, release)
    return _content(desk, found, f"{BUNDLE}/report.html")


def accept_terms(desk: Desk, who: Principal, release: str, terms: str) -> None:
    """Accept the terms somebody read, by their digest. Twice is once.

    Raises:
        ConflictError: these are not the terms in force.
    """
    with deciding(desk.engine) as session:
        found = _published(session, who, release)
        if terms != terms_digest():
            raise ConflictError(
                "These are not the terms in force.",
                why="One accepts what one has read.",
                fix="Read the terms again, and accept those.",
            )
        if not _accepted(session, who, found):
            session.add(Acceptance(id=new_id(), release=release, person=who.id, terms=terms, at=now()))
            record(session, who.id, "accept terms", release, terms=terms)


def accepted(desk: Desk, who: Principal, release: str) -> bool:
    """Whether somebody has accepted the terms in force for a release."""
    with reading(desk.engine) as session:
        return _accepted(session, who, _seen(session, who, release))


def files(desk: Desk, who: Principal, release: str) -> dict[str, int]:
    """Files of a released bundle and their sizes in bytes."""
    with reading(desk.engine) as session:
        found = _published(session, who, release)
    below = f"{bundle_name(found.id, found.bundle)}/{BUNDLE}"
    return {name: desk.vault.files.size(f"{below}/{name}") for name in desk.vault.files.names(below)}


def download(desk: Desk, who: Principal, release: str, file: str) -> File:
    """A file of a released bundle; that it was taken, and by whom, is recorded first.

    Raises:
        NotFoundError: there is no such file, or it is not released.
        ConflictError: the terms of use have not been accepted.
    """
    if file not in files(desk, who, release):
        raise not_found("file")
    with deciding(desk.engine) as session:
        found = _published(session, who, release)
        if not _accepted(session, who, found):
            raise ConflictError(
                "The terms of use have not been accepted.",
                why="Whoever takes a table agrees how it is used.",
                fix="Read and accept the terms first.",
            )
        session.add(Download(id=new_id(), release=release, person=who.id, file=file, at=now()))
        record(session, who.id, "download", release, file=file, bundle=found.bundle)
    name = f"{bundle_name(found.id, found.bundle)}/{BUNDLE}/{file}"
    return File(file, desk.vault.files.size(name), desk.vault.files.open(name))


def withdraw(desk: Desk, who: Principal, release: str, reason: str) -> Release:
    """Take a released table back: no more downloads, and everybody who took it is told."""
    reason = sentence(reason, "reason")
    with deciding(desk.engine) as session:
        found, dataset = release_for(session, who, release, Action.WITHDRAW)
        found.state, found.ended_at = moved(RELEASE, found.state, "withdraw"), now()
        takers = select(Download.person).where(Download.release == release).distinct()
        people = sorted({*session.scalars(takers), found.asked_by})
        record(session, who.id, "withdraw", release, reason=reason, told=len(people))
        text = f"Release {release} of '{dataset.title}' was withdrawn. Stop using it, and destroy your copies."
        tell(desk, session, people, release, text)
        return found


def set_end(desk: Desk, who: Principal, release: str, moment: str) -> Release:
    """Say when a released table's downloads end by themselves; ISO 8601 in UTC, empty for never."""
    with deciding(desk.engine) as session:
        found, _ = release_for(session, who, release, Action.WITHDRAW)
        moved(RELEASE, found.state, "expire")
        found.expires_at = moment
        record(session, who.id, "end set", release, at=moment)
        return found


def expire_due(desk: Desk) -> list[str]:
    """End the downloads of every released table whose date has come; their ids."""
    with deciding(desk.engine) as session:
        due = select(Release).where(
            Release.state == ReleaseState.PUBLISHED, Release.expires_at != "", Release.expires_at <= now()
        )
        found = list(session.scalars(due))
        for one in found:
            one.state, one.ended_at = moved(RELEASE, one.state, "expire"), now()
            record(session, SERVICE, "expire", one.id)
        return [one.id for one in found]


def _visible(who: Principal, found: Release) -> bool:
    mine = found.asked_by == who.id or found.state in (ReleaseState.PUBLISHED, ReleaseState.WITHDRAWN)
    return mine or who.may(Action.SEE_FINDINGS, found.dataset)


def _seen(session: Session, who: Principal, release: str) -> Release:
    found, _ = release_for(session, who, release, Action.SEE_RELEASES)
    if not _visible(who, found):
        raise not_found("release")
    return found


def _published(session: Session, who: Principal, release: str) -> Release:
    found, _ = release_for(session, who, release, Action.DOWNLOAD)
    if found.state != ReleaseState.PUBLISHED:
        raise not_found("released table")
    return found


def _accepted(session: Session, who: Principal, found: Release) -> bool:
    query = select(Acceptance.id).where(
        Acceptance.release == found.id, Acceptance.person == who.id, Acceptance.terms == terms_digest()
    )
    return session.scalar(query) is not None


def _content(desk: Desk, found: Release, file: str) -> bytes:
    name = f"{bundle_name(found.id, found.bundle)}/{file}"
    if not found.bundle or not desk.vault.files.exists(name):
        raise not_found("document")
    with desk.vault.files.open(name) as stream:
        return stream.read()


def _document(desk: Desk, found: Release, file: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_content(desk, found, file))
    return document

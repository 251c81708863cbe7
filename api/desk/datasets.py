"""Sensitive tables: registering, uploading, their budget, their end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.roles import Action, Principal
from api.desk.charges import ledger_in
from api.desk.desk import LIGHT, Desk, Job, dataset_for
from api.desk.errors import ConflictError, not_found
from api.desk.formulas import check_schema
from api.desk.ordering import schema_of
from api.desk.record import SERVICE, deciding, record
from api.desk.states import AT_WORK, DATASET, DatasetState, moved
from api.desk.words import LONGEST_TITLE, sentence
from api.store.database import reading
from api.store.identity import moment_text, new_id, now
from api.store.journal import LEDGER, DatabaseJournal
from api.store.tables import Check, Dataset, Release
from api.vault.sealed import SealedWriter
from api.vault.vault import upload_name
from privacy.errors import RequestError
from privacy.ledger import Ledger
from privacy.schema import Budget
from privacy.schema_file import read_schema

INGEST_JOB, ERASE_JOB = "ingest_v1", "erase_v1"
KINDS = ("csv", "csv.gz", "parquet")


@dataclass(frozen=True, slots=True)
class Gauge:
    """A population's budget: epsilon at the cap's delta.

    Attributes:
        population: whose.
        cap: in force, or the schema's proposal before the first charge.
        spent: of releases whose table was opened.
        reserved: what all standing charges together add to that.
        left: of one more Gaussian release that would still fit; None before the first charge.
        attempts: tables that were put before the gate.
    """

    population: str
    cap: Budget
    spent: float
    reserved: float
    left: float | None
    attempts: int


def register(desk: Desk, who: Principal, *, title: str, schema: str, file_name: str, keep_until: str = "") -> Dataset:
    """Enter a dataset by its public description; its table is uploaded afterwards.

    Args:
        desk: where.
        who: a steward.
        title: for people.
        schema: text of the schema file: columns, unit, population, cap.
        file_name: of that file; `.json`, else YAML.
        keep_until: ISO 8601; when the table is erased by itself; empty for never.

    Raises:
        SchemaError: the schema cannot be read, a release could not be made under it, or it declares formula cells.
        RequestError: the title or the date is none.
    """
    who.check(Action.REGISTER)
    title = sentence(title, "title", LONGEST_TITLE)
    keep_until = moment_text(keep_until) if keep_until else ""
    parsed = read_schema(schema, file_name)
    parsed.require_releasable()
    check_schema(parsed)
    made = Dataset(
        id=new_id(),
        title=title,
        population=parsed.population,
        schema=json.dumps(dict(parsed.document)),
        schema_digest=parsed.digest,
        state=DatasetState.REGISTERED,
        uploads=0,
        keep_until=keep_until,
        created_by=who.id,
        created_at=now(),
    )
    with deciding(desk.engine) as session:
        session.add(made)
        facts = {"population": made.population, "schema": made.schema_digest, "keep_until": keep_until}
        record(session, who.id, "register", made.id, **facts)
    return made


def catalogue(desk: Desk, who: Principal) -> list[Dataset]:
    """The datasets somebody has a role for, the newest first."""
    with reading(desk.engine) as session:
        found = session.scalars(select(Dataset).order_by(Dataset.id.desc()))
        return [one for one in found if who.may(Action.SEE_DATASET, one.id)]


def dataset(desk: Desk, who: Principal, dataset: str) -> Dataset:
    """One dataset. Raises NotFoundError."""
    with reading(desk.engine) as session:
        return dataset_for(session, who, dataset, Action.SEE_DATASET)


@contextmanager
def uploading(
    desk: Desk, who: Principal, dataset: str, kind: Literal["csv", "csv.gz", "parquet"]
) -> Iterator[SealedWriter]:
    """Take a table in: what is written to the writer is encrypted before it reaches a disk.

    When the block ends the upload is the dataset's table, and its check is queued; when it raises nothing is left.

    Raises:
        ConflictError: the dataset is being checked or erased, or a release or a check of it is at work.
        RequestError: the kind is none of `KINDS`.
        TooLargeError: more is written than the installation takes.
    """
    _check_kind(kind)
    with reading(desk.engine) as session:
        found = dataset_for(session, who, dataset, Action.UPLOAD)
        moved(DATASET, found.state, "upload")
    upload = new_id()
    with desk.vault.receive(upload_name(dataset, upload), desk.settings.max_upload_bytes) as writer:
        yield writer
    with deciding(desk.engine) as session:
        found = dataset_for(session, who, dataset, Action.UPLOAD)
        if dataset in _needed(session):
            desk.vault.destroy(upload_name(dataset, upload))
            raise _at_work()
        found.state = moved(DATASET, found.state, "upload")
        found.uploads += 1
        found.upload, found.table_kind, found.problem = upload, kind, None
        record(session, who.id, "upload", dataset, version=found.uploads)
        job = Job(INGEST_JOB, id=f"ingest-{upload}", about=dataset, queue=LIGHT, alone=found.population)
        desk.jobs.put(session.connection(), job)


def budget(desk: Desk, who: Principal, dataset: str) -> Gauge:
    """What the dataset's population has spent. Raises NotFoundError, ForbiddenError."""
    with reading(desk.engine) as session:
        found = dataset_for(session, who, dataset, Action.SEE_BUDGET)
        ledger = ledger_in(session)
        population = found.population
        proposed = schema_of(found).require_releasable()
        cap = ledger.cap(population)
        total, spent = ledger.total(population), ledger.spent(population)
        return Gauge(
            population=population,
            cap=cap or proposed,
            spent=spent,
            reserved=max(0.0, total - spent),
            left=None if cap is None else ledger.left(population),
            attempts=ledger.attempts(population),
        )


def set_cap(desk: Desk, who: Principal, dataset: str, cap: Budget, reason: str) -> None:
    """Record another cap for the dataset's population. Raises RequestError before its first charge."""
    reason = sentence(reason, "reason")
    with deciding(desk.engine) as session:
        found = dataset_for(session, who, dataset, Action.SET_CAP)
        ledger_in(session).set_cap(found.population, cap, reason)
        facts = {"population": found.population, "epsilon": cap.epsilon, "delta": cap.delta}
        record(session, who.id, "cap", dataset, reason=reason, **facts)


def erase(desk: Desk, who: Principal, dataset: str, reason: str) -> None:
    """Have a dataset's table erased: its key is destroyed by a worker, and the deletion certified in the record.

    Raises:
        ConflictError: a release or a check of it is queued or running, or it is erased already.
    """
    reason = sentence(reason, "reason")
    with deciding(desk.engine) as session:
        dataset_for(session, who, dataset, Action.ERASE)
    _erase(desk, dataset, who.id, reason)


def erase_due(desk: Desk) -> list[str]:
    """Have every table erased whose date has come and which no release or check needs; their datasets."""
    with reading(desk.engine) as session:
        due = select(Dataset.id).where(
            Dataset.keep_until != "", Dataset.keep_until <= now(), Dataset.state == DatasetState.READY
        )
        found = sorted(set(session.scalars(due)) - _needed(session))
    for one in found:
        _erase(desk, one, SERVICE, "its date has come")
    return found


def _erase(desk: Desk, dataset: str, actor: str, reason: str) -> None:
    with deciding(desk.engine) as session:
        found = session.get(Dataset, dataset)
        if found is None:
            raise not_found("dataset")
        if dataset in _needed(session):
            raise _at_work()
        found.state = moved(DATASET, found.state, "erase")
        record(session, actor, "erase asked", dataset, reason=reason)
        job = Job(ERASE_JOB, id=f"erase-{dataset}", about=dataset, queue=LIGHT, alone=found.population)
        desk.jobs.put(session.connection(), job)


def _needed(session: Session) -> set[str]:
    """Datasets whose table a release or a check is made from, or will be."""
    asked = (select(of.dataset).where(of.state.in_(AT_WORK)) for of in (Release, Check))
    return {dataset for query in asked for dataset in session.scalars(query)}


def _at_work() -> ConflictError:
    return ConflictError(
        "A release of this dataset, or a check of one, is queued or running.",
        why="It is made from the table it was asked for, which is needed until then.",
        fix="Wait for it, or cancel it.",
    )


def ledger_of(desk: Desk) -> Ledger:
    """The installation's ledger, each call its own transaction."""
    return Ledger(journal=DatabaseJournal(desk.engine, LEDGER))


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise RequestError(
            "This is not a kind of table that is taken in.",
            why=f"Tables are {', '.join(KINDS)}.",
            fix="Convert the table, and say what it is.",
        )

"""What every use case is handed: settings, the database, the vault, where jobs are put and what is traced."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from api.access.roles import Action, Principal
from api.desk.errors import not_found
from api.settings import Settings
from api.store.tables import Dataset, Release
from api.tracing import Traces
from api.vault.vault import Vault

CPU, GPU, LIGHT = "cpu", "gpu", "light"
"""Queues by what a job needs; `light` is for jobs of seconds, which must not wait behind training."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something a worker is to do.

    Attributes:
        kind: name of the workflow.
        id: unique: the same id is done once.
        about: id of the release or dataset it is about.
        queue: who may take it.
        alone: of the jobs of a queue with this text one runs at a time: the population's name.
    """

    kind: str
    id: str
    about: str
    queue: str
    alone: str


class Jobs(Protocol):
    """Where jobs are put: the engine of `api.work`, or a test's list."""

    def put(self, connection: Connection, job: Job) -> None:
        """Queue a job in somebody's transaction: it is there when that commits, and only then."""
        ...

    def waiting(self) -> dict[str, int]:
        """How many jobs wait, by queue."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What the use cases work on."""

    settings: Settings
    engine: Engine
    vault: Vault
    jobs: Jobs
    traces: Traces = field(default_factory=Traces)


def dataset_for(session: Session, who: Principal, dataset: str, action: Action) -> Dataset:
    """A dataset somebody wants to act on.

    Raises:
        NotFoundError: there is none, or they have no role for it.
        ForbiddenError: their roles for it do not include the action.
    """
    found = session.get(Dataset, dataset)
    if found is None or not who.may(Action.SEE_DATASET, dataset):
        raise not_found("dataset")
    who.check(action, dataset)
    return found


def release_for(session: Session, who: Principal, release: str, action: Action) -> tuple[Release, Dataset]:
    """A release somebody wants to act on, and its dataset. Raises as `dataset_for`."""
    found = session.get(Release, release)
    if found is None or not who.may(Action.SEE_DATASET, found.dataset):
        raise not_found("release")
    who.check(action, found.dataset)
    dataset = session.get(Dataset, found.dataset)
    if dataset is None:
        raise not_found("release")
    return found, dataset

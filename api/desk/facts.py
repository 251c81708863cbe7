"""How the service is: for health checks, for Prometheus, and for whoever looks after workers. Public figures only."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, select

from api.access.roles import Action, Principal
from api.desk.datasets import ledger_of
from api.desk.desk import Desk
from api.store.database import reading
from api.store.journal import AUDIT, LEDGER
from api.store.tables import ChainEntry, Dataset, Release, Worker

ALIVE_LEASES = 1.0


def workers(desk: Desk, who: Principal) -> list[tuple[Worker, bool]]:
    """Every slot, and whether its worker beats."""
    who.check(Action.SEE_WORKERS)
    with reading(desk.engine) as session:
        return [(one, _alive(desk, one)) for one in session.scalars(select(Worker).order_by(Worker.slot))]


def health(desk: Desk) -> dict[str, Any]:
    """Whether the service can do its work: its database answers, its files are there, and a worker beats."""
    with reading(desk.engine) as session:
        alive = [_alive(desk, one) for one in session.scalars(select(Worker))]
    desk.vault.files.exists("bundles")
    return {"ok": any(alive), "database": True, "files": True, "workers": sum(alive)}


def metrics(desk: Desk) -> bytes:
    """Facts in Prometheus' text format: states, queues, workers, chains, and budgets by dataset."""
    registry = CollectorRegistry()
    with reading(desk.engine) as session:
        states = session.execute(select(Release.state, func.count()).group_by(Release.state))
        _by(registry, "tablegate_releases", "Releases by state.", "state", [(str(s), float(n)) for s, n in states])
        beats = [(one.slot, time.time() - one.beat) for one in session.scalars(select(Worker))]
        _by(registry, "tablegate_worker_silence_seconds", "Since a worker's last beat.", "slot", beats)
        lengths = [
            (chain, float(session.scalar(select(func.count()).where(ChainEntry.chain == chain)) or 0))
            for chain in (LEDGER, AUDIT)
        ]
        _by(registry, "tablegate_chain_entries", "Entries of a chain.", "chain", lengths)
        populations = {one.population: one.id for one in session.scalars(select(Dataset).order_by(Dataset.id))}
    waiting = [(queue, float(n)) for queue, n in desk.jobs.waiting().items()]
    _by(registry, "tablegate_jobs_waiting", "Jobs that wait, by queue.", "queue", waiting)
    ledger = ledger_of(desk)
    spent = [(dataset, ledger.spent(population)) for population, dataset in populations.items()]
    _by(registry, "tablegate_epsilon_spent", "Epsilon spent by a dataset's population.", "dataset", spent)
    return generate_latest(registry)


def _by(registry: CollectorRegistry, name: str, text: str, label: str, values: list[tuple[str, float]]) -> None:
    gauge = Gauge(name, text, [label], registry=registry)
    for key, value in values:
        gauge.labels(key).set(value)


def _alive(desk: Desk, worker: Worker) -> bool:
    return time.time() - worker.beat < ALIVE_LEASES * desk.settings.lease_seconds

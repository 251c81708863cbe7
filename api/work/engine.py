"""The durable queue under the jobs: DBOS, in the service's own database. No other module imports it.

A job is one workflow of one step. DBOS brings the workflow back after a crash and runs the step at least once; that it
has its effect once is the business of the acts themselves, each of which is a transaction that looks at the state
first. Nothing passes through the engine but ids. Its version is pinned: left alone it is a digest of the sources, and
after an upgrade no worker would take up what was queued before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions, run_dbos_database_migrations
from sqlalchemy import Connection

from api.desk.desk import CPU, GPU, LIGHT, Job

NAME, VERSION = "tablegate", "1"
TRIES = 8
"""With pauses of 1, 2, 4 ... seconds: two minutes, within which a database or a disk may come back."""

POLL_SECONDS = 0.5
RUNNING_AT_ONCE = {CPU: 1, GPU: 1, LIGHT: 2}
"""Jobs of a queue that one worker runs at a time; of one population one runs at a time, over all workers."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a kind of job does.

    Attributes:
        kind: name of the workflow; a later body gets a later name, and this one stays until its jobs are done.
        act: does it; called again after a crash, so it looks first at what was done.
        give_up: called when it failed every time.
    """

    kind: str
    act: Callable[[str], None]
    give_up: Callable[[str], None]


class Client:
    """Puts jobs into the queue; runs none."""

    def __init__(self, url: str) -> None:
        self._client = DBOSClient(
            system_database_url=url, serializer=DBOSPortableJSONSerializer(), application_name=NAME
        )

    def put(self, connection: Connection, job: Job) -> None:
        """Queue a job in somebody's transaction."""
        options = EnqueueOptions(
            workflow_name=job.kind,
            queue_name=job.queue,
            workflow_id=job.id,
            app_version=VERSION,
            queue_partition_key=job.alone,
        )
        self._client.enqueue_in_transaction(connection, options, job.about)

    def waiting(self) -> dict[str, int]:
        """How many jobs wait, by queue."""
        found = dict.fromkeys(RUNNING_AT_ONCE, 0)
        for job in self._client.list_workflows(status="ENQUEUED", load_input=False, load_output=False):
            found[job.queue_name or LIGHT] = found.get(job.queue_name or LIGHT, 0) + 1
        return found

    def requeue(self, slot: str) -> list[str]:
        """Give the jobs of a dead worker to the living; their ids."""
        ids = []
        for job in self._client.list_workflows(executor_id=slot, status="PENDING", load_input=False):
            self._client.resume_workflow(job.workflow_id, queue_name=job.queue_name)
            ids.append(job.workflow_id)
        return ids

    def ended(self, jobs: Sequence[str]) -> set[str]:
        """Which jobs are over, however they ended."""
        over = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
        found = self._client.list_workflows(workflow_ids=list(jobs), status=over, load_input=False, load_output=False)
        return {job.workflow_id for job in found}

    def close(self) -> None:
        """Let go of the database."""
        self._client.destroy()


def prepare(url: str) -> None:
    """Make the engine's own tables, and its queues."""
    run_dbos_database_migrations(system_database_url=url)
    client = DBOSClient(system_database_url=url, serializer=DBOSPortableJSONSerializer(), application_name=NAME)
    for queue, at_once in RUNNING_AT_ONCE.items():
        client.register_queue(
            queue, worker_concurrency=at_once, partition_concurrency=1, polling_interval_sec=POLL_SECONDS
        )
    client.destroy()


def launch(url: str, slot: str, queues: Sequence[str], tasks: Iterable[Task]) -> None:
    """Run jobs of some queues in this process, as the worker of a slot, until `stop`."""
    config = DBOSConfig(
        name=NAME,
        system_database_url=url,
        application_version=VERSION,
        executor_id=slot,
        serializer=DBOSPortableJSONSerializer(),
        log_level="ERROR",
        run_migrations=False,
    )
    DBOS(config=config)
    for task in tasks:
        _register(task)
    DBOS.listen_queues(queues)
    DBOS.launch()


def stop(seconds: int) -> None:
    """Take no more jobs, and wait for those under way."""
    DBOS.destroy(workflow_completion_timeout_sec=seconds)


def _register(task: Task) -> None:
    act = DBOS.step(name=task.kind, retries_allowed=True, max_attempts=TRIES, interval_seconds=1.0)(task.act)
    give_up = DBOS.step(name=f"{task.kind} failed", retries_allowed=True, max_attempts=TRIES, interval_seconds=1.0)(
        task.give_up
    )

    @DBOS.workflow(name=task.kind)
    def workflow(about: str) -> None:
        try:
            act(about)
        except Exception:  # of whatever kind: its text may quote a cell, and is not kept
            give_up(about)

"""A service to try: people of every role, a small marked table, policies of known verdict, and real workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from api.access.persons import add_person, give_role, principal
from api.access.roles import Principal, Role
from api.desk import datasets, releases, requests, room
from api.desk.desk import Desk
from api.desk.ordering import Asked
from api.desk.record import deciding
from api.desk.runs import begin
from api.desk.states import DatasetState, ReleaseState
from api.service import open_desk, prepare
from api.settings import Settings
from api.store.tables import Release
from api.work.releasing import release as carry_out
from api.work.tables import ingest
from tests.end_to_end.scene import CLOSED, DOCUMENT, OPEN, REVIEWED, write_table

LEASE_SECONDS = 60.0
"""Long enough for a worker that gets little of a busy machine; who waits for a lease to end takes a shorter one."""

PATIENCE_SECONDS = 600.0
SMALL = Asked(synthesizer="independent", epsilon=1.0, delta=1e-6)
LONG = replace(SMALL, rows=400_000)
"""Seconds of drawing and auditing, in which a worker can be stopped."""
NAMES = {"steward": Role.STEWARD, "carl": Role.COMPLIANCE, "cora": Role.COMPLIANCE, "researcher": Role.RESEARCHER,
         "auditor": Role.AUDITOR, "admin": Role.ADMIN}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """An installation and its people."""

    desk: Desk
    people: dict[str, Principal]

    def __getitem__(self, name: str) -> Principal:
        return self.people[name]

    @property
    def folder(self) -> Path:
        """Where the installation lies."""
        return self.desk.settings.data

    def with_lease(self, seconds: float) -> Scene:
        """The same installation with another lease."""
        settings = self.desk.settings.model_copy(update={"lease_seconds": seconds})
        return replace(self, desk=replace(self.desk, settings=settings))

    def dataset(self, *, population: str = "people-of-the-scene", cap: float = 100.0) -> str:
        """Register a dataset; its id."""
        document = deepcopy(DOCUMENT)
        document["privacy"] |= {"population": population, "cap": {"epsilon": cap, "delta": 1e-4}}
        text = json.dumps(document)
        return datasets.register(self.desk, self["steward"], title="A scene", schema=text, file_name="scene.json").id

    def upload(self, dataset: str, rows: int = 300) -> None:
        """Send the marked table."""
        table = self.folder.parent / "private-table.csv"
        write_table(table, rows)
        with datasets.uploading(self.desk, self["steward"], dataset, "csv") as writer, table.open("rb") as file:
            while block := file.read(1000):
                writer.write(block)

    def request(self, dataset: str, policy: str = "open", once: str = "", asked: Asked = SMALL) -> Release:
        """Ask for a release, the small one unless told otherwise."""
        words = {"purpose": "to try it", "recipient": "the researcher", "policy": policy, "once": once}
        return requests.request(self.desk, self["researcher"], dataset, asked, **words)

    def taken_in(self, **about: Any) -> str:
        """A dataset whose table was taken in, here and without a worker."""
        dataset = self.dataset(**about)
        self.upload(dataset)
        ingest(self.desk, dataset)
        assert self.state_of_dataset(dataset) == DatasetState.READY
        return dataset

    def made(self, dataset: str, policy: str = "open") -> Release:
        """A release that was carried out, here and without a worker."""
        asked = self.request(dataset, policy)
        run = begin(self.desk, asked.id, "here")
        assert run is not None
        carry_out(self.desk, run)
        return self.look(asked.id)

    def ready(self, **about: Any) -> str:
        """A dataset whose table was taken in by a worker that runs."""
        dataset = self.dataset(**about)
        self.upload(dataset)
        self.wait(lambda: self.state_of_dataset(dataset) != DatasetState.CHECKING, "the upload is checked")
        assert self.state_of_dataset(dataset) == DatasetState.READY
        return dataset

    def state_of_dataset(self, dataset: str) -> str:
        """Where a dataset is."""
        return datasets.dataset(self.desk, self["steward"], dataset).state

    def look(self, release: str) -> Release:
        """A release as the steward sees it."""
        return releases.release(self.desk, self["steward"], release)

    def settled(self, release: str) -> Release:
        """A release once no worker has anything to do with it."""
        busy = (ReleaseState.QUEUED, ReleaseState.RUNNING, ReleaseState.APPROVED)
        self.wait(lambda: self.look(release).state not in busy, "the release is settled")
        return self.look(release)

    def approve(self, release: str, *names: str) -> None:
        """Let people approve a release."""
        for name in names or ("carl", "cora"):
            bundle = self.look(release).bundle
            room.vote(self.desk, self[name], release, bundle=bundle, approve=True, reason="It is fine.")

    def wait(self, done: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
            time.sleep(0.1)


def make_scene(folder: Path, database_url: str) -> Scene:
    """A new installation with its people and policies."""
    policies = folder / "policies"
    policies.mkdir(parents=True)
    for name, rules in {"open": OPEN, "two": OPEN | {"approvers": 2}, "reviewed": REVIEWED, "closed": CLOSED}.items():
        (policies / f"{name}.yaml").write_text(json.dumps(rules | {"name": name}))
    settings = Settings(
        data=folder / "service", database_url=database_url, policies=policies, lease_seconds=LEASE_SECONDS
    )
    prepare(settings)
    desk = open_desk(settings, private=True)
    people = {}
    with deciding(desk.engine) as session:
        for name, role in NAMES.items():
            person = add_person(session, name)
            session.flush()
            give_role(session, person.id, role)
            session.flush()
            found = principal(session, person.id)
            assert found is not None
            people[name] = found
    return Scene(desk, people)


def start_worker(scene: Scene, slot: str = "one", **environment: str) -> subprocess.Popen[bytes]:
    """A worker of all queues, in a process of its own."""
    command = [sys.executable, "-m", "api.cli", "worker", "--slot", slot, "--queues", "cpu,gpu,light"]
    with (scene.folder.parent / f"worker-{slot}.log").open("ab") as log:
        return subprocess.Popen(
            command,
            env={**os.environ, **scene.desk.settings.environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def stop_worker(worker: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> int:
    """End a worker; its exit status."""
    worker.send_signal(how)
    return worker.wait(60)


@contextmanager
def working(scene: Scene, slot: str = "one") -> Iterator[subprocess.Popen[bytes]]:
    """A worker while the block lasts."""
    worker = start_worker(scene, slot)
    try:
        yield worker
    finally:
        stop_worker(worker, signal.SIGKILL if worker.poll() is not None else signal.SIGTERM)

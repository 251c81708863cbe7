"""A service to measure: `tablegate up --demo` in a folder that is thrown away, with keys, and a file of any size."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from numpy.random import default_rng
from sqlalchemy import select

from api.access.keys import add_key
from api.access.persons import add_person, give_role
from api.access.roles import Role
from api.desk.record import deciding
from api.desk.states import ReleaseState
from api.service import close_desk, open_desk
from api.settings import Settings
from api.store.database import reading
from api.store.tables import Dataset, Person, Release
from api.vault.vault import bundle_name
from audits.release.staging import BUNDLE

PADDING = "data/padding.bin"
PATIENCE_SECONDS = 900.0
RESEARCHERS, MORE = 20, "researcher-"
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Served:
    """A service that runs.

    Attributes:
        url: its address.
        settings: of its installation.
        pid: of the process that serves.
        keys: of its people, by name, and of researchers more, whose limits over time are their own.
        dataset, release: the demo's dataset, and its release that is out.
        ready_seconds: from the start until there was such a release.
    """

    url: str
    settings: Settings
    pid: int
    keys: dict[str, str]
    dataset: str
    release: str
    ready_seconds: float

    @property
    def address(self) -> str:
        """Of the file that `pad` made."""
        return f"/v1/releases/{self.release}/files/{PADDING}"

    @property
    def researchers(self) -> list[str]:
        """Names of the researchers who only came for the measurement."""
        return [name for name in self.keys if name.startswith(MORE)]

    def pad(self, n_bytes: int) -> None:
        """Put a file of random bytes into the released bundle's folder in the store."""
        desk = open_desk(self.settings)
        with reading(desk.engine) as session:
            digest = session.get_one(Release, self.release).bundle
        rng = default_rng(0)
        with desk.vault.files.writing(f"{bundle_name(self.release, digest)}/{BUNDLE}/{PADDING}") as file:
            for _ in range(n_bytes // BLOCK):
                file.write(rng.bytes(BLOCK))
        close_desk(desk)

    def memory(self) -> dict[str, int]:
        """Bytes that the serving process holds, and held at most."""
        told = dict(line.split(":") for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return {name: int(told[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")}


@contextmanager
def served() -> Iterator[Served]:
    """The demo's service for the block, once its first release is out."""
    with tempfile.TemporaryDirectory(prefix="served-") as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        settings = Settings(data=Path(folder) / "data", port=port)
        started = time.monotonic()
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "up", "--demo"],
                env={**os.environ, **settings.environment()},
                stdout=log,
                stderr=log,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _await_health(url, process)
            yield _populated(url, settings, process.pid, started)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(90)


def _await_health(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):  # noqa: S310 (our own)
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the service did not come up")


def _populated(url: str, settings: Settings, pid: int, started: float) -> Served:
    desk = open_desk(settings)
    try:
        while True:
            with reading(desk.engine) as session:
                found = session.scalars(select(Release).order_by(Release.id)).first()
                dataset = session.scalars(select(Dataset.id)).first()
            if found is not None and found.state == ReleaseState.PUBLISHED:
                break
            if time.monotonic() - started > PATIENCE_SECONDS or (found and found.state == ReleaseState.WITHHELD):
                raise RuntimeError("the demo has no release that is out: one draw in twenty may be withheld")
            time.sleep(0.5)
        ready = time.monotonic() - started
        with deciding(desk.engine) as session:
            for i in range(RESEARCHERS):
                person = add_person(session, f"{MORE}{i}")
                session.flush()
                give_role(session, person.id, Role.RESEARCHER)
            session.flush()
            people = list(session.scalars(select(Person)))
            keys = {person.name: add_key(session, person.id, "measuring", 1)[1] for person in people}
    finally:
        close_desk(desk)
    made = Served(url, settings, pid, keys, str(dataset), found.id, ready)
    _accept(made)
    return made


def _accept(made: Served) -> None:
    for name in ("researcher", *made.researchers):
        headers = {"Authorization": f"Bearer {made.keys[name]}", "Content-Type": "application/json"}
        terms = f"{made.url}/v1/releases/{made.release}/terms"
        with urllib.request.urlopen(urllib.request.Request(terms, headers=headers)) as answer:  # noqa: S310
            digest = json.load(answer)["digest"]
        body = json.dumps({"digest": digest}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{terms}/acceptance", body, headers)).close()  # noqa: S310

"""A PostgreSQL server of a test's own, which may be restarted under whoever uses it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
NOBODY = "postgres"
"""Whom the server runs as where the tests run as root, which it refuses."""


@dataclass(frozen=True)
class Cluster:
    """A server that runs."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Of its first database."""
        return f"postgresql+psycopg://{NOBODY}@127.0.0.1:{self.port}/postgres"

    def control(self, *words: str) -> None:
        """`pg_ctl`."""
        _run("pg_ctl", "--pgdata", str(self.folder / "data"), "--log", str(self.folder / "log"), "--wait", *words)

    def crash(self, away_seconds: float) -> None:
        """End the server as if its machine had lost power, and start it again after a while."""
        self.control("stop", "--mode", "immediate")
        time.sleep(away_seconds)
        self.control("start")


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server for the block; nothing of it is kept."""
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    if os.geteuid() == 0:
        shutil.chown(folder, NOBODY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    made = Cluster(folder, port)
    try:
        _run("initdb", "--pgdata", str(folder / "data"), "--username", NOBODY, "--auth", "trust", "--no-sync")
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n")
        made.control("start")
        yield made
        made.control("stop", "--mode", "immediate")
    finally:
        shutil.rmtree(folder)


def _run(program: str, *words: str) -> None:
    command = [str(PROGRAMS[-1] / program), *words]
    if os.geteuid() == 0:
        command = ["runuser", "-u", NOBODY, "--", *command]
    subprocess.run(command, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)  # fmt: skip

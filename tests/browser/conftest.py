"""A real service, served by itself with a worker beside it, and a real browser (`make test-browser`)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.access.persons import add_person, give_role
from api.access.roles import Role
from api.desk.record import deciding
from api.service import close_desk, open_desk, prepare
from api.settings import Settings
from tests.end_to_end.scene import OPEN

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PASSWORD = "four random words here"  # noqa: S105
PEOPLE = {"Stella Ward": Role.STEWARD, "Rita Search": Role.RESEARCHER, "Carl Compliance": Role.COMPLIANCE,
          "Aude Auditor": Role.AUDITOR, "Ada Admin": Role.ADMIN}  # fmt: skip
PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Running:
    """A service at an address."""

    url: str
    folder: Path


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`tablegate up` in a process of its own, with people in it."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "policies").mkdir()
    for name, approvers in {"open": 1, "two-person": 2}.items():
        rules = OPEN | {"name": name, "approvers": approvers}
        (folder / "policies" / f"{name}.yaml").write_text(json.dumps(rules))
    settings = Settings(data=folder / "data", policies=folder / "policies", port=_free_port())
    prepare(settings)
    desk = open_desk(settings)
    with deciding(desk.engine) as session:
        for name, role in PEOPLE.items():
            give_role(session, add_person(session, name, PASSWORD).id, role)
    close_desk(desk)
    log = (folder / "log.txt").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "up"], env={**os.environ, **settings.environment()}, stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{settings.port}"
    try:
        _await(url, process, folder / "log.txt")
        yield Running(url, folder)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        log.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium of the system's, as playwright drives it."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "there is no Chromium: install it (Debian: apt-get install chromium)"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):  # noqa: S310
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("the service did not come up")

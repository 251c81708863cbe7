"""The processes of the service: API and pages, workers, and both together for one machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from api.service import close_desk, open_desk
from api.settings import Settings
from api.work.worker import work

STOP_SECONDS = 40
PAUSE_SECONDS = 2.0


def serve(settings: Settings) -> None:
    """Serve the API and the pages of a prepared installation until told to stop."""
    import uvicorn

    from api.web.app import create_app

    desk = open_desk(settings)
    try:
        uvicorn.run(
            create_app(desk),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=settings.https,
        )
    finally:
        close_desk(desk)


def run_worker(settings: Settings, slot: str, queues: Sequence[str]) -> None:
    """Run jobs until told to stop, by SIGTERM or SIGINT. Raises RequestError where the slot is held."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (as the signal module calls it)
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    work(settings, slot, queues, ended)
    os._exit(0)  # a job that outlasted the time for it ends with this process, and is left to the next


def up(settings: Settings, queues: Sequence[str], beside: Sequence[Callable[[threading.Event], None]]) -> None:
    """Bring a prepared installation up on one machine: run one worker beside it, and serve.

    Args:
        settings: of the installation.
        queues: of the worker.
        beside: what else runs in threads; each ends when its event is set.
    """
    ended = threading.Event()
    threads = [threading.Thread(target=keep_worker, args=(settings, queues, ended))]
    threads += [threading.Thread(target=one, args=(ended,)) for one in beside]
    for thread in threads:
        thread.start()
    try:
        serve(settings)
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def keep_worker(settings: Settings, queues: Sequence[str], ended: threading.Event) -> None:
    """Run a worker, and another when it dies, until the event is set."""
    command = [sys.executable, "-m", "api.cli", "worker", "--slot", "local", "--queues", ",".join(queues)]
    while not ended.is_set():
        worker = subprocess.Popen(command, env={**os.environ, **settings.environment()}, stdin=subprocess.DEVNULL)  # noqa: S603 (our own)
        while worker.poll() is None and not ended.wait(0.2):
            pass
        if worker.poll() is None:
            worker.terminate()
            try:
                worker.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        ended.wait(PAUSE_SECONDS)

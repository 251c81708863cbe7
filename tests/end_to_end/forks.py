"""Processes to be killed and raced: forked from one that has everything loaded, since loading takes two seconds.

A server process reads one JSON line, the jobs of a round; it forks one child a job, lets them go at the same moment,
waits for all, and answers with one JSON line of exit statuses (negative: the signal that ended the child). A child
runs the program's own code: `race` its command line, `kill` the pipeline with a Home and Steps that end the process at
a named point, by SIGKILL, which nothing can catch or tidy up after.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from api import charging
from api.home import Home
from api.pipeline import release
from api.recipe import place
from api.steps import Steps
from audits.release.quarantine import Quarantine
from audits.release.signing import SigningKey
from bench.short import SHORT
from privacy.checkpoint import ANSWERS, Checkpoint
from privacy.journal import Entry, SqliteJournal, Transaction
from privacy.ledger import Ledger
from privacy.recompute import ROOT
from synthesizers import registry
from tests.end_to_end.scene import from_json


@dataclass(frozen=True, slots=True)
class Reaper:
    """Ends the process at a named point; writes down the points it passed before."""

    point: str
    passed: Path
    seen: list[str] = field(default_factory=list)

    def reach(self, point: str) -> None:
        """The process is at a point. The same name again is another point: `name 2`, `name 3`, ..."""
        self.seen.append(point)
        times = self.seen.count(point)
        name = point if times == 1 else f"{point} {times}"
        with self.passed.open("a") as file:
            file.write(name + "\n")
        if name == self.point:
            os.kill(os.getpid(), signal.SIGKILL)

    def next_is(self, point: str) -> bool:
        """Whether the process ends the next time it is at a point."""
        times = self.seen.count(point) + 1
        return self.point == (point if times == 1 else f"{point} {times}")


@dataclass(frozen=True, slots=True)
class DyingJournal:
    """A journal with a point before every entry, after it, and after its commit."""

    inner: SqliteJournal
    reaper: Reaper

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """As the inner one's."""
        written: list[str] = []
        with self.inner.transaction() as transaction:
            yield _DyingTransaction(transaction, self.reaper, written)
        for kind in written:
            self.reaper.reach(f"{kind} committed")


@dataclass(frozen=True, slots=True)
class _DyingTransaction:
    inner: Transaction
    reaper: Reaper
    written: list[str]

    def entries(self) -> Iterator[Entry]:
        return self.inner.entries()

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        self.reaper.reach(f"before {kind}")
        entry = self.inner.append(kind, body)
        self.written.append(kind)
        self.reaper.reach(f"{kind} written")
        return entry


@dataclass(frozen=True, slots=True)
class DyingHome(Home):
    """A home whose ledger has points."""

    reaper: Reaper

    @property
    def ledger(self) -> Ledger:
        """Over a journal that may end the process."""
        return Ledger(journal=DyingJournal(SqliteJournal(path=self.path), self.reaper))

    @property
    def signing_key(self) -> SigningKey:
        """The key of the home."""
        return Home(self.path).signing_key

    @property
    def quarantine(self) -> Quarantine:
        """The quarantine of the home."""
        return Home(self.path).quarantine


def die(job: Mapping[str, Any]) -> None:
    """Make a release, and end at the job's point."""
    recipe, reaper = from_json(job["recipe"]), Reaper(job["point"], Path(job["passed"]))
    folder = recipe.out.parent
    ours = (f"{folder}/.{recipe.out.name}.seal-", f"{folder}/ledger.quarantine")

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.mkdir", "os.rename", "os.rmdir") and str(arguments[0]).startswith(ours):
            reaper.reach(f"before {event.removeprefix('os.')} in seal")

    sys.addaudithook(watch)
    if job.get("short"):
        _shorten(reaper)
    release(recipe, DyingHome(Path(job["ledger"]), reaper), Steps(lambda step: reaper.reach(f"step: {step}")))


def _shorten(reaper: Reaper) -> None:
    """Trainings cut short, all of them worth keeping; with points around everything a checkpoint writes."""
    registry.SYNTHESIZERS, charging.WORTH_KEEPING = SHORT, 0.0
    append, put = Checkpoint.append, Checkpoint.put

    def watched_append(self: Checkpoint, record: bytes) -> None:
        reaper.reach("before answer")
        if reaper.next_is("answer torn"):  # the first half of what will be written, as a crash may leave it
            path, key = self._room / ANSWERS, self._records
            before = path.stat().st_size if key else 0
            append(self, record)
            os.truncate(path, before + (path.stat().st_size - before) // 2)
        else:
            append(self, record)
        reaper.reach("answer torn")
        reaper.reach("answer kept")

    def watched_put(self: Checkpoint, name: str, content: bytes) -> None:
        reaper.reach("before state")
        put(self, name, content)
        reaper.reach("state kept")

    Checkpoint.append = watched_append
    Checkpoint.put = watched_put


def race(job: Mapping[str, Any]) -> None:
    """Run the command line; its exit code becomes the child's."""
    from api.cli import main as command_line  # typer, for racers only

    sys.argv = ["tablegate", *job["arguments"]]
    command_line()


class Forks:
    """The server, from the outside: a context manager."""

    def __enter__(self) -> Forks:
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.end_to_end.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | one_thread,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.communicate(timeout=60)

    def run(self, *jobs: dict[str, Any]) -> list[int]:
        """Start jobs at the same moment; their exit statuses, in order.

        A job has `do`, `folder` (working and temporary folder, and where `out-N.txt` keeps what it printed), and what
        `die` or `race` read.
        """
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(jobs) + "\n")
        self._server.stdin.flush()
        statuses: list[int] = json.loads(self._server.stdout.readline())
        return statuses


def _serve() -> None:
    # Loaded late by a release; here once for all children.
    import synthesizers.neural.fitting  # noqa: F401

    for line in sys.stdin:
        jobs = json.loads(line)
        for job in jobs:
            if "recipe" in job:
                with suppress(Exception):
                    place(from_json(job["recipe"]))  # prices are cached: no child works them out again
        gate, opener = os.pipe()
        children = [_fork(job, number, gate, opener) for number, job in enumerate(jobs)]
        os.close(gate)
        os.close(opener)
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        sys.stdout.write(json.dumps(statuses) + "\n")
        sys.stdout.flush()


def _fork(job: Mapping[str, Any], number: int, gate: int, opener: int) -> int:
    child = os.fork()
    if child == 0:
        _be_child(job, number, gate, opener)
    return child


def _be_child(job: Mapping[str, Any], number: int, gate: int, opener: int) -> NoReturn:
    code = 99
    try:
        os.close(opener)
        os.chdir(job["folder"])
        os.environ["TMPDIR"] = job["folder"]
        printed = os.open(f"out-{number}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        os.read(gate, 1)  # returns when the server, the last to hold the other end, lets go
        {"kill": die, "race": race}[job["do"]](job)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()

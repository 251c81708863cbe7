"""Plugins of synthcity as generators, and its metrics as an audit: the caller's side of `synthcity_child`.

No guarantee of a plugin was proven here, whatever it is called or claims: the library seeds its noise with a number
that is public by default, and of several of its private plugins it is known that their claim does not hold
(`bench.accuse`). So nothing is charged for one, nothing is promised for its rows, and the seed handed to it is secret.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, ClassVar

import pyarrow as pa
from numpy.random import Generator

from api.integrations.extras import release_of, require
from api.integrations.frames import plain
from api.streams import fresh_seed
from audits.estimates import exact_finding
from audits.evidence import Evidence
from audits.fidelity.samples import equal_samples
from audits.finding import Finding
from privacy.errors import ReleaseError, RequestError
from privacy.table import Table

PREFIX = "synthcity:"
ROOT = Path(__file__).resolve().parent.parent.parent
WAIT = 0.5
"""Seconds between two looks at whether somebody asked to stop."""


class PluginError(ReleaseError):
    """A generator of another library failed."""

    code = "plugin"
    title = "The generator failed"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin that waits for rows in a process of its own.

    Attributes:
        name: among synthcity's plugins.
        takes: which of epsilon and delta it was handed.
        process: where it waits.
    """

    name: str
    takes: tuple[str, ...]
    process: subprocess.Popen[bytes]

    @property
    def made_by(self) -> str:
        """Name and version of the library."""
        return release_of("synthcity")

    def claim(self, epsilon: float, delta: float) -> str:
        """What the plugin itself says of privacy, in words."""
        numbers = {"epsilon": epsilon, "delta": delta}
        handed = " and ".join(f"{name} {numbers[name]:g}" for name in self.takes)
        return f"it was handed {handed}" if handed else "none: it takes no epsilon"

    def sampled(self, rows: Table, tell: Callable[[], None]) -> pa.Table:
        """Fit to rows whose domains are known and draw as many as were asked for, as `frames.plain` writes them.

        Args:
            rows: private.
            tell: called while it works; what it raises ends the process.

        Raises:
            PluginError: it failed, or drew too few rows.
        """
        return pa.ipc.open_stream(_answer(self.process, _stream(plain(rows)), tell)[1]).read_all()


@contextmanager
def plugin(name: str, *, rows: int, epsilon: float, delta: float, target: str | None) -> Iterator[Plugin]:
    """Start a plugin, which has read nothing yet. Raises RequestError where there is none of the name."""
    require("synthcity")
    loader = {} if target is None else {"target_column": target}
    asked = {"plugin": name, "rows": rows, "epsilon": epsilon, "delta": delta, "loader": loader}
    with _child({"verb": "draw", "random_state": fresh_seed() % 2**31, **asked}) as process:
        said = _line(process)
        if "unknown" in said:
            raise RequestError(
                f"synthcity has no plugin '{name}' for tables.",
                why="A release names the generator it was made by.",
                fix=f"Choose one of {', '.join(said['unknown'])}.",
            )
        if "takes" not in said:
            raise _failed(said)
        yield Plugin(name, tuple(said["takes"]), process)


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthcityMetrics:
    """The library's own metrics: synthetic rows against training rows, and control rows against them as the baseline.

    Attributes:
        max_rows: rows of each table that are compared; some metrics look at all pairs.
    """

    max_rows: int = 1_000
    name: ClassVar[str] = "synthcity"
    title: ClassVar[str] = "Metrics of synthcity"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """One finding a metric. Raises InconclusiveError for fewer than 100 rows of a table."""
        tables = equal_samples(evidence, self.max_rows, rng)
        sides = dict(zip(("control", "train", "synthetic"), tables, strict=True))
        size = len(tables[0])
        label = "side"
        while label in evidence.schema.names:
            label += "_"
        chosen = [plain(table).append_column(label, pa.array([side] * size)) for side, table in sides.items()]
        request = {"verb": "measure", "side": label, "random_state": int(rng.integers(2**31))}
        with _child(request) as process:
            scores, _ = _answer(process, _stream(pa.concat_tables(chosen)), lambda: None)
        return tuple(
            exact_finding(
                audit=self.name,
                quantity=metric,
                subject="",
                value=found["value"],
                baseline=scores["control"][metric]["value"],
                worse="lower" if found["direction"] == "maximize" else "higher",
                n=size,
            )
            for metric, found in scores["synthetic"].items()
            if metric in scores["control"]
        )


@contextmanager
def _child(request: Mapping[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """The other process, in a folder that goes with it."""
    with TemporaryDirectory(prefix="tablegate-") as folder:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "api.integrations.synthcity_child"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # with whatever it starts
        )
        try:
            if process.stdin is None:
                raise ValueError("the process was started without a pipe")
            # Not on the command line, which everybody on the machine may read: the seed is secret.
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _answer(
    process: subprocess.Popen[bytes], content: bytes, tell: Callable[[], None]
) -> tuple[dict[str, Any], io.BytesIO]:
    """Send the rows, wait, and take the answer apart: a line of facts, and what follows it."""
    # By a thread: `communicate` forgets what it had not sent by the time it is interrupted.
    pipe, process.stdin = process.stdin, None
    threading.Thread(target=_send, args=(pipe, content), daemon=True).start()
    said = None
    while said is None:
        try:
            said, _ = process.communicate(timeout=WAIT)
        except subprocess.TimeoutExpired:
            tell()
    answer = io.BytesIO(said)
    facts = _facts(answer.readline())
    if process.returncode or "failed" in facts:
        raise _failed(facts)
    return facts, answer


def _send(pipe: IO[bytes], content: bytes) -> None:
    with suppress(BrokenPipeError), pipe:
        pipe.write(content)


def _line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    if process.stdout is None:
        raise ValueError("the process was started without a pipe")
    return _facts(process.stdout.readline())


def _facts(line: bytes) -> dict[str, Any]:
    """What a line says; that the process died where there is none."""
    facts: dict[str, Any] = json.loads(line) if line.strip() else {"failed": "the process ended"}
    return facts


def _stream(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _failed(facts: Mapping[str, Any]) -> PluginError:
    return PluginError(
        f"synthcity did not get through ({facts.get('failed', 'unknown answer')}).",
        why="What it says may quote a cell, so that only the kind of its error is told.",
        fix="Try the plugin on a mock table in this environment, or choose another.",
    )

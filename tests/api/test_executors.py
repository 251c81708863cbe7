"""Every executor counts the same, and survives its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from api.executors import EXECUTORS, executor_of
from api.executors.processes import Processes, WorkersDiedError
from privacy.errors import RequestError, TableError
from privacy.rows import Inline
from synthesizers.discretize import attributes_of
from synthesizers.domains import DomainCounts, Domains
from synthesizers.marginal.oneway import CodeCounts
from tests.streams import OPEN, SCHEMA, streamed, written


def square(n: int) -> int:
    return n * n


def dying(folder: Path, n: int) -> int:
    """Item 3 kills the worker it is first given to, as the system does when memory is short."""
    if n == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


def deadly(n: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return n


def refusing(n: int) -> int:
    raise TableError(f"part {n}", why="a test", fix="none")


def test_answers_come_in_order() -> None:
    assert list(Processes(workers=2).map(square, range(9))) == [n * n for n in range(9)]
    assert list(Processes(workers=2).map(square, [])) == []


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    assert list(Processes(workers=2).map(partial(dying, tmp_path), range(6))) == [n * n for n in range(6)]
    assert (tmp_path / "died").exists()


def test_what_kills_every_worker_is_an_error() -> None:
    with pytest.raises(WorkersDiedError, match="Workers died in 2 pools"):
        Processes(workers=1, pools=2).map(deadly, [1])


def test_an_error_of_a_part_is_raised_here() -> None:
    with pytest.raises(TableError, match="part 1") as caught:
        list(Processes(workers=1).map(refusing, [1]))
    assert (caught.value.what, caught.value.why, caught.value.fix) == ("part 1", "a test", "none")


def test_processes_count_to_the_last_bit(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", 700)
    for schema, count in (
        (SCHEMA, CodeCounts(attributes_of(Domains(schema=SCHEMA), 16))),
        (OPEN, DomainCounts((OPEN["height"],), (OPEN["town"],))),  # type: ignore[arg-type]
    ):
        one, other = (streamed(path, schema, executor=e).total(count) for e in (Inline(), Processes(workers=2)))
        assert list(one) == list(other)
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_workers_end_with_their_parent() -> None:
    """Killed, the parent says goodbye to nobody."""
    script = (
        "import os, time\n"
        "from functools import partial\n"
        "from api.executors.processes import Processes\n"
        "from tests.api.test_executors import sleeping\n"
        "if __name__ == '__main__':\n"
        "    Processes(workers=1).map(sleeping, [1])\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        if not Path(f"/proc/{worker}").exists() or "zombie" in Path(f"/proc/{worker}/status").read_text():
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its parent")


def sleeping(_: int) -> None:
    print(os.getpid(), flush=True)  # noqa: T201 - the test reads it
    time.sleep(60)


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(RequestError, match="no executor 'abacus'"):
        executor_of("abacus")
    assert set(EXECUTORS) == {"inline", "process", "dask", "ray"}


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_a_missing_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.executors.clusters.find_spec", lambda _: None)
    with pytest.raises(RequestError, match=rf"pip install 'tablegate\[{name}\]'"):
        executor_of(name)

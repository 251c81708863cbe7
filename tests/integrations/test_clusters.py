"""Counting on a local Dask and a local Ray cluster: `make test-integrations`, in an environment of its own."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from api.executors import executor_of
from privacy.errors import TableError
from privacy.rows import Executor
from synthesizers.discretize import attributes_of
from synthesizers.domains import DomainCounts, Domains
from synthesizers.marginal.oneway import CodeCounts
from tests.streams import OPEN, SCHEMA, streamed, written

pytestmark = pytest.mark.filterwarnings("default")  # what other people's clusters warn of is not ours to fail


@pytest.fixture(params=["dask", "ray"])
def executor(request: pytest.FixtureRequest) -> Executor:
    pytest.importorskip({"dask": "distributed", "ray": "ray"}[request.param])
    return executor_of(request.param)


def dying(folder: Path, n: int) -> int:
    """Item 3 kills the worker it is first given to."""
    if n == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


def test_a_cluster_counts_to_the_last_bit(executor: Executor, tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", 700)
    for schema, count in (
        (SCHEMA, CodeCounts(attributes_of(Domains(schema=SCHEMA), 16))),
        (OPEN, DomainCounts((OPEN["height"],), (OPEN["town"],))),  # type: ignore[arg-type]
    ):
        one, other = streamed(path, schema).total(count), streamed(path, schema, executor=executor).total(count)
        assert list(one) == list(other)
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_a_killed_worker_loses_nothing(executor: Executor, tmp_path: Path) -> None:
    assert list(executor.map(partial(dying, tmp_path), range(6))) == [n * n for n in range(6)]
    assert (tmp_path / "died").exists()


def test_a_changed_file_is_refused_here(executor: Executor, tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", 700)
    stream = streamed(path, SCHEMA, executor=executor)
    part = stream.parts[0]
    path.touch()
    with pytest.raises(TableError, match="changed while it was being read"):
        list(executor.map(_rows_of, [part]))


def _rows_of(part: object) -> int:
    return sum(len(table) for table in part.tables())  # type: ignore[attr-defined]

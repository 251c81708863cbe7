"""Counting on a local Dask and a local Ray cluster: `make test-integrations`, in an environment of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from api.executors import executor_of
from privacy.errors import TableError
from privacy.rows import Executor
from privacy.schema import Schema
from privacy.table import Count
from synthesizers.discretize import attributes_of
from synthesizers.domains import DomainCounts, Domains
from synthesizers.marginal.oneway import CodeCounts
from tests.streams import OPEN, SCHEMA, streamed, written

pytestmark = pytest.mark.filterwarnings("default")  # what other people's clusters warn of is not ours to fail


@pytest.fixture(params=["dask", "ray"])
def starting(request: pytest.FixtureRequest) -> Executor:
    """An executor that starts a local cluster for every pass."""
    pytest.importorskip({"dask": "distributed", "ray": "ray"}[request.param])
    return executor_of(request.param)


@pytest.fixture(params=["dask", "ray"], scope="module")
def standing(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """An executor that joins a cluster which is up already, as the library's own setting says."""
    if request.param == "dask":
        distributed = pytest.importorskip("distributed")
        import dask

        with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            with dask.config.set({"scheduler-address": cluster.scheduler_address}):
                yield executor_of("dask")
    else:
        ray = pytest.importorskip("ray")
        ray.init(include_dashboard=False, log_to_driver=False)
        yield executor_of("ray")
        ray.shutdown()


def dying(folder: Path, n: int) -> int:
    """Item 3 kills the worker it is first given to."""
    if n == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


def assert_same(executor: Executor, schema: Schema, count: Count, path: Path) -> None:
    one, other = streamed(path, schema).total(count), streamed(path, schema, executor=executor).total(count)
    assert list(one) == list(other)
    assert all(np.array_equal(one[key], other[key]) for key in one)


def test_a_cluster_of_our_own_counts_to_the_last_bit(starting: Executor, tmp_path: Path) -> None:
    count = CodeCounts(attributes_of(Domains(schema=SCHEMA), 16))
    assert_same(starting, SCHEMA, count, written(tmp_path / "t.parquet", 700))


def test_a_standing_cluster_counts_to_the_last_bit(standing: Executor, tmp_path: Path) -> None:
    count = DomainCounts((OPEN["height"],), (OPEN["town"],))  # type: ignore[arg-type]
    assert_same(standing, OPEN, count, written(tmp_path / "t.parquet", 700))


def test_a_killed_worker_loses_nothing(standing: Executor, tmp_path: Path) -> None:
    assert list(standing.map(partial(dying, tmp_path), range(6))) == [n * n for n in range(6)]
    assert (tmp_path / "died").exists()


def test_a_changed_file_is_refused_here(standing: Executor, tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", 700)
    stream = streamed(path, SCHEMA, executor=standing)
    part = stream.parts[0]
    path.touch()
    with pytest.raises(TableError, match="changed while it was being read"):
        list(standing.map(_rows_of, [part]))


def _rows_of(part: object) -> int:
    return sum(len(table) for table in part.tables())  # type: ignore[attr-defined]

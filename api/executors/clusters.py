"""Counting on the workers of a Dask or a Ray cluster, for tables on storage that all its machines see.

Which cluster is the library's own setting (`DASK_SCHEDULER_ADDRESS`, `RAY_ADDRESS`); without one, a local cluster is
started for as long as a pass lasts. Both libraries give a lost part to another worker by themselves. They are extras
(`pip install 'tablegate[dask]'`, `'tablegate[ray]'`) and imported only when asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from privacy.errors import RequestError
from privacy.rows import Answer, Item

RETRIES = 3
"""Workers that may die over one part before it is given up."""


@dataclass(frozen=True, slots=True)
class Dask:
    """Tasks of a Dask cluster."""

    def map(self, function: Callable[[Item], Answer], items: Sequence[Item]) -> Iterator[Answer]:
        """The answers, in order."""
        import dask
        from distributed import Client

        with dask.config.set({"distributed.scheduler.allowed-failures": RETRIES}), Client() as client:
            # Not pure: a task that looks like an earlier one still reads its file again.
            answers: list[Answer] = client.gather(client.map(function, list(items), pure=False))
        return iter(answers)


@dataclass(frozen=True, slots=True)
class Ray:
    """Tasks of a Ray cluster."""

    def map(self, function: Callable[[Item], Answer], items: Sequence[Item]) -> Iterator[Answer]:
        """The answers, in order."""
        import ray

        ours = not ray.is_initialized()
        if ours and "RAY_ADDRESS" in os.environ:
            ray.init(log_to_driver=False)
        elif ours:
            ray.init(include_dashboard=False, log_to_driver=False)
        try:
            task = ray.remote(max_retries=RETRIES)(function_of)
            answers: list[Answer] = ray.get([task.remote(function, item) for item in items])
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        finally:
            if ours:
                ray.shutdown()
        return iter(answers)


def function_of(function: Callable[[Item], Answer], item: Item) -> Answer:
    """One answer: what a Ray task runs, since a task is a plain function."""
    return function(item)


def dask_executor() -> Dask:
    """Raises RequestError where Dask is not installed."""
    _require("distributed", "dask")
    return Dask()


def ray_executor() -> Ray:
    """Raises RequestError where Ray is not installed."""
    _require("ray", "ray")
    return Ray()


def _require(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise RequestError(
            f"The executor '{extra}' needs a library that is not installed.",
            why="It is an extra: most tables are counted well enough on one machine.",
            fix=f"pip install 'tablegate[{extra}]', or choose --executor process.",
        )

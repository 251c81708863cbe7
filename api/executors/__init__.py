"""Where the rows of a long table are counted: one mapping from names to executors.

Whatever the executor, counts are the same to the last bit (`privacy.rows`). Its workers see rows, so they are trusted
as this process is: a cluster belongs to whoever holds the table, and so does the network between its machines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from api.executors.clusters import dask_executor, ray_executor
from api.executors.processes import Processes
from privacy.errors import RequestError
from privacy.rows import Executor, Inline

EXECUTORS: Mapping[str, Callable[[], Executor]] = MappingProxyType(
    {"inline": Inline, "process": Processes, "dask": dask_executor, "ray": ray_executor}
)


def executor_of(name: str) -> Executor:
    """The named executor. Raises RequestError where there is none, or where its library is not installed."""
    if name not in EXECUTORS:
        raise RequestError(
            f"There is no executor '{name}'.",
            why="It says where the rows of a long table are counted.",
            fix=f"Choose one of {', '.join(EXECUTORS)}.",
        )
    return EXECUTORS[name]()

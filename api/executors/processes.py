"""Counting on the cores of this machine, in processes that may die.

A worker that is killed, for its memory say, takes what it was counting with it and breaks the whole pool of the
standard library. Counting has no effect but its answer, so what was lost is counted again in a fresh pool, a few times;
a part that kills every worker it is given to is an error.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process
from typing import Any

from privacy.errors import ReleaseError
from privacy.rows import Answer, Item


class WorkersDiedError(ReleaseError):
    """Worker processes keep dying."""

    code = "workers-died"


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """A pool of worker processes.

    Attributes:
        workers: how many; each holds a batch of rows and its own sums.
        pools: pools that are started before it is given up.
    """

    workers: int = field(default_factory=lambda: max(1, len(os.sched_getaffinity(0))))
    pools: int = 4

    def map(self, function: Callable[[Item], Answer], items: Sequence[Item]) -> Iterator[Answer]:
        """The answers, in order. Raises WorkersDiedError, or what the function raises."""
        answers: dict[int, Answer] = {}
        for _ in range(self.pools):
            lost = [i for i in range(len(items)) if i not in answers]
            if not lost:
                break
            # Forked from a server without threads: a plain fork copies locks of threads it does not copy.
            context = get_context("forkserver")
            context.set_forkserver_preload(["privacy.rows"])
            with ProcessPoolExecutor(min(self.workers, len(lost)), context, initializer=_die_with_parent) as pool:
                asked: dict[Future[Any], int] = {}
                try:
                    for i in lost:
                        asked[pool.submit(function, items[i])] = i
                except BrokenProcessPool:
                    pass
                _collect(asked, answers)
        if len(answers) < len(items):
            raise WorkersDiedError(
                f"Workers died in {self.pools} pools of processes, one after the other.",
                why="The system may be short of memory; a part of the table that is lost is counted again.",
                fix="Use fewer workers, or `--executor inline`. The charge stands, since rows were read.",
            )
        return (answers[i] for i in range(len(items)))


def _collect(asked: dict[Future[Any], int], answers: dict[int, Any]) -> None:
    """Answers of a pool, as far as it gets; an error of the function ends the rest."""
    open_futures = set(asked)
    while open_futures:
        done, open_futures = wait(open_futures, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                answers[asked[future]] = future.result()
            except BrokenProcessPool:
                continue
            except BaseException:
                for other in open_futures:
                    other.cancel()
                raise


def _die_with_parent() -> None:
    """In a worker: end when the process that started it does, even if it was killed."""
    parent = parent_process()
    if parent is not None:
        watch = threading.Thread(target=lambda: (connection.wait([parent.sentinel]), os._exit(1)), daemon=True)
        watch.start()

"""Load on a service: `python -m bench.load [--users N] [--think SECONDS] [--takers SHARE] [--seconds SECONDS]`.

The service is the demo's, with a worker that trains on one thread meanwhile (`dp-ctgan`), and a file of 10 MB to take.

Users come and go over a list of addresses with some seconds of thought in between; some of them take a file instead.
What is measured is the time from sending a request until its answer is whole, as a user sees it, this program's own
share of the processors included when both run on one machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import httpx2
from numpy.random import Generator, default_rng

from bench.served import Served, served

FILE_BYTES = 10 << 20
READS = ("/v1/me", "/v1/datasets", "/v1/releases", "/v1/policies", "/", "/releases", "/policies", "/me")


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who comes.

    Attributes:
        users: how many at once.
        think_seconds: mean pause between two requests of one user; uniform between half and one and a half of it.
        takers: share of the users who download.
        seconds: how long they stay.
        warm_seconds: of these at first, while the worker's child starts; their answers are counted apart.
    """

    users: int
    think_seconds: float
    takers: float
    seconds: float
    warm_seconds: float


@dataclass(slots=True)
class Tally:
    """Seconds of every answer by address, and what was no success."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    warming: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """Figures by address, and of all but the download together."""
        rest = [s for address, times in self.seconds.items() if address != "download" for s in times]
        shown = {address: figures(times) for address, times in sorted(self.seconds.items())}
        return {
            "all but download": figures(rest),
            "of the first seconds": figures(self.warming),
            **shown,
            "refused": dict(self.refused),
        }


def figures(seconds: Sequence[float]) -> dict[str, float]:
    """Number, median, 95th percentile and maximum, in milliseconds."""
    ordered = sorted(seconds)
    if not ordered:
        return {"n": 0}
    at = {
        name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in (("p50", 0.5), ("p95", 0.95))
    }
    return {"n": len(ordered), **{k: round(1000 * v, 1) for k, v in at.items()}, "max": round(1000 * ordered[-1], 1)}


async def visit(http: httpx2.AsyncClient, crowd: Crowd, file: str, tally: Tally, rng: Generator) -> None:
    """One user until the end."""
    taker = rng.random() < crowd.takers
    came = perf_counter()
    ends, warm = came + crowd.seconds, came + crowd.warm_seconds
    await asyncio.sleep(rng.uniform(0, crowd.think_seconds))
    while perf_counter() < ends:
        address = file if taker and file else READS[int(rng.integers(len(READS)))]
        started = perf_counter()
        answer = await http.get(address, headers={"Accept": "text/html" if not address.startswith("/v1") else "*/*"})
        counted = tally.seconds["download" if address == file else address] if started > warm else tally.warming
        counted.append(perf_counter() - started)
        if not answer.is_success:
            tally.refused[f"{answer.status_code} {address}"] += 1
        await asyncio.sleep(rng.uniform(0.5, 1.5) * crowd.think_seconds)


async def measure(url: str, keys: Sequence[str], crowd: Crowd, file: str) -> Tally:
    """Let a crowd come; users share the keys in turn."""
    tally = Tally()
    limits = httpx2.Limits(max_connections=crowd.users)
    clients = [
        httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, limits=limits, timeout=120.0)
        for key in keys
    ]
    users = [visit(clients[i % len(clients)], crowd, file, tally, default_rng([1, i])) for i in range(crowd.users)]
    await asyncio.gather(*users)
    for client in clients:
        await client.aclose()
    return tally


def train(made: Served) -> None:
    """Have the worker train for minutes."""
    recipe = {"synthesizer": "dp-ctgan", "epsilon": 1.0, "delta": 1e-6, "policy": "internal"}
    words = {"purpose": "To have the worker at work.", "recipient": "Nobody."}
    headers = {"Authorization": f"Bearer {made.keys['researcher']}"}
    address = f"{made.url}/v1/datasets/{made.dataset}/releases"
    httpx2.post(address, json=recipe | words, headers=headers, timeout=60.0).raise_for_status()


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--think", type=float, default=5.0)
    parser.add_argument("--takers", type=float, default=0.1)
    parser.add_argument("--seconds", type=float, default=80.0)
    parser.add_argument("--warm", type=float, default=20.0)
    given = parser.parse_args()
    crowd = Crowd(given.users, given.think, given.takers, given.seconds, given.warm)
    with served() as made:
        made.pad(FILE_BYTES)
        train(made)
        keys = [made.keys[name] for name in made.researchers]
        found = asyncio.run(measure(made.url, keys, crowd, made.address)).summary()
    load = {"ready seconds": round(made.ready_seconds, 1), "load of the machine": os.getloadavg()}
    print(json.dumps({**load, **found}, indent=1))


if __name__ == "__main__":
    main()

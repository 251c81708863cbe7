"""A large table up and a large file down: `python -m bench.transfer [--gigabytes N]`.

Beside each the same bytes written to, or read from, the same disk without a service; and what the serving process held
in memory at most. Sender, receiver and service share this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2

from bench.served import BLOCK, Served, served


def _table(n_bytes: int) -> Iterator[bytes]:
    """Bytes as of a CSV file; what is in them is nothing to an upload."""
    block = (b"1,2,3,4\n" * (BLOCK // 8))[:BLOCK]
    for _ in range(n_bytes // BLOCK):
        yield block


def upload(made: Served, n_bytes: int) -> None:
    """Send a table as a steward does."""
    headers = {"Authorization": f"Bearer {made.keys['steward']}"}
    address = f"{made.url}/v1/datasets/{made.dataset}/table?kind=csv"
    httpx2.put(address, content=_table(n_bytes), headers=headers, timeout=None).raise_for_status()


def download(made: Served) -> None:
    """Take the padded file as a researcher does."""
    headers = {"Authorization": f"Bearer {made.keys['researcher']}"}
    with httpx2.stream("GET", made.url + made.address, headers=headers, timeout=None) as answer:
        answer.raise_for_status()
        for _ in answer.iter_raw():
            pass


def write_plainly(n_bytes: int) -> None:
    """The same bytes to the same disk."""
    with tempfile.NamedTemporaryFile() as file:
        for block in _table(n_bytes):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def read_plainly(path: Path) -> None:
    """The same file from the same disk."""
    with path.open("rb") as file:
        while file.read(BLOCK):
            pass


def seconds(act: Callable[[], None]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    n_bytes = int(parser.parse_args().gigabytes * 2**30) // BLOCK * BLOCK
    with served() as made:
        made.pad(n_bytes)
        padded = next(made.settings.data.rglob("padding.bin"))
        before = made.memory()
        took = {
            "download": seconds(lambda: download(made)),
            "the same file, read": seconds(lambda: read_plainly(padded)),
            "the same bytes, written": seconds(lambda: write_plainly(n_bytes)),
            "upload": seconds(lambda: upload(made, n_bytes)),
        }
        after = made.memory()
    rates = {name: {"seconds": round(s, 1), "MB/s": round(n_bytes / s / 1e6)} for name, s in took.items()}
    held = {"before": before, "after": after, "load": os.getloadavg()[0]}
    print(json.dumps({"bytes": n_bytes, **rates, "memory of the service": held}, indent=1))


if __name__ == "__main__":
    main()

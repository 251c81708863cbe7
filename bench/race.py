"""Ours beside existing systems, on the same rows in one run: python -m bench.race [--peers NAME ...] [--epsilon E].

Every system runs as a whole process with one thread, one after the other, each in an environment of its own
(`bench.peers`); ours run before and after, so that a machine that changes meanwhile is noticed. Compared are seconds of
CPU time, which other work on the machine does not change much; wall-clock seconds stand beside them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from bench.frontier import FILES, LIMIT, METRICS, measured, prepared
from bench.peers.environment import HOME
from bench.peers.registry import PEERS
from bench.run import MEASURED
from synthesizers.registry import SYNTHESIZERS


def main() -> None:
    """Install, run, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", choices=FILES, default="adult")
    parser.add_argument("--ours", nargs="+", choices=sorted(SYNTHESIZERS), default=["aim"])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=[n for n in PEERS if n.endswith(" aim")])
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--limit", type=int, default=LIMIT, help="CPU seconds a system may take")
    parser.add_argument("--home", type=Path, default=HOME)
    asked = parser.parse_args()
    os.environ.update(MEASURED)
    with tempfile.TemporaryDirectory() as folder:
        work = prepared(asked.table, Path(folder))
        for system in [*asked.ours, *asked.peers, *asked.ours]:
            result = measured(system, asked.epsilon, 0, work, asked.home, asked.limit)
            if "failed" in result:
                print(f"{system:28} {result['failed']}", flush=True)
                continue
            figures = "  ".join(f"{metric} {result[metric]:.3f}" for metric in METRICS)
            times = f"{result['cpu_seconds']:8.1f} CPU s  {result['seconds']:8.1f} s  {result['megabytes']:6.0f} MB"
            print(f"{system:28} {times}  {figures}", flush=True)


if __name__ == "__main__":
    main()

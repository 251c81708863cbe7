"""Throughput of secure noise, in CPU seconds of one core: python -m bench.noise [--draws N]."""

from __future__ import annotations

import argparse
from time import process_time

from privacy.noise import system_noise
from synthesizers.neural.grid import GRID


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10_000_000)
    draws = parser.parse_args().draws
    noise, size = system_noise(), 10_000
    for name, stddev in (("votes", 120.0), ("gradients", 1.0 * GRID), ("gradients", 10.0 * GRID)):
        start = process_time()
        for _ in range(max(1, draws // size)):
            noise.rounded_gaussian(stddev, (size,))
        seconds = process_time() - start
        print(f"{name}, standard deviation {stddev:g}: {draws / seconds / 1e6:.1f} million draws a second")


if __name__ == "__main__":
    main()

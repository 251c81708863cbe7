"""Fits of the same noisy marginals by private-pgm (PyPI `mbi`), which is not installed beside Tablegate: it needs JAX.

Run in an environment of its own by `make oracles`; what it writes is checked in, and `test_mbi.py` compares with it.
All counts are made up.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import jax
import numpy as np
from mbi import Domain, LinearMeasurement
from mbi.estimation import MirrorDescent

SIZES = {"a": 2, "b": 3, "c": 4, "d": 2}
PROBLEMS = {
    "chain": [("a", "b"), ("b", "c"), ("c", "d")],
    "star": [("a", "b"), ("a", "c"), ("a", "d")],
    "triple": [("a", "b", "c"), ("c", "d")],
    "loop": [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")],
}
ROWS = 2_000
STDDEV = 8.0
ANSWERS = Path(__file__).parent / "mbi.json"


def solve(name: str, seed: int) -> dict[str, Any]:
    """Noisy one-way marginals and cliques of random counts; every pair of the fitted model, measured or not."""
    rng = np.random.default_rng(seed)
    names = tuple(SIZES)
    joint = ROWS * rng.dirichlet(np.full(int(np.prod(list(SIZES.values()))), 0.7)).reshape(tuple(SIZES.values()))
    measured = []
    for clique in [*((n,) for n in names), *PROBLEMS[name]]:
        truth = joint.sum(axis=tuple(i for i, n in enumerate(names) if n not in clique))
        measured.append((clique, np.rint(truth + rng.normal(0, STDDEV, truth.shape))))
    given = [LinearMeasurement(noisy.ravel(), clique, STDDEV) for clique, noisy in measured]
    model = MirrorDescent().estimate(Domain(names, tuple(SIZES.values())), given, iters=5_000)
    pairs = {pair: np.asarray(model.project(pair).datavector()) for pair in combinations(names, 2)}
    return {
        "name": name,
        "sizes": SIZES,
        "stddev": STDDEV,
        "measured": [{"clique": clique, "noisy": noisy.tolist()} for clique, noisy in measured],
        "pairs": [{"clique": pair, "counts": np.round(counts, 4).tolist()} for pair, counts in pairs.items()],
        "total": float(np.asarray(model.total)),
    }


def main() -> None:
    """Write the answers."""
    jax.config.update("jax_enable_x64", True)
    problems = [solve(name, seed) for seed, name in enumerate(PROBLEMS)]
    ANSWERS.write_text(json.dumps({"mbi": version("mbi"), "problems": problems}) + "\n")


if __name__ == "__main__":
    main()

"""mbi 2.x holds inference only, no mechanism: MST and AIM as published, in short, on its public interface.

Noise is NumPy's: utility is what is compared here. Categories and bins come from the rows (`task.coded`).

Sources: McKenna, Miklau & Sheldon 2021, "Winning the NIST contest" (MST); McKenna, Mullins, Sheldon & Miklau 2022,
"AIM: an adaptive and iterative mechanism" (algorithms 1 to 3).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import jax
import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.random import Generator, default_rng

from bench.peers.drivers.task import Method, Task, coded, main

jax.config.update("jax_enable_x64", True)  # before mbi is imported, which asks for it

from mbi import Dataset, Domain, LinearMeasurement, estimation, junction_tree  # noqa: E402

Clique = tuple[str, ...]
Floats = npt.NDArray[np.float64]

ITERATIONS = 1000
MODEL_MEGABYTES = 80
MAX_CELLS = 10_000
ALPHA = 0.9
"""Share of a round's budget for the measurement (AIM, section 4)."""


def rho_of(epsilon: float, delta: float) -> float:
    """The largest rho whose zCDP implies (epsilon, delta) (Canonne, Kamath & Steinke 2020, proposition 12)."""
    order = np.exp(np.linspace(math.log(1.001), math.log(1e5), 20_000))
    low, high = 0.0, epsilon
    for _ in range(80):
        rho = (low + high) / 2
        implied = (rho * order + np.log1p(-1 / order) - np.log(delta * order) / (order - 1)).min()
        low, high = (rho, high) if implied <= epsilon else (low, rho)
    return low


def measured(data: Dataset, clique: Clique, stddev: float, rng: Generator) -> LinearMeasurement:
    """One noisy marginal."""
    counts = np.asarray(data.project(clique).datavector())
    return LinearMeasurement(counts + rng.normal(0, stddev, counts.shape), clique, stddev)


def drawn_by_score(scores: Sequence[float], epsilon: float, sensitivity: float, rng: Generator) -> int:
    """The exponential mechanism by Gumbel noise."""
    return int(np.argmax(np.asarray(scores) * epsilon / (2 * sensitivity) + rng.gumbel(size=len(scores))))


def off(model: Any, data: Dataset, clique: Clique) -> float:
    """L1 distance of a model's marginal from that of the rows."""
    return float(
        np.abs(np.asarray(model.project(clique).datavector()) - np.asarray(data.project(clique).datavector())).sum()
    )


def fitted(domain: Domain, measurements: list[LinearMeasurement], warm_start: Any = None) -> Any:
    """The recommended estimator."""
    return estimation.MirrorDescent().estimate(domain, measurements, iters=ITERATIONS, warm_start=warm_start)


def mst(data: Dataset, rho: float, n_rows: int, rng: Generator) -> Dataset:
    """All columns; a spanning tree of pairs, chosen privately; these pairs. A third of rho each.

    Levels below three standard deviations are one level in the model, and drawn alike.
    """
    whole, columns = data.domain, data.domain.attributes
    stddev = math.sqrt(3 * len(columns) / (2 * rho))
    ones = [measured(data, (column,), stddev, rng) for column in columns]
    merged = {str(m.clique[0]): merging(np.asarray(m.noisy_measurement) >= 3 * stddev) for m in ones}
    data, ones = data.compress(merged), [m.compress(merged, whole) for m in ones]
    model = fitted(data.domain, ones)
    scores = {pair: off(model, data, pair) for pair in combinations(columns, 2)}
    epsilon = math.sqrt(8 * rho / 3 / (len(columns) - 1))
    tree: Any = nx.utils.UnionFind(columns)
    chosen: list[Clique] = []
    while len(chosen) < len(columns) - 1:
        left = [pair for pair in scores if tree[pair[0]] != tree[pair[1]]]
        pair = left[drawn_by_score([scores[p] for p in left], epsilon, 1.0, rng)]
        tree.union(*pair)
        chosen.append(pair)
    stddev = math.sqrt(3 * len(chosen) / (2 * rho))
    model = fitted(data.domain, [*ones, *(measured(data, pair, stddev, rng) for pair in chosen)])
    return model.synthetic_data(n_rows).decompress(merged)


def merging(kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """New codes of levels: those kept in order, then one for all others."""
    return np.where(kept, np.cumsum(kept) - 1, kept.sum())


def aim(data: Dataset, rho: float, n_rows: int, rng: Generator) -> Dataset:
    """Rounds of choosing the worst fitted marginal of the pairs and columns, and measuring it."""
    domain, columns = data.domain, data.domain.attributes
    candidates = weights(domain)
    rounds = 16 * len(columns)
    stddev, epsilon = math.sqrt(rounds / (2 * ALPHA * rho)), math.sqrt(8 * (1 - ALPHA) * rho / rounds)
    log = [measured(data, (column,), stddev, rng) for column in columns]
    spent = len(columns) / (2 * stddev**2)
    model = fitted(domain, log)
    while spent < rho * (1 - 1e-9):
        if rho - spent < 2 * (1 / (2 * stddev**2) + epsilon**2 / 8):  # the rest goes to one last round
            left = rho - spent
            stddev, epsilon = math.sqrt(1 / (2 * ALPHA * left)), math.sqrt(8 * (1 - ALPHA) * left)
        spent += 1 / (2 * stddev**2) + epsilon**2 / 8
        cliques = [tuple(m.clique) for m in log]
        limit = MODEL_MEGABYTES * spent / rho
        small = [
            c for c in candidates
            if c in cliques or len(c) == 1 or junction_tree.hypothetical_model_size(domain, [*cliques, c]) <= limit
        ]  # fmt: skip
        expected = math.sqrt(2 / math.pi) * stddev
        scores = [candidates[c] * (off(model, data, c) - expected * domain.size(c)) for c in small]
        clique = small[drawn_by_score(scores, epsilon, max(candidates[c] for c in small), rng)]
        before = np.asarray(model.project(clique).datavector())
        log.append(measured(data, clique, stddev, rng))
        model = fitted(domain, log, model)
        if np.abs(np.asarray(model.project(clique).datavector()) - before).sum() <= expected * domain.size(clique):
            stddev, epsilon = stddev / 2, 2 * epsilon
    return model.synthetic_data(n_rows)


def weights(domain: Domain) -> Mapping[Clique, float]:
    """Candidates of the workload of all pairs that are small enough: itself and its columns, by how much they share."""
    pairs = [pair for pair in combinations(domain.attributes, 2) if domain.size(pair) <= MAX_CELLS]
    cliques: list[Clique] = [*((column,) for column in domain.attributes), *pairs]
    return {c: float(sum(len(set(c) & set(pair)) for pair in pairs)) for c in cliques}


def by(mechanism: Callable[[Dataset, float, int, Generator], Dataset]) -> Method:
    """A mechanism on coded rows."""

    def run(task: Task) -> pd.DataFrame:
        coding = coded(task.rows, task.numbers)
        names = list(coding.codes.columns)
        domain = Domain(names, [len(coding.levels[name]) for name in names])
        data = Dataset({name: coding.codes[name].to_numpy() for name in names}, domain)
        drawn = mechanism(
            data, rho_of(task.epsilon, task.delta), task.n_rows, default_rng(secrets.randbits(128))
        ).to_dict()
        return coding.decode(pd.DataFrame({name: np.asarray(drawn[name]) for name in names}))

    return run


if __name__ == "__main__":
    main({"aim": by(aim), "mst": by(mst)})

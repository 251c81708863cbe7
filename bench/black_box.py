"""Two neighbouring tables told apart from released rows alone, whoever released them.

The certificate's attack (`bench.certify`) reads what passed our own filter; a foreign generator has none. So a
classifier learns from some runs on either table what releases look like, and guesses for others. Features are how many
rows of a release are of each kind that the first runs show, which on a table of few categories is all there is to see.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier

from bench.tradeoff import Bools, bound_of_guesses
from privacy.columns import Floats

MAX_KINDS = 64

Release = Counter[tuple[str, ...]]
"""How often each row was released."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What guesses about fresh runs prove.

    Attributes:
        epsilon_lower_bound: at the confidence asked for.
        ceiling: the bound had every guess been right.
        right: share of right guesses, of both sides.
        guesses_per_side: runs that were guessed about.
    """

    epsilon_lower_bound: float
    ceiling: float
    right: float
    guesses_per_side: int


def prove(members: Sequence[Release], others: Sequence[Release], *, delta: float, confidence: float) -> Proof:
    """Learn from the first half of the runs of either side, guess about the second.

    Args:
        members: releases of the table with the unit, at least 4.
        others: as many of the table without it.
        delta: as claimed.
        confidence: of the bound.
    """
    half = len(members) // 2
    lessons = [*members[:half], *others[:half]]
    kinds = [row for row, _ in sum(lessons, Counter()).most_common(MAX_KINDS)]
    forest = RandomForestClassifier(n_estimators=200, min_samples_leaf=2, random_state=0)
    forest.fit(features(lessons, kinds), np.repeat([True, False], half))
    with_unit: Bools = forest.predict(features(members[half:], kinds)).astype(bool)
    without: Bools = forest.predict(features(others[half:], kinds)).astype(bool)
    n = len(with_unit)
    perfect: Bools = np.ones(n, dtype=np.bool_)
    return Proof(
        epsilon_lower_bound=bound_of_guesses(with_unit, without, delta=delta, confidence=confidence),
        ceiling=bound_of_guesses(perfect, ~perfect, delta=delta, confidence=confidence),
        right=float((with_unit.mean() + (~without).mean()) / 2),
        guesses_per_side=n,
    )


def features(releases: Sequence[Release], kinds: Sequence[tuple[str, ...]]) -> Floats:
    """Share of each kind of row, and of every other row, shape (runs, kinds + 1)."""
    counts = np.array([[release[kind] for kind in kinds] for release in releases], dtype=np.float64)
    totals: npt.NDArray[np.float64] = np.array([[release.total()] for release in releases], dtype=np.float64)
    shares: Floats = np.hstack([counts, totals - counts.sum(axis=1, keepdims=True)]) / np.maximum(totals, 1)
    return shares


def read_releases(file: Path, runs: int) -> list[Release]:
    """What a driver wrote: rows of all runs, the run's number before them."""
    releases: list[Release] = [Counter() for _ in range(runs)]
    with file.open(newline="") as lines:
        rows = csv.reader(lines)
        next(rows)
        for run, *row in rows:
            releases[int(run)][tuple(row)] += 1
    return releases

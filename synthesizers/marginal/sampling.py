"""Rows from a fitted model, by controlled rounding along the junction tree.

Each clique is drawn given what it shares with its parent: the rows of every separator value are divided among the
clique's further values in whole counts that differ from the expected ones by less than 1. That removes most of the
sampling error plain draws would add to the measured marginals.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.random import Generator

from privacy.columns import Codes, Floats
from synthesizers.discretize import round_counts
from synthesizers.marginal.domain import Clique, Domain, marginal
from synthesizers.marginal.estimation import MarkovRandomField


def sample_codes(model: MarkovRandomField, n: int, rng: Generator) -> dict[str, Codes]:
    """Draw n rows: one code array of shape (n,) an attribute."""
    rows: dict[str, Codes] = {}
    root = model.tree.cliques[0]
    _draw(rows, model.marginals[root], root, (), n, rng)
    for edge in model.tree.edges:
        _draw(rows, model.marginals[edge.child], edge.child, edge.separator, n, rng)
    order = rng.permutation(n)
    return {name: codes[order] for name, codes in rows.items()}


def predicted_counts(domain: Domain, drawn: Mapping[str, Codes], clique: Clique, total: float) -> Floats:
    """The model's counts on a clique, as rows drawn from it show them."""
    counts = marginal(domain, drawn, clique).astype(np.float64)
    scaled: Floats = counts * (total / counts.sum())
    return scaled


def _draw(rows: dict[str, Codes], counts: Floats, clique: Clique, given: Clique, n: int, rng: Generator) -> None:
    """Add the attributes of a clique that are not given yet."""
    fresh = tuple(name for name in clique if name not in given)
    if not fresh:
        return
    order = [clique.index(name) for name in (*given, *fresh)]
    shape = [counts.shape[i] for i in order]
    table = counts.transpose(order).reshape(int(np.prod(shape[: len(given)])), -1)
    group = np.zeros(n, dtype=np.int64)
    for name, size in zip(given, shape, strict=False):
        group = group * size + rows[name]
    drawn = np.empty(n, dtype=np.int64)
    by_group = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[by_group], np.arange(len(table) + 1))
    for value, weights in enumerate(table):
        members = by_group[bounds[value] : bounds[value + 1]]
        if len(members) == 0:
            continue
        mass = weights.sum()
        shares = weights / mass if mass > 0 else np.full(len(weights), 1 / len(weights))
        picked = np.repeat(np.arange(len(weights)), round_counts(shares * len(members), len(members), rng))
        drawn[members] = rng.permutation(picked)
    values = np.unravel_index(drawn, shape[len(given) :])
    for name, codes in zip(fresh, values, strict=True):
        rows[name] = codes.astype(np.int32)

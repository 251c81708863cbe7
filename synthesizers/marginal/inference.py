"""Potentials to marginals by message passing on a junction tree (sum-product in log space)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from privacy.columns import Floats
from synthesizers.marginal.domain import Clique
from synthesizers.marginal.junction_tree import JunctionTree


def beliefs(tree: JunctionTree, potentials: Mapping[Clique, Floats], total: float) -> dict[Clique, Floats]:
    """Marginals of the graphical model on every clique of the tree.

    Args:
        tree: the junction tree.
        potentials: log potentials, one array a clique of the tree.
        total: sum of every marginal.

    Returns:
        Non-negative arrays, one a clique, each summing to `total` and agreeing on separators.
    """
    upward = dict(potentials)
    messages: dict[Clique, Floats] = {}
    for edge in reversed(tree.edges):
        message = _log_sum(upward[edge.child], edge.child, edge.separator)
        messages[edge.child] = message
        upward[edge.parent] = upward[edge.parent] + align(message, edge.separator, edge.parent)
    full = {tree.cliques[0]: upward[tree.cliques[0]]}
    for edge in tree.edges:
        outside = _log_sum(full[edge.parent], edge.parent, edge.separator) - messages[edge.child]
        full[edge.child] = upward[edge.child] + align(outside, edge.separator, edge.child)
    return {clique: _normalised(values, total) for clique, values in full.items()}


def _log_sum(values: Floats, clique: Clique, onto: Clique) -> Floats:
    axes = tuple(i for i, name in enumerate(clique) if name not in onto)
    if not axes:
        return values
    peak = values.max(axis=axes, keepdims=True)
    summed: Floats = np.log(np.exp(values - peak).sum(axis=axes)) + peak.reshape(
        tuple(s for i, s in enumerate(values.shape) if i not in axes)
    )
    return summed


def align(values: Floats, clique: Clique, onto: Clique) -> Floats:
    """A view of an array on `clique` that broadcasts against arrays on the larger clique `onto`."""
    sizes = dict(zip(clique, values.shape, strict=True))
    return values.reshape(tuple(sizes.get(name, 1) for name in onto))


def _normalised(values: Floats, total: float) -> Floats:
    weights = np.exp(values - values.max())
    scaled: Floats = weights * (total / weights.sum())
    return scaled

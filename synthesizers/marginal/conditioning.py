"""A fitted model given evidence on one attribute.

Source: Jensen, Lauritzen & Olesen 1990 (Hugin propagation): a calibrated junction tree takes evidence in one clique,
and one pass to the root and back makes it calibrated again. Ratios of nothing to nothing are nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from privacy.columns import Floats
from synthesizers.marginal.domain import Clique, project
from synthesizers.marginal.estimation import MarkovRandomField
from synthesizers.marginal.inference import align


def weighted(field: MarkovRandomField, name: str, weight: Floats) -> MarkovRandomField | None:
    """The model with every cell of one attribute multiplied by a weight, its total unchanged.

    Args:
        field: the model.
        name: the attribute.
        weight: non-negative, shape (size of the attribute,).

    Returns:
        None where nothing is left.
    """
    now = dict(field.marginals)
    home = field.tree.home((name,))
    now[home] = now[home] * align(weight, (name,), home)
    for edge in reversed(field.tree.edges):
        before = project(field.marginals[edge.child], edge.child, edge.separator)
        _absorb(now, edge.parent, edge.separator, project(now[edge.child], edge.child, edge.separator), before)
    for edge in field.tree.edges:
        before = project(now[edge.child], edge.child, edge.separator)
        _absorb(now, edge.child, edge.separator, project(now[edge.parent], edge.parent, edge.separator), before)
    left = float(now[field.tree.cliques[0]].sum())
    if left <= 0:
        return None
    return replace(field, marginals={clique: values * (field.total / left) for clique, values in now.items()})


def _absorb(now: dict[Clique, Floats], clique: Clique, separator: Clique, after: Floats, before: Floats) -> None:
    ratio = np.divide(after, before, out=np.zeros_like(after), where=before > 0)
    now[clique] = now[clique] * align(ratio, separator, clique)

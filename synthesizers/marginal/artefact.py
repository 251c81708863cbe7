"""A graphical model's own part of a model file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synthesizers.coding import Coding, KeepArray, ReadArray, bad
from synthesizers.marginal.estimation import MarkovRandomField
from synthesizers.marginal.junction_tree import Edge, JunctionTree
from synthesizers.marginal.model import MarginalModel


def parts_of(model: MarginalModel, keep: KeepArray) -> dict[str, Any]:
    """Cliques, edges and potentials."""
    field = model.random_field
    return {
        "cliques": [
            {"columns": clique, "marginal": keep(f"marginals/{i}.npy", field.marginals[clique])}
            for i, clique in enumerate(field.tree.cliques)
        ],
        "edges": [[e.child, e.parent, e.separator] for e in field.tree.edges],
        "potentials": [
            {"columns": clique, "values": keep(f"potentials/{i}.npy", values)}
            for i, (clique, values) in enumerate(field.potentials.items())
        ],
    }


def model_from(document: Mapping[str, Any], coding: Coding, array: ReadArray) -> MarginalModel:
    """The model. Raises ArtefactError for what `parts_of` did not write."""
    domain = coding.domain
    marginals = {
        tuple(one["columns"]): array(one["marginal"], np.float64, domain.shape(tuple(one["columns"])))
        for one in document["cliques"]
    }
    tree = JunctionTree(
        domain, tuple(marginals), tuple(Edge(tuple(c), tuple(p), tuple(s)) for c, p, s in document["edges"])
    )
    _check_tree(tree)
    if any(values.min() < 0 or values.sum() <= 0 for values in marginals.values()):
        raise bad("A marginal has a negative count, or none.")
    potentials = {
        tuple(one["columns"]): array(one["values"], np.float64, domain.shape(tuple(one["columns"])))
        for one in document["potentials"]
    }
    return MarginalModel(
        schema=coding.schema,
        attributes=coding.attributes,
        merged=coding.merged,
        random_field=MarkovRandomField(tree, marginals, potentials, float(document["total"])),
        expected_error={tuple(clique): float(error) for clique, error in document["expected_error"]},
    )


def _check_tree(tree: JunctionTree) -> None:
    """Parents before children, separators within both, every column somewhere: what sampling relies on."""
    seen = {tree.cliques[0]}
    for edge, clique in zip(tree.edges, tree.cliques[1:], strict=True):
        if edge.child != clique or edge.parent not in seen or not set(edge.separator) <= {*edge.child} & {*edge.parent}:
            raise bad("Its junction tree is none.")
        seen.add(clique)
    if {name for clique in tree.cliques for name in clique} != set(tree.domain.sizes):
        raise bad("Its junction tree leaves a column out.")

"""A graphical model's own part of a model file, and what error bounds follow from, which every model file has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synthesizers.coding import Array, Coding, KeepArray, ReadArray, bad
from synthesizers.marginal.domain import Clique, Domain
from synthesizers.marginal.error_bounds import Neighbourhood, Uncertainty
from synthesizers.marginal.estimation import MarkovRandomField
from synthesizers.marginal.junction_tree import Edge, JunctionTree
from synthesizers.marginal.measurement import LinearMeasurement
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


def uncertainty_parts(known: Uncertainty, keep: KeepArray) -> dict[str, Any]:
    """Noisy counts, and neighbourhoods of what a selection could have chosen."""
    return {
        "count": [list(one.total) for one in known.count],
        "columns": [_measured_parts(one, f"fine/{i}", keep) for i, one in enumerate(known.columns)],
        "measured": [_measured_parts(one, f"measured/{i}", keep) for i, one in enumerate(known.measured)],
        "max_measured": known.max_measured,
        "scored": [
            {"columns": clique, "centre": keep(f"scored/{i}.npy", near.centre), "radius": near.radius}
            for i, (clique, near) in enumerate(known.scored.items())
        ],
    }


def uncertainty_from(document: Mapping[str, Any], coding: Coding, array: ReadArray) -> Uncertainty:
    """What `uncertainty_parts` wrote. Raises ArtefactError for anything else."""
    fine, cells = Domain({a.column.name: a.size for a in coding.attributes}), coding.domain

    def read(part: str, domain: Domain) -> tuple[LinearMeasurement, ...]:
        return tuple(_measurement(written, domain, array) for written in document[part])

    scored: dict[Clique, Neighbourhood] = {}
    for written in document["scored"]:
        clique = tuple(written["columns"])
        centre = array(written["centre"], np.int64, cells.shape(clique))
        scored[clique] = Neighbourhood(centre, float(written["radius"]))
    known = Uncertainty(
        count=tuple(LinearMeasurement((), *_total(written)) for written in document["count"]),
        columns=read("columns", fine),
        measured=read("measured", cells),
        max_measured=int(document["max_measured"]),
        scored=scored,
    )
    if [one.clique for one in known.columns] != [(name,) for name in fine.sizes]:
        raise bad("It does not hold a marginal of every column.")
    if len(known.measured) > known.max_measured:
        raise bad("It holds more marginals than could have been measured.")
    return known


def _measured_parts(one: LinearMeasurement, name: str, keep: KeepArray) -> dict[str, Any]:
    return {"columns": one.clique, "noisy": keep(f"{name}.npy", one.noisy), "variance": float(one.variance.flat[0])}


def _total(written: tuple[Any, Any]) -> tuple[Array, Array]:
    noisy, variance = (np.array(float(value)) for value in written)
    if not (np.isfinite(noisy) and 0 < variance < np.inf):
        raise bad("Its count of rows is none.")
    return noisy, variance


def _measurement(written: Mapping[str, Any], domain: Domain, array: ReadArray) -> LinearMeasurement:
    clique, variance = tuple(written["columns"]), float(written["variance"])
    if not 0 < variance < np.inf:
        raise bad("A measurement has no variance.")
    shape = domain.shape(clique)
    return LinearMeasurement(clique, array(written["noisy"], np.float64, shape), np.full(shape, variance))


def model_from(document: Mapping[str, Any], coding: Coding, known: Uncertainty, array: ReadArray) -> MarginalModel:
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
        uncertainty=known,
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

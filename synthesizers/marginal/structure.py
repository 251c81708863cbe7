"""What rules say of a model before anything is measured: cells that no row can be in, and pairs that must be measured.

A combination of cells is a structural zero when every row in it breaks a rule. Its potential is so low that the
fitted model gives it next to nothing, whatever was or was not measured of its columns: where the columns of a rule
fit into one clique, drawn rows keep the rule without being repaired. Rules that cells are too coarse for, or whose
clique would be too large, are left to the repair, which is the last step of sampling in any case.

So that cells are not too coarse, codes that a rule tells apart are never merged into one (`signatures`). All of this
follows from the schema, bought bounds and lists, and costs nothing. Training rows are repaired before they are
counted, so no true count contradicts a zero.

Source: Cai et al. 2021, "Data synthesis via differentially private Markov random fields", section 5, and McKenna,
Mullins, Sheldon & Miklau 2022, section 6, on structural zeros as potentials of minus infinity; here finite, since a
slice that is forbidden altogether has no logarithm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from privacy.columns import Floats, NumberColumn
from privacy.constraints import Implication, Order
from privacy.mechanisms import Bools
from privacy.schema import Schema
from synthesizers.discretize import Attribute, Merged
from synthesizers.marginal.domain import Clique, Domain
from synthesizers.marginal.triangulation import n_cells

FORBIDDEN = -60.0
"""Log potential of a structural zero: with 10^12 rows it would hold less than 10^-13 of one."""

MAX_WIDTH = 3
"""Columns of a clique at most: a larger one is seldom small."""

MAX_CELLS = 8_000
"""Cells of the junction tree of all zeros at most: a model has room for what is measured beside them."""


def signatures(schema: Schema, attribute: Attribute) -> npt.NDArray[np.int64]:
    """A number for every code, shape (size,): codes of one number are alike to all conditions of the schema's rules."""
    found = np.zeros(attribute.size, dtype=np.int64)
    for rule in _rules(schema):
        if isinstance(rule, Order):
            continue
        for condition in (*rule.when, rule.then):
            if condition.column == attribute.column.name:
                for met in (attribute.can_meet(condition), attribute.must_meet(condition)):
                    _, found = np.unique(2 * found + met, return_inverse=True)
    return found


def structural_zeros(
    schema: Schema, attributes: Sequence[Attribute], merged: Mapping[str, Merged]
) -> dict[Clique, Floats]:
    """Log potentials, 0 or FORBIDDEN, by clique: of rules in their order, as long as all fit into MAX_CELLS.

    Args:
        schema: resolved, with its rules.
        attributes: the modelled columns.
        merged: their cells.
    """
    domain = Domain({name: m.n_cells for name, m in merged.items()})
    by_name = {a.column.name: a for a in attributes}
    zeros: dict[Clique, Floats] = {}
    for rule in _rules(schema):
        names = {rule.low, rule.high} if isinstance(rule, Order) else {*rule.reads, rule.then.column}
        clique = domain.clique(names)
        if len(clique) > MAX_WIDTH or names - set(clique) or n_cells(domain, [*zeros, clique]) > MAX_CELLS:
            continue
        if isinstance(rule, Order):
            forbidden = _inverted(rule, clique, by_name, merged)
        else:
            forbidden = _against(rule, clique, by_name, merged)
        if forbidden.any():
            zeros[clique] = np.where(forbidden, FORBIDDEN, zeros.get(clique, np.zeros(forbidden.shape)))
    return zeros


def fitting(
    domain: Domain, zeros: Mapping[Clique, Floats], measured: Iterable[Clique], max_cells: int
) -> dict[Clique, Floats]:
    """As many of the zeros, in their order, as fit into a junction tree of so many cells beside what is measured."""
    known = list(measured)
    kept: dict[Clique, Floats] = {}
    for clique, potential in zeros.items():
        if n_cells(domain, [*known, *kept, clique]) <= max_cells:
            kept[clique] = potential
    return kept


def mapped_pairs(schema: Schema) -> tuple[Clique, ...]:
    """Pairs of a column and what it follows from by a map to be read off the model, in schema order: to be measured."""
    maps = schema.constraints.maps if schema.constraints else ()
    wanted = [{one.source, one.column} for one in maps]
    return tuple(dict.fromkeys(tuple(name for name in schema.names if name in pair) for pair in wanted))


def _rules(schema: Schema) -> list[Implication | Order]:
    steps = schema.constraints.steps if schema.constraints else ()
    rules: list[Implication | Order] = []
    for step in steps:
        rules += [*step.implications, *step.orders]
    return rules


def _against(
    rule: Implication, clique: Clique, by_name: Mapping[str, Attribute], merged: Mapping[str, Merged]
) -> Bools:
    """Cells of a clique all of whose rows meet `when` and none of whose rows meets `then`."""
    shape = tuple(merged[name].n_cells for name in clique)
    forbidden = np.ones(shape, dtype=bool)
    for condition in (*rule.when, rule.then):
        name = condition.column
        attribute = by_name[name]
        met = ~attribute.can_meet(condition) if condition is rule.then else attribute.must_meet(condition)
        along = [1] * len(clique)
        along[clique.index(name)] = merged[name].n_cells
        forbidden &= merged[name].all_of(met).reshape(along)
    return forbidden


def _inverted(order: Order, clique: Clique, by_name: Mapping[str, Attribute], merged: Mapping[str, Merged]) -> Bools:
    """Cells of a pair all of whose rows have `low` above `high`."""
    least = _extreme(by_name[order.low], merged[order.low], np.minimum, np.inf)
    most = _extreme(by_name[order.high], merged[order.high], np.maximum, -np.inf)
    forbidden: Bools = least[:, None] > most[None, :]
    return forbidden if clique == (order.low, order.high) else forbidden.T


def _extreme(attribute: Attribute, joined: Merged, pick: np.ufunc, start: float) -> Floats:
    """Least or greatest value of every cell; where a cell may be missing, one that is in order with everything."""
    column, edges = attribute.column, attribute.edges
    if not isinstance(column, NumberColumn) or edges is None:
        raise TypeError(f"'{column.name}' is not a number")
    ends = edges[:-1] if pick is np.minimum else edges[1:] - (1.0 if column.is_discrete else 0.0)
    found = np.full(joined.n_cells, start)
    drawn = joined.share > 0
    pick.at(found, joined.cell_of[:-1][drawn[:-1]], ends[drawn[:-1]])
    if drawn[-1]:
        found[joined.cell_of[-1]] = -start
    return found

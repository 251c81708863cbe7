"""Which marginals a generator that chooses may choose from, how fine they are, and whether they fit.

All from public facts: the schema, the budget and the published number of rows.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import combinations

from privacy.columns import LevelColumn
from privacy.schema import Schema, quoted
from synthesizers.errors import PlanError
from synthesizers.marginal.domain import Clique
from synthesizers.marginal.structure import mapped_pairs

COUNT_BYTES = 512_000_000
"""Memory the counts of all candidates may take, eight bytes a cell."""

CELL_BYTES = 8

MIN_CELLS = 4


def workload(schema: Schema, target_weight: int, triple_columns: int) -> dict[Clique, int]:
    """Weight of every candidate: those the schema asks for; else all pairs, and triples with the target or all of them.

    Pairs with the target weigh more; triples are offered in tables of few columns.
    """
    if schema.workload is not None:
        return dict(schema.workload)
    names = schema.names
    target = schema.target.name if schema.target else None
    weights: dict[Clique, int] = {pair: target_weight if target in pair else 1 for pair in combinations(names, 2)}
    if len(names) <= triple_columns:
        weights |= {triple: 1 for triple in combinations(names, 3) if target is None or target in triple}
    return weights


def cells_within(schema: Schema, cliques: Iterable[Clique], n_cells: int) -> int:
    """The largest number of cells a column, up to `n_cells`, at which the counts of all cliques fit into COUNT_BYTES.

    Raises:
        PlanError: not even the coarsest cells fit.
    """
    wanted = list(cliques)
    tried = range(MIN_CELLS, n_cells + 1)
    fitting = bisect_right(tried, COUNT_BYTES, key=lambda n: CELL_BYTES * sum(most_cells(schema, c, n) for c in wanted))
    if fitting:
        return tried[fitting - 1]
    raise PlanError(
        f"The {len(wanted):,} marginals to choose from do not fit into memory.",
        why=f"Their counts would take more than {COUNT_BYTES // 10**6} MB even with {MIN_CELLS} cells a column.",
        fix="Write a `privacy.workload` of the marginals that matter, or leave columns out.",
    )


def check_fits(schema: Schema, n_cells: int, model_cells: int) -> None:
    """Refuse marginals that were asked for and could be too large to be modelled.

    Raises:
        PlanError: a marginal of the workload, or a pair that a map is to be read off.
    """
    for clique in (*(schema.workload or {}), *mapped_pairs(schema)):
        most = most_cells(schema, clique, n_cells)
        if most > model_cells:
            raise PlanError(
                f"The marginal of {quoted(clique)} does not fit into the model.",
                why=f"It has up to {most:,} cells at this budget, and the model may have {model_cells:,}.",
                fix="Ask for its pairs instead, declare fewer levels, or raise the model's size (`model_bytes`).",
            )


def most_cells(schema: Schema, clique: Clique, n_cells: int) -> int:
    """Cells of a marginal at most, when columns are merged into about `n_cells`, OTHER and missing beside them."""
    return math.prod(_most(schema, name, n_cells) for name in clique)


def _most(schema: Schema, name: str, n_cells: int) -> int:
    column = schema[name]
    if isinstance(column, LevelColumn):
        listed = column.max_levels if column.levels is None else len(column.levels)
        return min(n_cells, listed or n_cells) + 2
    return n_cells + 1


def affordable_cells(n_rows: float, stddev: float, rows_per_stddev: float) -> float:
    """Cells a column at which a cell of a pair holds, on average, so many standard deviations of the noise it gets.

    n rows in c^2 cells are n / c^2 a cell: finer cells are noise, coarser ones give detail away that was paid for.
    """
    return math.sqrt(n_rows / (rows_per_stddev * stddev))

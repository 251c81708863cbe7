"""A made-up table of a dataset's shape, to write programs on before anything is released.

Every cell is drawn uniformly from its column's declared domain, and rows keep the schema's rules. Nothing but the
schema is read, so it costs nothing and says nothing of the people in the table; what looks like a pattern is chance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator, default_rng

from api.access.roles import Action, Principal
from api.desk.desk import Desk, dataset_for
from api.desk.ordering import schema_of
from api.store.database import reading
from api.streams import fresh_seed
from privacy.columns import Column, LevelColumn
from privacy.constraints import Constraints, Values
from privacy.errors import RequestError
from privacy.schema import Schema
from privacy.table import Table

MOST_ROWS = 10_000
MISSING_SHARE = 0.05
STAND_IN_LEVELS = ("example-a", "example-b", "example-c")
STAND_IN_REACH = 100.0


def mock_table(desk: Desk, who: Principal, dataset: str, rows: int) -> bytes:
    """A mock table as CSV.

    Raises:
        RequestError: not between 1 and `MOST_ROWS` rows.
    """
    with reading(desk.engine) as session:
        found = dataset_for(session, who, dataset, Action.SEE_MOCK)
    if not 1 <= rows <= MOST_ROWS:
        raise RequestError(f"A mock table has 1 to {MOST_ROWS} rows.", why="It is for trying.", fix="Ask for fewer.")
    return drawn(schema_of(found), rows, default_rng(fresh_seed())).csv()


def drawn(schema: Schema, n: int, rng: Generator) -> Table:
    """N rows of a schema's domains, shape of the released table; bounds and lists still to be bought are made up."""
    whole = schema.with_columns({column.name: _stand_in(column) for column in schema.columns})
    constraints = whole.constraints or Constraints()
    modelled = constraints.modelled(whole)
    columns = {column.name: _cells(column, n, rng) for column in modelled.columns}
    rows = Table(modelled, columns, {}, np.arange(n, dtype=np.int64))
    if constraints.maps:
        constraints = constraints.resolved(rows)
    return constraints.complete(rows, replace(whole, constraints=constraints))


def _stand_in(column: Column) -> Column:
    if isinstance(column, LevelColumn):
        return column if column.levels is not None else replace(column, levels=STAND_IN_LEVELS)
    low = column.minimum if column.minimum is not None else (column.maximum or STAND_IN_REACH) - STAND_IN_REACH
    high = column.maximum if column.maximum is not None else low + STAND_IN_REACH
    return replace(column, minimum=low, maximum=high)


def _cells(column: Column, n: int, rng: Generator) -> Values:
    missing = rng.random(n) < MISSING_SHARE
    if isinstance(column, LevelColumn):
        codes = rng.integers(0, max(1, len(column.declared)), n, dtype=np.int32)
        return np.where(missing, np.int32(len(column.declared) + 1), codes)
    low, high = column.bounds
    values = rng.integers(int(np.ceil(low)), int(np.floor(high)), n, endpoint=True).astype(np.float64) \
        if column.is_discrete else rng.uniform(low, high, n)  # fmt: skip
    return np.where(missing, np.nan, values)

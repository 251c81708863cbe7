"""Time and memory of a marginal run, from public facts.

A table is held up to a number of bytes; a longer one is read again for every count, and then memory grows by some ten
bytes a row, for what becomes of it, and by its identifier where persons are protected.

The coefficients were fitted to single runs of `bench.generate` on seven real tables (17 to 77 columns, 6,000 to 52,000
rows, two shared cores); they are good to a factor of two where the row count is public. Where it is not,
`ROWS_WHERE_UNKNOWN` rows are assumed.
"""

from __future__ import annotations

from privacy.columns import LevelColumn
from privacy.rows import HELD_BYTES, row_bytes
from privacy.schema import Schema
from synthesizers.marginal.oneway import ROWS_WHERE_UNKNOWN, OneWayPlan
from synthesizers.protocol import Estimate

START_SECONDS = 1.8
SECONDS_A_CELL_READ = 1e-6
SECONDS_A_PAIR_ROW = 1.2e-8
SECONDS_A_MODEL_CELL = 1e-4
SECONDS_A_SCORED_ROW = 1e-8
SECONDS_A_DESCENT_CELL = 5e-8
SECONDS_A_CANDIDATE = 4e-5
BASE_BYTES = 250_000_000
COPIES = 4
"""Times the held rows are in memory while they are read and taken apart."""

BYTES_A_ROW, BYTES_A_PERSON = 20, 150
PASSES = 5
"""Over a table that is not held: who trains, what the audits look at, domains, columns, and pairs or triples."""


def estimate_run(plan: OneWayPlan, *, pairs: int) -> Estimate:
    """Estimate a run that scores all pairs and models `pairs` of them."""
    schema = plan.domains.schema
    rows = schema.n_public.value or ROWS_WHERE_UNKNOWN
    columns = len(schema.columns)
    cells = sum(min(plan.n_cells, c.n_codes) if isinstance(c, LevelColumn) else plan.n_cells for c in schema.columns)
    model = pairs * (cells / columns) ** 2
    scored = columns * (columns - 1) / 2 if pairs else 0
    passes = PASSES if rows * row_bytes(schema) > HELD_BYTES else 1
    seconds = (
        START_SECONDS
        + SECONDS_A_CELL_READ * rows * columns * passes
        + SECONDS_A_PAIR_ROW * rows * scored
        + SECONDS_A_MODEL_CELL * model
    )
    return Estimate(seconds=seconds, memory_bytes=int(BASE_BYTES + rows_memory(schema, rows) + 100 * model))


def rows_memory(schema: Schema, rows: int) -> int:
    """Bytes that the rows of a table take at most, held or read again for every count."""
    person = BYTES_A_PERSON if schema.unit.field is not None else 0
    return COPIES * min(rows * row_bytes(schema), HELD_BYTES) + (BYTES_A_ROW + person) * rows


def estimate_rounds(
    plan: OneWayPlan, *, n_rounds: int, n_candidates: int, scored_rows: int, model_cells: int, round_steps: int
) -> Estimate:
    """Estimate a run of adaptive rounds.

    Args:
        plan: domains and one-way marginals.
        n_rounds: rounds at most.
        n_candidates: candidates a round at most.
        scored_rows: rows candidates are scored against, at most.
        model_cells: cells of the model at most.
        round_steps: steps of descent a round at most.
    """
    base = estimate_run(plan, pairs=0)
    schema = plan.domains.schema
    columns = len(schema.columns)
    rows = min(scored_rows, 4 * (schema.n_public.value or ROWS_WHERE_UNKNOWN))
    candidates = min(n_candidates, columns * (columns - 1) // 2 + columns**2 // 2)
    tree = SECONDS_A_CANDIDATE * columns * candidates
    scoring = SECONDS_A_SCORED_ROW * rows * candidates
    descent = SECONDS_A_DESCENT_CELL * model_cells * round_steps
    seconds = base.seconds + n_rounds * (tree + scoring + descent)
    return Estimate(seconds=seconds, memory_bytes=base.memory_bytes + 8 * rows * columns + 400 * model_cells)

"""Time and memory of a marginal run, from public facts.

The coefficients were fitted to single runs of `bench.generate` on seven real tables (17 to 77 columns, 6,000 to 52,000
rows, two shared cores); they are good to a factor of two where the row count is public. Where it is not,
`ROWS_WHERE_UNKNOWN` rows are assumed.
"""

from __future__ import annotations

from privacy.columns import LevelColumn
from synthesizers.marginal.oneway import ROWS_WHERE_UNKNOWN, OneWayPlan
from synthesizers.protocol import Estimate

START_SECONDS = 1.8
SECONDS_A_CELL_READ = 1e-6
SECONDS_A_PAIR_ROW = 1.2e-8
SECONDS_A_MODEL_CELL = 1e-4
BASE_BYTES = 250_000_000
BYTES_A_CELL = 40


def estimate_run(plan: OneWayPlan, *, pairs: int) -> Estimate:
    """Estimate a run that scores all pairs and models `pairs` of them."""
    schema = plan.domains.schema
    rows = schema.n_public.value or ROWS_WHERE_UNKNOWN
    columns = len(schema.columns)
    cells = sum(min(plan.n_cells, c.n_codes) if isinstance(c, LevelColumn) else plan.n_cells for c in schema.columns)
    model = pairs * (cells / columns) ** 2
    scored = columns * (columns - 1) / 2 if pairs else 0
    seconds = (
        START_SECONDS
        + SECONDS_A_CELL_READ * rows * columns
        + SECONDS_A_PAIR_ROW * rows * scored
        + SECONDS_A_MODEL_CELL * model
    )
    return Estimate(seconds=seconds, memory_bytes=int(BASE_BYTES + BYTES_A_CELL * rows * columns + 100 * model))

"""Time and memory of a neural run on two cores, from public facts: fitted to single runs, good to a factor of two."""

from __future__ import annotations

from privacy.columns import LevelColumn
from synthesizers.marginal.oneway import ROWS_WHERE_UNKNOWN
from synthesizers.neural.warm_start import WarmStartPlan
from synthesizers.protocol import Estimate

START_SECONDS = 5.0
SECONDS_A_STEP = 0.01
SECONDS_A_STEP_CELL = 1e-4
SECONDS_A_SAMPLED_ROW = 3e-5
SECONDS_A_CELL_READ = 1e-6
BASE_BYTES = 600_000_000
BYTES_A_CELL = 40
"""Every row is held: gradients and votes are taken of rows, not of counts."""


def estimate_training(plan: WarmStartPlan, *, pretraining_steps: int, sampled_rows: int) -> Estimate:
    """Estimate a run.

    Args:
        plan: its warm start.
        pretraining_steps: steps of the generator.
        sampled_rows: rows whose gradients are taken, or teachers trained on, over all steps.
    """
    columns = plan.schema.columns
    rows = plan.schema.n_public.value or ROWS_WHERE_UNKNOWN
    n_cells = plan.one_ways.n_cells
    width = sum(min(n_cells, c.n_codes) if isinstance(c, LevelColumn) else n_cells for c in columns)
    seconds = (
        START_SECONDS
        + SECONDS_A_CELL_READ * rows * len(columns)
        + (SECONDS_A_STEP + SECONDS_A_STEP_CELL * width) * pretraining_steps
        + SECONDS_A_SAMPLED_ROW * sampled_rows
    )
    return Estimate(seconds=seconds, memory_bytes=BASE_BYTES + BYTES_A_CELL * rows * len(columns))

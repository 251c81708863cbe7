"""Which audits are asked, and how long the deep ones will take: said before the work starts, from public facts alone.

Every deep audit looks at a bounded number of rows (`max_rows`), so that an estimate for that many holds for any table.
Seconds were measured by `python -m bench.suite --deep` on Adult: 15 columns, one thread.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from api.integrations.audits import BESIDE
from api.recipe import Order
from api.steps import Steps
from audits.attacks.shadow import ShadowModels
from audits.protocol import Audit
from audits.registry import DEEP, STANDARD, WITH_EARLIER
from synthesizers.protocol import Plan

MEASURED_ROWS, MEASURED_COLUMNS = 26_000, 15
SECONDS: Mapping[str, float] = MappingProxyType(
    {
        "attack combination": 8.0,
        "train and test": 12.0,
        "hybrid": 15.0,
        "fine-tuning": 50.0,
        "importance": 6.0,
    }
)
"""For that many rows and columns; in proportion to both otherwise."""

STATISTICS_SECONDS = 0.3
"""Of a run of the shadow models, beside its fit."""


def suite(*, deep: bool, earlier: bool, beside: Sequence[str] = ()) -> tuple[Audit, ...]:
    """The standard audits, that of earlier releases where there are any, and those that are asked for.

    Those are the deep ones, and those of other libraries (`api.integrations.audits`).
    """
    others = (*(WITH_EARLIER if earlier else ()), *(DEEP if deep else ()), *(BESIDE[name] for name in beside))
    return (*STANDARD, *others)


def deep_seconds(n_rows: int | None, n_columns: int, plan: Plan | None, workers: int) -> float:
    """About how long the deep audits take, in seconds of wall-clock on an idle machine.

    Args:
        n_rows: public number of rows; None for as many as any audit looks at.
        n_columns: columns of the table.
        plan: what shadow models fit again; None where no generator is at hand.
        workers: processes the shadow models are spread over.
    """
    size = min(n_rows or MEASURED_ROWS, MEASURED_ROWS) / MEASURED_ROWS * n_columns / MEASURED_COLUMNS
    seconds = size * sum(SECONDS[audit.name] for audit in DEEP if audit.name in SECONDS)
    if plan is not None:
        runs = sum(audit.runs for audit in DEEP if isinstance(audit, ShadowModels))
        seconds += runs * (plan.estimate.seconds + STATISTICS_SECONDS) / workers
    return seconds


def announce(order: Order, steps: Steps) -> None:
    """Say how long the deep audits of a release will take, where they are asked for."""
    if order.recipe.deep:
        schema = order.schema
        seconds = deep_seconds(schema.n_public.value, len(schema.columns), order.plan, processes())
        steps(f"the deep audits will take about {spoken(seconds)}")


def spoken(seconds: float) -> str:
    """A duration in words, rounded up to what matters."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5_400 else f"{seconds / 3_600:.1f} hours"


def processes() -> int:
    """Processes that may work at once: the cores this process may use."""
    return max(1, len(os.sched_getaffinity(0)))

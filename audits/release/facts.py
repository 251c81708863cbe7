"""What a synthetic table says of itself: facts of synthetic rows and public bounds, with no private row in sight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from privacy.columns import Column, LevelColumn, NumberColumn, NumberKind

if TYPE_CHECKING:
    from privacy.table import Table

BINS = 20
MAX_BARS = 30
"""Levels beyond this many, by share, are counted together."""


def table_facts(synthetic: Table) -> dict[str, Any]:
    """Rows, columns, and of every column its kind, share of missing cells and distribution."""
    columns = [_column_facts(column, synthetic) for column in synthetic.schema.columns]
    return {"rows": len(synthetic), "columns": columns}


def error_bounds(bounds: Mapping[tuple[str, ...], float | None], confidence: float) -> dict[str, Any]:
    """Bounds of every column and pair, worst first: those without a bound before all others."""
    ordered = sorted(bounds.items(), key=lambda item: (-np.inf if item[1] is None else -item[1], item[0]))
    return {
        "confidence": confidence,
        "columns": [{"column": clique[0], "bound": bound} for clique, bound in ordered if len(clique) == 1],
        "pairs": [{"columns": list(clique), "bound": bound} for clique, bound in ordered if len(clique) == 2],
    }


def expected_errors(expected_error: Mapping[tuple[str, ...], float]) -> dict[str, Any]:
    """Expected errors of measured marginals, worst first, and of every column the best of a marginal it is in."""
    bounds = {tuple(clique): float(bound) for clique, bound in expected_error.items()}
    best: dict[str, float] = {}
    for clique, bound in bounds.items():
        for name in clique:
            best[name] = min(best.get(name, bound), bound)
    return {
        "columns": [{"column": c, "bound": b} for c, b in sorted(best.items(), key=lambda item: (-item[1], item[0]))],
        "marginals": [
            {"columns": list(clique), "bound": bound}
            for clique, bound in sorted(bounds.items(), key=lambda item: (-item[1], item[0]))
        ],
    }


def _column_facts(column: Column, table: Table) -> dict[str, Any]:
    n = max(len(table), 1)
    if isinstance(column, LevelColumn):
        counts = np.bincount(table.codes(column.name), minlength=column.n_codes)
        kind, missing, bars = "levels", int(counts[-1]), _level_bars(column, counts[:-1] / n)
    else:
        values = table.numbers(column.name)
        kind, missing = str(column.kind), int(np.isnan(values).sum())
        bars = _number_bars(column, values[~np.isnan(values)], n)
    return {"name": column.name, "kind": kind, "missing_share": missing / n, "bars": bars}


def _level_bars(column: LevelColumn, shares: Any) -> list[dict[str, Any]]:
    words = [*column.declared, column.other]
    kept = range(len(words)) if len(words) <= MAX_BARS else sorted(np.argsort(-shares, kind="stable")[: MAX_BARS - 1])
    bars = [{"label": words[i], "share": float(shares[i])} for i in kept if i < len(column.declared) or shares[i] > 0]
    rest = set(range(len(words))) - set(kept)
    if rest:
        bars.append({"label": f"{len(rest)} more", "share": float(sum(shares[i] for i in sorted(rest)))})
    return bars


def _number_bars(column: NumberColumn, values: Any, n: int) -> list[dict[str, Any]]:
    low, high = column.bounds
    whole = column.kind is not NumberKind.NUMBER and high - low < BINS
    edges = np.arange(low - 0.5, high + 1) if whole else np.linspace(low, high if high > low else low + 1, BINS + 1)
    counts, _ = np.histogram(values, bins=edges)
    labels = [column.write(e) for e in (edges[:-1] + 0.5 if whole else edges[:-1])]
    return [
        {"label": label, "from": float(start), "to": float(end), "share": float(count / n)}
        for label, start, end, count in zip(labels, edges[:-1], edges[1:], counts, strict=True)
    ]

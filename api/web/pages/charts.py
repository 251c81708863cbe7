"""Charts of pages: those of the report, and kept, since drawing one takes longer than the rest of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from api.desk.history import ChargeLine
from audits.release.charts import intervals_chart, lengths_chart

MOST_ROWS = 25
KEPT = 256


@lru_cache(maxsize=KEPT)
def charges_chart(charges: tuple[ChargeLine, ...]) -> Markup | None:
    """Epsilon of every charge that stands, in order of time; None below two of them."""
    standing = [charge for charge in reversed(charges) if charge.state != "void"][-MOST_ROWS:]
    if len(standing) < 2:
        return None
    rows = [{"label": f"{i}: {c.at[:10]}", "value": c.epsilon} for i, c in enumerate(standing, 1)]
    return _inline(lengths_chart(rows, title="Epsilon of every charge that stands, by time", axis="epsilon promised"))


@lru_cache(maxsize=KEPT)
def excess_chart(rows: tuple[tuple[tuple[str, Any], ...], ...]) -> Markup | None:
    """Bounds of every excess over control, beside its limit; rows as sorted items, so that they can be kept."""
    shown: Sequence[dict[str, Any]] = [dict(row) for row in rows[:MOST_ROWS]]
    title = "Excess over control of every attack, with 95% bounds and limits"
    return _inline(intervals_chart(shown, title=title, axis="excess over control", baseline=0.0)) if shown else None


def _inline(svg: str) -> Markup:
    """SVG of our own drawing, safe to put into a page: labels in it were escaped, and it holds no style attribute."""
    return Markup(re.sub(r' style="[^"]*"', "", svg))  # noqa: S704

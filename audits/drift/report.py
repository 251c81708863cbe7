"""The monitor's report: what was found, as one HTML file for people. A pure function of `monitor.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audits.release.charts import intervals_chart, pairs_chart
from audits.release.report import pages

MAX_ROWS = 30
VERDICT = {"drift": "WITHHOLD", "steady": "PASS", "unclear": "REVIEW"}
"""The same shapes and colours as in the report of a release."""


def render_monitor(facts: Mapping[str, Any]) -> str:
    """The page.

    Args:
        facts: what `api.monitoring` wrote.
    """
    histograms = facts["histograms"]
    columns = [h for h in histograms if len(h["columns"]) == 1]
    pairs = [h for h in histograms if len(h["columns"]) == 2]
    return (
        pages()
        .get_template("monitor.html.j2")
        .render(
            facts=facts,
            columns=_worst_first(columns),
            pairs=_worst_first(pairs),
            target=next((h for h in columns if h["with_target"]), None),
            drawn=_forest(columns, facts["asked"]["tolerance"]),
            drawn_pairs=_forest(pairs, facts["asked"]["tolerance"]),
            raked=_raked(columns),
        )
    )


def _worst_first(histograms: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(histograms, key=lambda h: (h["p_value"], -h["distance"]))


def _forest(histograms: Sequence[Mapping[str, Any]], tolerance: float) -> str | None:
    rows = [
        {
            "label": " / ".join(h["columns"]),
            "estimate": h["distance"],
            "low": h["interval"][0],
            "high": h["interval"][1],
            "limit": tolerance,
            "verdict": VERDICT[h["state"]],
        }
        for h in _worst_first(histograms)
    ]
    title = "Observed distance between earlier and new version, with 95% bounds on the true one and the tolerance"
    return (
        intervals_chart(rows[:MAX_ROWS], title=title, axis="total variation distance", baseline=0.0) if rows else None
    )


def _raked(columns: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        {"label": h["columns"][0], "value": h["weighted_distance"], "reference": h["synthetic_distance"]}
        for h in sorted(columns, key=lambda h: h["weighted_distance"] - h["synthetic_distance"])
    ]
    title = "Distance of the synthetic table from the bought histograms, with weights and without"
    return pairs_chart(rows[:MAX_ROWS], title=title, axis="total variation distance")

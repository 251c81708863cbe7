"""The lab's report: experiments as one HTML file for people. A pure function of `lab.json`; internal throughout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audits.release.charts import curve_chart, intervals_chart, pairs_chart
from audits.release.report import pages
from audits.release.wire import read_number

MAX_ROWS = 24
FEW = 10
ORDER = ("helps", "gap", "harms", "no proof")
"""Kinds of advice: what is proven stands first."""

Finding = Mapping[str, Any]


def render_lab(facts: Mapping[str, Any]) -> str:
    """The page.

    Args:
        facts: what `api.lab` wrote.
    """
    found = {one["name"]: one["findings"] for one in facts["experiments"]}
    return (
        pages()
        .get_template("lab.html.j2")
        .render(
            facts=facts,
            advice=sorted(facts["advice"], key=lambda a: ORDER.index(a["kind"])),
            curves=_curves(found.get("hybrid", [])),
            tuning=_gains(
                found.get("fine-tuning", []), "gained by pretraining", "Gain by pretraining on synthetic rows"
            ),
            tuned=[f for f in found.get("fine-tuning", []) if "gained" not in f["quantity"]],
            groups=_under_covered(found.get("representation", [])),
            missed=_most(found.get("coverage", [])),
            unequal=_lost(found.get("fairness of outcomes", [])),
            rebalanced=_rebalanced(found.get("rebalancing", [])),
            imperfect=_gains(found.get("imperfections", []), "AUC against", "Change by imperfections"),
            lacking=[f for f in found.get("imperfections", []) if f["quantity"].startswith("lacking ")],
            imperfections=_against(found.get("imperfections", [])),
            ordered=_gains(found.get("curriculum", []), "gained over", "Gain over taking turns"),
            curriculum=found.get("curriculum", []),
            labels=found.get("label noise", []),
            gap=_columns(found.get("marginals", [])),
            importance=[f for f in found.get("importance", []) if f["quantity"] == "surplus of importance"],
            costs=_costs(found.get("costs", [])),
            utility=found.get("utility", []),
            silent=[one for one in facts["experiments"] if one["inconclusive"] or one["error"]],
        )
    )


def _row(finding: Finding, label: str) -> dict[str, Any]:
    low, high = (read_number(finding["interval"][end]) for end in ("low", "high"))
    good = low > 0 if finding["worse"] == "lower" else high < 0
    bad = high < 0 if finding["worse"] == "lower" else low > 0
    return {
        "label": label,
        "estimate": read_number(finding["estimate"]),
        "low": low,
        "high": high,
        "limit": None,
        "verdict": "PASS" if good else "WITHHOLD" if bad else "REVIEW",
    }


def _curves(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """A chart and a table for every curve: scores, and beside each what it gains over the curve's baseline."""
    curves = []
    for quantity in dict.fromkeys(f["quantity"] for f in findings if " gained " not in f["quantity"]):
        score, _, where = quantity.partition(" by ")
        points = [f for f in findings if f["quantity"] == quantity]
        gains = {f["subject"]: f for f in findings if f["quantity"] == f"{score} gained by {where}"}
        share = where == "share of real rows"
        rows = [
            {
                "x": float(f["subject"].split("%" if share else " ")[0]),
                "estimate": read_number(f["estimate"]),
                "low": read_number(f["interval"]["low"]),
                "high": read_number(f["interval"]["high"]),
            }
            for f in points
        ]
        start = next(read_number(f["estimate"]) for f in points if f["subject"] not in gains)
        words = "real rows, percent" if share else "synthetic rows for each real one"
        curves.append(
            {
                "title": "A fixed number of rows"
                if share
                else f"A fixed number of real rows: {where.rpartition(' to ')[2]}",
                "score": score,
                "chart": curve_chart(rows, title=quantity, x_axis=words, y_axis=score, baseline=start),
                "heading": "Real rows" if share else "Synthetic for each real",
                "points": [(f["subject"].split(" ")[0], f, gains.get(f["subject"])) for f in points],
            }
        )
    return curves


def _gains(findings: Sequence[Finding], words: str, title: str) -> str | None:
    rows = [_row(f, f["subject"]) for f in findings if words in f["quantity"] and "calibration" not in f["quantity"]]
    return intervals_chart(rows[:MAX_ROWS], title=title, axis="change of AUC", baseline=0.0) if rows else None


def _against(findings: Sequence[Finding]) -> list[Finding]:
    return [f for f in findings if " against " in f["quantity"]]


def _most(findings: Sequence[Finding]) -> list[Finding]:
    """Of coverage, what most held-back rows miss."""
    own = [f for f in findings if f["quantity"].startswith("control rows") and read_number(f["estimate"]) > 0]
    return sorted(own, key=lambda f: -read_number(f["estimate"]))[:FEW]


def _lost(findings: Sequence[Finding]) -> list[Finding]:
    """Of fairness, what is proven to be worse."""
    own = [f for f in findings if " lost " in f["quantity"] or "worsen" in f["quantity"]]
    return [f for f in own if read_number(f["interval"]["low"]) > 0]


def _under_covered(findings: Sequence[Finding]) -> list[Finding]:
    own = [f for f in findings if f["quantity"] == "representation ratio"]
    return sorted(own, key=lambda f: read_number(f["interval"]["high"]))[:FEW]


def _rebalanced(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """For each reference, a chart of accuracy and one of gaps, and all differences."""
    sections = []
    own = _against(findings)
    for reference in dict.fromkeys(f["quantity"].partition(" against ")[2] for f in own):
        some = [f for f in own if f["quantity"].endswith(f" against {reference}")]
        charts = []
        for start, axis in (("AUC against", "change of AUC"), ("calibration error", "change of calibration error")):
            # The chart's title says what was done to the groups; its labels have no room for that.
            rows = [
                _row(f, f["subject"].removeprefix("small groups of ")) for f in some if f["quantity"].startswith(start)
            ]
            if rows:
                charts.append(intervals_chart(rows[:MAX_ROWS], title=f"{axis}, {reference}", axis=axis, baseline=0.0))
        proven = [f for f in some if _row(f, "")["verdict"] != "REVIEW"]
        sections.append({"reference": reference, "charts": charts, "proven": proven, "n": len(some)})
    return sections


def _columns(findings: Sequence[Finding]) -> str | None:
    rows = [
        {"label": f["subject"], "value": read_number(f["estimate"]), "reference": read_number(f["baseline"])}
        for f in findings
        if f["quantity"] == "total variation distance, 1-way" and f["subject"]
    ]
    rows.sort(key=lambda row: row["reference"] - row["value"])
    title = "Distance of every column from control rows, beside that of real rows, worst first"
    return pairs_chart(rows[:MAX_ROWS], title=title, axis="total variation distance") if rows else None


def _costs(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    seconds = {f["subject"]: f for f in findings if f["quantity"] == "seconds of training"}
    memory = {f["subject"]: f for f in findings if f["quantity"] == "peak megabytes of training"}
    return [
        {"subject": s, "n": f["n"], "seconds": f["estimate"], "megabytes": memory[s]["estimate"]}
        for s, f in seconds.items()
    ]

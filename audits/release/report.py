"""The report: one rendering of the scorecard as one HTML file for people.

A pure function of the rendering, so a report can show nothing its audience may not see. The file holds no script, no
link and no external resource, and needs none; it prints, follows the screen's light or dark setting and works on a
phone. Numbers stand in tables beside every chart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from audits.release.charts import distribution_chart, intervals_chart, lengths_chart, pairs_chart, points_chart
from audits.release.wire import read_number

MAX_DISTRIBUTIONS = 40
MAX_ROWS = 25
SHORT_EVENT = {
    "noise_multiplier": "noise multiplier",
    "sampling_rate": "sampling rate",
    "epsilon": "epsilon",
    "delta": "delta",
}

Rendering = Mapping[str, Any]


def render_report(
    rendering: Rendering, timings: Mapping[str, float] | None = None, points: Sequence[Mapping[str, Any]] = ()
) -> str:
    """A rendering of the scorecard as a self-contained page.

    Args:
        rendering: what `scorecard.render` gave for the audience of the page.
        timings: seconds by step, for the internal page; None for none.
        points: a map of rows of all three tables, for the internal page.
    """
    return (
        pages()
        .get_template("report.html.j2")
        .render(
            card=rendering,
            internal=_internal(rendering),
            distributions=_distributions(rendering),
            errors=_errors(rendering),
            timings=timings or {},
            places=points_chart(points, title="Rows of all three tables, near where alike") if points else None,
        )
    )


@cache
def pages() -> jinja2.Environment:
    """The templates of every report, which share one style sheet and the words for numbers."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("audits.release", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = show
    environment.filters["event"] = event_words
    environment.filters["percent"] = percent
    return environment


def show(value: Any, digits: int = 3) -> str:
    """A number for people: a few digits, infinities as a sign, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return {"Infinity": "∞", "-Infinity": "−∞"}.get(value, value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}g}".replace("-", "−") if abs(value) < 1e5 else f"{value:,.0f}"


def percent(value: Any) -> str:
    """A share for people, in percent."""
    share = read_number(value)
    return f"{100 * share:.1f}%"


def event_words(event: Mapping[str, Any]) -> str:
    """One bought event in words."""
    details = ", ".join(f"{word} {event[key]:.4g}" for key, word in SHORT_EVENT.items() if key in event)
    return f"{event['count']} × {event['event']}" + (f" ({details})" if details else "")


def _internal(rendering: Rendering) -> dict[str, Any] | None:
    """Tables and charts of the findings; None where the audience may not see what became of the audits."""
    if "outcomes" not in rendering:
        return None
    findings = rendering["findings"]
    checks = [_checked(check, findings) for check in rendering["decision"]["checks"]]
    return {
        "claims": [c for c in checks if c["rule"] is None],
        "blocking": [c for c in checks if c["rule"] is not None and c["effect"] == "block"],
        "labels": [c for c in checks if c["rule"] is not None and c["effect"] == "label"],
        "forest": _forest([c for c in checks if c["audit"] == "membership inference" and c["quantity"] == "AUC"]),
        "excess": _excess([c for c in checks if c["audit"] in ("copies", "membership inference")]),
        "disclosure": _disclosure(checks),
        "successes": _successes(findings),
        "detection": _of(findings, "detection", "AUC of detection"),
        "alignment": _alignment(findings),
        "columns": [f for f in _of(findings, "marginals", "total variation distance, 1-way") if f["subject"]],
        "pairs": [f for f in _of(findings, "marginals", "total variation distance, 2-way") if f["subject"]][:MAX_ROWS],
        "models": _of(findings, "utility", "AUC, trained on synthetic")
        + _of(findings, "utility", "AUC, trained on real"),
        "utility": _utility(findings),
        "fairness": _fairness(checks),
        "silent": [o for o in rendering["outcomes"]["audits"] if o["inconclusive"] or o["error"]],
        "n_findings": len(findings),
    }


def _checked(check: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A check beside its finding, and a label that tells it from the others."""
    keys = ("audit", "quantity", "subject")
    finding = next((f for f in findings if all(f[k] == check[k] for k in keys)), None)
    return {**check, "finding": finding, "limit": check["rule"] and check["rule"]["pass_limit"]}


def _row(check: Mapping[str, Any], label: str) -> dict[str, Any]:
    finding = check["finding"]
    return {
        "label": label,
        "estimate": read_number(finding["estimate"]),
        "low": read_number(finding["interval"]["low"]),
        "high": read_number(finding["interval"]["high"]),
        "limit": check["limit"],
        "verdict": check["verdict"],
    }


SHORT = {
    "twentieth nearest neighbour": "20 neighbours",
    "fifth nearest neighbour": "5 neighbours",
    "nearest neighbour": "1 neighbour",
    "outlier decile": "outliers",
    "attribute inference: ": "infer ",
    "linkability: ": "link: ",
    "singling out: ": "single out: ",
    " by the nearest row": ", near",
    " by gradient boosting": ", model",
    "TPR excess at 1% FPR": "TPR",
    "excess of ": "",
}
"""Words of findings as charts have room for them, the longer ones first; the tables beside them have all."""


def _short(label: str) -> str:
    for long, short in SHORT.items():
        label = label.replace(long, short)
    return label


def _forest(checks: Sequence[Mapping[str, Any]]) -> str | None:
    """Every attack on all targets, and of the outliers and of every group the attack that did best."""
    found = [check for check in checks if check["finding"]]
    rows = [_row(check, _short(check["subject"])) for check in found if ", " not in check["subject"]]
    tiers: dict[str, dict[str, Any]] = {}
    for check in found:
        _, _, tier = check["subject"].partition(", ")
        if tier and (tier not in tiers or check["finding"]["estimate"] > tiers[tier]["estimate"]):
            tiers[tier] = _row(check, _short(tier))
    rows = [*rows, *tiers.values()][:MAX_ROWS]
    title = "Membership inference: AUC of every attack with its 95% bounds, its limit and chance at one half"
    return intervals_chart(rows, title=title, axis="AUC", baseline=0.5) if rows else None


def _excess(checks: Sequence[Mapping[str, Any]]) -> str | None:
    rows = [
        _row(check, _short(f"{check['quantity']}, {check['subject']}" if check["subject"] else check["quantity"]))
        for check in checks
        if "excess" in check["quantity"] and check["finding"]
    ][:MAX_ROWS]
    title = "Excess of training rows over control rows, with 95% bounds and limits"
    return intervals_chart(rows, title=title, axis="excess over control", baseline=0.0) if rows else None


DISCLOSURES = {
    "singling out": "singling out",
    "linkability": "linking",
    "attribute inference": "inference",
}
"""What success is called in the findings of the three audits that data protection authorities name."""


def _disclosure(checks: Sequence[Mapping[str, Any]]) -> str | None:
    rows = [
        _row(check, _short(f"{check['audit']}: {check['subject']}"))
        for check in checks
        if check["audit"] in DISCLOSURES and "recall" not in check["quantity"] and check["finding"]
    ]
    title = "Excess of success on people who trained over people who did not, with 95% bounds and limits"
    return intervals_chart(rows[:MAX_ROWS], title=title, axis="excess over control", baseline=0.0) if rows else None


def _successes(findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Success on members, on outsiders and without the table, of every attack of the three audits."""
    rows = []
    for audit, of in DISCLOSURES.items():
        control = {f["subject"]: f for f in _of(findings, audit, f"control rate of {of}")}
        for success in _of(findings, audit, f"success rate of {of}"):
            other = control[success["subject"]]
            rows.append({"audit": audit, "success": success, "control": other, "guess": other["baseline"]})
    return rows


def _alignment(findings: Sequence[Mapping[str, Any]]) -> str | None:
    found = [f for f in _of(findings, "marginals", "total variation distance, 1-way") if f["subject"]]
    rows = [
        {"label": f["subject"], "value": read_number(f["estimate"]), "reference": read_number(f["baseline"])}
        for f in found
    ]
    rows.sort(key=lambda row: row["reference"] - row["value"])
    title = "Total variation distance of every column from control rows, beside that of real rows, worst first"
    return pairs_chart(rows[:MAX_ROWS], title=title, axis="total variation distance") if rows else None


def _utility(findings: Sequence[Mapping[str, Any]]) -> str | None:
    real = {f["subject"]: f["estimate"] for f in _of(findings, "utility", "AUC, trained on real")}
    rows = [
        {"label": f["subject"], "value": read_number(f["estimate"]), "reference": read_number(real[f["subject"]])}
        for f in _of(findings, "utility", "AUC, trained on synthetic")
        if f["subject"] in real
    ]
    title = "AUC on control rows of models trained on synthetic rows, beside models trained on real rows"
    return pairs_chart(rows, title=title, axis="AUC on control rows") if rows else None


def _fairness(checks: Sequence[Mapping[str, Any]]) -> str | None:
    rows = [
        _row(c, f"{c['quantity'].removeprefix('worsening of ')}, {c['subject']}")
        for c in checks
        if c["audit"] == "fairness of outcomes" and c["finding"]
    ]
    title = "How much synthesis worsens outcomes between groups, with 95% bounds and limits"
    return intervals_chart(rows, title=title, axis="worsening", baseline=0.0) if rows else None


def _of(findings: Sequence[Mapping[str, Any]], audit: str, quantity: str) -> list[Mapping[str, Any]]:
    return [f for f in findings if f["audit"] == audit and f["quantity"] == quantity]


def _distributions(rendering: Rendering) -> list[dict[str, Any]]:
    columns = rendering["synthetic"]["columns"][:MAX_DISTRIBUTIONS] if "synthetic" in rendering else []
    return [
        {
            **column,
            "chart": distribution_chart(
                column["bars"],
                title=f"Distribution of {column['name']} in the synthetic table",
                numeric=column["kind"] != "levels",
            ),
        }
        for column in columns
    ]


def _errors(rendering: Rendering) -> str | None:
    columns = rendering["error_bounds"]["columns"] if "error_bounds" in rendering else []
    rows = [{"label": entry["column"], "value": entry["bound"]} for entry in columns if entry["bound"] is not None]
    title = "Bound on the distance of every column from the training rows, worst first"
    return lengths_chart(rows[:MAX_ROWS], title=title, axis="total variation, at most") if rows else None

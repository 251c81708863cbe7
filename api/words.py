"""Answers in words, for people at a terminal. Figures of the audits are internal and say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from api.display import OUT, grid
from api.judging import Release
from api.unproven import UnprovenTable
from audits.finding import Finding, Outcome
from audits.release.bundle import Bundle
from audits.release.gate import Decision, Verdict
from privacy.columns import LevelColumn
from privacy.schema import Schema
from privacy.statement import stated

BANNERS = {
    Verdict.PASS: ("RELEASED", "bold green"),
    Verdict.REVIEW: ("AWAITING REVIEW", "bold yellow"),
    Verdict.WITHHOLD: ("WITHHELD", "bold red"),
}
HEADLINES = {
    "copying_p_value": ("copies", "copying p-value", "chance of copies like these if nothing was copied"),
    "membership_auc": ("membership inference", "AUC", "best membership attack, AUC (.5 is a coin)"),
    "utility_lost": ("utility", "AUC lost by synthesis", "AUC lost by training on synthetic rows"),
}


def headlines(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The three numbers people ask for first: the worst subject of each, with its 95% bounds. Internal."""
    found = {}
    for key, (audit, quantity, _) in HEADLINES.items():
        worst = _worst([f for o in outcomes for f in o.findings if f.audit == audit and f.quantity == quantity])
        if worst is not None:
            found[key] = {"estimate": worst.estimate, "low": worst.interval.low, "high": worst.interval.high}
    return found


def release(made: Release) -> None:
    """Verdict, the numbers that matter, and where to look."""
    claim = made.statement.claim
    _banner(made.decision)
    OUT.print(
        f"epsilon {claim.epsilon:g} at delta {claim.delta:g}, for {made.statement.schema.unit.words}; "
        f"population total {_short(made.statement.population_epsilon)}"
    )
    _figures(made.outcomes)
    _costs(made.outcomes)
    _where(made.bundle)


def _where(bundle: Bundle) -> None:
    if bundle.released:
        OUT.print(f"\nFor its recipient:  {bundle.path}/report.html and {bundle.path}/data/")
    else:
        OUT.print(f"\nNo table was written. What may be known outside: {bundle.path}/report.html")
    OUT.print(f"Inside only:        {bundle.internal}/report.html")
    OUT.print(f"Check it:           tablegate verify {bundle.path}")


def unproven(made: UnprovenTable) -> None:
    """Verdict on a table of a generator without a proof, and where to look."""
    _banner(made.decision)
    OUT.print("GUARANTEE UNVERIFIED: nothing is promised about any person in this table.", style="bold red")
    OUT.print(f"Made by {made.unverified['generator']} ({made.unverified['made_by']}).", markup=False)
    OUT.print(f"Its own claim, which is not relied on: {made.unverified['claim']}.", markup=False)
    _figures(made.outcomes)
    _costs(made.outcomes)
    _where(made.bundle)


def audit(facts: Mapping[str, Any], decision: Decision, outcomes: Sequence[Outcome], internal: Path) -> None:
    """What an audit of a foreign table found."""
    _banner(decision, words={Verdict.PASS: "PASSED", Verdict.REVIEW: "UNDECIDED", Verdict.WITHHOLD: "FAILED"})
    OUT.print("No formal guarantee was stated for this table.")
    _figures(outcomes)
    _costs(outcomes)
    OUT.print(
        f"\nWithout private figures: {facts['report']}/report.html\nInside only:             {internal}/report.html"
    )


def column_facts(schema: Schema, name: str) -> dict[str, Any]:
    """One column as it is understood."""
    column = schema[name]
    if isinstance(column, LevelColumn):
        levels = "to be bought" if column.levels is None else f"{len(column.levels)} levels"
        kind = "ordinal" if column.ordered else "categorical"
        return {
            "name": name,
            "kind": kind,
            "domain": f"{levels} ({column.source})",
            "role": str(column.role),
            "sensitive": column.sensitive,
        }
    ends = []
    for bound, source in ((column.minimum, column.minimum_source), (column.maximum, column.maximum_source)):
        ends.append(f"to be bought ({source})" if bound is None else f"{column.write(bound)} ({source})")
    return {
        "name": name,
        "kind": str(column.kind),
        "domain": " to ".join(ends),
        "role": str(column.role),
        "sensitive": column.sensitive,
    }


def check(facts: Mapping[str, Any]) -> None:
    """How a schema is understood."""
    OUT.print(f"{facts['name']}: population '{facts['population']}', protects {facts['unit']}")
    rows = [
        (c["name"], c["kind"], c["domain"], c["role"], "sensitive" if c["sensitive"] else "") for c in facts["columns"]
    ]
    grid("", ("column", "kind", "domain", "role", ""), rows)
    for name, role in facts["dropped"].items():
        OUT.print(f"dropped: {name} ({role})", markup=False)
    for entry in facts["declared_public_after_reading"]:
        OUT.print(f"declared public after the rows were read; not covered by epsilon: {entry}", markup=False)
    counts = facts.get("internal_counts")
    if counts is not None:
        found = [(column, rule, n) for column, rules in counts.items() for rule, n in rules.items()]
        if found:
            grid("INTERNAL: exact counts of cells that do not fit", ("column", "rule", "cells"), found)
        else:
            OUT.print("INTERNAL: every cell fits.")


def plan(facts: Mapping[str, Any]) -> None:
    """What a release would buy."""
    OUT.print(
        f"{facts['synthesizer']} at epsilon {facts['epsilon']:g}, delta {facts['delta']:g} "
        f"(the plan's events add up to {facts['epsilon_by_accountant']:.6g}); no row was read"
    )
    rows = [
        (
            line["purpose"],
            f"({line['share']:.1%})" if line["beside"] else f"{line['share']:.1%}",
            f"{line['delta']:.2g}" if line["delta"] else "",
        )
        for line in facts["lines"]
    ]
    grid("", ("buys", "share of the budget", "delta of its own"), rows)
    OUT.print(
        f"about {facts['seconds']:.0f} s and {facts['memory_bytes'] / 1e6:.0f} MB on two cores, without the audits"
    )
    if any(line["beside"] for line in facts["lines"]):
        OUT.print("In brackets: paid by units that do not train, in the place of the rest and not on top of it.")
    for note in facts["notes"]:
        OUT.print(note, style="yellow")
    spent = f"population '{facts['population']}' has spent epsilon {_short(facts['population_spent'])}"
    cap = "" if facts["cap"] is None else f" of a cap of {facts['cap']['epsilon']:g}"
    left = (
        "" if facts["population_left"] is None else f"; {facts['population_left']:.4g} is left for one Gaussian release"
    )
    OUT.print(spent + cap + left)


def verify(facts: Mapping[str, Any]) -> None:
    """Every check of a bundle."""
    grid("", ("check", "status", ""), [(c["check"], c["status"], c["detail"]) for c in facts["checks"]])
    OUT.print(
        "The bundle is what was sealed." if facts["ok"] else "DO NOT TRUST this bundle.",
        style="bold green" if facts["ok"] else "bold red",
    )


def ledger(populations: Sequence[Mapping[str, Any]]) -> None:
    """What every population has spent."""
    for facts in populations:
        cap = facts["cap"]
        OUT.print(
            f"{facts['population']}: total epsilon at most {_short(facts['total_epsilon'])} of {cap['epsilon']:g} "
            f"at delta {cap['delta']:g}; {facts['left_epsilon']:.4g} left; {facts['attempts']} attempts",
            markup=False,
        )
        if facts["unproven_tables"]:
            OUT.print(
                f"Not in it: {facts['unproven_tables']} table(s) of generators without a proof, for which nothing was "
                "charged. Who holds one of them is bound by no total.",
                style="bold yellow",
            )
        rows = [(e["seq"], e["at"], e["kind"], e["charge"][:12], _about(e)) for e in facts["entries"]]
        grid("", ("entry", "at", "kind", "charge", ""), rows)


def _about(entry: Mapping[str, Any]) -> str:
    body = entry["body"]
    match entry["kind"]:
        case "charge":
            return f"epsilon {body['claim']['epsilon']:g}, delta {body['claim']['delta']:g}: {body['purpose']}"
        case "cap":
            return f"epsilon {body['epsilon']:g}, delta {body['delta']:g}: {body['reason']}"
        case "verdict" | "review" | "attempt":
            return ", ".join(f"{key} {str(value)[:24]}" for key, value in body["facts"].items())
        case "unproven":
            return f"no epsilon: {body['purpose']}"
        case _:
            return str(body.get("reason", ""))


def _banner(decision: Decision, words: Mapping[Verdict, str] | None = None) -> None:
    word, style = BANNERS[decision.verdict]
    OUT.print(f"\n{words[decision.verdict] if words else word}", style=style)
    for check in decision.objections:
        subject = f" ({check.subject})" if check.subject else ""
        OUT.print(f"  {check.verdict}: {check.audit}, {check.quantity}{subject}: {check.reason}", markup=False)


def _figures(outcomes: Sequence[Outcome]) -> None:
    figures = headlines(outcomes)
    rows = [
        (words, f"{figures[key]['estimate']:.3g}", f"[{figures[key]['low']:.3g}, {figures[key]['high']:.3g}]")
        for key, (_, _, words) in HEADLINES.items()
        if key in figures
    ]
    grid("Internal figures, with 95% bounds", ("", "estimate", "bounds"), rows)


def _costs(outcomes: Sequence[Outcome]) -> None:
    """What every audit cost, the longest first."""
    costs = sorted(outcomes, key=lambda outcome: -outcome.seconds)
    each = ", ".join(f"{outcome.audit} {outcome.seconds:.1f}" for outcome in costs)
    OUT.print(f"\nAudits took {sum(o.seconds for o in outcomes):.0f} s: {each}", markup=False)


def _short(epsilon: float | str) -> str:
    """An epsilon in four digits, or the words for one that cannot be stated."""
    told = epsilon if isinstance(epsilon, str) else stated(epsilon)
    return told if isinstance(told, str) else f"{told:.4g}"


def _worst(findings: Sequence[Finding]) -> Finding | None:
    if not findings:
        return None
    sign = 1 if findings[0].worse == "higher" else -1
    whole = [f for f in findings if "," not in f.subject] or list(findings)
    return max(whole, key=lambda f: sign * f.estimate)

"""What `monitor` and `lab` print, and the exit codes they end with."""

from __future__ import annotations

from api.display import OUT, answer, grid, progress
from api.home import Home
from api.lab import LabReport, LabRequest, lab
from api.monitoring import Monitored, MonitorRequest, monitor
from api.steps import Steps
from audits.drift.verdicts import State
from audits.lab.advice import Kind

PROPOSED = 4
"""Somebody has to decide, as after a release that awaits review."""


def monitor_and_show(asked: MonitorRequest, home: Home, *, as_json: bool) -> int:
    """Monitor a table and say what came of it."""
    with progress(quiet=as_json) as tell:
        made = monitor(asked, home, Steps(tell))
    shown = ("proposes_release", "drift", "asked", "charge", "new_values", "renewal", "weights")
    facts = {"out": str(made.out), **{name: made.facts[name] for name in shown}}
    answer(facts, as_json=as_json, show=lambda: _monitored(made))
    return PROPOSED if made.proposes else 0


def lab_and_show(asked: LabRequest, home: Home, *, as_json: bool) -> int:
    """Run the lab and say what came of it."""
    with progress(quiet=as_json) as tell:
        made = lab(asked, home, Steps(tell))
    facts = {
        "out": str(made.out),
        "audience": "internal",
        "advice": [{"question": a.question, "kind": str(a.kind), "text": a.text} for a in made.advice],
        "without_answer": {o.audit: o.inconclusive or o.error for o in made.outcomes if o.inconclusive or o.error},
    }
    answer(facts, as_json=as_json, show=lambda: _advised(made))
    return 0


def _advised(made: LabReport) -> None:
    styles = {Kind.HELPS: "green", Kind.HARMS: "red", Kind.NOTHING: "dim", Kind.GAP: "yellow"}
    OUT.print("\nINTERNAL: computed from private rows, not covered by epsilon.", style="bold")
    for said in made.advice:
        OUT.print(f"{said.question}: {said.kind}", style=styles[said.kind], markup=False)
        OUT.print(f"  {said.text}", markup=False)
    for outcome in made.outcomes:
        if outcome.inconclusive or outcome.error:
            OUT.print(f"No answer from {outcome.audit}: {outcome.inconclusive or outcome.error}", markup=False)
    OUT.print(f"Report: {made.out}/report.html")


def _monitored(made: Monitored) -> None:
    if made.proposes:
        OUT.print("\nA NEW RELEASE IS PROPOSED", style="bold yellow")
    else:
        OUT.print("\nNO DRIFT IS PROVEN", style="bold green")
    rows = [
        (
            one.histogram.name,
            f"{one.shift.distance:.3f}",
            f"{one.shift.interval.low:.3f} to {one.shift.interval.high:.3f}",
            f"{one.shift.floor:.3f}",
            str(one.state),
        )
        for one in sorted(made.told, key=lambda one: one.shift.p_value)
    ]
    headings = ("of", "distance", "95% bounds", "noise alone", "state")
    grid("Total variation distance from the earlier version, surest drift first", headings, rows)
    for one in made.new_values:
        if one.state is State.DRIFT:
            OUT.print(
                f"New values: {one.column} holds {one.after:.1%} that are not in its list ({one.before:.1%} before)"
            )
    renewal = made.renewal
    fits = "fits" if renewal.fits else "does not fit"
    OUT.print(
        f"\nThe same release again ({renewal.synthesizer}, epsilon {renewal.epsilon:g}) takes the population to "
        f"epsilon {renewal.becomes:.4g} of a cap of {renewal.cap.epsilon:g}: it {fits}."
    )
    OUT.print(f"Report and weights: {made.out}/report.html, {made.out}/weights.parquet")

"""What `monitor` and `lab` print, and the exit codes they end with."""

from __future__ import annotations

from api.display import OUT, answer, grid, progress
from api.home import Home
from api.monitoring import Monitored, MonitorRequest, monitor
from api.steps import Steps
from audits.drift.verdicts import State

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
            OUT.print(f"New values: {one.column} holds {one.after:.1%} that are not in its list ({one.before:.1%} before)")
    renewal = made.renewal
    OUT.print(
        f"\nThe same release again ({renewal.synthesizer}, epsilon {renewal.epsilon:g}) takes the population to epsilon "
        f"{renewal.becomes:.4g} of a cap of {renewal.cap.epsilon:g}: it {'fits' if renewal.fits else 'does not fit'}."
    )
    OUT.print(f"Report and weights: {made.out}/report.html, {made.out}/weights.parquet")

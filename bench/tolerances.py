"""What the limits of a policy leave room for: python -m bench.tolerances [--runs N] [--releases NAME ...].

Every rule of a shipped policy reads a finding and holds it against a limit. Here the whole standard suite is asked
about tables of which it is known what they are: fresh rows of the population, which nothing is wrong with, and rows of
a private generator at some epsilon, which are as good as that generator can make them. For each rule the worst finding
of every run is taken, and its quantiles over the runs are printed beside the limits: a limit that fresh rows often miss
says nothing, and one that no generator meets at any epsilon is a wish. A picture of every run is written beside FILE.

Rows are halved and assigned as in `bench.gate`, whose results file has the same form. The generators' noise is seeded,
so these tables are never released.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import vl_convert
from numpy.random import Generator

from audits.assignment import Parts
from audits.registry import STANDARD
from audits.release.policy import CheckRule, load_policy
from bench.frontier import COLORS
from bench.gate import CLAIMED_DELTA, FILES, Release, fresh_rows, judged, real_rows, results
from privacy.rehearsal import rehearsal
from privacy.schema import Budget
from privacy.table import Table
from synthesizers.registry import synthesizer

QUANTILES = (0.05, 0.5, 0.95)
PASSES, FAILS = "passes up to here", "fails beyond"


def generated(name: str, epsilon: float) -> Release:
    """Rows of a generator, as many as trained, that is fitted anew in every run."""

    def draw(parts: Parts, fresh: Table, rng: Generator) -> Table:
        del fresh
        plan = synthesizer(name).plan(parts.train.schema, Budget(epsilon=epsilon, delta=CLAIMED_DELTA))
        model = plan.fit(parts.train, rehearsal(plan.cost, int(rng.integers(2**31))), rng, lambda _: None)
        return model.sample(len(parts.train), rng)

    return draw


TABLES: Mapping[str, Release] = {
    "fresh rows": fresh_rows,
    **{f"{name}, epsilon {epsilon:g}": generated(name, epsilon) for name in ("aim", "mst") for epsilon in (3.0, 1.0)},
    "independent, epsilon 1": generated("independent", 1.0),
}


def main() -> None:
    """Run what is missing and print a line a rule."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--table", choices=sorted(FILES), default="adult")
    arguments.add_argument("--policy", default="public")
    arguments.add_argument("--rows", type=int, default=20_000)
    arguments.add_argument("--runs", type=int, default=20)
    arguments.add_argument("--releases", nargs="*", choices=list(TABLES), default=list(TABLES))
    arguments.add_argument("--out", type=Path, default=Path("tolerances.jsonl"))
    asked = arguments.parse_args()
    whole = real_rows(asked.table)
    about = [asked.table, asked.policy, asked.rows]
    done = results(asked.out)
    for run in range(asked.runs):
        for name in asked.releases:
            key = [*about, name, run]
            if not any(line["key"] == key for line in done):
                line = {"key": key, **judged(whole, TABLES[name], run, asked.rows, asked.policy, STANDARD)}
                done.append(line)
                with asked.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    rules, lines = load_policy(asked.policy).checks, [d for d in done if d["key"][:3] == about]
    print(room(rules, lines))
    asked.out.with_suffix(".svg").write_text(picture(rules, lines))


def room(rules: Sequence[CheckRule], lines: Sequence[Mapping[str, Any]]) -> str:
    """Quantiles of the worst finding of every rule, by table, beside its limits, in Markdown."""
    names = [name for name in TABLES if any(line["key"][3] == name for line in lines)]
    rows = [f"| quantity | {' | '.join(names)} | limits |", "|---" * (len(names) + 2) + "|"]
    for rule in rules:
        cells = [_quantiles([w for line in lines if line["key"][3] == name for w in worst(rule, line)], rule)
                 for name in names]  # fmt: skip
        if any(cells):
            of = f"{rule.audit}: {rule.quantity}, {rule.subjects}"
            rows.append(f"| {of} | {' | '.join(cells)} | {rule.pass_limit:g}, {rule.withhold_limit:g} |")
    return "\n".join(rows)


def picture(rules: Sequence[CheckRule], lines: Sequence[Mapping[str, Any]]) -> str:
    """A panel a rule: every run a point, a row a kind of table, limits as lines, drawn where anything is near. SVG."""
    names = [name for name in TABLES if any(line["key"][3] == name for line in lines)]
    panels = []
    for rule in rules:
        found = [(line["key"][3], w) for line in lines for w in worst(rule, line)]
        if len({w for _, w in found}) < 2:
            continue  # nothing, or the same in every run
        points = [{"table": table, "worst": w} for table, w in found]
        near = max(0.05, 3 * max(abs(w) for _, w in found))
        both = ((rule.pass_limit, PASSES), (rule.withhold_limit, FAILS))
        limits = [{"limit": limit, "of": of} for limit, of in both if abs(limit) <= near]
        dots = alt.Chart(alt.InlineData(values=points)).mark_circle(size=30, opacity=0.5, color=COLORS[0]).encode(
            x=alt.X("worst:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4)),
            y=alt.Y("table:N", sort=names, title=None, scale=alt.Scale(domain=names)),
        )  # fmt: skip
        lines_of = alt.Chart(alt.InlineData(values=limits)).mark_rule(strokeWidth=1.5).encode(
            x="limit:Q",
            color=alt.Color("of:N", title=None, legend=alt.Legend(orient="top"),
                            scale=alt.Scale(domain=[PASSES, FAILS], range=["#2a9d55", "#c0392b"])),
        )  # fmt: skip
        words = alt.TitleParams(
            f"{rule.audit}: {rule.quantity}", subtitle=f"{rule.subjects}, {rule.worse} is worse", fontSize=11
        )
        panels.append((dots + lines_of).properties(width=190, height=15 * len(names), title=words))
    chart = alt.concat(*panels, columns=3).properties(padding=30).configure(font="sans-serif")
    drawn: str = vl_convert.vegalite_to_svg(chart.to_dict())
    return drawn


def worst(rule: CheckRule, line: Mapping[str, Any]) -> list[float]:
    """The worst estimate a rule reads in a run; empty where there is none."""
    found = [
        estimate
        for audit, quantity, subject, estimate, _, _ in line["findings"]
        if (audit, quantity) == (rule.audit, rule.quantity) and rule.subjects.reads(subject)
    ]
    return [max(found) if rule.worse == "higher" else min(found)] if found else []


def _quantiles(found: Sequence[float], rule: CheckRule) -> str:
    if not found:
        return ""
    low, middle, high = np.quantile(found, QUANTILES if rule.worse == "higher" else QUANTILES[::-1])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()

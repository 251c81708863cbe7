"""Drift on real tables, and none: python -m bench.monitor [--runs N] [--only adult|acs] [--out FILE].

Adult (train split): each run halves its rows at random. MST at epsilon 1 learns from one half as a release would; the
other half is the new version, as it is or with a shift planted, and is bought at several budgets. Halves are samples of
one population, so that whatever is told of an unplanted one is a false alarm. ACS: MST learns 2018, and 2019 is the new
version; and 2018 is halved like Adult. Lines that are in the results file are not run again.

Weights: of the same runs, how far the synthetic rows are from the new version in all pairs of columns, the bought ones
and the others, without weights, with them, and of a new release at the same budget as the old one; and the AUC on a
third part of the new version.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import vl_convert
from numpy.random import Generator, default_rng

from api.foreign import resolve
from api.panel import panel_of
from audits.cells import Cells, cells, n_cells
from audits.drift.histograms import PanelPurchase
from audits.drift.verdicts import State, judge
from audits.drift.weights import rake
from audits.features import tree_matrix
from audits.intervals import USUAL, clopper_pearson
from bench.frontier import COLORS
from bench.run import SCHEMAS, SHARED
from privacy.calibration import calibrate
from privacy.columns import Floats, LevelColumn
from privacy.cost import Gaussian, once
from privacy.filter import PrivacyFilter
from privacy.noise import system_noise
from privacy.schema import Budget
from privacy.schema_file import load_schema
from privacy.table import Table, read_table
from synthesizers.registry import synthesizer
from synthesizers.structured import StructuredModel

TOLERANCE, FALSE_ALARMS = 0.02, 0.05
RELEASE = Budget(epsilon=1.0, delta=1e-6)
EPSILONS = (0.3, 1.0)
COARSE = 8

Shift = Callable[[Table, Generator], Table]
"""Rows of the new version, changed."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A shift, and what it must be told of: any of these, and nothing where there is none."""

    change: Shift
    where: tuple[str, ...]


def main() -> None:
    """Run what is missing and print every rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--only", choices=("adult", "acs"), default=None)
    parser.add_argument("--shifts", nargs="*", default=None, help="planted shifts, by the start of their names")
    parser.add_argument("--out", type=Path, default=Path("monitor.jsonl"))
    asked = parser.parse_args()
    done = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.exists() else []
    tables = {"adult": adult, "acs": acs}
    for name in tables if asked.only is None else (asked.only,):
        for run in range(asked.runs):
            had = {line["shift"] for line in done if (line["table"], line["run"]) == (name, run)}
            for line in tables[name](run, partial(_wanted, had, asked.shifts)):
                done.append({"table": name, "run": run, **line})
                with asked.out.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
    print(summary(done))
    asked.out.with_suffix(".svg").write_text(picture(done), encoding="utf-8")


def adult(run: int, wanted: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    """One halving of Adult: no shift, and every planted one, at every budget."""
    whole = _read("adult", "adult.csv.gz")
    rng = default_rng([run, 1])
    first, second = _halves(whole, rng)
    names = [name for name in SHIFTS if wanted(name)]
    if not names:
        return
    model = fitted(first, run)
    for name in names:
        later = SHIFTS[name].change(second, default_rng([run, 2]))
        for epsilon in EPSILONS:
            yield {"shift": name, **told(model, first, later, epsilon, run, SHIFTS[name].where)}
        if name in WEIGHED and run < WEIGHED_RUNS:
            yield from weighed(model, first, later, name, run)


def acs(run: int, wanted: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    """2019 against a release of 2018, and two halves of 2018."""
    files = ("nist_acs_national2018.csv.gz", "nist_acs_national2019.csv.gz")
    whole = _read("nist_acs_national2019", *files)
    n_earlier = len(read_table(SHARED / "data" / files[0], load_schema(SCHEMAS / "nist_acs_national2019.yaml")))
    earlier = whole.select(np.arange(n_earlier))
    later = whole.select(np.arange(n_earlier, len(whole)))
    for name, (before, after) in {
        "2018 to 2019": (earlier, later),
        "halves of 2018": _halves(earlier, default_rng([run, 3])),
    }.items():
        if not wanted(name):
            continue
        model = fitted(before, run)
        for epsilon in EPSILONS:
            yield {"shift": name, **told(model, before, after, epsilon, run, ())}
        if name == "2018 to 2019" and run < WEIGHED_RUNS:
            yield from weighed(model, before, after, name, run)


def fitted(rows: Table, seed: int) -> StructuredModel:
    """The model of a release of these rows, at epsilon 1."""
    plan = synthesizer("mst").plan(rows.schema, RELEASE)
    model = plan.fit(rows, PrivacyFilter(plan.cost, system_noise()), default_rng(seed), lambda _: None)
    assert isinstance(model, StructuredModel)
    return model


def told(
    model: StructuredModel, before: Table, after: Table, epsilon: float, seed: int, where: Sequence[str]
) -> dict[str, Any]:
    """What a monitor at a budget tells of a new version."""
    panel = panel_of(model, before.schema, default_rng([seed, 4]))
    purchase = _purchase(epsilon)
    later = purchase.buy(panel, after, 1, PrivacyFilter(purchase.cost, system_noise()))
    found, new = judge(
        panel.histograms, later, cluster=1, tolerance=TOLERANCE, false_alarms=FALSE_ALARMS, rng=default_rng([seed, 5])
    )
    alarms = [one.histogram.name for one in found if one.state is State.DRIFT]
    alarms += [f"new values: {one.column}" for one in new if one.state is State.DRIFT]
    return {
        "epsilon": epsilon,
        "alarms": alarms,
        "found": any(name in alarms for name in where),
        "steady": sum(one.state is State.STEADY for one in found),
        "histograms": len(found),
        "distances": {one.histogram.name: [one.shift.distance, one.shift.floor] for one in found},
    }


def weighed(model: StructuredModel, before: Table, after: Table, name: str, seed: int) -> list[dict[str, Any]]:
    """How near the old synthetic rows come to the new version with weights, and how near a new release comes."""
    rng = default_rng([seed, 6])
    later, test = _halves(after, rng)
    synthetic = model.sample(len(before), rng)
    lines = []
    equal = np.ones(len(synthetic))
    panel = panel_of(model, before.schema, default_rng([seed, 4]))
    pairs: set[tuple[str, ...]] = {h.columns for h in panel.histograms if len(h.columns) == 2}
    renewed = fitted(later, seed + 1000).sample(len(later), rng)
    cases: list[tuple[str, Table, Floats]] = [
        ("as released", synthetic, equal),
        ("a new release, epsilon 1", renewed, np.ones(len(renewed))),
    ]
    for epsilon in EPSILONS:
        purchase = _purchase(epsilon)
        bought = purchase.buy(panel, later, 1, PrivacyFilter(purchase.cost, system_noise()))
        weights = rake(panel.asked.cells_of(synthetic), bought, 1)
        cases.append((f"weights, epsilon {epsilon:g}", synthetic, weights.values))
    for words, rows, values in cases:
        lines.append(
            {
                "shift": name,
                "weights": words,
                "effective": float(values.sum() ** 2 / (values**2).sum() / len(values)),
                "auc": _auc(rows, values, test),
                **{f"tvd {kind}": value for kind, value in _distances(rows, values, test, pairs).items()},
            }
        )
    return lines


def picture(lines: Sequence[Mapping[str, Any]]) -> str:
    """How often Adult's monitor told of anything, by shift and budget, with bounds, beside what is allowed. SVG."""
    rows = []
    for shift in SHIFTS:
        for epsilon in EPSILONS:
            some = [
                bool(line["alarms"])
                for line in lines
                if (line["table"], line["shift"], line.get("epsilon")) == ("adult", shift, epsilon)
            ]
            if some:
                bounds = clopper_pearson(sum(some), len(some), USUAL)
                rows.append({"shift": shift, "epsilon": f"epsilon {epsilon:g}", "told": sum(some) / len(some),
                             "low": bounds.low, "high": bounds.high})  # fmt: skip
    names = [f"epsilon {epsilon:g}" for epsilon in EPSILONS]
    share = alt.Axis(format="%", title="runs in which drift was told of (bounds of 95% each)")
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("shift:N", sort=list(SHIFTS), title=None, axis=alt.Axis(labelLimit=320)),
        yOffset=alt.YOffset("epsilon:N", sort=names),
        color=alt.Color("epsilon:N", scale=alt.Scale(domain=names, range=list(COLORS[: len(names)])), title=None),
    )
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", axis=share, scale=alt.Scale(domain=[0, 1])), x2="high:Q"
    )
    points = base.mark_circle(size=60, opacity=1).encode(x=alt.X("told:Q", axis=share))
    allowed = (
        alt.Chart(alt.InlineData(values=[{"allowed": FALSE_ALARMS}]))
        .mark_rule(strokeDash=[4, 3], color="#555555")
        .encode(x="allowed:Q")
    )
    chart = (allowed + bars + points).properties(width=420, height=alt.Step(14))
    drawn: str = vl_convert.vegalite_to_svg(chart.configure(font="sans-serif").to_dict())
    return drawn


def summary(lines: Sequence[Mapping[str, Any]]) -> str:
    """Tables in Markdown."""
    out = []
    for table in ("adult", "acs"):
        own = [line for line in lines if line["table"] == table and "alarms" in line]
        if own:
            out += [f"\n{table}\n", "| shift | epsilon | runs | told of what was planted | told of anything | steady |",
                    "|---|---|---|---|---|---|"]  # fmt: skip
        for shift in dict.fromkeys(line["shift"] for line in own):
            for epsilon in EPSILONS:
                some = [line for line in own if (line["shift"], line["epsilon"]) == (shift, epsilon)]
                if not some:
                    continue
                steady = np.mean([line["steady"] / line["histograms"] for line in some])
                planted = table == "adult" and bool(SHIFTS[shift].where)
                told_of = _share([line["found"] for line in some]) if planted else ""
                anything = _share([bool(line["alarms"]) for line in some])
                out.append(f"| {shift} | {epsilon:g} | {len(some)} | {told_of} | {anything} | {steady:.0%} |")
        weights = [line for line in lines if line["table"] == table and "weights" in line]
        if weights:
            out += [f"\n{table}: synthetic rows against the new version\n",
                    "| shift | rows | 1-way TVD | bought pairs | other pairs | AUC | effective |",
                    "|---|---|---|---|---|---|---|"]  # fmt: skip
        for shift, words in dict.fromkeys((line["shift"], line["weights"]) for line in weights):
            some = [line for line in weights if (line["shift"], line["weights"]) == (shift, words)]
            cells_ = [f"{np.mean([line[k] for line in some]):.3f}" for k in
                      ("tvd 1-way", "tvd bought pairs", "tvd other pairs", "auc", "effective")]  # fmt: skip
            out.append(f"| {shift} | {words} | {' | '.join(cells_)} |")
    return "\n".join(out)


def _wanted(had: Set[str], starts: Sequence[str] | None, shift: str) -> bool:
    return shift not in had and (starts is None or any(shift.startswith(start) for start in starts))


def _share(hits: Sequence[bool]) -> str:
    bounds = clopper_pearson(sum(hits), len(hits), USUAL)
    return f"{sum(hits)} ({bounds.low:.0%} to {bounds.high:.0%})"


def _purchase(epsilon: float) -> PanelPurchase:
    budget = Budget(epsilon=epsilon, delta=1e-6)
    return PanelPurchase(noise_multiplier=calibrate(lambda scale: once(Gaussian(scale)), budget))


def _read(schema: str, *files: str) -> Table:
    """All rows of developer tables, one unit each; bounds a release would buy are read off the rows."""
    declared = load_schema(SCHEMAS / f"{schema}.yaml")
    parts = [read_table(SHARED / "data" / name, declared) for name in files]
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in declared.names}
    whole = Table(declared, columns, {}, np.arange(sum(map(len, parts)), dtype=np.int64))
    return whole.conform(resolve(declared, (whole,)))


def _halves(table: Table, rng: Generator) -> tuple[Table, Table]:
    order = rng.permutation(len(table))
    return table.select(order[: len(table) // 2]), table.select(order[len(table) // 2 :])


def _distances(rows: Table, values: Floats, test: Table, bought: set[tuple[str, ...]]) -> dict[str, float]:
    """Mean total variation distance of weighted rows from test rows, by kind of marginal."""
    columns = rows.schema.columns
    ours, theirs = ({c.name: cells(t, c, COARSE) for c in columns} for t in (rows, test))
    sizes = {c.name: n_cells(c, COARSE) for c in columns}
    found: dict[str, list[float]] = {"1-way": [], "bought pairs": [], "other pairs": []}
    for clique in (*((name,) for name in sizes), *combinations(sizes, 2)):
        kind = "1-way" if len(clique) == 1 else "bought pairs" if clique in bought else "other pairs"
        p, q = (_shares(side, clique, sizes, w) for side, w in ((ours, values), (theirs, np.ones(len(test)))))
        found[kind].append(float(np.abs(p - q).sum() / 2))
    return {kind: float(np.mean(some)) for kind, some in found.items()}


def _shares(side: Mapping[str, Cells], clique: Sequence[str], sizes: Mapping[str, int], weights: Floats) -> Floats:
    code, size = np.zeros(len(weights), np.int64), 1
    for name in clique:
        code, size = code * sizes[name] + side[name], size * sizes[name]
    return np.asarray(np.bincount(code, weights, minlength=size) / weights.sum())


def _auc(rows: Table, values: Floats, test: Table) -> float:
    """Macro AUC on test rows of gradient boosting that learnt from weighted rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from audits.scores import macro_auc

    target = rows.schema.target
    assert target is not None
    labels = rows.codes(target.name)
    model = HistGradientBoostingClassifier(max_iter=100 if len(np.unique(labels)) == 2 else 40, random_state=0)
    model.fit(tree_matrix(rows, leave_out=target.name), labels, sample_weight=values)
    chances = np.zeros((len(test), target.n_codes))
    chances[:, model.classes_] = model.predict_proba(tree_matrix(test, leave_out=target.name))
    return macro_auc(chances, test.codes(target.name))[0]


def _nothing(rows: Table, rng: Generator) -> Table:
    del rng
    return rows


def _relabelled(share: float) -> Shift:
    """A share of the rows with a low income get a high one."""

    def change(rows: Table, rng: Generator) -> Table:
        codes = rows.codes("income").copy()
        codes[(codes == 0) & (rng.random(len(rows)) < share)] = 1
        return _with(rows, income=codes)

    return change


def _more_of(column: str, level: str, share: float) -> Shift:
    """Rows of one level are drawn more often, so that its share grows by so much."""

    def change(rows: Table, rng: Generator) -> Table:
        levels = rows.schema[column]
        assert isinstance(levels, LevelColumn)
        inside = rows.codes(column) == levels.declared.index(level)
        p = inside.mean()
        wanted = np.where(inside, (p + share) / p, (1 - p - share) / (1 - p))
        drawn = rows.select(rng.choice(len(rows), len(rows), p=wanted / wanted.sum()))
        return replace(drawn, units=np.arange(len(drawn), dtype=np.int64))

    return change


def _longer_hours(rows: Table, rng: Generator) -> Table:
    """One in ten works ten hours a week more."""
    values = rows.numbers("hours-per-week") + 10 * (rng.random(len(rows)) < 0.1)
    column = rows.schema["hours-per-week"]
    assert not isinstance(column, LevelColumn)
    return _with(rows, **{"hours-per-week": column.clamp(values)})


def _new_level(rows: Table, rng: Generator) -> Table:
    """One in a hundred has a workclass that is not in the list."""
    column = rows.schema["workclass"]
    assert isinstance(column, LevelColumn)
    codes = rows.codes("workclass").copy()
    codes[rng.random(len(rows)) < 0.01] = len(column.declared)
    return _with(rows, workclass=codes)


def _loosened(rows: Table, rng: Generator) -> Table:
    """The label of a third of the rows is given to others among them: no column changes, associations do."""
    some = np.flatnonzero(rng.random(len(rows)) < 1 / 3)
    codes = rows.codes("income").copy()
    codes[some] = rng.permutation(codes[some])
    return _with(rows, income=codes)


def _with(rows: Table, **columns: npt.NDArray[Any]) -> Table:
    return replace(rows, columns={**rows.columns, **columns})


SHIFTS: Mapping[str, Planted] = {
    "none": Planted(_nothing, ()),
    "label: high incomes 24% to 28%": Planted(_relabelled(0.05), ("income",)),
    "label: high incomes 24% to 32%": Planted(_relabelled(0.10), ("income",)),
    "group: women 33% to 40%": Planted(_more_of("sex", "Female", 0.07), ("sex",)),
    "number: a tenth works 10 hours more": Planted(_longer_hours, ("hours-per-week",)),
    "new level: 1% of workclass": Planted(_new_level, ("new values: workclass",)),
    "association: a third of the labels shuffled": Planted(
        _loosened, tuple(f"{name}, income" for name in ("relationship", "education", "age", "hours-per-week"))
    ),
}
WEIGHED = ("label: high incomes 24% to 32%", "group: women 33% to 40%")
WEIGHED_RUNS = 2

if __name__ == "__main__":
    main()

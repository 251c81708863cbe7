"""Privacy against utility: every synthesizer on every developer table over five epsilons: python -m bench.frontier.

Each measurement is a process of its own with one thread, scored by the scorer that existing systems are measured with,
and one line of a JSON file; a measurement that is there already, of the same sources, is not repeated, so that a run
can be stopped and taken up again. From the file follow a table in Markdown and a picture.

With --peers, existing systems are measured in between on the same rows at the same epsilon and delta, each in an
environment of its own. One that fails, or has no result within --limit seconds of CPU time, is written down as such.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from audits.release.certificate import code_digest
from bench.peers.environment import HOME, DatesError, ask, describe
from bench.peers.registry import PEERS
from bench.run import MEASURED, SCHEMAS, SHARED, run
from privacy.schema_file import load_schema
from synthesizers.registry import SYNTHESIZERS, sources_of

DELTA = "1e-6"
EPSILONS = (0.1, 0.3, 1.0, 3.0, 10.0)
FILES = {
    "adult": "adult.csv.gz",
    "bank_marketing": "bank_marketing.csv.gz",
    "nist_acs_national2019": "nist_acs_national2019.csv.gz",
    "nist_acs_ma2019": "nist_acs_ma2019.csv.gz",
    "compas": "compas.csv.gz",
    "mpls_stops": "mpls_stops.csv.gz",
    "loans": "loans.csv.gz",
    "nhanes": "nhanes.csv.gz",
}
METRICS = {"tvd2": "two-way TVD", "hgb_auc": "HistGB AUC", "lr_auc": "LR AUC"}
SMALLER_IS_BETTER = {"tvd2"}
LIMIT = 1800
"""CPU seconds a system may take for one measurement."""

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe & Ito 2008: told apart by people who confuse red and green."""

Key = tuple[str, str, float, int, str]
Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Results:
    """The file of measurements."""

    path: Path

    def read(self) -> list[Result]:
        """Every measurement so far."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def add(self, result: Result) -> None:
        """Write one more down."""
        with self.path.open("a") as file:
            file.write(json.dumps(result, sort_keys=True) + "\n")


def key(result: Result) -> Key:
    """What makes two measurements the same one."""
    return result["system"], result["table"], result["epsilon"], result["seed"], result["sources"]


def main() -> None:
    """Measure what is missing, then write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--systems", nargs="*", choices=sorted(SYNTHESIZERS), default=sorted(SYNTHESIZERS))
    parser.add_argument("--epsilons", nargs="+", type=float, default=list(EPSILONS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=[])
    parser.add_argument("--limit", type=int, default=LIMIT, help="CPU seconds a measurement may take")
    parser.add_argument("--home", type=Path, default=HOME, help="where the environments of peers are kept")
    parser.add_argument("--out", type=Path, default=Path("frontier"))
    asked = parser.parse_args()
    if not SHARED.is_dir():
        raise SystemExit("this needs the developer tables and the scorer in ../shared; nothing was measured")
    os.environ.update(MEASURED)
    asked.out.mkdir(parents=True, exist_ok=True)
    results = Results(asked.out / "results.jsonl")
    wanted = product(asked.tables, asked.epsilons, range(asked.seeds), [*asked.systems, *asked.peers])
    for result in missing(wanted, {key(r) for r in results.read()}, asked.home, asked.limit):
        results.add(result)
        about = f"{result['table']} {result['system']} {result['epsilon']:g}"
        if "failed" in result:
            print(f"{about}: {result['failed']}", flush=True)
        else:
            figures = "  ".join(f"{name} {result[name]:.3f}" for name in METRICS)
            print(f"{about}: {figures}  {result['cpu_seconds']:.1f} CPU s", flush=True)
    (asked.out / "frontier.md").write_text(table(results.read()) + "\n" + standing(results.read()))
    (asked.out / "frontier.svg").write_text(picture(results.read()))


def missing(
    wanted: Iterable[tuple[str, float, int, str]], known: set[Key], home: Path = HOME, limit: int = LIMIT
) -> Iterator[Result]:
    """Measure, one after the other, what is not known yet."""
    with tempfile.TemporaryDirectory() as folder:
        for name, epsilon, seed, system in wanted:
            sources = sources_now(system)
            if (system, name, epsilon, seed, sources) in known:
                continue
            work = prepared(name, Path(folder))
            yield measured(system, epsilon, seed, work, home, limit) | {"sources": sources}


def sources_now(system: str) -> str:
    """Digest of what decides a measurement."""
    return PEERS[system].sources if system in PEERS else code_digest(sources_of(system))


def prepared(name: str, folder: Path) -> Path:
    """The folder with a table's train and test rows, split on first use."""
    work = folder / name
    if not work.exists():
        run([str(SHARED / "bench" / "split.py"), str(SHARED / "data" / FILES[name]), str(work)])
    return work


def measured(system: str, epsilon: float, seed: int, work: Path, home: Path, limit: int) -> dict[str, Any]:
    """One measurement, of ours or of a peer. Noise is fresh each time: a seed only numbers the runs.

    Args:
        system: a name of either registry.
        epsilon: at `DELTA`.
        seed: the run's number.
        work: what `prepared` made, named after the table.
        home: where environments of peers are kept.
        limit: CPU seconds.
    """
    about = {"system": system, "table": work.name, "epsilon": epsilon, "seed": seed}
    described = SCHEMAS / f"{work.name}.yaml"
    schema = load_schema(described)
    train, out, budget = work / "train.csv", work / "synthetic.csv", (str(epsilon), DELTA)
    try:
        if system in PEERS:
            describe(schema, work / "columns.json")
            fitted = ask(PEERS[system], home, train, work / "columns.json", out, *budget, limit=limit)
            peak = fitted.peak_megabytes
        else:
            request = ["-m", "bench.generate", system, str(train), str(described), *budget, str(out)]
            fitted = run(request, cpu_limit=limit)
            peak = json.loads(fitted.output)["megabytes"]
    except DatesError:
        return about | {"failed": "not asked: the table has dates"}
    except subprocess.CalledProcessError as error:
        return about | {"failed": failure(error.returncode, limit)}
    scores = scored(work, out, "" if schema.target is None else schema.target.name)
    times = {"seconds": fitted.seconds, "cpu_seconds": fitted.cpu_seconds, "megabytes": peak}
    shift = label_shift(train, out, schema.target.name) if schema.target is not None else None
    return about | times | {metric: scores[metric] for metric in METRICS} | {"label_shift": shift}


def label_shift(train: Path, out: Path, target: str) -> float:
    """The largest difference between the shares that a class of the target has in both tables."""
    shares = [
        pd.read_csv(file, usecols=[target], skipinitialspace=True)[target].astype(str).value_counts(normalize=True)
        for file in (train, out)
    ]
    return round(float(shares[0].sub(shares[1], fill_value=0).abs().max()), 4)


def failure(code: int, limit: int) -> str:
    """What became of a system that wrote no table."""
    return f"no result in {limit:,} CPU s" if code in (-signal.SIGXCPU, -signal.SIGKILL) else "ended with an error"


def scored(work: Path, out: Path, target: str) -> dict[str, float]:
    """The scorer's figures; an AUC of one half where a table lost all but one class of the target."""
    scorer = [str(SHARED / "bench" / "score.py"), str(work / "train.csv"), str(work / "test.csv"), str(out), target]
    dropped = [*load_dropped(work.name)]
    try:
        found: dict[str, float] = json.loads(run([*scorer, *(["--drop", ",".join(dropped)] if dropped else [])]).output)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"the scorer could not score {work.name}") from error
    return found


def load_dropped(name: str) -> Sequence[str]:
    """Columns of a table that are never synthesised."""
    return tuple(load_schema(SCHEMAS / f"{name}.yaml").dropped)


def table(results: Sequence[Result]) -> str:
    """Means over seeds, one row a table, system and epsilon."""
    lines = [
        "| table | system | epsilon | runs | "
        + " | ".join(METRICS.values())
        + " | label shift | CPU seconds | peak MB |",
        "|" + "---|" * (len(METRICS) + 7),
    ]
    for group in grouped(results):
        first = group[0]
        row = f"| {first['table']} | {first['system']} | {first['epsilon']:g} | {len(group)} | "
        if "failed" in first:
            lines.append(row + first["failed"] + " |" * (len(METRICS) + 3))
            continue
        means = " | ".join(f"{mean(r[name] for r in group):.3f}" for name in METRICS)
        peak = max(r["megabytes"] for r in group)
        shifts = [r["label_shift"] for r in group if r["label_shift"] is not None]
        shift = f"{max(shifts):.3f}" if shifts else ""
        lines.append(f"{row}{means} | {shift} | {mean(r['cpu_seconds'] for r in group):.1f} | {peak:.0f} |")
    return "\n".join(lines) + "\n"


def grouped(results: Sequence[Result]) -> list[list[Result]]:
    """Measurements that differ in their seed alone, of the latest sources; failures where nothing else is known."""
    latest = {(r["system"], r["table"]): r["sources"] for r in results}
    groups: dict[tuple[str, str, float], list[Result]] = {}
    for r in results:
        if r["sources"] == latest[r["system"], r["table"]]:
            groups.setdefault((r["table"], r["system"], r["epsilon"]), []).append(r)
    measured_ones = {name: [r for r in group if "failed" not in r] for name, group in groups.items()}
    return [measured_ones[name] or groups[name] for name in sorted(groups)]


def standing(results: Sequence[Result]) -> str:
    """The best of ours beside the best peer of whose guarantee no breach is known, where both were measured."""
    lines = [
        "| table | epsilon | metric | best of ours | best of theirs that holds | ours ahead by |",
        "|" + "---|" * 6,
    ]
    means: dict[tuple[str, float], dict[str, dict[str, float]]] = {}
    for group in grouped(results):
        first = group[0]
        holds = first["system"] not in PEERS or not PEERS[first["system"]].broken
        if "failed" not in first and holds:
            place = means.setdefault((first["table"], first["epsilon"]), {})
            place[first["system"]] = {metric: mean(r[metric] for r in group) for metric in METRICS}
    for (name, epsilon), systems in sorted(means.items()):
        for metric, words in METRICS.items():
            best = min if metric in SMALLER_IS_BETTER else max
            figures = {system: found[metric] for system, found in systems.items()}
            ours = best((s for s in figures if s not in PEERS), key=figures.__getitem__, default=None)
            theirs = best((s for s in figures if s in PEERS), key=figures.__getitem__, default=None)
            if ours and theirs:
                a, b = figures[ours], figures[theirs]
                ahead = b - a if metric in SMALLER_IS_BETTER else a - b
                lines.append(f"| {name} | {epsilon:g} | {words} | {ours} {a:.3f} | {theirs} {b:.3f} | {ahead:+.3f} |")
    return "\n".join(lines) + "\n"


def picture(results: Sequence[Result]) -> str:
    """One panel a table and metric: the metric against epsilon, a colour a method, a mark and a dash a maker. SVG."""
    rows = [
        {"table": g[0]["table"], "method": g[0]["system"].split()[-1], "epsilon": g[0]["epsilon"], "metric": words,
         "by": PEERS[g[0]["system"]].system if g[0]["system"] in PEERS else "ours", "value": mean(r[name] for r in g)}
        for g in grouped(results) if "failed" not in g[0] for name, words in METRICS.items()
    ]  # fmt: skip
    methods = sorted({row["method"] for row in rows})
    makers = sorted({row["by"] for row in rows}, key=lambda maker: (maker != "ours", maker))
    shapes = ["circle", "square", "triangle-up", "diamond", "cross"]
    dashes = [[1, 0], [6, 2], [2, 2], [6, 2, 2, 2], [1, 3]]
    line = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=alt.OverlayMarkDef(size=45), strokeWidth=2)
        .encode(
            x=alt.X("epsilon:Q", scale=alt.Scale(type="log"), title="epsilon", axis=alt.Axis(values=list(EPSILONS))),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("method:N", scale=alt.Scale(domain=methods, range=list(COLORS[: len(methods)]))),
            shape=alt.Shape("by:N", scale=alt.Scale(domain=makers, range=shapes[: len(makers)])),
            strokeDash=alt.StrokeDash("by:N", scale=alt.Scale(domain=makers, range=dashes[: len(makers)])),
        )
        .properties(width=190, height=140)
    )
    rows_of = alt.Row("table:N", title=None, header=alt.Header(labelAngle=0, labelAlign="left", labelFontSize=12))
    columns_of = alt.Column("metric:N", title=None, sort=list(METRICS.values()), header=alt.Header(labelFontSize=12))
    chart = line.facet(row=rows_of, column=columns_of).resolve_scale(y="independent")
    drawn: str = vl_convert.vegalite_to_svg(chart.configure(font="sans-serif").to_dict())
    return drawn


if __name__ == "__main__":
    main()

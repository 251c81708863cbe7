"""How time and memory of a fit grow with rows, columns and levels: python -m bench.growth [--out FOLDER].

Tables are made up: a hidden class decides most cells, so that every pair of columns has something to say. One thing
grows at a time from `BASE`, the last number of rows past what is held in memory. Every fit is a process of its own, in
which `python -m bench.growth --fit SYNTHESIZER TABLE SCHEMA DELTA` reports processor seconds, which other work on the
machine changes little, and the largest memory. Neither includes drawing rows. What is measured is kept as lines of JSON
and not measured again; from them follow a table in Markdown and a picture.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import vl_convert

from api.streams import Streams
from bench.frontier import COLORS
from bench.generate import all_rows, peak_megabytes
from bench.run import run
from privacy.calibration import check_budget
from privacy.filter import PrivacyFilter
from privacy.noise import system_noise
from privacy.schema_file import load_schema
from synthesizers.registry import synthesizer

SYSTEMS = ("mst", "aim")
BASE = {"rows": 30_000, "columns": 10, "levels": 8}
GROWN = {"rows": (10_000, 100_000, 1_000_000, 8_000_000), "columns": (5, 10, 20, 40), "levels": (4, 16, 64, 256)}
EPSILON, DELTA = "1", "1e-9"
CLASSES = 12
GROUP_ROWS = 500_000
FIGURES = {"seconds": "processor seconds", "megabytes": "peak memory, MB"}


def main() -> None:
    """Measure what is missing, then write the table and the picture; or fit once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grown", nargs="+", choices=GROWN, default=list(GROWN))
    parser.add_argument("--out", type=Path, default=Path("growth"))
    parser.add_argument("--fit", nargs=4, metavar=("SYNTHESIZER", "TABLE", "SCHEMA", "DELTA"))
    asked = parser.parse_args()
    if asked.fit:
        print(json.dumps(fitted(*asked.fit)))
        return
    asked.out.mkdir(parents=True, exist_ok=True)
    results = asked.out / "results.jsonl"
    known = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    for result in missing(asked.grown, [{k: r[k] for k in ("system", "grown", *BASE)} for r in known]):
        known.append(result)
        with results.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(f"{result['system']} {result['grown']} {result[result['grown']]}: "
              f"{result['seconds']:.1f} s, {result['megabytes']:.0f} MB", flush=True)  # fmt: skip
    (asked.out / "growth.md").write_text(table(known))
    (asked.out / "growth.svg").write_text(picture(known))


def fitted(name: str, table_file: str, schema_file: str, delta: str) -> dict[str, float]:
    """Processor seconds and peak memory of this process for one fit, reading included."""
    schema = load_schema(Path(schema_file))
    plan = synthesizer(name).plan(schema, check_budget(float(EPSILON), float(delta), schema.n_public.value))
    noise = system_noise()
    start = process_time()
    plan.fit(
        all_rows(Path(table_file), schema, noise), PrivacyFilter(plan.cost, noise), Streams(0)["fit"], lambda _: None
    )
    return {"seconds": process_time() - start, "megabytes": peak_megabytes()}


def missing(things: Sequence[str], known: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Measure, one after the other, what is not known yet."""
    with tempfile.TemporaryDirectory() as folder:
        for grown in things:
            for size in GROWN[grown]:
                shape = BASE | {grown: size}
                wanted = [{"system": system, "grown": grown, **shape} for system in SYSTEMS]
                open_ones = [about for about in wanted if about not in known]
                if open_ones:
                    files = write(Path(folder), **shape)
                for about in open_ones:
                    command: list[str] = ["-m", "bench.growth", "--fit", str(about["system"]), *map(str, files), DELTA]
                    yield about | json.loads(run(command).output)
                (Path(folder) / "table.parquet").unlink(missing_ok=True)


def write(folder: Path, *, rows: int, columns: int, levels: int) -> tuple[Path, Path]:
    """A made-up table and its schema: two columns of numbers, the others of levels."""
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(columns - 2)]
    texts = np.array([f"v{i}" for i in range(levels)], dtype=object)
    shift = rng.integers(levels, size=(CLASSES, columns))
    path = folder / "table.parquet"
    kinds = pa.schema([*((name, pa.string()) for name in names), ("x", pa.int64()), ("y", pa.float64())])
    with pq.ParquetWriter(path, kinds) as writer:
        for start in range(0, rows, GROUP_ROWS):
            n = min(GROUP_ROWS, rows - start)
            hidden = rng.integers(CLASSES, size=n)
            cells = {
                name: texts[(shift[hidden, i] + np.minimum(rng.geometric(0.6, n) - 1, levels - 1)) % levels]
                for i, name in enumerate(names)
            }
            numbers = {"x": 5 * hidden + rng.integers(20, size=n), "y": hidden + rng.random(n)}
            writer.write_table(pa.table({**cells, **numbers}, schema=kinds), row_group_size=GROUP_ROWS)
    cited = {"source": "public", "cite": "made up here"}
    fields: list[dict[str, Any]] = [{"name": name, "categories": texts.tolist(), **cited} for name in names]
    fields += [
        {"name": "x", "type": "integer", "constraints": {"minimum": 0, "maximum": 5 * CLASSES + 20}, **cited},
        {"name": "y", "type": "number", "constraints": {"minimum": 0, "maximum": CLASSES + 1}, **cited},
    ]
    privacy = {
        "population": "made-up", "unit": "row", "adjacency": "add-or-remove",
        "n_public": {"value": rows, "cite": "made up here"}, "cap": {"epsilon": 10, "delta": 1e-6},
    }  # fmt: skip
    (folder / "schema.json").write_text(json.dumps({"fields": fields, "privacy": privacy}))
    return path, folder / "schema.json"


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """One row a size, both systems beside each other."""
    heads = [f"{system} {words}" for words in FIGURES.values() for system in SYSTEMS]
    lines = ["| grown | rows | columns | levels | " + " | ".join(heads) + " |", "|" + "---|" * (4 + len(heads))]
    for grown, sizes in GROWN.items():
        for size in sizes:
            found = {r["system"]: r for r in results if r["grown"] == grown and r[grown] == size}
            if len(found) < len(SYSTEMS):
                continue
            shape = BASE | {grown: size}
            figures = [
                f"{found[system][figure]:.{int(figure == 'seconds')}f}" for figure in FIGURES for system in SYSTEMS
            ]
            lines.append(f"| {grown} | " + " | ".join(f"{n:,}" for n in shape.values()) + f" | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"


def picture(results: Sequence[Mapping[str, Any]]) -> str:
    """One panel a figure and a thing that grows, on logarithmic axes, a line a system. SVG."""
    values = [
        {"system": r["system"], "grown": r["grown"], "size": r[r["grown"]], "figure": words, "value": r[figure]}
        for r in results
        for figure, words in FIGURES.items()
    ]
    systems = list(SYSTEMS)
    line = (
        alt.Chart(alt.InlineData(values=values))
        .mark_line(point=alt.OverlayMarkDef(size=45), strokeWidth=2)
        .encode(
            x=alt.X("size:Q", scale=alt.Scale(type="log"), title=None, axis=alt.Axis(format="~s", tickCount=4)),
            y=alt.Y("value:Q", scale=alt.Scale(type="log"), title=None, axis=alt.Axis(format="~g", tickCount=5)),
            color=alt.Color("system:N", scale=alt.Scale(domain=systems, range=list(COLORS[:2])), title=None),
            shape=alt.Shape("system:N", scale=alt.Scale(domain=systems), title=None),
        )
        .properties(width=190, height=140)
    )
    header = alt.Header(labelFontSize=12)
    chart = line.facet(
        row=alt.Row("figure:N", title=None, sort=list(FIGURES.values()), header=header),
        column=alt.Column("grown:N", title=None, sort=list(GROWN), header=header),
    ).resolve_scale(x="independent", y="independent")
    drawn: str = vl_convert.vegalite_to_svg(chart.configure(font="sans-serif").to_dict())
    return drawn


if __name__ == "__main__":
    main()

"""What the audits cost: python -m bench.suite [--deep] [--made-up ROWSxCOLUMNS] [--only NAME ...].

The suite is asked about one release, audit by audit, and for each the seconds of the processor are printed, which other
work on the machine does not change, beside those of the clock, and at the end the largest memory the process ever held.

Without arguments the table is Adult and the synthetic rows are an MST's at epsilon 1, so that every audit has something
to find. `--made-up 1000000x50` makes a table of mixed columns with one common cause instead, halves of which are the
private rows and the synthetic ones: a fresh draw, as the audits find hardest to tell apart.
"""

from __future__ import annotations

import argparse
from time import perf_counter, process_time

import numpy as np
from numpy.random import Generator, default_rng

from api.streams import Streams
from audits.assignment import assign, design_for
from audits.evidence import Evidence
from audits.protocol import Audit
from audits.registry import DEEP, STANDARD
from audits.suite import run_suite
from bench.gate import evidence_of, real_rows
from bench.generate import peak_megabytes
from privacy.noise import system_noise
from privacy.rehearsal import rehearsal
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.table import Table
from synthesizers.registry import synthesizer

CITE = "made up for measuring"


def main() -> None:
    """Run and print a line an audit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--made-up", default="")
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    evidence = made_up(*map(int, asked.made_up.split("x"))) if asked.made_up else adult()
    sizes = {"training": evidence.train, "control": evidence.control, "synthetic": evidence.synthetic}
    print(", ".join(f"{len(table):,} {words}" for words, table in sizes.items()), "rows")
    print(f"before the audits: {peak_megabytes():,.0f} MB\n\nCPU s  clock s  findings  audit", flush=True)
    start = process_time()
    for audit in (*STANDARD, *(DEEP if asked.deep or asked.only else ())):
        if not asked.only or audit.name in asked.only:
            print(line(audit, evidence), flush=True)
    print(f"\n{process_time() - start:.1f} s of the processor, {peak_megabytes():,.0f} MB at most")


def line(audit: Audit, evidence: Evidence) -> str:
    """One audit, measured."""
    cpu, clock = process_time(), perf_counter()
    (outcome,) = run_suite([audit], evidence, Streams(1))
    cpu, clock = process_time() - cpu, perf_counter() - clock
    silence = outcome.error or outcome.inconclusive
    return f"{cpu:5.1f}  {clock:7.1f}  {len(outcome.findings):8d}  {audit.title}{f' ({silence})' if silence else ''}"


def adult() -> Evidence:
    """Adult, and an MST's rows."""
    whole = real_rows("adult")
    parts = assign(whole.select(np.arange(len(whole)) < 32_561), design_for(None), system_noise())
    plan = synthesizer("mst").plan(whole.schema, Budget(epsilon=1.0, delta=1e-6))
    model = plan.fit(parts.train, rehearsal(plan.cost, 1), default_rng(1), lambda _: None)
    return evidence_of(parts, model.sample(len(parts.train), default_rng(2)))


def made_up(n: int, width: int) -> Evidence:
    """So many private rows of so many columns, and as many fresh ones."""
    schema = _schema(width)
    parts = assign(_rows(schema, n, default_rng(1)), design_for(n), system_noise())
    return evidence_of(parts, _rows(schema, len(parts.train), default_rng(2)))


def _schema(width: int) -> Schema:
    """Half of the columns levels, half numbers; two of the levels are sensitive and the last column is the target."""
    public = {"source": "public", "cite": CITE}
    fields: list[dict[str, object]] = []
    for j in range(width - 1):
        if j % 2:
            bounds = {"minimum": 0, "maximum": 1000}
            fields.append({"name": f"n{j}", "type": "number", "constraints": bounds, **public})
        else:
            levels = [f"v{k}" for k in range(2 + (j * 7) % 20)]
            sensitive = {"sensitive": True} if j in (0, 2) else {}
            fields.append({"name": f"l{j}", "type": "string", "categories": levels, **public, **sensitive})
    fields.append({"name": "target", "type": "boolean", "role": "target"})
    privacy = {"population": "made-up", "unit": "row", "adjacency": "add-or-remove", "n_public": "none"}
    return parse_schema(
        {"name": "made-up", "fields": fields, "privacy": {**privacy, "cap": {"epsilon": 1, "delta": 1e-6}}}
    )


def _rows(schema: Schema, n: int, rng: Generator) -> Table:
    """Columns that lean on one common cause, so that pairs are associated and the target can be predicted."""
    cause = rng.standard_normal(n)
    columns: dict[str, np.ndarray[tuple[int], np.dtype[np.generic]]] = {}
    for j, name in enumerate(schema.names[:-1]):
        own = 0.6 * cause + 0.8 * rng.standard_normal(n)
        if name.startswith("n"):
            columns[name] = np.round(np.clip(500 + 150 * own, 0, 1000), 1)
        else:
            k = 2 + (j * 7) % 20
            columns[name] = np.clip(np.floor((own + 2) / 4 * k), 0, k - 1).astype(np.uint8)
    columns["target"] = (rng.random(n) < 1 / (1 + np.exp(-cause))).astype(np.uint8)
    return Table(schema, columns, {}, np.arange(n, dtype=np.int64))


if __name__ == "__main__":
    main()

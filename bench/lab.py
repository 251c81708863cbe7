"""The lab on real tables: python -m bench.lab [--tables adult bank_marketing] [--only EXPERIMENT ...].

The rows of a developer table are halved at random; a synthesizer at epsilon 1 learns from one half, and experiments are
tried on the other. Findings are kept as they come, and experiments that are in the results file are not run again.
Prints what the lab advises and the curve, the fine-tuning and the rebalancing as tables.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import default_rng

from api.foreign import resolve
from api.streams import Streams
from audits.evidence import Evidence
from audits.lab.advice import advise
from audits.lab.registry import experiments
from audits.release.wire import finding_from_json, finding_to_json, read_number
from audits.suite import run_suite
from bench.run import SCHEMAS, SHARED
from privacy.filter import PrivacyFilter
from privacy.noise import system_noise
from privacy.schema import Budget
from privacy.schema_file import load_schema
from privacy.table import Table, make_table, read_table
from synthesizers.registry import synthesizer

FILES = {"adult": "adult.csv.gz", "bank_marketing": "bank_marketing.csv.gz"}
SHOWN = ("hybrid", "fine-tuning", "rebalancing")
REFERENCE = 0.25


def main() -> None:
    """Run what is missing and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="*", choices=sorted(FILES), default=sorted(FILES))
    parser.add_argument("--synthesizer", default="mst")
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("lab.jsonl"))
    asked = parser.parse_args()
    suite = experiments(known=None, repeats=asked.repeats, max_rows=asked.rows)
    suite = (*(a for a in suite if a.name in SHOWN), *(a for a in suite if a.name not in SHOWN))
    for name in asked.tables:
        key = [name, asked.synthesizer, asked.repeats, asked.rows, asked.seed]
        done = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.exists() else []
        own = [line for line in done if line["key"] == key]
        left = [
            a
            for a in suite
            if a.name not in {line["experiment"] for line in own} and (asked.only is None or a.name in asked.only)
        ]
        evidence = _evidence(name, asked.synthesizer, asked.seed) if left else None
        for audit in left:
            assert evidence is not None
            (outcome,) = run_suite([audit], evidence, Streams(asked.seed))
            line = {
                "key": key,
                "experiment": outcome.audit,
                "seconds": round(outcome.seconds, 1),
                "silent": outcome.inconclusive or outcome.error,
                "findings": [finding_to_json(f) for f in outcome.findings],
            }
            own.append(line)
            with asked.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
        print(f"\n## {name}\n")
        print("\n".join(summary([f for line in own for f in line["findings"]])))


def summary(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Advice, and tables of what must be shown, in Markdown."""
    yield "| question | answer | with figures |"
    yield "|---|---|---|"
    for said in advise([finding_from_json(f) for f in findings]):
        yield f"| {said.question} | {said.kind} | {said.text} |"
    yield ""
    yield "| quantity | of | estimate | 95% bounds |"
    yield "|---|---|---|---|"
    for f in findings:
        words = f["quantity"]
        if f["audit"] in ("hybrid", "fine-tuning") or (f["audit"] == "rebalancing" and " against " in words):
            low, high = (read_number(f["interval"][end]) for end in ("low", "high"))
            yield f"| {words} | {f['subject']} | {read_number(f['estimate']):.3f} | {low:.3f} to {high:.3f} |"


def _evidence(name: str, chosen: str, seed: int) -> Evidence:
    """One half learnt from at epsilon 1, the other held back; bounds a release would buy are read off the rows."""
    declared = load_schema(SCHEMAS / f"{name}.yaml")
    table = read_table(SHARED / "data" / FILES[name], declared)
    whole = table.conform(resolve(declared, (table,)))
    order = default_rng([seed, 1]).permutation(len(whole))
    train, held = whole.select(order[: len(whole) // 2]), whole.select(order[len(whole) // 2 :])
    plan = synthesizer(chosen).plan(whole.schema, Budget(epsilon=1.0, delta=1e-6))
    model = plan.fit(train, PrivacyFilter(plan.cost, system_noise()), default_rng(seed), lambda _: None)
    drawn: Table = model.sample(len(train), default_rng([seed, 2]))
    n_reference = round(REFERENCE * len(held))
    return Evidence(
        schema=whole.schema,
        train=train,
        pooled=np.ones(len(train), dtype=bool),
        control=held.select(np.arange(n_reference, len(held))),
        reference=held.select(np.arange(n_reference)),
        synthetic=make_table(whole.schema, drawn.columns),
    )


if __name__ == "__main__":
    main()

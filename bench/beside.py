"""Our audits beside anonymeter and SDMetrics, on the same tables in one run: python -m bench.beside [--rows N].

Adult's rows are halved and assigned as in `bench.gate`, and the same kinds of tables are judged: fresh rows, fresh rows
with 1% of near copies, or of copies of outliers, and rows of trees without privacy that overfit. Every auditor answers
in its own words and is given the same rows, one thread, and time. Ours is the worst finding that the policy's rule on
the question reads, and what that rule alone says of it; seconds are the processor's.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import process_time

from numpy.random import default_rng

from api.streams import Streams
from audits.assignment import Parts, assign, design_for
from audits.evidence import Evidence
from audits.protocol import Audit
from audits.registry import STANDARD
from audits.release.gate import outcome_checks, worst
from audits.release.policy import Policy, load_policy
from audits.suite import run_suite
from bench.gate import RELEASES, evidence_of, real_rows
from bench.generate import peak_megabytes
from bench.peers.environment import HOME, describe, installed
from bench.peers.registry import AUDITORS, System
from bench.run import MEASURED, run
from privacy.noise import system_noise
from privacy.table import Table

QUESTIONS: Mapping[str, str] = {
    "copies": "copying p-value",
    "singling out": "excess of singling out",
    "linkability": "excess of linking",
    "attribute inference": "excess of inference",
    "membership inference": "AUC",
    "marginals": "excess total variation, 2-way",
    "detection": "excess AUC of detection",
}
"""Audit and the quantity that answers for it."""
KINDS = ("fresh rows", "1% near copies", "1% copies of outliers", "overfit trees")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one auditor says to one question about one table."""

    auditor: str
    question: str
    words: str
    seconds: float


def main() -> None:
    """Ask everybody about every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--releases", nargs="+", choices=list(RELEASES), default=list(KINDS))
    parser.add_argument("--home", type=Path, default=HOME, help="where the environments of the others are kept")
    asked = parser.parse_args()
    os.environ.update(MEASURED)
    whole = real_rows("adult")
    order = default_rng([0, asked.rows]).permutation(len(whole))
    parts = assign(whole.select(order[: asked.rows]), design_for(None), system_noise())
    fresh = whole.select(order[asked.rows : 2 * asked.rows])
    print("| table | question | auditor | answer | CPU s |\n|---|---|---|---|---|", flush=True)
    for kind in asked.releases:
        released = RELEASES[kind](parts, fresh, default_rng([0, 7]))
        for answer in (*ours(parts, released), *theirs(parts, released, asked.home)):
            print(
                f"| {kind} | {answer.question} | {answer.auditor} | {answer.words} | {answer.seconds:.1f} |", flush=True
            )
    print(f"\nours, all tables and rows in one process: {peak_megabytes():.0f} MB at most")


def ours(parts: Parts, released: Table) -> Iterator[Answer]:
    """Our audits, one by one."""
    evidence = evidence_of(parts, released)
    policy = load_policy("public")
    for audit in STANDARD:
        if audit.name in QUESTIONS:
            yield _answered(audit, evidence, policy)


def _answered(audit: Audit, evidence: Evidence, policy: Policy) -> Answer:
    start = process_time()
    (outcome,) = run_suite([audit], evidence, Streams(1))
    seconds = process_time() - start
    quantity = QUESTIONS[audit.name]
    (rule, *_) = [r for r in policy.checks if (r.audit, r.quantity) == (audit.name, quantity)]
    read = [f for f in outcome.findings if f.quantity == quantity and rule.subjects.reads(f.subject)]
    sign = 1 if rule.worse == "higher" else -1
    shown = max(read, key=lambda f: sign * f.estimate)
    verdict = worst([c.verdict for c in outcome_checks([outcome], policy) if c.audit == audit.name])
    bounds = f"{shown.interval.low:.3f} to {shown.interval.high:.3f}"
    words = f"{quantity} {shown.estimate:.3f} ({bounds}){f', {shown.subject}' if shown.subject else ''}: {verdict}"
    return Answer("ours", audit.name, words, seconds)


def theirs(parts: Parts, released: Table, home: Path) -> Iterator[Answer]:
    """Every other auditor, each in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        files = [work / f"{name}.csv" for name in ("train", "control", "synthetic")]
        for file, table in zip(files, (parts.train, parts.control, released), strict=True):
            file.write_bytes(table.csv())
        describe(parts.train.schema, work / "columns.json")
        for auditor in AUDITORS:
            yield from _asked(auditor, home, [str(file) for file in files] + [str(work / "columns.json")])


def _asked(auditor: System, home: Path, files: list[str]) -> Iterator[Answer]:
    found = run(["-m", f"bench.peers.auditors.{auditor.system}", *files], python=installed(auditor, home))
    lines: list[tuple[str, str, float]] = [json.loads(line) for line in found.output.splitlines()]
    for question, words, seconds in lines:
        yield Answer(auditor.distribution, question, words, seconds)


if __name__ == "__main__":
    main()

"""What the gate does to tables whose truth is known: python -m bench.gate [--runs N].

The real rows of a developer table are halved at random, run by run. One half is the private table, taken apart by
coins as a release does; from the other half come fresh rows of the same population, the perfect generator, which leaks
nothing. Into these a leak is planted, or the table comes from a generator without privacy that overfits. The blocking
audits of a shipped policy then run as they do in a release, and the verdicts are counted, with Clopper-Pearson bounds.

A generator is trained anew in every run. A run takes seconds; lines already in the results file are not run again. What
every rule read is kept with the verdict, so that the copying p-value of fresh rows can be held against the uniform
distribution that it may not lie below.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random import Generator, default_rng
from sklearn.tree import DecisionTreeClassifier

from api.foreign import resolve
from api.streams import Streams
from audits.assignment import Parts, assign, design_for
from audits.distance import features
from audits.evidence import Evidence
from audits.intervals import USUAL, clopper_pearson
from audits.protocol import Audit
from audits.registry import STANDARD
from audits.release.gate import Verdict, one_run_check, outcome_checks, worst
from audits.release.policy import Effect, load_policy
from audits.search import others
from audits.suite import run_suite
from bench.run import SCHEMAS, SHARED
from privacy.columns import LevelColumn
from privacy.noise import system_noise
from privacy.schema_file import load_schema
from privacy.table import Table, make_table, read_table

FILES = {"adult": ("adult.csv.gz", "adult_test.csv.gz"), "nist_acs_national2019": ("nist_acs_national2019.csv.gz",)}
PLANTED = 0.01
CLAIMED_EPSILON, CLAIMED_DELTA = 1.0, 1e-6

Release = Callable[[Parts, Table, Generator], Table]
"""Private parts, fresh rows and a stream -> the table that is released."""


def main() -> None:
    """Run what is missing and print every rate."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--table", choices=sorted(FILES), default="adult")
    arguments.add_argument("--policy", default="public")
    arguments.add_argument("--rows", type=int, default=20_000)
    arguments.add_argument("--runs", type=int, default=100)
    arguments.add_argument("--releases", nargs="*", choices=sorted(RELEASES), default=sorted(RELEASES))
    arguments.add_argument("--out", type=Path, default=Path("gate.jsonl"))
    asked = arguments.parse_args()
    whole = real_rows(asked.table)
    blocking = {rule.audit for rule in load_policy(asked.policy).checks if rule.effect is Effect.BLOCK}
    suite = [audit for audit in STANDARD if audit.name in blocking]
    done = results(asked.out)
    for name in asked.releases:
        for run in range(asked.runs):
            key = [asked.table, asked.policy, asked.rows, name, run]
            if any(line["key"] == key for line in done):
                continue
            line = {"key": key, **judged(whole, RELEASES[name], run, asked.rows, asked.policy, suite)}
            done.append(line)
            with asked.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
    print(summary([line for line in done if line["key"][:3] == [asked.table, asked.policy, asked.rows]]))


def real_rows(table: str) -> Table:
    """All rows of a developer table, one unit each; bounds a release would buy are read off the rows."""
    schema = load_schema(SCHEMAS / f"{table}.yaml")
    parts = [read_table(SHARED / "data" / name, schema) for name in FILES[table]]
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in schema.names}
    whole = Table(schema, columns, {}, np.arange(sum(map(len, parts)), dtype=np.int64))
    return whole.conform(resolve(schema, (whole,)))


def judged(
    whole: Table, release: Release, run: int, n_rows: int, policy: str, suite: Sequence[Audit]
) -> Mapping[str, Any]:
    """One release of a kind: its verdict, what objected, what its rules read, and the seconds of the audits."""
    rng = default_rng([run, n_rows])
    order = rng.permutation(len(whole))
    parts = assign(whole.select(order[:n_rows]), design_for(None), system_noise())
    fresh = whole.select(order[n_rows : 2 * n_rows])
    released = release(parts, fresh, default_rng([run, 7]))
    evidence = evidence_of(parts, released)
    asked = load_policy(policy)
    start = perf_counter()
    outcomes = run_suite(suite, evidence, Streams(run))
    seconds = perf_counter() - start
    checks = [c for c in outcome_checks(outcomes, asked) if c.effect is Effect.BLOCK] + [
        one_run_check(outcomes, CLAIMED_EPSILON, asked)
    ]
    objections = [f"{c.verdict} {c.audit}: {c.quantity} ({c.subject})" for c in checks if c.verdict is not Verdict.PASS]
    return {
        "verdict": str(worst([c.verdict for c in checks])),
        "checks": len(checks),
        "objections": objections,
        "findings": [
            [f.audit, f.quantity, f.subject, f.estimate, f.interval.low, f.interval.high]
            for outcome in outcomes
            for f in outcome.findings
            if any((r.audit, r.quantity) == (f.audit, f.quantity) and r.subjects.reads(f.subject) for r in asked.checks)
        ],
        "seconds": round(seconds, 2),
    }


def evidence_of(parts: Parts, released: Table) -> Evidence:
    """What the audits are given of a released table, of whatever origin."""
    return Evidence(
        schema=parts.train.schema,
        train=parts.train,
        pooled=parts.pooled,
        control=parts.control,
        reference=parts.reference,
        synthetic=make_table(parts.train.schema, released.columns),
        claimed_delta=CLAIMED_DELTA,
    )


def summary(lines: list[Mapping[str, Any]]) -> str:
    """A table of rates with 95% bounds on both sides, in Markdown."""
    rows = ["| released | runs | WITHHOLD | REVIEW | PASS |", "|---|---|---|---|---|"]
    for name in RELEASES:
        verdicts = [str(line["verdict"]) for line in lines if line["key"][3] == name]
        if verdicts:
            shares = []
            for verdict in ("WITHHOLD", "REVIEW", "PASS"):
                hits, n = verdicts.count(verdict), len(verdicts)
                bounds = clopper_pearson(hits, n, USUAL)
                shares.append(f"{hits / n:.1%} ({bounds.low:.1%} to {bounds.high:.1%})")
            rows.append(f"| {name} | {len(verdicts)} | {' | '.join(shares)} |")
    return "\n".join(rows)


def fresh_rows(parts: Parts, fresh: Table, rng: Generator) -> Table:
    """As many rows of the population as trained, none of which did."""
    return fresh.select(np.sort(rng.choice(len(fresh), len(parts.train), replace=False)))


def near_copies(parts: Parts, fresh: Table, rng: Generator) -> Table:
    """1% of the rows are training rows with every number moved by about .5% of its range."""
    copied = parts.train.select(rng.choice(len(parts.train), _planted(parts), replace=False))
    columns = dict(copied.columns)
    for column in copied.schema.columns:
        if not isinstance(column, LevelColumn):
            low, high = column.bounds
            columns[column.name] = column.clamp(columns[column.name] + rng.normal(0, 0.005 * (high - low), len(copied)))
    return _mixed(parts, fresh, columns, rng)


def outlier_copies(parts: Parts, fresh: Table, rng: Generator) -> Table:
    """1% of the rows are copies of training rows, all of the most isolated tenth."""
    apart = others(features(parts.train, parts.train.schema), 5).mean(axis=1)
    rare = np.argsort(-apart, kind="stable")[: len(apart) // 10]
    return _mixed(parts, fresh, parts.train.select(rng.choice(rare, _planted(parts), replace=False)).columns, rng)


def one_column_changed(parts: Parts, fresh: Table, rng: Generator) -> Table:
    """1% of the rows are training rows with one cell, in a column chosen at random, taken from another row."""
    copied = parts.train.select(rng.choice(len(parts.train), _planted(parts), replace=False))
    chosen = rng.integers(0, len(copied.columns), len(copied))
    columns = {
        name: np.where(chosen == j, rng.permutation(values), values)
        for j, (name, values) in enumerate(copied.columns.items())
    }
    return _mixed(parts, fresh, columns, rng)


def overfit_trees(parts: Parts, fresh: Table, rng: Generator) -> Table:
    """Sequential trees without privacy: each column drawn from the leaf of a tree grown on the columns before it.

    The synthesizer of Reiter 2005 ("Using CART to generate partially synthetic public use microdata") with leaves of
    five rows, the usual default.
    """
    del fresh
    train = parts.train
    n = len(train)
    first = train.schema.names[0]
    drawn = {first: rng.choice(train.columns[first], n)}
    for j, name in enumerate(train.schema.names[1:], start=1):
        known = train.schema.names[:j]
        matrix = _columns(train.columns, known)
        label = np.unique(np.nan_to_num(train.columns[name].astype(np.float64), nan=-1e18), return_inverse=True)[1]
        tree = DecisionTreeClassifier(min_samples_leaf=5, random_state=int(rng.integers(2**31)))
        tree.fit(matrix, np.minimum(label, 200))
        leaf, asked = tree.apply(matrix), tree.apply(_columns(drawn, known))
        order = np.argsort(leaf, kind="stable")
        starts = np.searchsorted(leaf[order], asked, side="left")
        ends = np.searchsorted(leaf[order], asked, side="right")
        drawn[name] = train.columns[name][order[rng.integers(starts, ends)]]
    return make_table(train.schema, drawn)


def _columns(columns: Mapping[str, npt.NDArray[np.generic]], names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    return np.stack([np.nan_to_num(columns[name].astype(np.float64), nan=-1e18) for name in names], axis=1)


def _planted(parts: Parts) -> int:
    return round(PLANTED * len(parts.train))


def _mixed(parts: Parts, fresh: Table, bad: Mapping[str, npt.NDArray[np.generic]], rng: Generator) -> Table:
    """Fresh rows of which the first are replaced."""
    rest = fresh_rows(parts, fresh, rng)
    n = len(next(iter(bad.values())))
    columns = {name: np.concatenate([bad[name], values[n:]]) for name, values in rest.columns.items()}
    return make_table(rest.schema, columns)


def results(path: Path) -> list[Mapping[str, Any]]:
    """Lines of a results file; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


RELEASES: Mapping[str, Release] = {
    "fresh rows": fresh_rows,
    "1% near copies": near_copies,
    "1% copies of outliers": outlier_copies,
    "1% copies, one column changed": one_column_changed,
    "overfit trees": overfit_trees,
}

if __name__ == "__main__":
    main()

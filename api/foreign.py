"""Auditing a table made elsewhere: no promise is stated, no table is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from api.deep import deep_seconds, spoken, suite
from api.integrations.audits import check_beside
from api.recipe import check_seed, check_target
from api.steps import Steps
from api.streams import Streams
from audits.evidence import Evidence
from audits.fidelity.picture import joint_map
from audits.finding import Outcome
from audits.release.bundle import Bundle, Contents, seal
from audits.release.gate import Decision, decide
from audits.release.policy import Gate, load_policy
from audits.release.scorecard import build
from audits.release.signing import SigningKey
from audits.suite import run_suite
from privacy.columns import Column, LevelColumn, Source
from privacy.errors import RequestError
from privacy.files import check_file
from privacy.noise import seeded_noise
from privacy.schema import Schema
from privacy.schema_file import load_schema
from privacy.table import Table, read_table
from privacy.unit import Adjacency, PrivacyUnit

REFERENCE_SHARE = 0.25
"""Part of the holdout that plays the attacker's own sample; the rest is scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignAudit:
    """What is asked: a synthetic table, the rows it was made from, rows it was not, and earlier tables of the same."""

    synthetic: Path
    train: Path
    holdout: Path
    schema: Path
    policy: str
    out: Path
    seed: int
    deep: bool = False
    earlier: tuple[Path, ...] = ()
    beside: tuple[str, ...] = ()


def audit_foreign(asked: ForeignAudit, key: SigningKey, steps: Steps) -> tuple[Bundle, Decision, tuple[Outcome, ...]]:
    """Audit a table. Raises a ReleaseError for input that cannot be used."""
    steps("checking the request")
    schema = load_schema(asked.schema)
    if schema.observed:  # its bounds, read off the rows, would stand in the half that leaves
        schema.require_releasable()
    policy = load_policy(asked.policy)
    if policy.gate is Gate.PRICED:
        raise RequestError(
            f"Policy '{policy.name}' judges by bought counts, and an audit charges nothing.",
            why="A table made elsewhere comes with its rows and without a budget.",
            fix="Name a policy whose gate is exact.",
        )
    check_beside(asked.beside, policy)
    check_seed(asked.seed)
    released = released_form(schema)
    check_file(asked.train, schema)
    check_file(asked.holdout, schema)
    for table in (asked.synthetic, *asked.earlier):
        check_file(table, released)
    check_target(asked.out)

    if asked.deep:
        steps(f"the deep audits will take at most about {spoken(deep_seconds(None, len(schema.columns), None, 1))}")
    steps("reading the tables")
    evidence, synthetic = read_evidence(
        asked.synthetic, asked.train, asked.holdout, schema, asked.seed, earlier=asked.earlier
    )
    audits = suite(deep=asked.deep, earlier=bool(asked.earlier), beside=asked.beside)
    outcomes = run_suite(audits, evidence, Streams(asked.seed), lambda title: steps(f"audit: {title}"))

    points = joint_map(evidence, Streams(asked.seed)["map"])

    steps("sealing the report")
    decision = decide(outcomes, policy, None, (), None, "")
    shown = resolve(released, (synthetic,))
    scorecard = build(
        schema=shown,
        statement=None,
        design=None,
        policy=policy,
        outcomes=outcomes,
        decision=decision,
        synthetic=synthetic.conform(shown),
        expected_error={},
        bounds={},
        confidence=1.0,
        certificate=None,
        reproducibility={"version of tablegate": version("tablegate"), "seed of the audits": str(asked.seed)},
    )
    contents = Contents(
        schema=schema,
        statement=None,
        policy=policy,
        decision=decision,
        scorecard=scorecard,
        timings=steps.seconds,
        points=points,
        charge=None,
        ledger_head=None,
        code_version=version("tablegate"),
    )
    return seal(asked.out, contents, synthetic=None, key=key, quarantine=None), decision, outcomes


def read_evidence(
    synthetic_file: Path,
    train_file: Path,
    holdout_file: Path,
    schema: Schema,
    seed: int,
    earlier: Sequence[Path] = (),
) -> tuple[Evidence, Table]:
    """Checked tables as evidence, coded by all of them together, and the synthetic one as its file has it."""
    # No membership hangs on these coins: who trained was decided elsewhere. The same seed gives the same card.
    noise = seeded_noise(seed)
    train = read_table(train_file, schema).bounded(noise)
    holdout = read_table(holdout_file, schema).bounded(noise)
    released = released_form(schema)
    synthetic = read_table(synthetic_file, released)
    before = [read_table(file, released) for file in earlier]
    # The whole resolution is internal; what leaves is coded by what the synthetic rows alone show.
    full = resolve(schema, (train, holdout, synthetic, *before))
    scored = noise.categories((REFERENCE_SHARE, 1 - REFERENCE_SHARE), len(holdout)) == 1
    evidence = Evidence(
        schema=full,
        train=train.conform(full),
        pooled=np.ones(len(train), dtype=bool),
        control=holdout.select(scored).conform(full),
        reference=holdout.select(~scored).conform(full),
        synthetic=synthetic.conform(full),
        earlier=tuple(table.conform(full) for table in before),
    )
    return evidence, synthetic


def resolve(schema: Schema, tables: Sequence[Table]) -> Schema:
    """The schema with every open bound and list taken from the rows of some tables: marked `observed`."""
    columns: dict[str, Column] = {}
    for column in schema.columns:
        if isinstance(column, LevelColumn):
            if column.levels is None:
                words = sorted({word for table in tables for word in table.vocabularies[column.name]})
                columns[column.name] = replace(column, levels=tuple(words), source=Source.OBSERVED)
        elif column.minimum is None or column.maximum is None:
            values = np.concatenate([table.numbers(column.name) for table in tables])
            present = values[~np.isnan(values)]
            low, high = (float(present.min()), float(present.max())) if len(present) else (0.0, 1.0)
            columns[column.name] = replace(
                column,
                minimum=low if column.minimum is None else column.minimum,
                maximum=high if column.maximum is None else column.maximum,
            )
    return schema.with_columns(columns)


def released_form(schema: Schema) -> Schema:
    """What a synthetic version of the table looks like: no dropped columns, every row its own unit."""
    row = PrivacyUnit(field=None, max_rows=1, adjacency=Adjacency.ADD_OR_REMOVE)
    return replace(schema, header=schema.names, dropped={}, unit=row)

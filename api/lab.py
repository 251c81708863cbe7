"""The alignment lab: what to ask before training on synthetic rows, answered on a pair of tables inside the boundary.

It reads real rows, so every figure is internal, and its folder says so. It writes no table. It charges nothing unless
imperfections are to be learnt from counts by label, which are bought (`api.lab_counts`).
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from api.coins import file_digest, place_of
from api.deep import spoken
from api.foreign import read_evidence, released_form
from api.home import Installation
from api.lab_counts import Bought, Source, TrainingRows, charged, release_counts
from api.recipe import check_seed, check_target
from api.steps import Steps
from api.streams import Streams
from audits.finding import Outcome
from audits.lab.advice import Advice, advise
from audits.lab.registry import experiments
from audits.lab.report import render_lab
from audits.release.staging import publish_alone
from audits.release.wire import finding_to_json
from audits.suite import run_suite
from privacy.columns import Role
from privacy.errors import RequestError
from privacy.files import check_file
from privacy.schema import Schema
from privacy.schema_file import load_schema

FORMAT = "tablegate-lab/1"
MEASURED_SECONDS = (26.0, 34.0)
"""Of one repeat on 15 columns, one thread of an idle machine: whatever the rows, and what 20,000 rows a side add."""

MEASURED_ROWS, MEASURED_COLUMNS = 20_000, 15

LIBRARIES = ("tablegate", "numpy", "scikit-learn", "scipy")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRequest:
    """What is asked: a synthetic table, the rows it was made from, and rows it was not.

    Attributes:
        synthetic, train, holdout: tables; experiments are tried on the holdout.
        schema: what all three are read by; entries may be `observed`, since nothing leaves.
        out: folder of the report; must not exist.
        release: bundle of the release the synthetic rows are of, with its internal half; None for rows made elsewhere.
        seed: everything random follows from it, but the noise of what is bought.
        epsilon, delta: what counts by label may cost; None where none are to be bought.
        repeats: how often rows are drawn and models fitted again, at least 2.
        max_rows: rows of each side at most.
    """

    synthetic: Path
    train: Path
    holdout: Path
    schema: Path
    out: Path
    seed: int
    release: Path | None = None
    epsilon: float | None = None
    delta: float | None = None
    repeats: int = 3
    max_rows: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LabReport:
    """What was found. Internal."""

    out: Path
    outcomes: tuple[Outcome, ...]
    advice: tuple[Advice, ...]


def lab(asked: LabRequest, home: Installation, steps: Steps) -> LabReport:
    """Run every experiment and write the report. Raises a ReleaseError for input that cannot be used."""
    steps("checking the request")
    schema = load_schema(asked.schema)
    check_seed(asked.seed)
    if asked.repeats < 2 or asked.max_rows < 500:
        raise RequestError(
            "There are fewer than 2 repeats, or fewer than 500 rows a side.",
            why="Without repeats nothing is known of what another draw would bring, and few rows tell nothing apart.",
            fix="Leave both out, or ask for more.",
        )
    check_file(asked.train, schema)
    check_file(asked.holdout, schema)
    check_file(asked.synthetic, released_form(schema))
    check_target(asked.out)
    fixed, more = MEASURED_SECONDS
    seconds = asked.repeats * len(schema.columns) / MEASURED_COLUMNS * (fixed + more * asked.max_rows / MEASURED_ROWS)
    steps(f"the experiments will take about {spoken(seconds)} of one core")
    source = _source(asked, schema, home)
    steps("reading the tables")
    evidence, _ = read_evidence(asked.synthetic, asked.train, asked.holdout, schema, asked.seed)
    suite = experiments(known=source.counts(asked.train), repeats=asked.repeats, max_rows=asked.max_rows)
    begun = count(1)
    outcomes = run_suite(
        suite,
        evidence,
        Streams(asked.seed),
        lambda title: steps(f"experiment {next(begun)} of {len(suite)}: {title}"),
    )
    advice = advise([finding for outcome in outcomes for finding in outcome.findings])
    steps("writing the report")
    facts = _facts(
        asked,
        source,
        outcomes,
        advice,
        evidence_rows=(len(evidence.synthetic), len(evidence.train), len(evidence.control)),
    )
    documents = {
        "lab.json": json.dumps(facts, indent=1, allow_nan=False).encode(),
        "report.html": render_lab(facts).encode(),
    }
    publish_alone(asked.out, documents, mode=0o700)
    return LabReport(out=asked.out, outcomes=outcomes, advice=advice)


def _source(asked: LabRequest, schema: Schema, home: Installation) -> Source:
    """What imperfections are learnt from, charged where it is to be bought: the last step before a row is read."""
    if asked.epsilon is None and asked.delta is None:
        if asked.release is None:
            return TrainingRows()
        return Bought(release_counts(asked.release, schema, home, asked.seed))
    if asked.release is None or asked.epsilon is None or asked.delta is None:
        raise RequestError(
            "Counts by label need a release, an epsilon and a delta.",
            why="They are cut by what the release bought, and are charged to its population.",
            fix="Give --release, --epsilon and --delta together, or leave out the last two.",
        )
    known = release_counts(asked.release, schema, home, asked.seed)
    return charged(known, schema, _target(schema), asked.epsilon, asked.delta, place_of(asked.train), home)


def _target(schema: Schema) -> str:
    return next((c.name for c in schema.columns if c.role is Role.TARGET), "")


def _facts(
    asked: LabRequest,
    source: Source,
    outcomes: tuple[Outcome, ...],
    advice: tuple[Advice, ...],
    *,
    evidence_rows: tuple[int, int, int],
) -> dict[str, Any]:
    schema = load_schema(asked.schema)
    return {
        "format": FORMAT,
        "audience": "internal",
        "table": schema.name,
        "target": _target(schema),
        "rows": dict(zip(("synthetic", "train", "control"), evidence_rows, strict=True)),
        "imperfections_from": source.words,
        "advice": [{"question": a.question, "kind": str(a.kind), "text": a.text} for a in advice],
        "experiments": [
            {
                "name": o.audit,
                "seconds": round(o.seconds, 2),
                "inconclusive": o.inconclusive,
                "error": o.error,
                "findings": [finding_to_json(f) for f in o.findings],
            }
            for o in outcomes
        ],
        "reproducibility": {
            "seed": asked.seed,
            "repeats": asked.repeats,
            "rows at most": asked.max_rows,
            "python": platform.python_version(),
            "digests": {
                name: file_digest(path)
                for name, path in (("synthetic", asked.synthetic), ("train", asked.train), ("holdout", asked.holdout))
            },
            "schema": schema.digest,
            "versions": {name: version(name) for name in LIBRARIES},
        },
    }

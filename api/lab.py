"""The alignment lab: what to ask before training on synthetic rows, answered on a pair of tables inside the boundary.

It reads real rows and charges nothing, so every figure is internal, and its folder says so. It writes no table.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from api.coins import file_digest
from api.deep import spoken
from api.foreign import read_evidence, released_form
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
from privacy.errors import RequestError
from privacy.files import check_file
from privacy.schema_file import load_schema

FORMAT = "tablegate-lab/1"
MEASURED_SECONDS, MEASURED_ROWS, MEASURED_COLUMNS = 180.0, 20_000, 15
"""On Adult, three repeats, one thread of an idle machine; in proportion to repeats, rows and columns otherwise."""

LIBRARIES = ("tablegate", "numpy", "scikit-learn", "scipy")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRequest:
    """What is asked: a synthetic table, the rows it was made from, and rows it was not.

    Attributes:
        synthetic, train, holdout: tables; experiments are tried on the holdout.
        schema: what all three are read by; entries may be `observed`, since nothing leaves.
        out: folder of the report; must not exist.
        seed: everything random follows from it.
        repeats: how often rows are drawn and models fitted again, at least 2.
        max_rows: rows of each side at most.
    """

    synthetic: Path
    train: Path
    holdout: Path
    schema: Path
    out: Path
    seed: int
    repeats: int = 3
    max_rows: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LabReport:
    """What was found. Internal."""

    out: Path
    outcomes: tuple[Outcome, ...]
    advice: tuple[Advice, ...]


def lab(asked: LabRequest, steps: Steps) -> LabReport:
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
    size = len(schema.columns) / MEASURED_COLUMNS * asked.repeats / 3 * asked.max_rows / MEASURED_ROWS
    steps(f"the experiments will take at most about {spoken(MEASURED_SECONDS * size)}")
    steps("reading the tables")
    evidence, _ = read_evidence(asked.synthetic, asked.train, asked.holdout, schema, asked.seed)
    suite = experiments(repeats=asked.repeats, max_rows=asked.max_rows)
    outcomes = run_suite(suite, evidence, Streams(asked.seed), lambda title: steps(f"experiment: {title}"))
    advice = advise([finding for outcome in outcomes for finding in outcome.findings])
    steps("writing the report")
    facts = _facts(
        asked, outcomes, advice, evidence_rows=(len(evidence.synthetic), len(evidence.train), len(evidence.control))
    )
    documents = {
        "lab.json": json.dumps(facts, indent=1, allow_nan=False).encode(),
        "report.html": render_lab(facts).encode(),
    }
    publish_alone(asked.out, documents, mode=0o700)
    return LabReport(out=asked.out, outcomes=outcomes, advice=advice)


def _facts(
    asked: LabRequest, outcomes: tuple[Outcome, ...], advice: tuple[Advice, ...], *, evidence_rows: tuple[int, int, int]
) -> dict[str, Any]:
    schema = load_schema(asked.schema)
    target = next((c.name for c in schema.columns if c.role == "target"), "")
    return {
        "format": FORMAT,
        "audience": "internal",
        "table": schema.name,
        "target": target,
        "rows": dict(zip(("synthetic", "train", "control"), evidence_rows, strict=True)),
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

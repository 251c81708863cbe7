"""Two files that differ by one unit, read and released: what leaves is the same, but for what the noise must cover.

The unit is as strange as can be: a level that is on no list, a number beyond every bound, cells missing or of the
wrong type, more rows than a person may have. Questions are answered as they were the first time, so whatever still
differs in the bundle would be a channel beside the filter.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.charging import claim_of
from api.home import Home
from api.recipe import Order, Recipe, place
from api.steps import Steps
from api.streams import Streams
from audits.assignment import Parts, assign
from audits.evidence import Evidence
from audits.registry import STANDARD
from audits.release.bundle import Contents, seal
from audits.release.certificate import code_digest, load_certificate
from audits.release.gate import decide
from audits.release.scorecard import build
from audits.suite import run_suite
from bench.transcript import Passage, RecordingFilter, Transcript, differences
from privacy.cost import PrivacyCost
from privacy.errors import RequestError
from privacy.filter import PrivacyFilter
from privacy.mechanisms import ExponentialMechanism, GaussianMechanism, Integers, Mechanism
from privacy.noise import NoiseSource, seeded_noise
from privacy.statement import PrivacyStatement
from privacy.table import Table, read_table
from synthesizers.marginal.error_bounds import CONFIDENCE
from synthesizers.registry import sources_of
from tests.end_to_end.scene import OPEN
from tests.tables import MIXED_DOCUMENT, people, population

STRANGE = {
    "region": "a level on no list", "ethnicity": "", "age": "1e300", "income": "-inf", "capital gains": "lots",
    "waist_ratio": "NaN", "joined": "31/31/1999", "education": "\x00\ufffd", "sex": "female", "approved": "maybe",
    "town": "nobody else lives here", "spent": "99999999999999999999",
}  # fmt: skip
MEASURED: list[dict[str, Any]] = [
    {"name": "town", "type": "string", "source": "measured", "max_levels": 5},
    {"name": "spent", "type": "number", "source": "measured"},
]


def document(unit: Any) -> dict[str, Any]:
    """The mixed schema with a list and bounds to be bought; rows or persons."""
    found = deepcopy(MIXED_DOCUMENT)
    persons = [] if unit == "row" else [{"name": "person", "type": "string", "role": "identifier"}]
    found["fields"] = [*persons, *found["fields"], *MEASURED]
    found["privacy"] |= {"unit": unit, "n_public": "measured"}
    return found


def rows_of(table: Table, unit: Any) -> list[dict[str, str]]:
    """Rows as cells of a file, the unit's name and the bought columns added."""
    rows = list(csv.DictReader(StringIO(table.csv().decode())))
    rng = np.random.default_rng(8)
    for row, number in zip(rows, table.units, strict=True):
        row |= {"town": str(rng.choice(["a", "b", "c"])), "spent": f"{rng.normal(100, 20):.2f}"}
        if unit != "row":
            row["person"] = f"p{number}"
    return rows


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


class Replaying(PrivacyFilter):
    """Answers as an earlier run was answered; a level only this run's rows have is answered as one that is not there.

    Which lists are counted at all is what the delta of a discovered list pays for: a level of one unit gets past the
    threshold with that probability. Here it does not.
    """

    def __init__(self, charged: PrivacyCost, noise: NoiseSource, script: Transcript) -> None:
        super().__init__(charged, noise)
        self.script, self.transcript = Transcript(), Transcript()
        self._passages = iter(script.passages)

    def measure(self, mechanism: Mechanism[Any], value: Integers) -> Any:
        self.spend(mechanism.cost)
        before = next(self._passages)
        if len(value) == len(before.value) + 1 and before.value.ndim == 1:
            before = Passage(before.mechanism, np.r_[before.value, 0], np.r_[before.answer, 0])
        assert before.mechanism == mechanism
        assert before.value.shape == value.shape
        self.script.passages.append(before)
        self.transcript.passages.append(Passage(mechanism, value.copy(), before.answer))
        return before.answer


@dataclass(frozen=True)
class Run:
    """What one of the two runs left behind."""

    said: list[str]
    parts: Parts
    privacy: RecordingFilter | Replaying
    out: Path


def ordered(folder: Path, table: Path) -> Order:
    return place(
        Recipe(
            table=table,
            schema=folder / "schema.json",
            synthesizer="mst",
            epsilon=1.0,
            delta=1e-6,
            policy=str(folder / "policy.json"),
            out=folder / f"bundle-of-{table.stem}",
            rows=None,
            seed=4,
            request="one",
        )
    )


def run(folder: Path, order: Order, seed: int, script: Transcript | None) -> Run:
    """The pipeline's pieces in its order, with seeded noise, and answers as recorded where there are any."""
    said: list[str] = []
    steps, streams, home = Steps(said.append), Streams(4), Home(folder / "ledger.db")
    parts = assigned(order, seed, steps)
    cost, noise = order.plan.cost, seeded_noise(1)
    privacy = RecordingFilter(cost, noise) if script is None else Replaying(cost, noise, script)
    model = order.plan.fit(parts.train, privacy, streams["fit"], steps)
    synthetic = model.sample(order.rows(model.n_rows_estimate, 1.0), streams["sample"])
    evidence = Evidence(
        schema=model.schema,
        train=parts.train.conform(model.schema),
        pooled=parts.pooled,
        control=parts.control.conform(model.schema),
        reference=parts.reference.conform(model.schema),
        synthetic=synthetic,
        claimed_delta=order.budget.delta,
        expected_error=model.expected_error,
    )
    outcomes = run_suite(STANDARD, evidence, streams, steps)
    statement = PrivacyStatement(
        synthesizer=order.synthesizer.name,
        schema=order.schema,
        claim=claim_of(order),
        lines=order.plan.lines,
        emitted=privacy.spent,
        noise_is_secret=True,
        attempts=1,
        population_epsilon=1.0,
    )
    digest = code_digest(sources_of(order.synthesizer.name))
    certificate = load_certificate(order.synthesizer.name)
    decision = decide(outcomes, order.policy, statement, (), certificate, digest)
    card = build(
        schema=model.schema,
        statement=statement,
        design=order.design,
        policy=order.policy,
        outcomes=outcomes,
        decision=decision,
        synthetic=synthetic,
        expected_error=model.expected_error,
        bounds=model.error_bounds(synthetic),
        confidence=CONFIDENCE,
        certificate=certificate,
        reproducibility={"seed": "4"},
    )
    contents = Contents(
        schema=order.schema,
        statement=statement.to_json(),
        policy=order.policy,
        decision=decision,
        scorecard=card,
        timings={},
        charge=None,
        ledger_head=None,
        code_version="0",
    )
    bundle = seal(order.recipe.out, contents, synthetic=synthetic, key=home.signing_key, quarantine=home.quarantine)
    return Run(said, parts, privacy, bundle.path)


def assigned(order: Order, seed: int, progress: Callable[[str], None] | None = None) -> Parts:
    """Coins are a unit's own: from two sources, so that one unit more shifts nobody else's."""
    table = read_table(order.recipe.table, order.schema, progress=progress).bounded(seeded_noise(seed))
    return assign(table, order.design, seeded_noise(1_000 + seed))


def seed_in_which_the_last_unit_trains(order: Order) -> int:
    """Coins under which the unit in question trains, and so is measured at all."""
    last = read_table(order.recipe.table, order.schema).units.max()
    return next(seed for seed in range(50) if last in assigned(order, seed).train.units)


def rows(n: int, seed: int) -> Table:
    return population(n, seed)


@pytest.mark.parametrize(
    ("unit", "sampler", "copies"),
    [("row", rows, 1), ({"field": "person", "max_rows": 5}, people, 40)],
    ids=["rows", "persons"],
)
def test_one_unit_more_changes_nothing_but_what_noise_covers(
    tmp_path: Path, unit: Any, sampler: Callable[[int, int], Table], copies: int
) -> None:
    given = rows_of(sampler(400, 6), unit)
    strange = {**given[0], **STRANGE} | ({} if unit == "row" else {"person": "somebody else"})
    (tmp_path / "schema.json").write_text(json.dumps(document(unit)))
    (tmp_path / "policy.json").write_text(json.dumps(OPEN))
    more = ordered(tmp_path, write(tmp_path / "more.csv", given + [strange] * copies))
    fewer = ordered(tmp_path, write(tmp_path / "fewer.csv", given))
    seed = seed_in_which_the_last_unit_trains(more)
    two = run(tmp_path, fewer, seed, None)
    one = run(tmp_path, more, seed, two.privacy.transcript)

    # One unit more trains, with as many rows as it may have at most, and every other unit is where it was.
    assert len(one.parts.train) - len(two.parts.train) == more.schema.unit.max_rows
    assert len(one.parts.control) == len(two.parts.control)
    assert more.plan.cost == fewer.plan.cost
    assert one.said == two.said
    assert isinstance(one.privacy, Replaying)
    check_sensitivities(one.privacy.transcript, one.privacy.script)
    check_equal_bundles(one.out, two.out)


def check_sensitivities(one: Transcript, two: Transcript) -> None:
    """As many questions, of equal shape, each moved by at most what its mechanism declares, and some are moved."""
    changes = differences(one, two)
    assert any(change.any() for _, change in changes)
    for mechanism, change in changes:
        if isinstance(mechanism, GaussianMechanism):
            assert np.sqrt((change.astype(float) ** 2).sum()) <= mechanism.l2_sensitivity * (1 + 1e-12)
        else:
            assert isinstance(mechanism, ExponentialMechanism)
            assert np.abs(change).max() <= mechanism.sensitivity


def check_equal_bundles(one: Path, two: Path) -> None:
    """Equal files with equal bytes; the provenance alone differs, by the digest of the internal half it names."""
    names = {path.relative_to(one).as_posix() for path in one.rglob("*") if path.is_file()}
    assert names == {path.relative_to(two).as_posix() for path in two.rglob("*") if path.is_file()}
    assert {"data/synthetic.csv", "data/synthetic.parquet", "scorecard.json", "report.html"} <= names
    differing = {name for name in names if (one / name).read_bytes() != (two / name).read_bytes()}
    assert differing <= {"provenance.dsse.json"}


def test_a_request_is_judged_before_a_row_is_read(tmp_path: Path) -> None:
    """Two neighbouring files are refused in the same words."""
    given = rows_of(population(30, 6), "row")
    (tmp_path / "schema.json").write_text(json.dumps(document("row")))
    (tmp_path / "policy.json").write_text(json.dumps(OPEN | {"max_epsilon": 0.5}))
    said = []
    for name, written in (("more", [*given, {**given[0], **STRANGE}]), ("fewer", given)):
        with pytest.raises(RequestError) as error:
            ordered(tmp_path, write(tmp_path / f"{name}.csv", written))
        said.append(str(error.value))
    assert said[0] == said[1]

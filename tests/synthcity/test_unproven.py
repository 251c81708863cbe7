"""A plugin of synthcity as a generator, and its metrics as an audit: the real library in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("synthcity")

from api.integrations.synthcity import SynthcityMetrics, plugin
from audits.assignment import assign, design_for
from audits.evidence import Evidence
from privacy.noise import seeded_noise
from tests.api.conftest import LENIENT, Desk, call, clean_rows, csv_of, document, only_object
from tests.tables import population

MINE = {**LENIENT, "name": "mine", "requires_dp": False}
UNDECIDED = {**MINE, "name": "undecided", "checks": [{**LENIENT["checks"][0], "pass_limit": -1.0}]}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = Desk(folder=tmp_path)
    made.table.write_text(csv_of(clean_rows(1_500, 1)), encoding="utf-8")
    written = document()
    region = next(field for field in written["fields"] if field["name"] == "region")
    del region["categories"], region["cite"]
    region |= {"source": "measured", "max_levels": 20}
    made.describe(written)
    for policy in (MINE, UNDECIDED):
        (tmp_path / f"{policy['name']}.yaml").write_text(yaml.safe_dump(policy))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield made
    assert not list(scratch.iterdir()), "the other process's folder held private rows"


def test_a_table_is_released_to_who_needs_no_proof(desk: Desk) -> None:
    done = desk.release(
        "--json", "--rows", "800", synthesizer="synthcity:marginal_distributions", policy=desk.folder / "mine.yaml"
    )
    facts = only_object(done)
    assert (done.exit_code, facts["released"]) == (0, True), done.output
    assert facts["guarantee"]["state"] == "unverified"
    assert facts["guarantee"]["generator"] == "synthcity:marginal_distributions"
    card = json.loads((desk.out / "scorecard.json").read_text())
    assert card["statement"] is None
    assert card["unverified"]["claim"] == "none: it takes no epsilon"
    assert "Guarantee unverified" in (desk.out / "report.html").read_text()
    assert len((desk.out / "data" / "synthetic.csv").read_text().splitlines()) == 801
    checked = call("verify", desk.out, "--ledger", desk.ledger, "--json")
    assert checked.exit_code == 0, checked.output
    shown = only_object(call("ledger", "show", "--ledger", desk.ledger, "--json"))["populations"][0]
    assert (shown["unproven_tables"], shown["total_epsilon"], desk.charges()) == (1, 0.0, 0)
    more = call("sample", desk.out, "--rows", "10", "--policy", "internal", "--out", desk.folder / "m",
                "--ledger", desk.ledger)  # fmt: skip
    assert more.exit_code == 2

    # A later statement of the population says so.
    later = desk.release(policy=desk.folder / "mine.yaml", out=desk.folder / "later")
    assert later.exit_code in (0, 3, 4)
    statement = json.loads((desk.folder / "later" / "statement.json").read_text())
    assert any("generators without a proof" in words for words in statement["not_covered"])


def test_a_copier_is_withheld_and_a_doubt_is_somebodys_decision(desk: Desk) -> None:
    copier = desk.release("--json", "--rows", "800", synthesizer="synthcity:dummy_sampler", policy="internal")
    assert copier.exit_code == 3, copier.output
    assert not (desk.out / "data").exists()

    out = desk.folder / "doubtful"
    doubtful = desk.release(
        "--rows", "500", synthesizer="synthcity:uniform_sampler", policy=desk.folder / "undecided.yaml", out=out,
        table=_copy(desk),
    )  # fmt: skip
    assert doubtful.exit_code == 4, doubtful.output
    let = call("review", out, "--approve", "--reviewer", "A", "--role", "steward", "--reason", "mine", "--ledger",
               desk.ledger)  # fmt: skip
    assert let.exit_code == 0, let.output
    assert (out / "data" / "synthetic.csv").exists()


def _copy(desk: Desk) -> Path:
    """Another file: a version of the table that no gate has seen."""
    other = desk.folder / "other.csv"
    other.write_text(csv_of(clean_rows(1_500, 2)), encoding="utf-8")
    return other


def test_an_unknown_plugin_is_refused_before_anything_is_read(desk: Desk) -> None:
    done = desk.release("--rows", "10", synthesizer="synthcity:abacus", policy="internal")
    assert done.exit_code == 2
    assert "no plugin 'abacus'" in done.stderr
    assert "bayesian_network" in done.stderr
    assert not desk.ledger.exists() or desk.home.ledger.populations() == ()


def test_its_metrics_stand_beside_ours() -> None:
    table = population(1_500, 1)
    parts = assign(table, design_for(None), seeded_noise(1))
    evidence = Evidence(schema=table.schema, train=parts.train, pooled=parts.pooled, control=parts.control,
                        reference=parts.reference, synthetic=population(1_000, 2))  # fmt: skip
    found = {f.quantity: f for f in SynthcityMetrics(max_rows=200).run(evidence, np.random.default_rng(1))}
    assert "stats.jensenshannon_dist.marginal" in found
    assert len(found) > 5
    distance = found["stats.jensenshannon_dist.marginal"]
    # Both are fresh draws of the population.
    assert distance.estimate == pytest.approx(distance.baseline, abs=0.02)
    assert {str(f.audience) for f in found.values()} == {"internal"}


def test_the_other_process_ends_with_this_one(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from api.integrations.synthcity import plugin\n"
        "with plugin('uniform_sampler', rows=10, epsilon=1.0, delta=1e-6, target=None) as made:\n"
        "    print(made.process.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    for _ in range(600):
        gone = not Path(f"/proc/{child}").exists() or "zombie" in Path(f"/proc/{child}/status").read_text()
        if gone and not list(tmp_path.glob("tablegate-*")):
            return
        time.sleep(0.1)
    pytest.fail("the other process outlived this one, or left its folder")


def test_what_it_takes_is_told() -> None:
    with plugin("privbayes", rows=10, epsilon=1.0, delta=1e-6, target=None) as made:
        said: Any = made.claim(1.0, 1e-6)
    assert said == "it was handed epsilon 1"

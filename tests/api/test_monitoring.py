"""`tablegate monitor` from release to report: what is charged, when, and what is written."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from api.cli import app
from api.home import Home
from api.monitoring import MonitorRequest, monitor, rows_of
from api.panel import panel_of
from api.pipeline import release
from api.recipe import Recipe
from api.steps import Steps
from audits.drift.histograms import _Tally
from privacy.errors import BudgetExceededError, ReleaseError, RequestError
from privacy.noise import system_noise
from privacy.schema import Budget
from privacy.schema_file import load_schema
from privacy.table import Table
from synthesizers.artefact import load
from tests.brief import brief
from tests.end_to_end.scene import CANARY, LEDGER, OPEN, OUT, POPULATION, SCHEMA, TABLE, kinds, plaintext, scene

QUIET = Steps(lambda _: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a released bundle of pairs, its ledger and its table."""
    folder = tmp_path_factory.mktemp("monitored")
    recipe, home = scene(folder, OPEN, rows=4_000, cap=(30.0, 1e-4))
    assert _released(replace(recipe, synthesizer="mst", epsilon=4.0), home)
    return folder


@pytest.fixture
def changed(made: Path) -> Path:
    """A new version: the label has turned for many, and a region that is in no list has grown."""
    rows = list(csv.reader((made / TABLE).read_text().splitlines()))
    rng = np.random.default_rng(3)
    for row in rows[1:]:
        row[4] = "true" if rng.random() < 0.3 else row[4]
        row[0] = f"{CANARY} new" if rng.random() < 0.1 else row[0]
    path = made / "changed.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def _released(recipe: Recipe, home: Home) -> bool:
    """Make a release that is asked what its policy reads: audits are not what is tested here."""
    with brief():
        return release(recipe, home, QUIET).bundle.released


@contextmanager
def _small_cap(made: Path) -> Iterator[None]:
    """A cap below what is spent, for a while."""
    ledger = Home(made / LEDGER).ledger
    cap = ledger.cap(POPULATION)
    assert cap is not None
    ledger.set_cap(POPULATION, Budget(epsilon=0.1, delta=cap.delta), "closed")
    yield
    ledger.set_cap(POPULATION, cap, "open again")


def _ask(made: Path, table: Path, out: str, **more: object) -> MonitorRequest:
    asked = MonitorRequest(table=table, bundle=made / OUT, epsilon=2.0, delta=1e-6, out=made / out, seed=5)
    return replace(asked, **more)  # type: ignore[arg-type]


def _run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_same_table_is_no_drift_and_a_changed_one_is(made: Path, changed: Path) -> None:
    home = Home(made / LEDGER)
    before = kinds(home)
    calm = monitor(_ask(made, made / TABLE, "calm"), home, QUIET)
    assert not calm.proposes
    moved = monitor(_ask(made, changed, "moved"), home, QUIET)
    assert moved.proposes
    assert "approved" in moved.facts["drift"]
    assert "values of region that are not in its list" in moved.facts["drift"]
    assert moved.renewal.fits
    after = kinds(home)
    assert after["charge"] - before["charge"] == after["opened"] - before["opened"] == 2
    assert after["candidate"] == before["candidate"]  # nothing is put before a gate, and no release was started
    assert plaintext(made / "moved", CANARY) == []


def test_weights_are_a_line_a_row_and_bring_the_label_nearer(made: Path, changed: Path) -> None:
    found = monitor(_ask(made, changed, "weighed"), Home(made / LEDGER), QUIET)
    weights = pq.read_table(made / "weighed" / "weights.parquet")["weight"].to_numpy()
    table = pq.read_table(made / OUT / "data" / "synthetic.parquet")
    assert len(weights) == len(table) == len((made / "weighed" / "weights.csv").read_text().splitlines()) - 1
    label = table["approved"].to_numpy(zero_copy_only=False) == "true"
    truth = np.mean([row["approved"] == "true" for row in csv.DictReader(changed.read_text().splitlines())])
    assert abs(weights[label].sum() / weights.sum() - truth) < abs(label.mean() - truth) / 4
    facts = json.loads((made / "weighed" / "monitor.json").read_text())
    assert facts["weights"]["rows"] == len(weights)
    assert facts["drift"] == list(found.facts["drift"])
    told = json.loads((made / "weighed" / "evidently.json").read_text())["metric_results"].values()
    assert sorted(one["value"] for one in told) == sorted(h["distance"] for h in facts["histograms"])


def test_exit_codes(made: Path, changed: Path) -> None:
    common = ("--release", made / OUT, "--delta", "1e-6", "--ledger", made / LEDGER, "--seed", 5, "--json")
    ok = _run("monitor", made / TABLE, *common, "--epsilon", 1, "--out", made / "c0")
    assert (ok.exit_code, json.loads(ok.stdout)["proposes_release"]) == (0, False)
    told = _run("monitor", changed, *common, "--epsilon", 1, "--out", made / "c4")
    assert (told.exit_code, json.loads(told.stdout)["proposes_release"]) == (4, True)
    with _small_cap(made):
        assert _run("monitor", changed, *common, "--epsilon", 1, "--out", made / "c5").exit_code == 5
    assert _run("monitor", made / "none.csv", *common, "--epsilon", 1, "--out", made / "c2").exit_code == 2
    assert not (made / "c5").exists()
    assert not (made / "c2").exists()


def _other_table(made: Path, asked: MonitorRequest) -> MonitorRequest:
    path = made / "other.csv"
    path.write_text("region,age\nn,3\n")
    return replace(asked, table=path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made, asked: replace(asked, tolerance=-0.1),  # noqa: ARG005
        lambda made, asked: replace(asked, false_alarms=0.0),  # noqa: ARG005
        lambda made, asked: replace(asked, epsilon=-1.0),  # noqa: ARG005
        lambda made, asked: replace(asked, out=made / OUT),
        lambda made, asked: replace(asked, bundle=made / "nothing"),
        _other_table,
    ],
)
def test_what_is_refused_is_not_charged(made: Path, spoil: Callable[[Path, MonitorRequest], MonitorRequest]) -> None:
    home = Home(made / LEDGER)
    before = kinds(home)
    with pytest.raises(ReleaseError) as told:
        monitor(spoil(made, _ask(made, made / TABLE, "refused")), home, QUIET)
    assert told.value.fix
    assert kinds(home) == before


def test_beyond_the_cap_no_row_is_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.monitoring.rows_of", lambda *_: pytest.fail("a row was read"))
    with _small_cap(made), pytest.raises(BudgetExceededError):
        monitor(_ask(made, made / TABLE, "dear"), Home(made / LEDGER), QUIET)


def test_only_a_release_that_was_let_out(made: Path, tmp_path: Path) -> None:
    recipe, home = scene(tmp_path, {**OPEN, "checks": [{**OPEN["checks"][0], "pass_limit": -5.0}]})
    assert not _released(recipe, home)
    with pytest.raises(Exception, match="was not let out"):
        monitor(replace(_ask(made, recipe.table, "x"), bundle=recipe.out, out=tmp_path / "x"), home, QUIET)


def test_a_long_table_is_counted_as_a_held_one(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last row, and so is the number of cells: every row is in one cell of every histogram."""
    schema = load_schema(made / SCHEMA)
    model = load((made / f"{OUT}.internal" / "model.tablegate").read_bytes())
    panel = panel_of(model, schema, np.random.default_rng(0))
    whole = rows_of(made / TABLE, schema, system_noise())
    assert isinstance(whole, Table)
    monkeypatch.setattr("api.monitoring.held", lambda *_: None)
    stream = rows_of(made / TABLE, schema, system_noise())
    assert not isinstance(stream, Table)
    count = _Tally(panel.asked)
    held, streamed = (rows.total(count)["cells"] for rows in (whole, stream))
    assert (held == streamed).all()
    sizes = np.split(held, np.cumsum(panel.asked.sizes)[:-1])
    assert {int(one.sum()) for one in sizes} == {len(whole)}


def test_an_empty_request_is_a_request_error(made: Path) -> None:
    with pytest.raises(RequestError):
        monitor(_ask(made, made / TABLE, "seeded", seed=-1), Home(made / LEDGER), QUIET)

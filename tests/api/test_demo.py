"""The demo: a real, sensitive table, released from start to end."""

from __future__ import annotations

import csv
from pathlib import Path

from api.demo import write_demo_table
from privacy.files import check_file
from privacy.schema_file import load_schema
from privacy.table import Tally, read_table
from tests.api.conftest import call, only_object


def test_the_survey_fits_its_schema(tmp_path: Path) -> None:
    table, written = write_demo_table(tmp_path)
    schema = load_schema(written)
    schema.require_releasable()
    assert schema.observed == ()
    assert schema.declared_after_reading == ()
    check_file(table, schema)
    tally = Tally()
    assert len(read_table(table, schema, tally=tally)) == 6366 == schema.n_public.value
    assert tally.counts == {}


def test_demo_ends_with_a_bundle_that_verifies(tmp_path: Path) -> None:
    """Verdict, the three numbers that matter, where to look; at most one run in twenty may end unreleased.

    So this test, which takes any verdict of one run but asks for all its files, has no false alarm from the noise.
    """
    out = tmp_path / "work"
    told = call("demo", "--out", out)
    verdict = {0: "RELEASED", 3: "WITHHELD", 4: "AWAITING REVIEW"}[told.exit_code]
    assert verdict in told.stdout
    assert "epsilon 3 at delta 1e-06" in told.stdout
    for number in ("copies like these", "best membership attack", "AUC lost by training"):
        assert number in told.stdout
    assert f"tablegate verify {out / 'bundle'}" in told.stdout
    assert told.stderr.splitlines()[0] == "checking the request ..."
    checks = only_object(call("verify", out / "bundle", "--ledger", out / "ledger.db", "--json"))
    assert checks["ok"] is True
    assert [c["status"] for c in checks["checks"]] == ["ok"] * 6
    assert (out / "bundle" / "data" / "synthetic.csv").exists() == (told.exit_code == 0)
    if told.exit_code == 0:
        with (out / "bundle" / "data" / "synthetic.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.reader(lines))
        assert rows[0] == list(load_schema(out / "fair.yaml").names)
        assert len(rows) == 6366 + 1


def test_demo_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    told = call("demo", "--out", tmp_path)
    assert told.exit_code == 2
    assert "exists already" in told.stderr
    assert not (tmp_path / "ledger.db").exists()

"""What is promised of existing systems' drivers, without their environments: the registry, and what each is told."""

from __future__ import annotations

import ast
import json
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.beside import QUESTIONS
from bench.frontier import failure
from bench.peers.drivers.task import BINS, Task, coded, complete, read, restored
from bench.peers.environment import DatesError, describe, installed
from bench.peers.registry import AUDITORS, DRIVERS, PEERS, Peer, System
from bench.run import SCHEMAS, run
from privacy.schema_file import load_schema

AUDITING = DRIVERS.with_name("auditors")
peers = pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)


def methods(driver: Path) -> set[str]:
    """The names a driver hands to `main`."""
    calls = [n for n in ast.walk(ast.parse(driver.read_text())) if isinstance(n, ast.Call)]
    (told,) = (c.args[0] for c in calls if isinstance(c.func, ast.Name) and c.func.id == "main")
    assert isinstance(told, ast.Dict)
    return {key.value for key in told.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


@peers
def test_peers_are_pinned_and_their_drivers_know_them(peer: Peer) -> None:
    requirements = peer.requirements.read_text().splitlines()
    assert peer.distribution in requirements
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", requirement) for requirement in requirements)
    assert peer.uncovered
    assert peer.method in methods(DRIVERS / f"{peer.system}.py")


@pytest.mark.parametrize("auditor", AUDITORS, ids=lambda auditor: auditor.system)
def test_auditors_are_pinned_and_asked_what_ours_answer(auditor: System) -> None:
    requirements = auditor.requirements.read_text().splitlines()
    assert auditor.distribution in requirements
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", requirement) for requirement in requirements)
    assert methods(AUDITING / f"{auditor.system}.py") <= set(QUESTIONS)


@pytest.mark.parametrize("driver", sorted((*DRIVERS.glob("*.py"), *AUDITING.glob("*.py"))), ids=lambda path: path.stem)
def test_drivers_import_nothing_of_ours_but_the_task(driver: Path) -> None:
    """Their environments have none of our dependencies."""
    modules = []
    for node in ast.walk(ast.parse(driver.read_text())):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules.append(node.module or "")
    own = {"privacy", "synthesizers", "audits", "api", "bench", "tests"}
    assert {m for m in modules if m.split(".")[0] in own} <= {
        "bench.peers.drivers.task",
        "bench.peers.auditors.answers",
    }


def test_an_environment_that_fits_is_used_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = PEERS["mbi mst"]
    stamp = tmp_path / "mbi" / "requirements.txt"
    stamp.parent.mkdir()
    stamp.write_text(peer.requirements.read_text())
    assert installed(peer, tmp_path) == tmp_path / "mbi" / "bin" / "python"
    stamp.write_text("mbi==1.0.0\n")

    def stopped(*_: object, **__: object) -> None:
        raise InterruptedError

    monkeypatch.setattr("venv.create", stopped)
    with pytest.raises(InterruptedError):
        installed(peer, tmp_path)


def test_a_peer_is_told_which_columns_are_numbers_and_no_level(tmp_path: Path) -> None:
    describe(load_schema(SCHEMAS / "adult.yaml"), tmp_path / "columns.json")
    about = json.loads((tmp_path / "columns.json").read_text())
    assert "age" in about["numbers"]
    assert "sex" in about["columns"]
    assert "sex" not in about["numbers"]
    assert "Female" not in (tmp_path / "columns.json").read_text()
    with pytest.raises(DatesError, match="dates"):
        describe(load_schema(SCHEMAS / "mpls_stops.yaml"), tmp_path / "columns.json")


def test_rows_are_read_as_described(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,income,kind\n1, 5.0,a \n2,N,N\n3,x,\n")
    about = {"columns": ["income", "kind"], "numbers": ["income"], "missing": ["N"]}
    (tmp_path / "columns.json").write_text(json.dumps(about))
    rows, numbers = read(str(tmp_path / "train.csv"), str(tmp_path / "columns.json"))
    assert numbers == ("income",)
    np.testing.assert_array_equal(rows["income"], [5.0, np.nan, np.nan])
    assert list(rows["kind"]) == ["a", "N", ""]


def test_codes_lead_back_to_levels_and_to_the_middle_of_bins() -> None:
    many = np.arange(100.0)
    rows = pd.DataFrame({"many": many, "few": many % 3, "text": np.where(many < 50, "x", "y")})
    rows.loc[[3, 7], ["many", "few"]] = np.nan
    coding = coded(rows, ["many", "few"])
    back = coding.decode(coding.codes)
    assert back["text"].equals(rows["text"])
    np.testing.assert_array_equal(back["few"], rows["few"])
    np.testing.assert_array_equal(back["many"].isna(), rows["many"].isna())
    assert np.nanmax(np.abs(back["many"] - rows["many"])) <= 99 / BINS / 2 + 1e-9
    assert len(coding.levels["many"]) == BINS + 1
    for name, levels in coding.levels.items():
        assert set(coding.codes[name]) == set(range(len(levels)))


def test_a_number_that_may_be_missing_is_coded_where_a_system_takes_none() -> None:
    rows = pd.DataFrame({"whole": np.arange(30.0), "holes": np.arange(30.0), "text": ["x"] * 30})
    rows.loc[4, "holes"] = np.nan
    task = Task(rows=rows, numbers=("whole", "holes"), epsilon=1.0, delta=1e-6, n_rows=30)
    assert task.categories == ("text",)
    filled, numbers, coding = complete(task)
    assert numbers == ("whole",)
    assert not filled.isna().any(axis=None)
    back = restored(filled, coding)
    assert list(back.columns) == list(rows.columns)
    np.testing.assert_array_equal(back["holes"].isna(), rows["holes"].isna())
    pd.testing.assert_series_equal(back["whole"], rows["whole"])


def test_a_system_that_takes_too_long_is_stopped() -> None:
    """By CPU time: somebody else's work does not stop it."""
    with pytest.raises(subprocess.CalledProcessError) as stopped:
        run(["-c", "while True: pass"], cpu_limit=1)
    assert stopped.value.returncode == -signal.SIGXCPU
    assert failure(stopped.value.returncode, 1) == "no result in 1 CPU s"
    assert failure(1, 1) == "ended with an error"
    assert run(["-c", "print(1)"], cpu_limit=60).output == "1\n"

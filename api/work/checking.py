"""A check, made in a child process of a worker: `api.monitoring` under a run of `api.desk.checks`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from api.desk.checks import KEEPING, CheckRun, died_keeping, looked_up, open_charge, settle, step, was_keeping
from api.desk.desk import Desk
from api.desk.monitors import FACTS, place
from api.monitoring import MonitorRequest, compare, prepared
from api.steps import Steps
from api.streams import fresh_seed
from api.vault.tables import table_at
from api.work.installation import ServiceInstallation
from api.work.shelf import clear, get_bundle
from audits.drift.verdicts import State
from privacy.noise import system_noise

RESULT = "drift"


def check(desk: Desk, run: CheckRun) -> None:
    """Carry a check out, or keep what an earlier run of it wrote.

    Raises:
        OutdatedRunError: another run took over, or an earlier one died while its result was kept.
        ReleaseError: the check is refused.
    """
    folder = folder_of(desk, run.check)
    result = folder / RESULT
    if was_keeping(desk, run):
        if not result.is_dir():
            raise died_keeping()
    else:
        clear(folder)
        _make(desk, run, folder)
    desk.vault.files.take_in(result, place(looked_up(desk, run)[0]))
    facts: dict[str, Any] = json.loads((result / FACTS).read_bytes())
    settle(desk, run, State(facts["state"]), facts["renewal"])
    clear(folder)


def folder_of(desk: Desk, check: str) -> Path:
    """Where a check is written before it is kept: the same for every run of it on this machine."""
    return desk.settings.work / f"check-{check}"


def _make(desk: Desk, run: CheckRun, folder: Path) -> None:
    found, release, _ = looked_up(desk, run)
    steps = Steps(lambda text: step(desk, run, text))
    steps("checking the request")
    home = ServiceInstallation(desk, folder)
    asked = MonitorRequest(
        table=table_at(desk.vault, found.table_name),
        bundle=get_bundle(desk, release.id, release.bundle, folder),
        out=folder / RESULT,
        seed=fresh_seed(),
        request=found.id,
        **found.asked,
    )
    comparison = prepared(asked, home)
    charge, privacy = open_charge(desk, run, system_noise())
    compare(comparison, home, charge, privacy, steps)
    steps(KEEPING)

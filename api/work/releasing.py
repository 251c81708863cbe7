"""A release, made in a child process of a worker: the steps of `api.pipeline`, under a run of `api.desk.runs`."""

from __future__ import annotations

import re
from pathlib import Path
from time import time_ns

from api.attempts import check_room
from api.desk.desk import Desk
from api.desk.ordering import order_for, policy_of
from api.desk.runs import Run, died_sealing, looked_up, open_charge, settle, step, was_sealing
from api.pipeline import make
from api.steps import Steps
from api.tracing import Span
from api.vault.tables import table_at
from api.work.installation import ServiceInstallation
from api.work.shelf import EARLIER, clear, earlier_bundles, put_bundle
from audits.release.gate import Verdict
from audits.release.staging import BUNDLE, internal_half
from audits.release.verify import signed_predicate
from privacy.noise import system_noise


def release(desk: Desk, run: Run) -> None:
    """Carry a release out, or finish what an earlier run of it sealed.

    Raises:
        OutdatedRunError: another run took over, or an earlier one died while sealing.
        ReleaseError: the release is refused.
    """
    folder = folder_of(desk, run.release)
    if was_sealing(desk, run):
        if not (folder / BUNDLE).is_dir() or not internal_half(folder / BUNDLE).is_dir():
            raise died_sealing()
    else:
        clear(folder)
        _make(desk, run, folder)
    home = ServiceInstallation(desk, folder)
    verdict = Verdict(signed_predicate(folder / BUNDLE, home.signing_key.fingerprint)["verdict"])
    settle(desk, run, verdict, put_bundle(desk, run.release, folder))
    clear(folder)


def folder_of(desk: Desk, release: str) -> Path:
    """Where a release is written before it is stored: the same for every run of it on this machine."""
    return desk.settings.work / f"release-{release}"


def _make(desk: Desk, run: Run, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)
    found, dataset = looked_up(desk, run)
    table = table_at(desk.vault, found.table_name)
    out_before = earlier_bundles(desk, dataset, run.release, folder / EARLIER)
    order = order_for(dataset, found.asked, policy_of(found.policy), run.release, table, folder / BUNDLE, out_before)
    home = ServiceInstallation(desk, folder)
    _ = home.signing_key  # made before the charge is opened: a folder nobody may write to must not cost budget
    check_room(home, order.schema, table, order.policy)
    charge, privacy = open_charge(desk, run, system_noise())
    traced = TracedSteps(desk, run)
    make(order, home, charge, privacy, Steps(traced))
    traced.end()


class TracedSteps:
    """Writes every step of a run down as it begins, and traces it once it is over."""

    def __init__(self, desk: Desk, run: Run) -> None:
        self._desk, self._run = desk, run
        self._current, self._began = "", 0

    def __call__(self, text: str) -> None:
        """A step begins. Raises OutdatedRunError."""
        self.end()
        step(self._desk, self._run, text)
        self._current, self._began = text, time_ns()

    def end(self) -> None:
        """The step that was begun is over."""
        if self._current:
            word = re.sub(r"[^A-Za-z0-9]+", "-", self._current)
            self._desk.traces.span(Span.STEP, self._run.release, self._began, run=self._run.number, step=word)
        self._current = ""

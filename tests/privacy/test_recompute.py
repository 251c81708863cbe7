"""Epsilon recomputed in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from privacy.accounting import Accountant, Claim, epsilon_of
from privacy.cost import Exponential, Gaussian, PrivacyCost
from privacy.recompute import ROOT, recompute_in_fresh_process, report

COST = PrivacyCost(((Gaussian(20.0), 12), (Exponential(0.05), 11)))
CLAIM = Claim(epsilon=epsilon_of(COST, 1e-6), delta=1e-6, accountant=Accountant.RDP)


def written(epsilon: float = CLAIM.epsilon) -> dict[str, object]:
    return {"epsilon": epsilon, "delta": CLAIM.delta, "accountant": "RDP", "emitted": COST.to_json()}


def test_a_claim_that_stands_has_no_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert recompute_in_fresh_process(written()) == ()


def test_a_claim_too_small_is_found():
    assert recompute_in_fresh_process(written(CLAIM.epsilon * 0.9)) != ()


def test_every_way_to_fall_silent_is_a_fault():
    assert recompute_in_fresh_process({}) != ()
    assert recompute_in_fresh_process({**written(), "emitted": [{"event": "unknown", "count": 1}]}) != ()
    assert recompute_in_fresh_process(written(), timeout_seconds=0.01) != ()


def test_the_program_prints_figures_as_json():
    ended = subprocess.run(
        [sys.executable, "-m", "privacy.recompute"],
        input=json.dumps(written()),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ended.returncode == 0
    assert json.loads(ended.stdout) == report(written())
    assert report(written())["recomputation"]["epsilon"] == pytest.approx(CLAIM.epsilon)


@pytest.mark.parametrize(("broken", "error"), [({}, KeyError), ({**written(), "accountant": "?"}, ValueError)])
def test_what_is_no_statement_is_refused(broken, error):
    with pytest.raises(error):
        report(broken)

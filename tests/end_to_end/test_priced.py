"""A release whose gate is priced, from file to bundle: paid for, public with its reasons, and blind to rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.pipeline import Release, release
from api.steps import Steps
from audits.bought.contrast import AUDIT
from audits.release.policy import PRICED, load_policy
from audits.release.verify import verify
from privacy.accounting import epsilon_of
from privacy.cost import Parallel, PrivacyCost
from tests.end_to_end.scene import kinds, scene

pytestmark = pytest.mark.usefixtures("brief_releases")

RULES: dict[str, Any] = {**load_policy(PRICED).document, "max_epsilon": 16.0}


@pytest.mark.parametrize("rows", [300, 1, 0])
def test_a_priced_release_of_any_table(rows: int, tmp_path: Path) -> None:
    """No exception, no silence and no shape depends on the rows: one row, and none, end in a bundle as 300 do.

    What is asked, of whom, and what is said are the same three times; only numbers that were bought differ.
    """
    recipe, home = scene(tmp_path, RULES, rows=rows)
    made: Release = release(replace(recipe, rows=200), home, Steps(lambda _: None))
    assert {outcome.audit for outcome in made.outcomes} == {"content", AUDIT}
    assert not any(outcome.error or outcome.inconclusive for outcome in made.outcomes)
    assert verify(recipe.out, lambda seq, digest: home.ledger.contains((seq, digest))).ok
    assert kinds(home)["candidate"] == 0

    card = json.loads((recipe.out / "scorecard.json").read_text())
    contrast = [check for check in card["decision"]["checks"] if check["audit"] == AUDIT]
    assert len(contrast) == 6
    assert {finding["audit"] for finding in card["findings"]} == {AUDIT}
    assert card["attempt"] is None
    assert "covered" in card["statement"]["not_covered"][0]

    emitted = PrivacyCost.from_json(card["statement"]["emitted"])
    ((both, _),) = emitted.events
    assert isinstance(both, Parallel)
    assert 0.98 < epsilon_of(emitted, 1e-6) <= 1.0
    assert "How the verdict was formed" in (recipe.out / "report.html").read_text()

"""Releases that leave out what their test is not about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from api import judging
from api.judging import Candidate, audited
from api.steps import Steps
from api.streams import Streams
from audits.attacks.copies import Copies
from audits.evidence import Evidence
from audits.fidelity.marginals import Marginals
from audits.finding import Outcome
from privacy.recompute import report


@contextmanager
def brief() -> Iterator[None]:
    """Inside, the exact gate asks two audits, draws no map of rows, and prices events again in this process.

    What is asked is asked as ever, and what decides decides: `tests.end_to_end.scene` has policies that read nothing
    else. All audits, the map and the fresh process are those of `tests/end_to_end/test_release.py`, and each has tests
    of its own. A release of some hundred rows takes a fifth of the time, one of thousands a tenth.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "audited", _few)
        patch.setattr(judging, "joint_map", lambda *_: ())
        patch.setattr(judging, "recompute_in_fresh_process", _here)
        yield


def _few(candidate: Candidate, evidence: Evidence, streams: Streams, steps: Steps) -> tuple[Outcome, ...]:
    return audited(replace(candidate, audits=(Copies(), Marginals())), evidence, streams, steps)


def _here(statement: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(report(dict(statement))["faults"])

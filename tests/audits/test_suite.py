"""The suite: every audit leaves an outcome, on its own stream, whatever becomes of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.fairness.representation import Representation
from audits.fidelity.marginals import Marginals
from audits.finding import Finding
from audits.protocol import Audit
from audits.registry import AUDITS, DEEP, STANDARD, WITH_EARLIER
from audits.suite import run_suite
from tests.controls import evidence, fresh_draw


@dataclass(frozen=True, slots=True)
class Silent:
    """An audit that can never answer."""

    name: ClassVar[str] = "silent"
    title: ClassVar[str] = "Silent"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        raise InconclusiveError("it never answers")


@dataclass(frozen=True, slots=True)
class Broken:
    """An audit with a defect, whose exception quotes a cell."""

    name: ClassVar[str] = "broken"
    title: ClassVar[str] = "Broken"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        raise KeyError(f"income of {evidence.train.numbers('income')[0]}")


def _streams() -> dict[str, Generator]:
    names = [*AUDITS, "silent", "broken"]
    return {name: np.random.default_rng(k) for k, name in enumerate(names)}


def test_every_audit_leaves_an_outcome_in_order() -> None:
    given_ = evidence(fresh_draw, n=1_000)
    audits: list[Audit] = [Broken(), Representation(), Silent(), Marginals()]
    broken, representation, silent, marginals = run_suite(audits, given_, _streams())
    assert (broken.audit, broken.error, broken.inconclusive, broken.findings) == ("broken", "KeyError", "", ())
    assert (silent.error, silent.inconclusive, silent.findings) == ("", "it never answers", ())
    for outcome in (representation, marginals):
        assert outcome.findings
        assert outcome.error == outcome.inconclusive == ""
        assert outcome.seconds > 0
        assert {finding.audit for finding in outcome.findings} == {outcome.audit}


def test_a_message_never_reaches_the_outcome() -> None:
    given_ = evidence(fresh_draw, n=200)
    (outcome,) = run_suite([Broken()], given_, _streams())
    assert "income" not in repr(outcome)


def test_an_audit_does_not_change_anothers_draw() -> None:
    given_ = evidence(fresh_draw, n=1_000)
    alone = run_suite([Marginals()], given_, _streams())[0]
    after = run_suite([Silent(), Representation(), Marginals()], given_, _streams())[2]
    assert alone.findings == after.findings


def test_progress_is_told_every_title_before_it_starts() -> None:
    told: list[str] = []
    run_suite([Silent(), Broken()], evidence(fresh_draw, n=200), _streams(), told.append)
    assert told == ["Silent", "Broken"]


def test_a_missing_stream_is_a_defect_of_that_audit_alone() -> None:
    first, second = run_suite([Silent(), Broken()], evidence(fresh_draw, n=200), {"broken": np.random.default_rng(0)})
    assert first.error == "KeyError"
    assert second.error == "KeyError"


def test_the_registry_names_every_standard_audit_once() -> None:
    assert tuple(AUDITS.values()) == (*STANDARD, *WITH_EARLIER, *DEEP)
    assert [type(audit).__name__ for audit in STANDARD] == [
        "Content",
        "Copies",
        "MembershipInference",
        "SinglingOut",
        "Linkability",
        "AttributeInference",
        "Marginals",
        "Divergences",
        "Associations",
        "MeanDiscrepancy",
        "Support",
        "Coverage",
        "Rules",
        "Detection",
        "Utility",
        "Representation",
        "BaseRates",
        "Outcomes",
    ]
    assert [type(audit).__name__ for audit in DEEP] == [
        "AttackCombination",
        "ShadowModels",
        "TrainTest",
        "Hybrid",
        "FineTuning",
        "Importance",
    ]

"""What every audit of the registry promises: it alarms on its fault, rests on a fresh draw, and is total and pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from audits.assignment import Parts
from audits.attacks.across_releases import AcrossReleases
from audits.attacks.combination import AttackCombination
from audits.attacks.shadow import ShadowModels
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.protocol import Audit
from audits.registry import AUDITS
from audits.suite import run_suite
from audits.utility.fine_tuning import FineTuning
from audits.utility.hybrid import Hybrid
from audits.utility.importance import Importance
from audits.utility.train_test import TrainTest
from privacy.columns import LevelColumn, NumberColumn
from privacy.table import Table, make_table
from tests.audits.test_outcomes import opposite_rules
from tests.controls import (
    Sampler,
    Synthetic,
    evidence,
    fresh_draw,
    fresh_draw_of,
    majority_only,
    memoriser,
    renamed,
    renewer,
    shuffler,
)
from tests.tables import people, population

SMALL: Mapping[str, Audit] = {
    "across releases": AcrossReleases(max_targets=1_200, max_known=1_200, max_rows=2_000),
    "attack combination": AttackCombination(max_targets=1_000),
    "shadow models": ShadowModels(targets=60, runs=12),
    "train and test": TrainTest(repeats=1, max_rows=1_000),
    "hybrid": Hybrid(shares=(0.0, 1.0), added=(0.0, 3.0), repeats=1, max_rows=1_000),
    "fine-tuning": FineTuning(shares=(0.3,), updates=80, repeats=1, max_rows=2_000),
    "importance": Importance(repeats=1, max_rows=1_000),
}
"""Audits that take long with fewer repeats and rows: the same code in a second. The rest run as they ship."""

pytestmark = pytest.mark.parametrize("audit", [SMALL.get(name, audit) for name, audit in AUDITS.items()], ids=AUDITS)


@dataclass(frozen=True, slots=True)
class Fault:
    """The control an audit must alarm on, and the finding that alarms."""

    synthetic: Synthetic
    quantity: str
    subject: str
    sampler: Sampler = population
    n: int = 6_000


def with_an_address(n: int, seed: int) -> Table:
    """A population whose list of regions holds an e-mail address that nobody has."""
    table = population(n, seed)
    region = table.schema["region"]
    assert isinstance(region, LevelColumn)
    levels = (*region.declared, "jane@example.org")
    schema = table.schema.with_columns({"region": replace(region, levels=levels)})
    return Table(schema, table.columns, {}, table.units)


def addressed(parts: Parts, rng: np.random.Generator) -> Table:
    """Fresh rows, one of them with the address for a region."""
    fresh = fresh_draw_of(with_an_address)(parts, rng)
    region = fresh.codes("region").copy()
    region[0] = len(fresh.schema["region"].declared) - 1  # type: ignore[union-attr]
    return Table(fresh.schema, {**fresh.columns, "region": region}, {}, fresh.units)


def made_up_rule(parts: Parts, rng: np.random.Generator) -> Table:
    """Fresh rows that are approved in the largest region and nowhere else."""
    fresh = fresh_draw(parts, rng)
    return make_table(fresh.schema, {**fresh.columns, "approved": (fresh.codes("region") == 0).astype(np.int32)})


FAULTS: Mapping[str, Fault] = {
    "copies": Fault(memoriser, "excess of exact matches", ""),
    "membership inference": Fault(memoriser, "AUC", "nearest neighbour"),
    "across releases": Fault(renewer, "AUC", "what is new"),
    "content": Fault(addressed, "columns that read like personal data", "", with_an_address),
    "singling out": Fault(memoriser, "excess of singling out", "one column"),
    "linkability": Fault(memoriser, "excess of linking", "random halves"),
    "attribute inference": Fault(memoriser, "excess of inference", "any column"),
    "detection": Fault(shuffler, "excess AUC of detection", ""),
    "marginals": Fault(shuffler, "excess total variation, 2-way", "", n=20_000),
    "divergences": Fault(majority_only, "excess of the Jensen-Shannon divergence", ""),
    "associations": Fault(shuffler, "excess gap in Cramer's V", ""),
    "mean discrepancy": Fault(majority_only, "excess squared discrepancy", ""),
    "support": Fault(majority_only, "coverage lost", ""),
    "coverage": Fault(majority_only, "excess of pairs of values missed", ""),
    "rules": Fault(shuffler, "excess of rows that break a mined rule", ""),
    "utility": Fault(shuffler, "AUC lost by synthesis", "gradient boosting"),
    "attack combination": Fault(memoriser, "AUC", "all attacks"),
    "shadow models": Fault(memoriser, "AUC", "over refitted models"),
    "train and test": Fault(shuffler, "AUC lost by synthesis", "gradient boosting"),
    "hybrid": Fault(shuffler, "AUC by share of real rows", "0% real"),
    "fine-tuning": Fault(shuffler, "AUC, pretrained on synthetic", "no real rows"),
    "importance": Fault(made_up_rule, "surplus of importance", "region"),
    "base rates": Fault(made_up_rule, "base rate shift", "sex=male"),
    "representation": Fault(majority_only, "representation ratio", "sex=male"),
    "fairness of outcomes": Fault(majority_only, "worsening of equalized odds", "sex", opposite_rules),
}


@dataclass(frozen=True, slots=True)
class Once:
    """A run on a fresh draw of 2,500 rows, that others are compared with."""

    given: Evidence
    findings: tuple[Finding, ...]
    global_state_moved: bool


def _run(audit: Audit, given: Evidence) -> tuple[Finding, ...]:
    return audit.run(given, np.random.default_rng(11))


@cache
def _once(audit: Audit) -> Once:
    given = evidence(fresh_draw, n=2_500)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    findings = _run(audit, given)
    after = np.random.get_state()[1]  # noqa: NPY002
    return Once(given, findings, bool((before != after).any()))


def _answers(audit: Audit, given: Evidence) -> bool:
    """Whether the audit found something or said why not; a defect is neither."""
    (outcome,) = run_suite([audit], given, {audit.name: np.random.default_rng(11)})
    assert outcome.error == ""
    return bool(outcome.findings) != bool(outcome.inconclusive)


def _changed(given: Evidence, column: str, values: Mapping[str, object], sides: tuple[str, ...]) -> Evidence:
    """One column of some sides set to one value: NaN or a code."""

    def change(table: Table) -> Table:
        old = table.columns[column]
        return Table(table.schema, {**table.columns, column: np.full_like(old, values[column])}, {}, table.units)

    return replace(given, **{side: change(getattr(given, side)) for side in sides})


ALL = ("train", "control", "reference", "synthetic")


def test_tells_the_fault_from_the_fresh_draw(audit: Audit) -> None:
    """The main finding's 95% intervals do not overlap, and the fault's lies on the bad side.

    Seeds are fixed. Over seeds, false alarms and misses are below 1e-6: effects are six standard errors or more, but
    for `marginals`, whose distance from the fresh draw is five.
    """
    fault = FAULTS[audit.name]
    bad, calm = (
        next(
            f
            for f in _run(audit, evidence(synthetic, n=fault.n, sampler=fault.sampler))
            if (f.quantity, f.subject) == (fault.quantity, fault.subject)
        )
        for synthetic in (fault.synthetic, fresh_draw_of(fault.sampler))
    )
    if bad.worse == "higher":
        assert bad.interval.low > calm.interval.high
    else:
        assert bad.interval.high < calm.interval.low
    assert calm.strict.low <= calm.baseline <= calm.strict.high


def test_findings_are_complete_and_internal(audit: Audit) -> None:
    findings = _run(audit, evidence(fresh_draw, n=4_000))
    assert findings
    assert len({(f.quantity, f.subject) for f in findings}) == len(findings)
    for found in findings:
        assert found.audit == audit.name
        assert found.audience is Audience.INTERNAL
        assert found.n > 0
        numbers = (found.estimate, found.baseline, found.interval.low, found.strict.high)
        assert np.isfinite(numbers).all()
        assert found.strict.low <= found.interval.low <= found.estimate <= found.interval.high <= found.strict.high
        assert (found.interval.confidence, found.strict.confidence) == (0.95, 0.9999)


def test_the_same_seed_gives_equal_findings(audit: Audit) -> None:
    once = _once(audit)
    assert _run(audit, once.given) == once.findings


def test_the_order_of_the_synthetic_rows_does_not_matter(audit: Audit) -> None:
    once = _once(audit)
    given = once.given
    order = np.random.default_rng(5).permutation(len(given.synthetic))
    mixed = replace(given, synthetic=make_table(given.schema, given.synthetic.select(order).columns))
    assert _run(audit, mixed) == once.findings


def test_draws_from_no_global_randomness(audit: Audit) -> None:
    assert not _once(audit).global_state_moved


@pytest.mark.parametrize("sides", [ALL, ("synthetic",)], ids=str)
@pytest.mark.parametrize("column", ["income", "sex", "approved"])
def test_survives_a_column_that_is_missing_throughout(audit: Audit, column: str, sides: tuple[str, ...]) -> None:
    given = evidence(fresh_draw, n=1_500)
    declared = given.schema[column]
    missing = declared.n_codes - 1 if isinstance(declared, LevelColumn) else np.nan
    assert _answers(audit, _changed(given, column, {column: missing}, sides))


@pytest.mark.parametrize("column", ["age", "marital-status"])
def test_survives_a_constant_column(audit: Audit, column: str) -> None:
    given = evidence(fresh_draw, n=1_500)
    value = 40.0 if isinstance(given.schema[column], NumberColumn) else 1
    assert _answers(audit, _changed(given, column, {column: value}, ALL))


def test_survives_a_class_missing_from_the_synthetic_rows(audit: Audit) -> None:
    given = evidence(fresh_draw, n=1_500)
    kept = given.synthetic.select(given.synthetic.codes("approved") == 0)
    assert _answers(audit, replace(given, synthetic=kept))


def test_survives_tables_of_no_one_and_few_rows(audit: Audit) -> None:
    given = evidence(fresh_draw, n=1_500)
    for n in (0, 1, 3):
        few = replace(given, synthetic=given.synthetic.select(np.arange(n)))
        assert _answers(audit, few)
        assert _answers(audit, replace(given, control=given.control.select(np.arange(n))))


def test_survives_persons(audit: Audit) -> None:
    assert _answers(audit, evidence(fresh_draw_of(people), n=800, sampler=people))


def test_any_column_name_gives_the_same_numbers(audit: Audit) -> None:
    once = _once(audit)
    names = {"income": "in come, \"gross\" - 'net'", "sex": "sex at birth", "region": "a=b; DROP"}
    plain, odd = once.findings, _run(audit, renamed(once.given, names))
    assert [(f.quantity, f.estimate, f.interval) for f in plain] == [(f.quantity, f.estimate, f.interval) for f in odd]

"""Singling out, linkability and attribute inference: what each counts, and that it finds what it must and rests else.

Seeds are fixed, so no test fails by chance; the error rates given are those over the choice of seeds.
"""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from numpy.random import Generator

from audits.assignment import Parts
from audits.attacks.attribute_inference import AttributeInference
from audits.attacks.game import MAX_RATIO, targets_of
from audits.attacks.linkability import Linkability
from audits.attacks.singling_out import SinglingOut
from audits.distance import features
from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.finding import Finding
from audits.protocol import Audit
from audits.search import nearest, neighbours
from privacy.schema_file import parse_schema
from privacy.table import Table, make_table
from tests.controls import contaminated, evidence, fresh_draw, fresh_draw_of, memoriser
from tests.tables import low_cardinality, people, population

WP29: tuple[Audit, ...] = (SinglingOut(), Linkability(), AttributeInference())


def run(audit: Audit, given: Evidence, seed: int = 0) -> dict[tuple[str, str], Finding]:
    return {(f.subject, f.quantity): f for f in audit.run(given, np.random.default_rng(seed))}


def excesses(audit: Audit, given: Evidence) -> list[Finding]:
    return [f for (_, quantity), f in run(audit, given).items() if quantity.startswith("excess")]


@pytest.mark.parametrize("audit", WP29, ids=lambda a: a.name)
def test_a_fresh_draw_is_not_accused(audit: Audit) -> None:
    """In 5 seeds no strict bound is above 0: each fails with probability .01%, some 15 bounds a seed."""
    for seed in range(5):
        for found in excesses(audit, evidence(fresh_draw, seed=seed)):
            assert found.strict.low <= 0, found


@pytest.mark.parametrize("audit", WP29, ids=lambda a: a.name)
def test_a_coarse_table_is_safe_from_ties(audit: Audit) -> None:
    """Nearly every row has a twin: a fresh draw rests."""
    for found in excesses(audit, evidence(fresh_draw_of(low_cardinality), sampler=low_cardinality)):
        assert found.strict.low <= 0, found


@pytest.mark.parametrize(("audit", "share"), [(SinglingOut(), 0.5), (Linkability(), 0.1)], ids=str)
def test_copies_among_fresh_rows_are_found(audit: Audit, share: float) -> None:
    """Some excess is proven at 99.99% at 20,000 rows; effects are five standard errors or more.

    A predicate is about one synthetic row, and its original is among the rows it is tried on in one of six cases:
    singling out needs more copies than the others. Inference is tried on as many below.
    """
    found = excesses(audit, evidence(contaminated(share, memoriser), n=20_000))
    assert max(f.strict.low for f in found) > 0


def test_few_copies_are_inferred_where_the_attacker_is_sure() -> None:
    """10% of copies hide in the average and show among the surest tenth, as Francis & Wagner warn."""
    found = run(AttributeInference(), evidence(contaminated(0.1, memoriser), n=20_000))
    sure = found["any column", "excess of inference at 10% recall"]
    assert sure.strict.low > 0.2
    assert found["any column", "excess of inference"].estimate < 0.1


def test_what_follows_from_the_population_is_no_disclosure() -> None:
    """Everybody's secret is known from the rest: success is 1 on both sides, and the excess 0."""

    def obvious(n: int, seed: int) -> Table:
        table = population(n, seed)
        return Table(table.schema, {**table.columns, "approved": table.codes("sex")}, {}, table.units)

    found = run(AttributeInference(), evidence(fresh_draw_of(obvious), sampler=obvious))
    by_model = "approved by gradient boosting"
    assert found[by_model, "success rate of inference"].estimate == 1.0
    assert found[by_model, "control rate of inference"].estimate == 1.0
    assert found[by_model, "control rate of inference"].baseline == 1.0
    assert found[by_model, "excess of inference"].estimate == 0.0


def _numbers_schema(low: float, high: float) -> dict[str, object]:
    bounds = {"minimum": low, "maximum": high}
    fields = [
        {"name": name, "type": "number", "constraints": bounds, "source": "public", "cite": "made up"}
        for name in ("key", "secret")
    ]
    privacy = {
        "population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": "none",
        "cap": {"epsilon": 10, "delta": 1e-5},
    }  # fmt: skip
    return {"name": "numbers", "fields": fields, "privacy": privacy}


def test_a_negative_guess_is_as_wrong_as_a_positive_one() -> None:
    """Guesses of the wrong sign count as failures: an error is held against the range, never against the guess."""
    schema = parse_schema(_numbers_schema(-1000, 1000))

    def independent(n: int, seed: int) -> Table:
        key, secret = np.random.default_rng(seed).uniform(-1000, 1000, (2, n))
        return Table(schema, {"key": key, "secret": secret}, {}, np.arange(n))

    def all_negative(parts: Parts, rng: Generator) -> Table:
        n = len(parts.train)
        return make_table(schema, {"key": rng.uniform(-1000, 1000, n), "secret": rng.uniform(-1000, -900, n)})

    given = evidence(all_negative, sampler=independent)
    (found,) = (f for f in AttributeInference().run(given, np.random.default_rng(0))
                if f.quantity == "control rate of inference")  # fmt: skip
    # A guess in [-1000, -900] is within 5 (5% of 90) of a secret in [-1000, 1000] once in 200.
    assert found.estimate < 0.1


def test_predicates_isolate_one_synthetic_row_and_are_counted_once() -> None:
    given = evidence(fresh_draw)
    found = run(SinglingOut(predicates=300), given)
    assert found["one column", "success rate of singling out"].n <= 300
    assert found["one column", "excess of singling out"].n == 2 * found["one column", "success rate of singling out"].n
    # An attacker without the table guesses predicates that rarely isolate anybody.
    for subject in ("one column", "several columns"):
        control = found[subject, "control rate of singling out"]
        assert control.baseline < control.estimate


def test_predicates_about_one_row_count_as_one_witness() -> None:
    """One odd control row answers every predicate: the interval is as wide as the excess."""
    given = evidence(fresh_draw, n=3_000)
    income = given.control.numbers("income").copy()
    odd = income.argmax()
    income[odd] = 499_999.0
    columns = {**given.control.columns, "income": income}
    control = Table(given.control.schema, columns, {}, given.control.units)
    synthetic = given.synthetic.numbers("income").copy()
    synthetic[:200] = 400_000 + np.arange(200) * 10.0
    released = make_table(given.schema, {**given.synthetic.columns, "income": synthetic})
    found = run(SinglingOut(), replace(given, control=control, synthetic=released))
    assert all(f.strict.low <= 0 <= f.strict.high for (_, q), f in found.items() if q.startswith("excess"))


def test_links_by_chance_have_their_baseline() -> None:
    found = run(Linkability(k=10), evidence(fresh_draw))
    n = len(evidence(fresh_draw).synthetic)
    for (_, quantity), finding in found.items():
        if quantity == "control rate of linking":
            assert finding.baseline == pytest.approx(1 - comb(n - 10, 10) / comb(n, 10))


def test_targets_are_one_row_a_person_and_coins_are_marked() -> None:
    given = evidence(fresh_draw_of(people), n=2_000, sampler=people)
    targets = targets_of(given, 20_000, np.random.default_rng(0))
    assert len(targets.outsiders) == len(np.unique(given.control.units))
    assert len(targets.members) == MAX_RATIO * len(targets.outsiders)
    pooled = len(np.unique(given.train.units[given.pooled]))
    assert targets.is_coin.sum() == pooled + len(targets.outsiders)
    assert targets.is_coin[~targets.is_member].all()


def test_a_sample_of_the_pool_keeps_its_coins_fair() -> None:
    """The share of members among sampled coins is that of the pool: sizes a side are not fixed."""
    given = evidence(fresh_draw, n=8_000)
    rng = np.random.default_rng(0)
    sides = {
        int(targets_of(given, 1_000, rng).is_member[targets_of(given, 1_000, rng).is_coin].sum()) for _ in range(8)
    }
    assert len(sides) > 2


@pytest.mark.parametrize("sampler", [population, low_cardinality])
def test_neighbours_name_rows_at_the_nearest_distances(sampler) -> None:  # type: ignore[no-untyped-def]
    table = sampler(3_000, 1)
    rows = features(table, table.schema)
    queries, reference = rows.select(np.arange(500)), rows.select(np.arange(500, 3_000))
    found, far = neighbours(queries, reference, 5)
    assert far == pytest.approx(nearest(queries, reference, 5), abs=3e-3)
    assert all(len(set(line)) == 5 for line in found)
    for k in range(5):
        picked = reference.select(found[:, k])
        unlike = (picked.levels != queries.levels).sum(axis=1)
        gaps = np.where(
            (picked.states == 0) & (queries.states == 0),
            (picked.values - queries.values) ** 2,
            picked.states != queries.states,
        ).sum(axis=1)
        assert far[:, k] ** 2 == pytest.approx(unlike + gaps)


def test_too_little_of_anything_is_inconclusive() -> None:
    given = evidence(fresh_draw, n=2_000)
    few = np.arange(5)
    for audit in WP29:
        with pytest.raises(InconclusiveError, match="targets"):
            run(audit, replace(given, control=given.control.select(few)))
    with pytest.raises(InconclusiveError, match="synthetic"):
        run(Linkability(), replace(given, synthetic=given.synthetic.select(few)))
    with pytest.raises(InconclusiveError, match="synthetic"):
        run(AttributeInference(), replace(given, synthetic=given.synthetic.select(few)))
    with pytest.raises(InconclusiveError, match="synthetic"):
        run(SinglingOut(), replace(given, synthetic=given.synthetic.select(few)))

"""Structural zeros are exactly what the rules forbid, and models keep them before any row is repaired."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from privacy.columns import LevelColumn
from privacy.constraints import Cases, Constraints
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.table import Table, make_table
from synthesizers.discretize import Attribute, Merged, attributes_of, merge
from synthesizers.domains import Domains
from synthesizers.marginal.aim import AIM
from synthesizers.marginal.domain import Clique, Domain
from synthesizers.marginal.model import MarginalModel
from synthesizers.marginal.mst import MST
from synthesizers.marginal.structure import FORBIDDEN, MAX_CELLS, fitting, mapped_pairs, signatures, structural_zeros
from synthesizers.marginal.triangulation import n_cells
from synthesizers.neural.warm_start import pairs_of
from synthesizers.protocol import Synthesizer
from synthesizers.structured import Structured, StructuredModel

BUDGET = Budget(epsilon=1.0, delta=1e-6)
RULES: list[dict[str, Any]] = [
    {"cite": "c", "never": {"role": "husband", "sex": "f"}},
    {"cite": "c", "if": {"age": {"maximum": 14}}, "then": {"job": None}},
    {"cite": "c", "order": ["start", "end"]},
]


def quiet(_: str) -> None:
    """No progress."""


def schema_of(rules: list[dict[str, Any]]) -> Schema:
    def levels(name: str, *words: str) -> dict[str, Any]:
        return {"name": name, "type": "string", "categories": list(words), "source": "public", "cite": "c"}

    def number(name: str, low: int, high: int) -> dict[str, Any]:
        bounds = {"minimum": low, "maximum": high}
        return {"name": name, "type": "integer", "constraints": bounds, "source": "public", "cite": "c"}

    fields = [
        levels("sex", "f", "m"), levels("role", "husband", "wife", "child"), number("age", 0, 30),
        levels("job", "none", "pupil", "paid"), number("start", 0, 40), number("end", 0, 40),
        levels("area", "a", "b", "c", "d"), levels("density", "low", "high"),
    ]  # fmt: skip
    privacy = {"population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": {"value": 4000, "cite": "c"},
               "cap": {"epsilon": 1, "delta": 1e-6}, "constraints": rules}  # fmt: skip
    return parse_schema({"name": "t", "fields": fields, "privacy": privacy})


def table_of(schema: Schema, n: int = 4_000) -> Table:
    """Rows that keep the rules, with columns that are otherwise nearly independent."""
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {
        "sex": rng.integers(0, 2, n).astype(np.int32),
        "role": rng.integers(0, 3, n).astype(np.int32),
        "age": rng.integers(0, 31, n).astype(float),
        "job": rng.integers(0, 3, n).astype(np.int32),
        "start": rng.integers(0, 41, n).astype(float),
        "end": rng.integers(0, 41, n).astype(float),
        "area": rng.integers(0, 4, n).astype(np.int32),
    }
    columns["density"] = (columns["area"] >= 2).astype(np.int32)
    constraints = schema.constraints or Constraints()
    return constraints.repair(make_table(schema, columns))


def cells_of(schema: Schema, n_cells: int) -> tuple[tuple[Attribute, ...], dict[str, Merged]]:
    attributes = attributes_of(Domains(schema=schema), 16)
    rng = np.random.default_rng(1)
    merged = {}
    for a in attributes:
        noisy = rng.uniform(50, 150, a.size)
        merged[a.column.name] = merge(a, noisy, 5.0, n_cells, signatures(schema, a))
    return attributes, merged


def rows_of(attribute: Attribute, joined: Merged, cell: int) -> list[float]:
    """Every value, or code, that can be drawn from a cell of a column of few values."""
    codes = np.flatnonzero((joined.cell_of == cell) & (joined.share > 0))
    if isinstance(attribute.column, LevelColumn):
        return [float(code) for code in codes]
    assert attribute.edges is not None
    values = []
    for code in codes:
        last = code == attribute.size - 1
        values += [np.nan] if last else list(np.arange(attribute.edges[code], attribute.edges[code + 1]))
    return values


@pytest.mark.parametrize("n_cells", [3, 6, 40])
def test_a_zero_is_a_combination_no_row_of_which_keeps_the_rule(n_cells: int) -> None:
    """Against brute force: every value of every pair of cells, held against the rules themselves."""
    schema = schema_of(RULES)
    attributes, merged = cells_of(schema, n_cells)
    by_name = {a.column.name: a for a in attributes}
    zeros = structural_zeros(schema, attributes, merged)
    assert set(zeros) == {("sex", "role"), ("age", "job"), ("start", "end")}
    assert schema.constraints is not None
    for clique, potential in zeros.items():
        rule = next(r for r in schema.constraints.rules if all(name in r.words for name in clique))
        for place in product(*(range(merged[name].n_cells) for name in clique)):
            values = [rows_of(by_name[n], merged[n], cell) for n, cell in zip(clique, place, strict=True)]
            pairs = np.array(list(product(*values)))
            columns = {c.name: np.zeros(len(pairs)) for c in schema.columns}
            for i, name in enumerate(clique):
                columns[name] = pairs[:, i]
            typed = {c.name: columns[c.name].astype(np.int32 if isinstance(c, LevelColumn) else float)
                     for c in schema.columns}  # fmt: skip
            kept = rule.met(Table(schema, typed, {}, np.arange(len(pairs))))
            assert bool(potential[place] == FORBIDDEN) is not bool(kept.any())


def test_codes_a_rule_tells_apart_are_not_joined() -> None:
    schema = schema_of(RULES)
    _, merged = cells_of(schema, 2)
    assert merged["age"].cell_of[14] != merged["age"].cell_of[15]
    assert merged["age"].n_cells <= 4
    assert merged["role"].cell_of[0] not in merged["role"].cell_of[1:3]


@pytest.mark.parametrize("method", [AIM(rounds_per_column=0.5, round_steps=20), MST()], ids=["aim", "mst"])
def test_drawn_rows_keep_the_rules_before_they_are_repaired(method: Synthesizer) -> None:
    """At most 1 row in 500 of 4,000, where rows drawn without zeros break a rule in more than a tenth (fixed seeds)."""
    schema = schema_of(RULES)
    table = table_of(schema)
    plan = method.plan(schema, BUDGET)
    model = plan.fit(table, PrivacyFilter(plan.cost, seeded_noise(3)), np.random.default_rng(3), quiet)
    assert isinstance(model, MarginalModel)
    assert schema.constraints is not None
    drawn = model.sample(4_000, np.random.default_rng(4))
    by_rule = {r.words: float((~r.met(drawn)).mean()) for r in schema.constraints.rules}
    # Cells of start and end hold several values: what is inside one cell is left to the repair.
    order = [words for words in by_rule if "at most end" in words]
    assert all(share <= 0.002 for words, share in by_rule.items() if words not in order)
    zeros = structural_zeros(schema, model.attributes, model.merged)
    by_name = {a.column.name: a for a in model.attributes}
    for clique, potential in zeros.items():
        cells = tuple(model.merged[name].cell_of[by_name[name].encode(drawn.columns[name])] for name in clique)
        assert (potential[cells] == 0).mean() >= 0.998
    plain = schema_of([])
    other = method.plan(plain, BUDGET)
    free = other.fit(
        Table(plain, table.columns, {}, table.units), PrivacyFilter(other.cost, seeded_noise(3)),
        np.random.default_rng(3), quiet,
    ).sample(4_000, np.random.default_rng(4))  # fmt: skip
    without = {r.words: float((~r.met(free)).mean()) for r in schema.constraints.rules}
    assert sum(without.values()) > 0.1


def test_zeros_that_do_not_fit_are_left_to_the_repair() -> None:
    schema = schema_of(RULES)
    attributes, merged = cells_of(schema, 40)
    zeros = structural_zeros(schema, attributes, merged)
    domain_sizes = {name: m.n_cells for name, m in merged.items()}
    domain = Domain(domain_sizes)
    assert n_cells(domain, zeros) <= MAX_CELLS
    measured: list[Clique] = [("sex", "age"), ("age", "start")]
    kept = fitting(domain, zeros, measured, n_cells(domain, [*measured, ("sex", "role")]))
    assert set(kept) == {("sex", "role")}


MAP = [{"cite": "c", "derive": "density", "from": "area", "map": "measured"}]


@pytest.mark.parametrize("method", [AIM(rounds_per_column=0.5, round_steps=20), MST()], ids=["aim", "mst"])
def test_a_measured_map_needs_no_luck(method: Synthesizer) -> None:
    """4 fits of 4,000 rows at epsilon 1: the map is right each time, since its pair is always measured.

    A level's rows differ from none by 1,000, which is more than 10 standard deviations of the noise.
    """
    schema = schema_of(MAP)
    table = table_of(schema)
    assert mapped_pairs(schema) == (("area", "density"),)
    plan = Structured(method).plan(schema, BUDGET)
    for seed in range(4):
        privacy = PrivacyFilter(plan.cost, seeded_noise(seed))
        model = plan.fit(table, privacy, np.random.default_rng(seed), quiet)
        assert isinstance(model, StructuredModel)
        assert ("area", "density") in {m for m in model.expected_error if len(m) == 2}
        (rule,) = model.constraints.derived
        assert isinstance(rule, Cases)
        assert [value for _, value in rule.cases[:4]] == ["low", "low", "high", "high"]


def test_neural_generators_measure_a_mapped_pair_first() -> None:
    assert pairs_of(schema_of(MAP), 1) == (("area", "density"),)

"""Rules of a schema: any row of any accepted schema is repaired by a function of that row alone, once and for all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from privacy.constraints import Constraints, broken
from privacy.errors import SchemaError
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from privacy.table import Table, make_table

LEVELS = {"a": ["x", "y", "z"], "b": ["p", "q"], "c": ["k", "l", "m", "n"], "d": ["x", "y", "z"]}
NUMBERS = {"u": (0, 9), "v": (0, 9), "w": (5, 20), "t": (0, 9)}
PUBLIC = {"source": "public", "cite": "made up"}


def schema_of(rules: list[dict[str, Any]]) -> Schema:
    fields: list[dict[str, Any]] = [
        {"name": name, "type": "string", "categories": levels, **PUBLIC} for name, levels in LEVELS.items()
    ]
    fields += [
        {"name": name, "type": "integer", "constraints": {"minimum": low, "maximum": high}, **PUBLIC}
        for name, (low, high) in NUMBERS.items()
    ]
    constraints = [{"cite": "made up", **rule} for rule in rules]
    privacy = {
        "population": "made-up", "unit": "row", "adjacency": "add-or-remove", "n_public": "none",
        "constraints": constraints,
    }  # fmt: skip
    return parse_schema({"fields": fields, "privacy": privacy})


def rules_of(schema: Schema) -> Constraints:
    assert schema.constraints is not None
    return schema.constraints


def rows(schema: Schema, n: int, seed: int) -> Table:
    """Rows of every code and value, missing and OTHER included."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        name: rng.integers(0, len(levels) + 2, n).astype(np.int32) for name, levels in LEVELS.items()
    }
    for name, (low, high) in NUMBERS.items():
        values = rng.integers(low, high + 1, n).astype(float)
        columns[name] = np.where(rng.random(n) < 0.15, np.nan, values)
    return make_table(schema, columns)


def equal(a: Table, b: Table) -> bool:
    return all(np.array_equal(a.columns[n], b.columns[n], equal_nan=a.columns[n].dtype.kind == "f") for n in a.columns)


def completed(schema: Schema, table: Table) -> Table:
    rules = rules_of(schema)
    return rules.complete(table.only(rules.modelled(schema)), schema)


RICH: list[dict[str, Any]] = [
    {"never": {"a": "x", "b": "q"}},
    {"if": {"b": "p"}, "then": {"c": ["k", "l", None]}},
    {"if": {"a": ["x", "y"], "u": {"minimum": 5}}, "then": {"c": ["l", "m"]}},
    {"order": ["u", "v", "w"]},
    {"if": {"v": None}, "then": {"t": None}},
    {"if": {"b": "q"}, "then": {"w": None}},
    {"derive": "d", "copy": "a"},
]


def test_every_row_keeps_every_rule_and_a_repair_changes_only_what_it_must() -> None:
    schema = schema_of(RICH)
    table = rows(schema, 20_000, 1)
    whole = completed(schema, table)
    assert sum(broken(rules_of(schema), table).values()) > 20_000
    assert set(broken(rules_of(schema), whole).values()) == {0}
    assert equal(completed(schema, whole), whole)
    kept = np.all([rule.met(table) for rule in rules_of(schema).rules], axis=0)
    assert 100 < kept.sum() < 5_000
    assert equal(whole.select(kept), table.select(kept))
    for name, (low, high) in NUMBERS.items():
        values = whole.numbers(name)
        assert np.nanmin(values) >= low
        assert np.nanmax(values) <= high


def test_a_row_is_repaired_without_looking_at_another() -> None:
    schema = schema_of(RICH)
    table = rows(schema, 300, 2)
    together = rules_of(schema).repair(table)
    for i in range(0, 300, 7):
        assert equal(rules_of(schema).repair(table.select(np.array([i]))), together.select(np.array([i])))


CONDITION = st.one_of(
    st.sampled_from(list(LEVELS)).flatmap(
        lambda name: st.tuples(
            st.just(name), st.lists(st.sampled_from([*LEVELS[name], None]), min_size=1, max_size=3, unique=True)
        )
    ),
    st.sampled_from(list(NUMBERS)).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.one_of(
                st.none(),
                st.fixed_dictionaries({"minimum": st.integers(*NUMBERS[name])}, optional={"missing": st.booleans()}),
                st.fixed_dictionaries({"maximum": st.integers(*NUMBERS[name])}, optional={"missing": st.booleans()}),
            ),
        )
    ),
)
RULE = st.one_of(
    st.builds(lambda a, b: {"if": dict([a]), "then": dict([b])}, CONDITION, CONDITION),
    st.builds(lambda a, b, c: {"if": dict([a, b]), "then": dict([c])}, CONDITION, CONDITION, CONDITION),
    st.builds(lambda a, b: {"never": dict([a, b])}, CONDITION, CONDITION),
    st.permutations(list(NUMBERS)).flatmap(lambda p: st.integers(2, 4).map(lambda k: {"order": p[:k]})),
    st.just({"derive": "d", "copy": "a"}),
    st.just({"derive": "b", "from": "c", "map": {"k": "p", "l": "q", "m": None, "n": "p"}}),
    st.builds(lambda c: {"derive": "t", "cases": [{"when": dict([c]), "then": 3}]}, CONDITION),
)


@given(st.lists(RULE, min_size=1, max_size=5), st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_any_row_of_any_accepted_schema_can_be_repaired(rules: list[dict[str, Any]], seed: int) -> None:
    try:
        schema = schema_of(rules)
    except SchemaError:
        assume(False)
    table = rows(schema, 200, seed)
    whole = completed(schema, table)
    assert set(broken(rules_of(schema), whole).values()) == {0}
    assert equal(completed(schema, whole), whole)


def test_a_map_with_levels_and_cases_with_numbers() -> None:
    cases = [{"when": {"u": {"maximum": 3}}, "then": "x"}, {"when": {"u": {"minimum": 0}}, "then": "y"}]
    mapped = {"derive": "b", "from": "c", "map": {"k": "p", "l": "q", "m": None, "n": "p"}}
    schema = schema_of([mapped, {"derive": "d", "cases": cases}])
    assert rules_of(schema).modelled(schema).names == ("a", "c", "u", "v", "w", "t")
    table = completed(schema, rows(schema, 1_000, 3))
    c, u = table.codes("c"), table.numbers("u")
    assert table.codes("b").tolist() == np.array([0, 1, 3, 0, 3, 3])[c].tolist()
    assert table.codes("d").tolist() == np.where(np.isnan(u), 4, np.where(u <= 3, 0, 1)).tolist()


def test_a_map_is_read_off_drawn_rows() -> None:
    schema = schema_of([{"derive": "b", "from": "c", "map": "measured"}])
    rules = rules_of(schema)
    assert rules.modelled(schema).names == schema.names
    table = rows(schema, 5_000, 4)
    codes = np.where(np.arange(5_000) % 10 == 0, table.codes("b"), np.array([0, 1, 1, 0, 2, 3])[table.codes("c")])
    drawn = Table(schema, {**table.columns, "b": codes.astype(np.int32)}, {}, table.units)
    fixed = rules.resolved(drawn)
    assert fixed.maps == ()
    whole = fixed.complete(rows(schema, 1_000, 5), schema)
    assert whole.codes("b").tolist() == np.array([0, 1, 1, 0, 2, 3])[whole.codes("c")].tolist()


def test_a_map_to_numbers_takes_their_median() -> None:
    schema = schema_of([{"derive": "t", "from": "c", "map": "measured"}])
    table = rows(schema, 5_000, 4)
    values = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0])[table.codes("c")]
    noisy = np.where(np.arange(5_000) % 10 == 0, table.numbers("t"), values)
    fixed = rules_of(schema).resolved(Table(schema, {**table.columns, "t": noisy}, {}, table.units))
    whole = fixed.complete(rows(schema, 1_000, 5), schema)
    expected = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0])[whole.codes("c")]  # every tenth value was another
    assert np.array_equal(whole.numbers("t"), expected, equal_nan=True)


def test_two_numbers_the_wrong_way_round_change_places_where_they_fit() -> None:
    schema = schema_of([{"order": ["u", "v"]}])
    one = rows(schema, 1, 0)
    table = Table(schema, {**one.columns, "u": np.array([7.0]), "v": np.array([2.0])}, {}, one.units)
    fixed = rules_of(schema).repair(table)
    assert (fixed.numbers("u").item(), fixed.numbers("v").item()) == (2.0, 7.0)
    narrow = schema_of([{"order": ["w", "v"]}])
    table = Table(narrow, {**one.columns, "w": np.array([8.0]), "v": np.array([6.0])}, {}, one.units)
    fixed = rules_of(narrow).repair(table)
    assert (fixed.numbers("w").item(), fixed.numbers("v").item()) == (6.0, 8.0)
    table = Table(narrow, {**one.columns, "w": np.array([15.0]), "v": np.array([6.0])}, {}, one.units)
    fixed = rules_of(narrow).repair(table)
    assert fixed.numbers("w").item() == 15.0
    assert np.isnan(fixed.numbers("v").item())


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{"never": {"a": "x"}}], "fewer than two"),
        ([{"never": {"a": "x", "nobody": "y"}}], "not a synthesised column"),
        ([{"never": {"a": "x", "b": "absent"}}], "not in its list"),
        ([{"if": {"a": "x"}, "then": {"a": "y"}}], "both sides"),
        ([{"if": {"a": "x"}, "then": {"u": {"minimum": 50}}}], "outside its bounds"),
        ([{"if": {"a": "x"}, "then": {"b": "p"}}, {"if": {"a": ["x", "y"]}, "then": {"b": "q"}}], "contradict"),
        ([{"if": {"a": "x"}, "then": {"b": "p"}}, {"if": {"b": "q"}, "then": {"a": "y"}}], "circle"),
        ([{"order": ["u", "v"]}, {"order": ["v", "u"]}], "circle"),
        ([{"order": ["u", "v"]}, {"if": {"a": "x"}, "then": {"v": {"minimum": 3}}}], "implication and by an order"),
        ([{"order": ["u", "a"]}], "numbers of one kind"),
        ([{"derive": "d", "copy": "b"}], "not two columns alike"),
        ([{"derive": "d", "copy": "a"}, {"derive": "d", "from": "a", "map": "measured"}], "derived twice"),
        ([{"derive": "d", "copy": "a"}, {"never": {"d": "x", "b": "p"}}], "another rule"),
        ([{"derive": "b", "from": "c", "map": {"k": "p"}}], "exactly the levels"),
        ([{"derive": "b", "from": "c", "map": {"k": "p", "l": "q", "m": "absent", "n": "p"}}], "public list"),
        ([{"derive": "t", "cases": [{"when": {"a": "x"}, "then": 50}]}], "public bounds"),
        ([{"derive": "a", "from": "u", "map": "measured"}], "from a column with levels"),
        ([{"sometimes": {"a": "x"}}], "no known form"),
    ],
)  # fmt: skip
def test_refused(rules: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        schema_of(rules)


def test_a_rule_names_what_makes_it_true() -> None:
    with pytest.raises(SchemaError, match="cite"):
        schema_of([{"never": {"a": "x", "b": "p"}, "cite": " "}])

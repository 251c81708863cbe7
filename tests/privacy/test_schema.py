"""A schema is parsed or refused with the field and the rule named; two spellings of one schema are one schema."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.columns import LevelColumn, NumberColumn, Role, Source
from privacy.errors import SchemaError
from privacy.field_file import MAX_LEVELS
from privacy.schema import Schema
from privacy.schema_file import MAX_COLUMNS, load_schema, parse_schema
from tests.tables import EDUCATION, MIXED_DOCUMENT

PRIVACY = {
    "population": "people-2020",
    "unit": "row",
    "adjacency": "add-or-remove",
    "n_public": "none",
    "cap": {"epsilon": 3, "delta": 1e-6},
}
COLOUR = {"name": "colour", "categories": ["red", "green"], "source": "public", "cite": "codebook p. 3"}
HEIGHT = {
    "name": "height",
    "type": "number",
    "constraints": {"minimum": 0, "maximum": 300},
    "source": "public",
    "cite": "codebook p. 4",
}


def _document(*fields: dict[str, Any], **privacy: Any) -> dict[str, Any]:
    return {"fields": [copy.deepcopy(f) for f in fields or (COLOUR, HEIGHT)], "privacy": {**PRIVACY, **privacy}}


def _colour(**changes: Any) -> dict[str, Any]:
    return _document({**COLOUR, **changes})


def _height(**changes: Any) -> dict[str, Any]:
    return _document({**HEIGHT, **changes})


def _without(field: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {k: v for k, v in field.items() if k not in keys}


def _parsed_or_refused(document: Any) -> Schema | SchemaError:
    try:
        return parse_schema(document)
    except SchemaError as error:
        return error


def _level(schema: Schema, name: str) -> LevelColumn:
    column = schema[name]
    assert isinstance(column, LevelColumn)
    return column


def _number(schema: Schema, name: str) -> NumberColumn:
    column = schema[name]
    assert isinstance(column, NumberColumn)
    return column


REFUSALS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "not a mapping": (["fields"], ("`fields`",)),
    "nothing at all": (None, ("`fields`",)),
    "no fields": ({"privacy": PRIVACY}, ("`fields`",)),
    "empty fields": ({"fields": [], "privacy": PRIVACY}, ("`fields`",)),
    "unknown key": ({**_document(), "feilds": []}, ("unknown keys", "'feilds'")),
    "keys that are no text": ({**_document(), (1, 2): 0}, ("canonical JSON",)),
    "a number that is none": (_height(constraints={"minimum": 0, "maximum": float("nan")}), ("canonical JSON",)),
    "an integer JSON cannot hold": (_height(constraints={"minimum": 0, "maximum": 10**400}), ("canonical JSON",)),
    "missing values no list": ({**_document(), "missingValues": "NA"}, ("`missingValues`", "list")),
    "missing values of a field": (_colour(missingValues=[None]), ("missingValues of 'colour'",)),
    "field without a name": (_document(_without(COLOUR, "name")), ("no `name`",)),
    "field no mapping": ({"fields": ["colour"], "privacy": PRIVACY}, ("no `name`",)),
    "unknown role": (_colour(role="hero"), ("role of 'colour'", "target")),
    "role no text": (_colour(role=["target"]), ("role of 'colour'",)),
    "unknown key of a field": (_colour(souce="public"), ("'colour'", "'souce'")),
    "named like an identifier": (_document({**COLOUR, "name": "email"}), ("'email'", "identifier")),
    "sensitive no truth value": (_colour(sensitive="very"), ("`sensitive` of 'colour'",)),
    "ordered no truth value": (_colour(categoriesOrdered="no"), ("`categoriesOrdered` of 'colour'",)),
    "constraints no mapping": (_height(constraints=[0, 300]), ("`constraints` of 'height'",)),
    "unknown constraint": (_height(constraints={"pattern": "a"}), ("'height'", "'pattern'")),
    "unknown type": (_height(type="geopoint"), ("'height'", "'geopoint'")),
    "type no text": (_height(type=["number"]), ("'height'",)),
    "text without categories": (_document(_without(COLOUR, "categories")), ("'colour'", "`categories`")),
    "measured with categories": (_colour(source="measured", max_levels=5), ("'colour'", "`measured`")),
    "measured without a cap": (
        _document({**_without(COLOUR, "categories"), "source": "measured"}),
        ("'colour'", "`max_levels`"),
    ),
    "measured with too high a cap": (
        _document({**_without(COLOUR, "categories"), "source": "measured", "max_levels": 100_000}),
        ("'colour'", "`max_levels`", str(MAX_LEVELS)),
    ),
    "too many levels": (_colour(categories=list(range(MAX_LEVELS + 1))), ("'colour'", str(MAX_LEVELS))),
    "categories no list": (_colour(categories="red"), ("`categories` of 'colour'",)),
    "category is null": (_colour(categories=["red", None]), ("category of 'colour'",)),
    "category is a list": (_colour(categories=["red", ["green"]]), ("category of 'colour'",)),
    "category is empty": (_colour(categories=["red", ""]), ("category of 'colour'", "empty")),
    "category with blanks": (_colour(categories=["red", " green"]), ("category of 'colour'", "blanks")),
    "category too long": (_colour(categories=["red", "g" * 201]), ("category of 'colour'",)),
    "category twice": (_colour(categories=["1", 1]), ("`categories` of 'colour'", "twice")),
    "other is a level": (_colour(other="red"), ("`other` of 'colour'",)),
    "other is missing": (_colour(other="NA", missingValues=["NA"]), ("`other` of 'colour'",)),
    "other is empty": (_colour(other=""), ("`other` of 'colour'",)),
    "truth values shared": (
        _document({"name": "colour", "type": "boolean", "trueValues": ["1"], "falseValues": ["1", "0"]}),
        ("'colour'", "`trueValues`"),
    ),
    "truth values empty": (_document({"name": "colour", "type": "boolean", "falseValues": []}), ("'colour'",)),
    "truth values no list": (
        _document({"name": "colour", "type": "boolean", "trueValues": "yes"}),
        ("trueValues of 'colour'",),
    ),
    "no source": (_document(_without(COLOUR, "source")), ("categories of 'colour'", "`source`")),
    "source no text": (_colour(source=["public"]), ("categories of 'colour'", "`source`")),
    "unknown source part": (_height(source={"median": "public"}), ("ource of 'height'", "'median'")),
    "public without cite": (_document(_without(COLOUR, "cite")), ("categories of 'colour'", "`cite`")),
    "public with a blank cite": (_height(cite="  "), ("minimum of 'height'", "`cite`")),
    "public bound without cite": (_height(cite={"minimum": "p. 4"}), ("maximum of 'height'", "`cite`")),
    "bound missing": (_height(constraints={"minimum": 0}), ("maximum of 'height'", "neither")),
    "bound measured and written": (
        _height(source={"minimum": "public", "maximum": "measured"}),
        ("maximum of 'height'", "at once"),
    ),
    "bound no number": (_height(constraints={"minimum": 0, "maximum": "tall"}), ("maximum of 'height'", "number")),
    "bound a list": (_height(constraints={"minimum": [0], "maximum": 1}), ("minimum of 'height'", "number")),
    "bound a truth value": (_height(constraints={"minimum": False, "maximum": 1}), ("minimum of 'height'",)),
    "bound not whole": (_height(type="integer", constraints={"minimum": 0.5, "maximum": 1}), ("'height'", "integer")),
    "bounds swapped": (_height(constraints={"minimum": 2, "maximum": 1}), ("minimum of 'height'", "above")),
    "no date format": (_height(type="date", format="day"), ("`format` of 'height'",)),
    "date not of its format": (
        _height(type="date", constraints={"minimum": "1/2/2000", "maximum": "2001-01-01"}),
        ("minimum of 'height'", "date"),
    ),
    "no privacy": ({"fields": [COLOUR]}, ("`privacy`",)),
    "unknown key of privacy": (_document(epsilon=1), ("`privacy`", "'epsilon'")),
    "no population": (_document(population=None), ("`privacy.population`",)),
    "population no name": (_document(population="../x"), ("`privacy.population`",)),
    "replace-one": (_document(adjacency="replace-one"), ("`privacy.adjacency`",)),
    "no unit": (_document(unit=None), ("`privacy.unit`",)),
    "unit without bound": (_document(unit={"field": "colour"}), ("`privacy.unit`",)),
    "unit with a bound of zero": (_document(unit={"field": "colour", "max_rows": 0}), ("`privacy.unit`",)),
    "unit with a truth value": (_document(unit={"field": "colour", "max_rows": True}), ("`privacy.unit`",)),
    "unit of no field": (_document(unit={"field": "person", "max_rows": 3}), ("'person'",)),
    "count left out": (_document(n_public=None), ("`privacy.n_public`",)),
    "count without cite": (_document(n_public={"value": 9}), ("`privacy.n_public`",)),
    "count of zero": (_document(n_public={"value": 0, "cite": "x"}), ("`privacy.n_public`",)),
    "count observed": (
        _document(n_public={"value": 9, "cite": "x", "source": "observed"}),
        ("`privacy.n_public`", "source"),
    ),
    "cap not complete": (_document(cap={"epsilon": 1}), ("`privacy.cap`",)),
    "cap not positive": (_document(cap={"epsilon": -1, "delta": 1e-6}), ("`privacy.cap`",)),
    "cap a truth value": (_document(cap={"epsilon": True, "delta": 1e-6}), ("`privacy.cap`",)),
    "cap with delta 1": (_document(cap={"epsilon": 1, "delta": 1}), ("`privacy.cap`",)),
    "drafted no mapping": (_document(drafted=["colour"]), ("`privacy.drafted`",)),
    "drafted of no mappings": (_document(drafted={"colour": "red"}), ("`privacy.drafted`",)),
    "field twice": (_document(COLOUR, COLOUR), ("'colour'", "twice")),
    "everything dropped": (_document({"name": "note", "role": "text"}), ("dropped",)),
    "too many columns": (
        _document(*({**COLOUR, "name": f"c{i}"} for i in range(MAX_COLUMNS + 1))),
        (str(MAX_COLUMNS),),
    ),
    "two targets": (_document({**COLOUR, "role": "target"}, {**HEIGHT, "role": "target"}), ("`target`",)),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refuses_and_names_the_field_and_the_rule(case: str) -> None:
    document, words = REFUSALS[case]
    with pytest.raises(SchemaError) as caught:
        parse_schema(document)
    assert all(word in str(caught.value) for word in words)
    assert caught.value.why
    assert caught.value.fix


@given(
    document=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["fields", "privacy", "name", "type", "source", "x"]), inner, max_size=4)
        ),
        max_leaves=15,
    )
)
def test_any_document_is_a_schema_or_a_schema_error(document: Any) -> None:
    assert isinstance(_parsed_or_refused(document), Schema | SchemaError)


@given(
    key=st.sampled_from(
        "type constraints categories missingValues source cite role sensitive max_levels other format "
        "categoriesOrdered trueValues falseValues title".split()
    ),
    value=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
        max_leaves=5,
    ),
    field=st.sampled_from([COLOUR, HEIGHT]),
)
def test_any_value_of_a_known_key_is_accepted_or_refused(key: str, value: Any, field: dict[str, Any]) -> None:
    outcome = _parsed_or_refused(_document({**field, key: value}))
    assert isinstance(outcome, SchemaError) or outcome.header == (field["name"],)


def test_accepts_the_keys_of_frictionless() -> None:
    document = _document(
        {
            **_without(COLOUR, "categories"),
            "type": "string",
            "title": "Colour",
            "description": "of the hat",
            "constraints": {"required": True, "enum": ["red", "green"]},
        },
        {**HEIGHT, "name": "stage", "type": "integer", "categories": [{"value": 1, "label": "low"}, 2.0]},
        {"name": "alive", "type": "boolean", "trueValues": ["y", "yes"], "falseValues": ["n"]},
    )
    schema = parse_schema({**document, "$schema": "x", "title": "T", "sources": [], "primaryKey": [], "name": "hats"})
    assert schema.name == "hats"
    assert _level(schema, "colour").levels == ("red", "green")
    assert _level(schema, "stage").levels == ("1", "2")
    assert _level(schema, "stage").aliases == {"1.0": "1", "2.0": "2"}
    assert _level(schema, "alive").levels == ("n", "y")
    assert _level(schema, "alive").aliases == {"yes": "y"}
    assert _level(schema, "alive").source is Source.PUBLIC


def test_bounds_may_have_a_source_each() -> None:
    field = {
        **HEIGHT,
        "constraints": {"minimum": 0},
        "source": {"minimum": "public", "maximum": "measured"},
        "cite": {"minimum": "a length is not negative"},
    }
    column = _number(parse_schema(_document(field)), "height")
    assert (column.minimum, column.maximum) == (0.0, None)
    assert (column.minimum_source, column.maximum_source) == (Source.PUBLIC, Source.MEASURED)
    assert parse_schema(_document(field)).measured == ("height",)
    with pytest.raises(ValueError, match="have not been measured"):
        _ = column.bounds


def test_measured_levels_of_numbers_are_levels() -> None:
    column = _level(
        parse_schema(_document({"name": "s", "type": "integer", "source": "measured", "max_levels": 9})), "s"
    )
    assert (column.levels, column.max_levels, column.n_codes) == (None, 9, 2)


def test_dates_are_days_and_moments_are_seconds() -> None:
    day = {**HEIGHT, "type": "date", "constraints": {"minimum": "1970-01-02", "maximum": "2000-01-01"}}
    column = _number(parse_schema(_document(day)), "height")
    assert column.bounds == (1.0, 10957.0)
    assert column.write(1.0) == "1970-01-02"
    moment = {
        **HEIGHT,
        "type": "datetime",
        "format": "%d.%m.%Y %H:%M",
        "constraints": {"minimum": "01.01.1970 00:01", "maximum": "01.01.1970 02:00"},
    }
    column = _number(parse_schema(_document(moment)), "height")
    assert column.bounds == (60.0, 7200.0)
    assert column.write(3600.0) == "01.01.1970 01:00"


def test_roles_decide_what_leaves() -> None:
    schema = parse_schema(
        _document(
            {"name": "email", "role": "identifier"},
            {"name": "note", "role": "text"},
            {"name": "old", "type": "geopoint", "role": "drop"},
            {**COLOUR, "name": "phone", "role": "feature"},
            {**COLOUR, "role": "target", "sensitive": True},
            {**HEIGHT, "sensitive": True},
        )
    )
    assert schema.header == ("email", "note", "old", "phone", "colour", "height")
    assert schema.names == ("phone", "colour", "height")
    assert schema.dropped == {"email": Role.IDENTIFIER, "note": Role.TEXT, "old": Role.DROP}
    assert schema.target is not None
    assert schema.target.name == "colour"
    assert [column.name for column in schema.sensitive] == ["colour"]
    with pytest.raises(KeyError):
        schema["note"]


def test_the_field_of_the_unit_never_leaves() -> None:
    schema = parse_schema(_document({"name": "person"}, COLOUR, unit={"field": "person", "max_rows": 4}))
    assert schema.dropped == {"person": Role.IDENTIFIER}
    assert schema.unit.max_rows == 4
    assert "'person'" in schema.unit.words


def test_a_level_is_never_missing_and_other_is_neither() -> None:
    column = _level(parse_schema(_colour(categories=["NA", "OTHER"], missingValues=["NA", "-"])), "colour")
    assert column.missing == ("-",)
    assert column.other == "OTHER_"
    column = _level(parse_schema(_colour(missingValues=["OTHER"])), "colour")
    assert column.other == "OTHER_"


def test_a_release_refuses_what_was_read_off_the_rows() -> None:
    schema = parse_schema(_document({**COLOUR, "source": "observed"}, HEIGHT))
    assert schema.observed == ("colour",)
    with pytest.raises(SchemaError, match="`observed` entries in 'colour'"):
        schema.require_releasable()
    bound = {**HEIGHT, "source": {"minimum": "public", "maximum": "observed"}}
    with pytest.raises(SchemaError, match="'height'"):
        parse_schema(_document(bound)).require_releasable()


def test_a_release_refuses_a_schema_without_a_cap() -> None:
    with pytest.raises(SchemaError, match=r"privacy\.cap"):
        parse_schema(_document(cap=None)).require_releasable()


def test_says_which_public_entries_equal_what_was_drafted() -> None:
    day = {**HEIGHT, "name": "day", "type": "date", "constraints": {"minimum": "2001-01-01", "maximum": "2002-01-01"}}
    drafted = {
        "colour": {"categories": ["green", "red"]},
        "height": {"minimum": 0.0, "maximum": 222},
        "day": {"minimum": "2001-01-01", "maximum": {"of": "another form"}},
        "gone": {"minimum": 1},
    }
    schema = parse_schema(_document(COLOUR, HEIGHT, day, drafted=drafted))
    assert schema.declared_after_reading == ("categories of 'colour'", "minimum of 'height'", "minimum of 'day'")
    assert parse_schema(_document()).declared_after_reading == ()


def test_columns_can_be_replaced_once_bought() -> None:
    schema = parse_schema(_document())
    bought = parse_schema(_height(constraints={"minimum": 1, "maximum": 2}))["height"]
    assert schema.with_columns({"height": bought})["height"] == bought
    assert schema.with_columns({"height": bought})["colour"] == schema["colour"]


def test_public_counts() -> None:
    assert parse_schema(_document(n_public="measured")).n_public.measured
    count = parse_schema(_document(n_public={"value": 9, "cite": "report, table 1"})).n_public
    assert (count.value, count.measured, count.cite) == (9, False, "report, table 1")


def test_digest_depends_on_content_alone(tmp_path: Path) -> None:
    document = _document()
    turned = {key: document[key] for key in reversed(document)}
    (tmp_path / "a.json").write_text(json.dumps(turned, indent=3), encoding="utf-8")
    digest = parse_schema(document).digest
    assert digest == load_schema(tmp_path / "a.json").digest
    assert digest == "36e022ba904ddf89ebec0c5d65f8dde13c9860e8240afc78062470b14d146988"
    assert parse_schema(_colour(categories=["green", "red"])).digest != parse_schema(_colour()).digest


def test_plain_words_of_yaml_are_text(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        """
fields:
  - {name: answer, categories: [no, yes, on, 007, 2009_10, 1:30, 2001-02-03, 1e3x], source: public, cite: form}
  - name: day
    type: date
    constraints: {minimum: 2001-02-03, maximum: 2002-02-03}
    source: public
    cite: form
  - {name: stage, type: number, categories: [1, 2.5, -3], source: public, cite: form}
privacy: {population: p, unit: row, adjacency: add-or-remove, n_public: none, cap: {epsilon: 1, delta: 1.0e-6}}
""",
        encoding="utf-8",
    )
    schema = load_schema(path)
    assert schema.name == "s"
    assert _level(schema, "answer").levels == ("no", "yes", "on", "007", "2009_10", "1:30", "2001-02-03", "1e3x")
    assert _number(schema, "day").bounds == (11356.0, 11721.0)
    assert _level(schema, "stage").levels == ("1", "2.5", "-3")
    assert schema.cap is not None
    assert schema.cap.delta == 1e-6


@pytest.mark.parametrize("content", [b"fields: [", b"\xff\xfe\x00", b"a: &a [*a]", b"!!python/object:os.system x", b""])
def test_a_file_that_is_no_schema_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(SchemaError):
        load_schema(path)


def test_a_schema_file_must_exist_and_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"no schema file 'none\.yaml'"):
        load_schema(tmp_path / "none.yaml")
    with pytest.raises(SchemaError, match="not readable"):
        load_schema(tmp_path)


def workload(written: Any) -> Any:
    document = copy.deepcopy(MIXED_DOCUMENT)
    always = dict.fromkeys(EDUCATION, "single")
    derived = {"cite": "made up", "derive": "marital-status", "from": "education", "map": always}
    document["privacy"] |= {"workload": written, "constraints": [derived]}
    return parse_schema(document).workload


def test_a_workload_is_kept_in_schema_order() -> None:
    asked = [{"columns": ["income", "age"], "weight": 3}, {"columns": ["sex", "region", "income"]}]
    assert workload(asked) == {("age", "income"): 3, ("region", "sex", "income"): 1}


@pytest.mark.parametrize(
    "written",
    [
        [],
        "all",
        [{"columns": ["age"]}],
        [{"columns": ["age", "age"]}],
        [{"columns": ["age", "nobody"]}],
        [{"columns": ["age", "marital-status"]}],
        [{"columns": ["age", "income"], "weight": 0}],
        [{"columns": ["age", "income"], "weight": 1.5}],
        [{"columns": ["age", "income"]}, {"columns": ["income", "age"]}],
        [{"columns": ["age", "income"], "heavy": True}],
    ],
)
def test_a_workload_is_refused(written: Any) -> None:
    with pytest.raises(SchemaError, match="workload"):
        workload(written)

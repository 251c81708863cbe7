"""What can be known of conditions before anything is paid."""

from __future__ import annotations

from typing import Any

import pytest

from api.asked_rows import doubts, target_of
from privacy.errors import RequestError
from privacy.schema import Schema
from privacy.schema_file import parse_schema


def schema_of(**privacy: Any) -> Schema:
    fields = [
        {"name": "age", "type": "integer", "constraints": {"minimum": 0, "maximum": 90}, "source": "public",
         "cite": "c"},
        {"name": "sex", "type": "string", "categories": ["f", "m"], "source": "public", "cite": "c"},
        {"name": "role", "type": "string", "categories": ["husband", "wife", "child"], "source": "public", "cite": "c"},
        {"name": "job", "type": "string", "source": "measured", "max_levels": 9},
    ]  # fmt: skip
    rules = [
        {"cite": "c", "never": {"role": "husband", "sex": "f"}},
        {"cite": "c", "if": {"age": {"maximum": 14}}, "then": {"role": "child"}},
    ]
    return parse_schema(
        {
            "name": "t",
            "fields": fields,
            "privacy": {"population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": "none",
                        "cap": {"epsilon": 1, "delta": 1e-6}, "constraints": rules, **privacy},
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("where", "by"),
    [
        (["age>=91"], "public bounds of 'age'"),
        (["age>=40", "age<=30"], "conditions on 'age'"),
        (["sex=f", "sex=m"], "conditions on 'sex'"),
        (["role=husband", "sex=f"], "the rule"),
        (["age<=10", "role=wife|husband"], "the rule"),
    ],
)
def test_what_no_row_can_be_is_refused_before_it_is_paid_for(where: list[str], by: str) -> None:
    with pytest.raises(RequestError, match=by):
        target_of(schema_of(), where, (), None)


@pytest.mark.parametrize(
    "where", [["age>=90"], ["age=", "sex=f"], ["sex=f"], ["role=husband|wife", "sex=f"], ["age<=20", "role=wife"]]
)
def test_what_a_row_can_be_is_not(where: list[str]) -> None:
    assert len(target_of(schema_of(), where, (), None).where) == len(where)


def test_doubts_name_what_is_still_to_be_bought() -> None:
    schema = schema_of()
    assert doubts(schema, target_of(schema, [], (), None)) == ()
    (general,) = doubts(schema, target_of(schema, ["sex=f"], (), None))
    assert "the charge stands" in general
    open_list, again = doubts(schema, target_of(schema, ["job=clerk"], (), None))
    assert "'job'" in open_list
    assert again == general

"""Conditions: parsed as written, met by the rows a reader would expect."""

import numpy as np
import pytest

from privacy.conditions import all_met, condition_of, parse_where
from privacy.errors import RequestError
from privacy.schema_file import parse_schema
from privacy.table import make_table

SCHEMA = parse_schema(
    {
        "fields": [
            {"name": "sex", "type": "string", "categories": ["F", "M"], "source": "public", "cite": "made up"},
            {"name": "job", "type": "string", "source": "measured", "max_levels": 3},
            {
                "name": "age",
                "type": "integer",
                "constraints": {"minimum": 0, "maximum": 99},
                "source": "public",
                "cite": "made up",
            },
        ],
        "privacy": {"population": "made-up", "unit": "row", "adjacency": "add-or-remove", "n_public": "none"},
    }
)
TABLE = make_table(
    SCHEMA,
    {
        "sex": np.array([0, 1, 2, 3, 0], np.int32),
        "job": np.array([0, 0, 1, 1, 1], np.int32),
        "age": np.array([10.0, 30.0, 40.0, np.nan, 50.0]),
    },
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("sex=F", [0, 4]),
        (" sex = F | M ", [0, 1, 4]),
        ("sex!=F", [1, 2, 3]),
        ("sex=", [3]),
        ("sex!=", [0, 1, 2, 4]),
        ("sex!=F|", [1, 2]),
        ("age=30", [1]),
        ("age>=30", [1, 2, 4]),
        ("age<=30", [0, 1]),
        ("age=", [3]),
        ("age!=", [0, 1, 2, 4]),
    ],
)
def test_command_line(text: str, rows: list[int]) -> None:
    condition = parse_where(SCHEMA, text)
    assert np.flatnonzero(all_met([condition], TABLE)).tolist() == rows


def test_several_conditions_are_all_to_be_met() -> None:
    conditions = [condition_of(SCHEMA, "sex", ["F", "M"]), condition_of(SCHEMA, "age", {"minimum": 20})]
    assert np.flatnonzero(all_met(conditions, TABLE)).tolist() == [1, 4]


def test_a_level_that_was_not_bought_is_met_by_no_row() -> None:
    assert not parse_where(SCHEMA, "job=nurse").met(TABLE).any()


@pytest.mark.parametrize(
    "text", ["", "sex", "=F", "town=X", "sex=X", "sex>=F", "age!=3", "age=old", "age=1|2", "job!=nurse", "age=1.5"]
)
def test_refused(text: str) -> None:
    with pytest.raises(RequestError):
        parse_where(SCHEMA, text)


@pytest.mark.parametrize("written", [{"minimum": 5, "maximum": 1}, {"below": 3}, {"missing": "yes"}, [1, 2], "x"])
def test_refused_intervals(written: object) -> None:
    with pytest.raises(RequestError):
        condition_of(SCHEMA, "age", written)

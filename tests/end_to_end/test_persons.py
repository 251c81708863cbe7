"""A whole release of a table whose people own several rows: every person is one unit from the file to the card."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from api.pipeline import Release, release
from api.steps import Steps
from audits.release.gate import Verdict
from privacy.table import read_table
from tests.end_to_end.scene import OPEN, request
from tests.tables import MIXED_DOCUMENT, MIXED_FIELDS, REGIONS, mixed_schema, people

PERSONS, HOARDER_ROWS, NAMELESS_ROWS = 1_500, 400, 300


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Path]:
    """1,500 persons of up to five rows; one who has 400 rows, all of a rare region; 300 such rows of nobody.

    What a person may contribute is five rows, so the 400 count as five.
    """
    folder = tmp_path_factory.mktemp("persons")
    table = people(PERSONS, 5)
    cells = list(zip(*(table.written(name) for name in table.schema.names), strict=True))
    file = StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["person", *table.schema.names])
    writer.writerows([f"p{unit}", *row] for unit, row in zip(table.units, cells, strict=True))
    hoarded = [
        "abroad" if name == "region" else value for name, value in zip(table.schema.names, cells[0], strict=True)
    ]
    writer.writerows(["hoarder", *hoarded] for _ in range(HOARDER_ROWS))
    writer.writerows(["", *hoarded] for _ in range(NAMELESS_ROWS))
    document = {
        **MIXED_DOCUMENT,
        "fields": [{"name": "person", "type": "string", "role": "identifier"}, *MIXED_FIELDS],
        "privacy": {**MIXED_DOCUMENT["privacy"], "unit": {"field": "person", "max_rows": 5}},
    }
    recipe, home = request(folder, file.getvalue().encode(), document, OPEN, epsilon=8.0)
    return release(recipe, home, Steps(lambda _: None)), folder


def test_every_audit_answers(persons: tuple[Release, Path]) -> None:
    result, _ = persons
    assert result.decision.verdict is Verdict.PASS
    assert [(o.audit, o.inconclusive, o.error) for o in result.outcomes if not o.findings] == []


def test_the_promise_is_to_a_person(persons: tuple[Release, Path]) -> None:
    _, folder = persons
    statement = json.loads((folder / "bundle" / "statement.json").read_text())
    assert statement["unit"]["field"] == "person"
    assert statement["unit"]["max_rows"] == 5
    assert "one person" in statement["promise"]
    header = (folder / "bundle" / "data" / "synthetic.csv").read_text().splitlines()[0]
    assert header.split(",") == list(mixed_schema().names)


def test_nobody_counts_for_more_than_their_bound(persons: tuple[Release, Path]) -> None:
    """Unbounded, the hoarder and the rows of nobody would be a seventh of the table: 700 rows of about 5,200."""
    _, folder = persons
    left = read_table(folder / "bundle" / "data" / "synthetic.parquet", mixed_schema())
    true = people(PERSONS, 5)
    rare = REGIONS.index("abroad")
    share, honest = (np.mean(t.codes("region") == rare) for t in (left, true))
    assert abs(share - honest) < 0.03
    # Rows are the measured number: that of all persons' bounded rows, within the noise of k = 5 rows a person.
    assert 0.85 * len(true) < len(left) < 1.15 * len(true)

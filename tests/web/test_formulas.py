"""CSV injection: no cell that a spreadsheet would execute leaves, whichever way it came in."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.scene import DOCUMENT, OPEN
from tests.web.conftest import RECIPE, WORDS, Service, make_service

EVIL = "=HYPERLINK(A1)"
CHECK = {
    "audit": "content", "quantity": "columns with formula cells", "subjects": "table", "worse": "higher",
    "pass_limit": 0, "withhold_limit": 0, "min_n": 0, "effect": "block", "required": True,
}  # fmt: skip


def _document(**region: object) -> dict[str, object]:
    document = deepcopy(DOCUMENT)
    document["fields"][0] |= region
    return document


def _registered(service: Service, document: dict[str, object], status: int = 201) -> dict[str, str]:
    asked = {"title": "A scene", "table_schema": json.dumps(document), "format": "json"}
    answer = service.program("steward").post("/v1/datasets", json=asked)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("region", [{"categories": ["n", EVIL]}, {"name": EVIL}, {"missingValues": [EVIL]}])
def test_a_schema_that_declares_one_is_not_registered(service: Service, region: dict[str, object]) -> None:
    refused = _registered(service, _document(**region), 422)
    assert "spreadsheet" in refused["what"]


def test_one_that_would_be_bought_is_refused_without_the_check_and_withheld_with_it(tmp_path: Path) -> None:
    """A list that is still to be bought: its texts come from the table, and this one is in half of its rows."""
    service = make_service(tmp_path)
    scanned = OPEN | {"name": "scanned", "checks": [*OPEN["checks"], CHECK]}
    (tmp_path / "policies" / "scanned.yaml").write_text(yaml.safe_dump(scanned))
    document = _document(source="measured", max_levels=5)
    del document["fields"][0]["categories"], document["fields"][0]["cite"]  # type: ignore[index]
    dataset = _registered(service, document)["id"]
    researcher = service.program("researcher")
    mock = researcher.get(f"/v1/datasets/{dataset}/mock").text
    assert EVIL not in mock
    rows = ["region,note,age,income,approved", *(f"{EVIL if i % 2 else 'n'},x,30,{i},true" for i in range(300))]
    table = "\n".join(rows).encode()
    assert service.program("steward").put(f"/v1/datasets/{dataset}/table?kind=csv", content=table).status_code == 202
    service.work()
    recipe = RECIPE | {"epsilon": 9.5, "delta": 1e-5}
    answer = researcher.post(f"/v1/datasets/{dataset}/quotes", json=recipe)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/policy")
    asked = researcher.post(f"/v1/datasets/{dataset}/releases", json=recipe | WORDS | {"policy": "scanned"})
    assert asked.status_code == 202, asked.text
    service.work()
    found = service.program("compliance").get(f"/v1/releases/{asked.json()['id']}").json()
    assert (found["state"], found["verdict"]) == ("withheld", "WITHHOLD")
    service.desk.engine.dispose()

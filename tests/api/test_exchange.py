"""Schemas from and for other tools, and generators and audits of other libraries, where no library is needed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.integrations.sdv import export_metadata, import_metadata
from audits.release.gate import Verdict, decide
from audits.release.policy import SHIPPED, load_policy
from privacy.draft import draft_schema
from privacy.errors import SchemaError
from privacy.schema_file import load_schema, parse_schema
from tests.api.conftest import CANARIES, Desk, call, clean_rows, csv_of, only_object
from tests.audits.release.made_up import outcomes
from tests.tables import mixed_schema

METADATA: dict[str, Any] = {
    "METADATA_SPEC_VERSION": "V2",
    "relationships": [],
    "tables": {
        "patients": {
            "primary_key": "number",
            "columns": {
                "number": {"sdtype": "id"},
                "age": {"sdtype": "numerical", "range_min": 18, "range_max": 90, "decimal_places": 0},
                "weight": {"sdtype": "numerical"},
                "sex": {"sdtype": "categorical", "range_values": ["f", "m"]},
                "stage": {"sdtype": "ordinal", "range_values": [2, 1, 3]},
                "town": {"sdtype": "city", "pii": False},
                "street": {"sdtype": "street_address", "pii": True},
                "seen": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
                "smoker": {"sdtype": "boolean"},
            },
        }
    },
}


def written(folder: Path, document: Any) -> Path:
    path = folder / "metadata.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_metadata_becomes_a_schema_that_no_release_accepts(tmp_path: Path) -> None:
    document = import_metadata(written(tmp_path, METADATA))
    schema = parse_schema(document)
    assert schema.name == "patients"
    assert {name: str(role) for name, role in schema.dropped.items()} == {
        "number": "identifier",
        "street": "identifier",
    }
    assert schema.observed == ("age", "sex", "stage")  # a range was read off the rows for all that is known
    assert set(schema.measured) == {"weight", "town", "seen"}
    assert schema["stage"].levels == ("1", "2", "3")  # type: ignore[union-attr]
    with pytest.raises(SchemaError, match="observed"):
        schema.require_releasable()


def test_without_ranges_it_lacks_only_what_a_person_writes(tmp_path: Path) -> None:
    metadata = copy.deepcopy(METADATA)
    columns = metadata["tables"]["patients"]["columns"]
    for about in columns.values():
        for key in ("range_min", "range_max", "range_values"):
            about.pop(key, None)
    document = import_metadata(written(tmp_path, metadata))
    with pytest.raises(SchemaError, match=r"privacy\.cap"):
        parse_schema(document).require_releasable()
    document["privacy"] |= {"population": "patients", "cap": {"epsilon": 1, "delta": 1e-6}}
    parse_schema(document).require_releasable()


def test_the_older_form_is_read_too(tmp_path: Path) -> None:
    columns = {
        "a": {"sdtype": "numerical", "computer_representation": "Int64"},
        "b": {"sdtype": "categorical", "order": ["low", "high"]},
        "c": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d %H:%M:%S"},
        "d": {"sdtype": "unknown", "pii": True},
        "e": {"sdtype": "text"},
    }
    schema = parse_schema(
        import_metadata(written(tmp_path, {"METADATA_SPEC_VERSION": "SINGLE_TABLE_V1", "columns": columns}))
    )
    assert [str(getattr(schema[name], "kind", "levels")) for name in schema.names] == ["integer", "levels", "datetime"]
    assert schema["b"].levels == ("low", "high")  # type: ignore[union-attr]
    assert set(schema.dropped) == {"d", "e"}


def test_what_is_exported_is_imported_alike(tmp_path: Path) -> None:
    schema = mixed_schema()
    again = parse_schema(import_metadata(written(tmp_path, export_metadata(schema))))
    assert again.names == schema.names
    for column in schema.columns:
        other = again[column.name]
        assert type(other) is type(column)
        if hasattr(column, "kind"):
            assert (other.kind, other.minimum, other.maximum) == (column.kind, column.minimum, column.maximum)  # type: ignore[union-attr]
        else:
            assert set(other.declared) == set(column.declared)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda m: m.update(tables={}), "more or fewer tables"),
        (lambda m: m["tables"]["patients"].update(sequence_key="number"), "sequence"),
        (lambda m: m["tables"]["patients"]["columns"]["seen"].pop("datetime_format"), "datetime_format"),
        (lambda m: m["tables"]["patients"]["columns"]["age"].pop("sdtype"), "not metadata of SDV"),
        (lambda m: m["tables"]["patients"]["columns"]["age"].update(range_min="x"), "not metadata of SDV"),
        (lambda m: m["tables"].update(patients=[1]), "not metadata of SDV"),
    ],
)
def test_other_metadata_is_refused(spoil: Any, what: str, tmp_path: Path) -> None:
    metadata = copy.deepcopy(METADATA)
    spoil(metadata)
    with pytest.raises(SchemaError, match=what):
        import_metadata(written(tmp_path, metadata))


def test_the_verbs(desk: Desk) -> None:
    path = written(desk.folder, METADATA)
    out = desk.folder / "imported.yaml"
    done = call("schema", "import", path, "-o", out)
    assert done.exit_code == 0, done.output
    assert load_schema(out).name == "patients"
    assert call("schema", "import", path, "-o", out).exit_code == 2  # nothing is overwritten
    assert only_object(call("schema", "import", path, "--json"))["name"] == "patients"
    assert call("schema", "export", out).exit_code == 2  # observed entries are not handed on
    exported = only_object(call("schema", "export", desk.schema, "--json"))
    assert exported["METADATA_SPEC_VERSION"] == "V2"
    to = desk.folder / "sdv.json"
    assert call("schema", "export", desk.schema, "-o", to).exit_code == 0
    assert json.loads(to.read_text()) == exported
    assert call("schema", "export", desk.schema, "-o", desk.folder / "none" / "sdv.json").exit_code == 2


def test_a_profile_drafts_what_its_table_does(desk: Desk) -> None:
    rows = clean_rows(200, 3)
    table = desk.folder / "survey.csv"
    table.write_text(csv_of(rows))
    counts: dict[str, dict[str, int]] = {name: {} for name in rows[0]}
    for row in rows:
        for name, text in row.items():
            if text:
                counts[name][text] = counts[name].get(text, 0) + 1
    profile = {
        "table": {"n": len(rows)},
        "variables": {name: {"value_counts_without_nan": found} for name, found in counts.items()},
    }
    path = desk.folder / "survey.json"
    path.write_text(json.dumps(profile))
    done = call("schema", "draft", path)
    assert done.exit_code == 0, done.output
    drafted = yaml.safe_load(done.stdout)
    assert drafted["fields"] == yaml.safe_load(yaml.safe_dump(draft_schema(table)["fields"]))
    assert drafted["privacy"]["drafted"]
    assert parse_schema(drafted).observed
    assert "read off private rows" in done.stderr


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"table": {"n": 3}, "variables": {}}', '{"table": 1}'])
def test_what_is_no_profile_is_refused(content: str, desk: Desk) -> None:
    path = desk.folder / "profile.json"
    path.write_text(content)
    done = call("schema", "draft", path)
    assert done.exit_code == 2
    assert "not the JSON of a profile" in done.stderr


@pytest.mark.parametrize("policy", [*[name for name in SHIPPED if load_policy(name).requires_dp], "priced"])
def test_a_generator_without_a_proof_is_not_let_near_a_tier_that_needs_one(policy: str, desk: Desk) -> None:
    before = desk.listing()
    done = desk.release("--rows", "10", synthesizer="synthcity:ctgan", policy=policy)
    assert done.exit_code == 2
    assert "unverified" in done.stderr
    assert desk.listing() == before
    # And were it asked all the same, the gate is deaf to whatever the audits say.
    asked = load_policy(policy)
    decision = decide(outcomes(), asked, None, (), None, "")
    (stated,) = [check for check in decision.checks if check.quantity == "a guarantee is stated"]
    assert (stated.verdict, decision.verdict) == (Verdict.WITHHOLD, Verdict.WITHHOLD)


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        ([], "Say how many with --rows"),
        (["--rows", "10", "--where", "sex=female"], "Leave --where"),
        (["--rows", "10"], "pip install 'tablegate[synthcity]'"),
    ],
)
def test_what_it_cannot_be_asked_is_refused(
    flags: list[str], what: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.integrations.extras.find_spec", lambda _: None)
    done = desk.release(*flags, synthesizer="synthcity:ctgan", policy="internal")
    assert done.exit_code == 2
    assert what in done.stderr.replace("\n", " ")
    assert not desk.ledger.exists() or desk.home.ledger.populations() == ()


def test_it_has_no_price(desk: Desk) -> None:
    done = call("plan", desk.table, "--schema", desk.schema, "--epsilon", "1", "--delta", "1e-6",
                "--synthesizer", "synthcity:ctgan")  # fmt: skip
    assert done.exit_code == 2
    assert "has no price" in done.stderr


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--beside", "abacus"], "no audits of 'abacus'"),
        (["--beside", "sdmetrics"], "tablegate[sdmetrics]"),
        (["--track", "http://127.0.0.1:9"], "tablegate[mlflow]"),
    ],
)
def test_a_library_that_is_not_there_is_named_before_the_charge(
    flags: list[str], what: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.integrations.extras.find_spec", lambda _: None)
    done = desk.release(*flags)
    assert done.exit_code == 2
    assert what in done.stderr.replace("\n", " ")
    assert desk.charges() == 0
    assert not any(canary in done.output for canary in CANARIES)

"""Descriptions of a released table: what the standards ask for is there, it is true, and nothing else is."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from audits.finding import Audience
from audits.release.gate import Verdict
from audits.release.review import Said, review
from audits.release.scorecard import render
from audits.standards.described import Described, FileFacts, facts_of
from audits.standards.descriptions import NAMES, describe
from privacy.schema_file import parse_schema
from tests.audits.release.made_up import card, key, quarantine, sealed, table
from tests.tables import CITE, MIXED_DOCUMENT

PUBLICATION = {
    "publication": {
        "curator": "Office of Made-up Statistics",
        "curator_type": "Government",
        "region": "Nowhere",
        "sector": "Education",
        "intended_use": "teaching",
        "not_for": "deciding about persons",
    },
    "licenses": [{"name": "CC-BY-4.0", "path": "https://creativecommons.org/licenses/by/4.0/"}],
    "keywords": ["survey"],
    "homepage": "https://statistics.example/mixed",
}

DOCUMENTS = ("policy.json", "schema.json", "statement.json", "scorecard.json", "report.html")
CURATOR = {
    "type": "object",
    "required": ["data_curator_name", "data_curator_type"],
    "properties": {"data_curator_type": {"enum": ["Government", "Industry", "Nonprofit"]}},
}
TEXT = {"type": "string", "minLength": 1}


def section(required: list[str], **properties: Any) -> dict[str, Any]:
    named = {name: properties.get(name, TEXT) for name in (*required, *properties)}
    return {"type": "object", "additionalProperties": False, "required": required, "properties": named}


REGISTRY = section(
    ["url_slug", "deployment"],
    deployment=section(
        ["basic", "dp_variant", "privacy_loss", "deployment_model", "implementation", "administrative"],
        basic=section(
            [
                "name", "data_curators", "description", "intended_use", "data_product_type", "data_product_region",
                "publication_date",
            ],
            data_curators={"type": "array", "minItems": 1, "items": CURATOR},
            data_product_type={"enum": ["Summary statistics", "Machine learning model", "Dataset", "Synthetic data"]},
            data_product_sector={
                "enum": ["Technology", "Healthcare", "Education", "Government", "Energy", "Finance"]
            },
            publication_date={"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
        ),
        dp_variant=section(
            ["variant_name", "data_domain", "unprotected_quantities"],
            variant_name={"enum": ["Pure DP", "Approximate DP", "Zero-concentrated DP", "Renyi DP", "Custom"]},
        ),
        privacy_loss=section(
            ["privacy_unit", "privacy_unit_details", "privacy_parameters", "privacy_parameters_details"],
            number_of_privacy_units={"type": "integer"},
            privacy_parameters=section(["epsilon", "delta"], epsilon={"type": "number"}, delta={"type": "number"}),
        ),
        deployment_model=section(
            [
                "model_name", "trust_assumptions", "actors", "release_type", "release_type_details",
                "data_source_type", "access_type",
            ],
            model_name={"enum": ["Local", "Central", "Shuffle", "Federated", "Varies"]},
            release_type={"enum": ["One release", "Many releases"]},
            data_source_type={"enum": ["Static", "Dynamic"]},
            access_type={"enum": ["Interactive", "Non-interactive"]},
        ),
        implementation=section(
            [
                "preprocessing_and_hyperparameter_tuning", "mechanisms", "composition", "post_processing",
                "justification", "utility", "additional_information",
            ]
        ),
        administrative=section(
            ["status", "registry_authors", "tier"],
            status={"enum": ["Draft", "Pending", "Approved"]},
            registry_authors={"type": "array", "minItems": 1, "items": TEXT},
            tier={"const": 3},
        ),
    ),
)  # fmt: skip
"""The registry's own rules for an entry of tier 3: keys, which of them are asked for, and the words it lists."""


def described(**changed: Any) -> Described:
    facts: dict[str, Any] = {
        "card": render(card(), Audience.RECIPIENT),
        "document": MIXED_DOCUMENT,
        "files": facts_of(
            {
                "data/synthetic.csv": table().csv(),
                "data/synthetic.parquet": table().parquet(),
                **dict.fromkeys(DOCUMENTS, b""),
            }
        ),
        "date": "2026-05-01",
        "approvals": [],
        "code_version": "0.1.0",
    }
    return Described(**{**facts, **changed})


def fields_of(package: bytes) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = json.loads(package)["resources"][0]["schema"]["fields"]
    return fields


@pytest.fixture(scope="module")
def written() -> dict[str, bytes]:
    return describe(described(document={**MIXED_DOCUMENT, **PUBLICATION}))


@pytest.fixture(scope="module")
def undeclared() -> dict[str, bytes]:
    return describe(described())


def test_equal_releases_are_described_by_equal_bytes(undeclared):
    assert describe(described()) == undeclared
    assert set(undeclared) == NAMES


def test_only_what_a_recipient_may_see_is_at_hand(undeclared):
    """The whole tree has findings; a description made of it says nothing more than one made of the rendering."""
    assert describe(described(card=card())) == undeclared


def test_nothing_is_made_up_that_nobody_declared(undeclared):
    texts = {name: content.decode() for name, content in undeclared.items()}
    assert "license" not in json.loads(texts["croissant.json"])
    assert "licenses" not in json.loads(texts["datapackage.json"])
    assert "no licence is declared" in texts["DATASHEET.md"]
    entry = yaml.safe_load(texts["dp-disclosure.yaml"])["deployment"]["basic"]
    assert entry["data_curators"] == [{"data_curator_name": "Not declared."}]
    assert "data_product_sector" not in entry
    assert "data_curator_type, intended_use, data_product_region, data_product_sector" in texts["dp-disclosure.yaml"]


def test_the_disclosure_is_one_the_registry_takes(written, undeclared):
    entry = yaml.safe_load(written["dp-disclosure.yaml"])
    assert list(Draft202012Validator(REGISTRY).iter_errors(entry)) == []
    loss = entry["deployment"]["privacy_loss"]
    statement = card()["statement"]
    assert loss["privacy_parameters"] == {"epsilon": statement["epsilon"], "delta": statement["delta"]}
    assert "number_of_privacy_units" not in loss  # it is not public in this schema
    missing = list(Draft202012Validator(REGISTRY).iter_errors(yaml.safe_load(undeclared["dp-disclosure.yaml"])))
    assert [error.message for error in missing] == ["'data_curator_type' is a required property"]


def test_a_public_row_count_is_disclosed():
    privacy = {**MIXED_DOCUMENT["privacy"], "n_public": {"value": 4711, "cite": CITE}}
    made = described(document={**MIXED_DOCUMENT, "privacy": privacy})
    entry = yaml.safe_load(describe(made)["dp-disclosure.yaml"])
    assert entry["deployment"]["privacy_loss"]["number_of_privacy_units"] == 4711


def test_croissant_names_files_by_digest_and_fields_by_the_parquet_column(written):
    document = json.loads(written["croissant.json"])
    assert document["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert {f["contentUrl"]: f["sha256"] for f in document["distribution"]} == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in (("data/synthetic.csv", table().csv()), ("data/synthetic.parquet", table().parquet()))
    }
    (rows,) = document["recordSet"]
    assert [field["source"]["extract"]["column"] for field in rows["field"]] == list(table().schema.names)
    assert len({field["@id"] for field in rows["field"]}) == len(rows["field"])
    assert not any(re.search(r"\s", field["@id"]) for field in rows["field"])
    generated = document["prov:wasGeneratedBy"]
    assert generated["@type"] == "prov:Activity"
    assert "prov:Entity" == document["prov:wasDerivedFrom"]["@type"]
    for term in ("dataLimitations", "dataBiases", "personalSensitiveInformation", "dataUseCases", "dataCollection"):
        assert document[f"rai:{term}"]


def test_the_data_package_describes_every_cell():
    """Read by hand: every cell of the CSV is of its field's type, in its list or bounds, or missing."""
    package = json.loads(describe(described())["datapackage.json"])
    (resource,) = package["resources"]
    content = table().csv()
    assert (resource["bytes"], resource["hash"]) == (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")
    fields = {field["name"]: field for field in resource["schema"]["fields"]}
    casts = {"integer": int, "number": float}
    for record in csv.DictReader(content.decode().splitlines()):
        assert list(record) == list(fields)
        for name, text in record.items():
            field = fields[name]
            if text in field["missingValues"]:
                continue
            value = casts.get(field["type"], str)(text)
            limits = field.get("constraints", {})
            assert value in limits.get("enum", [value])
            if field["type"] in casts and "minimum" in limits:
                assert limits["minimum"] <= value <= limits["maximum"]


def test_other_is_missing_where_levels_are_numbers():
    field = {"name": "rooms", "type": "integer", "categories": [1, 2, 3], "source": "public", "cite": CITE}
    fields = [field if f["name"] == "region" else f for f in MIXED_DOCUMENT["fields"]]
    document = {**MIXED_DOCUMENT, "fields": fields}
    assert parse_schema(document)["rooms"].other == "OTHER"
    found = json.loads(describe(described(document=document))["datapackage.json"])["resources"][0]["schema"]["fields"][
        0
    ]
    assert found["type"] == "integer"
    assert found["missingValues"] == ["", "NA", "OTHER"]
    assert found["constraints"] == {"enum": [1, 2, 3]}


def test_a_bought_list_and_a_bought_bound_are_not_in_the_schema_and_not_told():
    """What was bought stands in the scorecard; the package states only what the schema declares."""
    fields = []
    for f in MIXED_DOCUMENT["fields"]:
        if f["name"] == "region":
            f = {"name": "region", "type": "string", "source": "measured", "max_levels": 9}
        if f["name"] == "age":
            f = {**f, "constraints": {"minimum": 18}, "source": {"minimum": "public", "maximum": "measured"}}
        fields.append(f)
    made = describe(described(document={**MIXED_DOCUMENT, "fields": fields}))
    shown = {f["name"]: f for f in fields_of(made["datapackage.json"])}
    assert "constraints" not in shown["region"]
    assert shown["age"]["constraints"] == {"minimum": 18}
    assert "integer from 18 to a bought bound" in made["DATASHEET.md"].decode()


def test_the_crate_is_whole_and_has_every_phase(written):
    graph = {entity["@id"]: entity for entity in json.loads(written["ro-crate-metadata.json"])["@graph"]}
    root = graph["./"]
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert {part["@id"] for part in root["hasPart"]} >= {
        "data/synthetic.csv",
        "data/synthetic.parquet",
        "croissant.json",
        "MANIFEST.sha256",
        "provenance.dsse.json",
    }
    phases = [graph[action["@id"]] for action in root["mentions"]]
    assert [action.get("additionalType", {}).get("@id", "").rpartition("#")[2] for action in phases] == [
        "CheckValue", "ValidationCheck", "SignOff", "", "DisclosureCheck", "GenerateCheckValue",
    ]  # fmt: skip
    outside = ("https://w3id.org/", "https://creativecommons.org/")
    for entity in graph.values():
        for value in entity.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict) and not one["@id"].startswith(outside):
                    assert one["@id"] in graph
    assert not any("startTime" in entity for entity in graph.values())


def test_people_who_decided_are_named_in_every_description(tmp_path: Path):
    sealed(tmp_path, Verdict.REVIEW)
    said = Said(reviewer="R. Meyer", role="steward", reason="noise", time="2026-06-03T10:00:00Z")
    bundle = review(tmp_path / "bundle", approve=True, said=[said], quarantine=quarantine(tmp_path), key=key(tmp_path))
    texts = {name: (bundle.path / name).read_text(encoding="utf-8") for name in NAMES}
    for name in ("croissant.json", "ro-crate-metadata.json", "DATASHEET.md", "dp-disclosure.yaml"):
        assert "R. Meyer" in texts[name]
        assert "noise at n" not in texts[name]
    assert json.loads(texts["croissant.json"])["datePublished"] == "2026-06-03"
    assert [e for e in json.loads(texts["ro-crate-metadata.json"])["@graph"] if e["@id"] == "#disclosure-1"]


def test_the_datasheet_keeps_its_tables_whole():
    title = "a | b"
    fields = [{**f, "cite": "p. 3 | p. 4"} if f["name"] == "region" else f for f in MIXED_DOCUMENT["fields"]]
    page = describe(described(document={**MIXED_DOCUMENT, "title": title, "fields": fields}))["DATASHEET.md"].decode()
    row = next(line for line in page.splitlines() if line.startswith("| region"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert "\n\n\n" not in page
    for question in ("Motivation", "Composition", "Collection", "Preprocessing", "Uses", "Distribution", "Maintenance"):
        assert f"\n## {question}\n" in page


def test_the_statement_that_is_signed_is_in_toto(tmp_path: Path):
    """in-toto Statement v1: a type URI, a predicate type that is a URI, and every file a subject with its digest."""
    bundle = sealed(tmp_path)
    envelope = json.loads((bundle.path / "provenance.dsse.json").read_bytes())
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert re.fullmatch(r"[a-z][a-z0-9+.-]*:\S+", statement["predicateType"])
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    files = {p.relative_to(bundle.path).as_posix(): p for p in bundle.path.rglob("*") if p.is_file()}
    assert subjects.keys() == files.keys() - {"provenance.dsse.json"}
    assert subjects.keys() >= NAMES
    for name, digest in subjects.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest


def test_files_are_described_by_what_they_are():
    changed = replace(described(), files={"data/synthetic.csv": FileFacts("0" * 64, 1), **_parquet()})
    document = json.loads(describe(changed)["datapackage.json"])
    assert document["resources"][0]["hash"] == "sha256:" + "0" * 64


def _parquet() -> dict[str, FileFacts]:
    return {"data/synthetic.parquet": FileFacts("1" * 64, 2)}

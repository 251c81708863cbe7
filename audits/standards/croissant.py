"""`croissant.json`: Croissant 1.1 with the vocabulary for responsible AI, and provenance in the words of PROV-O.

Sources: the MLCommons Croissant format 1.1 and its RAI vocabulary 1.0; W3C PROV-O. The record set is read from the
Parquet file, whose columns are typed and whose missing cells are null.
"""

from __future__ import annotations

import re
from typing import Any

from audits.standards.described import NOT_DECLARED, Described, pretty, words_of_column
from privacy.columns import Column, NumberColumn, NumberKind

CROISSANT, RAI = "http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"
DATA_TYPES = {
    NumberKind.INTEGER: "cr:Int64",
    NumberKind.NUMBER: "cr:Float64",
    NumberKind.DATE: "sc:Date",
    NumberKind.DATETIME: "sc:DateTime",
}
PLAIN = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
CSV, PARQUET = "data/synthetic.csv", "data/synthetic.parquet"
ENCODINGS = {CSV: "text/csv", PARQUET: "application/x-parquet"}
"""As Croissant's loaders know them; the registered name of Parquet's is `application/vnd.apache.parquet`."""
TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
    "subField", "transform",
)  # fmt: skip
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in TERMS},
}


def croissant(described: Described) -> bytes:
    """The Croissant description of a released table."""
    said = described.publication
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": described.identifier,
        "alternateName": described.title,
        "description": described.description,
        "conformsTo": [CROISSANT, RAI],
        "datePublished": described.date,
        "version": "1.0.0",
        "isLiveDataset": False,
    }
    if said.licenses:
        document["license"] = [one.path or one.name for one in said.licenses]
    if said.homepage:
        document["url"] = said.homepage
    if said.keywords:
        document["keywords"] = list(said.keywords)
    if said.curator:
        document["creator"] = {"@type": "sc:Organization", "name": said.curator}
        document["publisher"] = {"@type": "sc:Organization", "name": said.curator}
    return pretty(
        document
        | _responsible(described)
        | _provenance(described)
        | {
            "distribution": [_file(described, name) for name in (PARQUET, CSV)],
            "recordSet": [
                {
                    "@type": "cr:RecordSet",
                    "@id": "rows",
                    "name": "rows",
                    "description": f"{described.rows} synthetic rows, in no order that means anything.",
                    "field": [_field(i, column) for i, column in enumerate(described.schema.columns)],
                }
            ],
        }
    )


def _file(described: Described, name: str) -> dict[str, Any]:
    facts = described.files[name]
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{facts.size} B",
        "encodingFormat": ENCODINGS[name],
        "sha256": facts.sha256,
    }


def _field(i: int, column: Column) -> dict[str, Any]:
    """A column; its identifier is a place where its name has blanks or more, which identifiers must not have."""
    return {
        "@type": "cr:Field",
        "@id": f"rows/{column.name if PLAIN.fullmatch(column.name) else f'column-{i}'}",
        "name": column.name,
        "description": words_of_column(column),
        "dataType": DATA_TYPES[column.kind] if isinstance(column, NumberColumn) else "sc:Text",
        "source": {"fileObject": {"@id": PARQUET}, "extract": {"column": column.name}},
    }


def _responsible(described: Described) -> dict[str, Any]:
    said, statement = described.publication, described.statement
    sensitive = ", ".join(described.sensitive) or "none is declared"
    return {
        "rai:dataCollection": (
            "The rows were drawn from a model. The sensitive table it learned from is described by schema.json, whose "
            "entries cite the documents they come from."
        ),
        "rai:dataCollectionType": ["Synthetic data"],
        "rai:dataManipulationProtocol": (
            f"The generator '{statement['synthesizer']}' learned through noisy measurements alone; statement.json "
            "lists them. Values outside a declared list are OTHER, numbers outside declared bounds are moved to them."
        ),
        "rai:personalSensitiveInformation": [
            f"Columns declared sensitive in the table the model learned from: {sensitive}.",
            str(statement["promise"]),
        ],
        "rai:dataUseCases": [said.intended_use or NOT_DECLARED],
        "rai:dataLimitations": [*described.limitations, *((f"Not for: {said.not_for}",) if said.not_for else ())],
        "rai:dataBiases": [
            "Whoever was under-represented in the table the model learned from is so here; rare values and small "
            "groups lose most to the noise. report.html says which columns and pairs not to trust."
        ],
        "rai:dataReleaseMaintenancePlan": (
            "A release is not changed. Further releases of the same population add to its total epsilon, which is "
            f"bounded by the cap of its ledger: {statement['cap']['epsilon']:g} at delta {statement['cap']['delta']:g}."
        ),
    }


def _provenance(described: Described) -> dict[str, Any]:
    release = described.card["release"]
    digests = {"policy.json": release["policy"]["digest"], "schema.json": described.schema.digest}
    return {
        "prov:wasDerivedFrom": {
            "@type": "prov:Entity",
            "prov:label": f"The sensitive table of population '{release['population']}', which is not published",
        },
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": "Synthesis under differential privacy, audit and release",
            "prov:endedAtTime": {"@type": "http://www.w3.org/2001/XMLSchema#date", "@value": described.date},
            "prov:used": [
                {"@type": "prov:Entity", "prov:label": name, "prov:value": f"sha256:{digest}"}
                for name, digest in digests.items()
            ],
            "prov:wasAssociatedWith": [
                {"@type": "prov:SoftwareAgent", "prov:label": f"Tablegate {described.code_version}"},
                *(
                    {"@type": "prov:Person", "prov:label": f"{one['reviewer']} ({one['role']})"}
                    for one in described.approvals
                ),
            ],
        },
    }

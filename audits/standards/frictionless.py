"""`datapackage.json`: the CSV as a Frictionless Data Package, version 2.

Source: datapackage.org, Data Package 2.0, Data Resource and Table Schema. Types are those of the released values: a
column with levels is text, but where its levels are numbers; then the word for values outside the list stands among
the field's `missingValues`, so that every cell is of the field's type.
"""

from __future__ import annotations

from typing import Any

from audits.standards.described import Described, pretty, public_bounds
from privacy.columns import Column, LevelColumn, NumberColumn, NumberKind

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
CSV = "data/synthetic.csv"


def datapackage(described: Described) -> bytes:
    """The data package of a released table."""
    said = described.publication
    package: dict[str, Any] = {
        "$schema": PROFILE,
        "name": described.identifier,
        "title": described.title,
        "description": described.description,
        "created": f"{described.date}T00:00:00Z",
    }
    if said.homepage:
        package["homepage"] = said.homepage
    if said.keywords:
        package["keywords"] = list(said.keywords)
    if said.licenses:
        package["licenses"] = [
            {key: value for key, value in (("name", one.name), ("path", one.path)) if value} for one in said.licenses
        ]
    if said.curator:
        package["contributors"] = [{"title": said.curator, "roles": ["publisher"]}]
    package["resources"] = [_resource(described)]
    return pretty(package)


def _resource(described: Described) -> dict[str, Any]:
    facts = described.files[CSV]
    return {
        "name": "synthetic",
        "type": "table",
        "path": CSV,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": facts.size,
        "hash": f"sha256:{facts.sha256}",
        "schema": {
            "fields": [_field(described, column) for column in described.schema.columns],
            "fieldsMatch": "exact",
        },
    }


def _field(described: Described, column: Column) -> dict[str, Any]:
    declared = described.field(column.name)
    kind = described.kind(column)
    field: dict[str, Any] = {"name": column.name, "type": kind}
    for key in ("title", "description"):
        if declared.get(key):
            field[key] = str(declared[key])
    field["missingValues"] = described.missing(column)
    if isinstance(column, NumberColumn):
        if column.kind in (NumberKind.DATE, NumberKind.DATETIME):
            field["format"] = column.date_format
        constraints = public_bounds(column)
    else:
        constraints = _levels(column, kind)
        if column.ordered:
            field["categoriesOrdered"] = True
    if constraints:
        field["constraints"] = constraints
    field["role"] = str(column.role)
    field["sensitive"] = column.sensitive
    return field


def _levels(column: LevelColumn, kind: str) -> dict[str, Any]:
    """The list, where it is declared; one that was bought is not in the schema."""
    if column.levels is None:
        return {}
    if kind == "integer":
        return {"enum": [int(level) for level in column.levels]}
    if kind == "number":
        return {"enum": [float(level) for level in column.levels]}
    return {"enum": [*column.levels, column.other]}

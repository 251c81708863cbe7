"""Metadata of SDV, both ways: a column's kind is what both know; who is protected and what is public we alone say.

A range in SDV's metadata was read off the rows, as far as anybody can tell, so that it is imported as `observed`, as a
draft's is, and no release accepts it. Where there is none, the bound or list is to be bought (`measured`). An imported
schema has neither a population nor a cap: a person writes them. What is exported is public: the columns of a release,
with the bounds and lists the schema declares.

Source: SDV 2.0 (`METADATA_SPEC_VERSION` `V2`); `V1` and the single-table versions are read too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from privacy.columns import LevelColumn, NumberColumn, NumberKind
from privacy.draft import MAX_CATEGORIES
from privacy.errors import SchemaError
from privacy.schema import Schema, level_text

VERSION = "V2"
WHOLE = ("Int", "UInt")
"""How the computer representations of whole numbers begin, in V1."""

CLOCK = ("%H", "%I", "%T", "%X")
"""What a format of moments has, and one of days has not."""


def import_metadata(path: Path) -> dict[str, Any]:
    """A schema document from a file of SDV metadata.

    Raises:
        SchemaError: it is not readable, describes several tables or a sequence, or has a datetime without its format.
    """
    try:
        name, table = _only_table(json.loads(path.read_text(encoding="utf-8")), path.name.split(".")[0])
        if table.get("sequence_key"):
            raise _refused("It describes a sequence.", "Rows that belong together in time are out of scope.")
        keys = {table.get("primary_key"), *table.get("alternate_keys", [])}
        drafted: dict[str, Any] = {}
        fields = [_field(column, about, column in keys, drafted) for column, about in table["columns"].items()]
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise _refused("It is not metadata of SDV.", "Name a file that `Metadata.save_to_json` wrote.") from error
    return {
        "name": name,
        "missingValues": [""],
        "fields": fields,
        "privacy": {
            "population": "WRITE-A-NAME",
            "unit": "row",
            "adjacency": "add-or-remove",
            "n_public": "none",
            **({"drafted": drafted} if drafted else {}),
        },
    }


def export_metadata(schema: Schema) -> dict[str, Any]:
    """SDV's description of the columns a release of the schema has."""
    return {
        "tables": {schema.name: {"columns": {column.name: _described(column) for column in schema.columns}}},
        "relationships": [],
        "METADATA_SPEC_VERSION": VERSION,
    }


def _described(column: LevelColumn | NumberColumn) -> dict[str, Any]:
    if isinstance(column, LevelColumn):
        listed = {"range_values": list(column.levels), "high_cardinality": False} if column.levels else {}
        return {"sdtype": "ordinal" if column.ordered else "categorical", **listed}
    dated = bool(column.date_format)
    bounds: dict[str, Any] = {}
    for part, bound in (("range_min", column.minimum), ("range_max", column.maximum)):
        if bound is not None:
            whole = column.is_discrete and not dated
            bounds[part] = column.write(bound) if dated else int(bound) if whole else bound
    if dated:
        return {"sdtype": "datetime", "datetime_format": column.date_format, **bounds}
    return {"sdtype": "numerical", **({"decimal_places": 0} if column.is_discrete else {}), **bounds}


def _only_table(document: Mapping[str, Any], file_name: str) -> tuple[str, Mapping[str, Any]]:
    if "tables" not in document:
        return file_name, document
    if len(document["tables"]) != 1:
        raise _refused("It describes more or fewer tables than one.", "Linked tables are out of scope: give one.")
    ((name, table),) = document["tables"].items()
    return name, table


def _field(name: str, about: Mapping[str, Any], is_key: bool, drafted: dict[str, Any]) -> dict[str, Any]:
    sdtype, dropped = about["sdtype"], {"name": name, "type": "string", "role": "identifier"}
    if is_key or sdtype == "id":
        return dropped
    match sdtype:
        case "numerical":
            whole = about.get("decimal_places") == 0 or str(about.get("computer_representation")).startswith(WHOLE)
            return _numbers(name, NumberKind.INTEGER if whole else NumberKind.NUMBER, about, drafted)
        case "datetime":
            written = about.get("datetime_format")
            if not written:
                raise _refused(f"Column '{name}' has no `datetime_format`.", "Write how its moments are written.")
            clock = any(part in written for part in CLOCK)
            kind = NumberKind.DATETIME if clock else NumberKind.DATE
            return _numbers(name, kind, about, drafted) | {"format": written}
        case "boolean":
            return {"name": name, "type": "boolean", "role": "feature"}
        case "categorical" | "ordinal":
            return _levels(name, about, drafted)
    if about.get("pii", True):  # names, addresses and the like, and whatever SDV could not tell
        return dropped | {"role": "text" if sdtype == "text" else "identifier"}
    return _levels(name, about, drafted)


def _numbers(name: str, kind: NumberKind, about: Mapping[str, Any], drafted: dict[str, Any]) -> dict[str, Any]:
    """A field whose bounds are observed where the metadata has both, and to be bought otherwise."""
    field = {"name": name, "type": str(kind), "role": "feature"}
    ends: dict[str, Any] = {"minimum": about.get("range_min"), "maximum": about.get("range_max")}
    if None in ends.values():
        return field | {"source": "measured"}
    if kind is NumberKind.INTEGER:
        ends = {part: int(end) for part, end in ends.items()}
    drafted[name] = ends
    return field | {"constraints": dict(ends), "source": "observed"}


def _levels(name: str, about: Mapping[str, Any], drafted: dict[str, Any]) -> dict[str, Any]:
    """A field whose list is observed where the metadata has one, and to be bought otherwise."""
    field: dict[str, Any] = {"name": name, "type": "string", "role": "feature"}
    listed = about.get("range_values", about.get("order"))
    if about["sdtype"] == "ordinal" or "order" in about:
        field["categoriesOrdered"] = True
    if not isinstance(listed, list) or not listed:
        return field | {"source": "measured", "max_levels": MAX_CATEGORIES}
    levels = [level_text(value) for value in listed]
    if field.get("categoriesOrdered") and "order" not in about:
        levels = [level_text(value) for value in sorted(listed)]  # as they first appeared
    drafted[name] = {"categories": levels}
    return field | {"categories": levels, "source": "observed"}


def _refused(what: str, fix: str) -> SchemaError:
    return SchemaError(what, why="Kinds of columns are taken from it as they stand.", fix=fix)

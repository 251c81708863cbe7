"""Schemas from and for other tools: `tablegate schema import` and `tablegate schema export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from api.commands import hand_over
from api.display import ERR
from api.guarded import guarded
from api.integrations.sdv import export_metadata, import_metadata
from privacy.draft import write_draft
from privacy.schema_file import load_schema

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="Where to write it; printed otherwise.")]


def register(schema: typer.Typer) -> None:
    """Join the verbs of `tablegate schema`."""
    schema.command("import")(schema_import)
    schema.command("export")(schema_export)


def schema_import(
    metadata: Annotated[Path, typer.Argument(metavar="METADATA", help="Metadata of SDV, JSON.", show_default=False)],
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Write a schema with the columns of SDV's metadata; whom it protects, and its cap, are for a person to write."""
    guarded(lambda: _import(metadata, out, as_json=as_json), as_json=as_json)


def schema_export(
    schema: Annotated[Path, typer.Argument(metavar="SCHEMA", show_default=False)],
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Write the columns of a schema as SDV's metadata."""
    guarded(lambda: _export(schema, out, as_json=as_json), as_json=as_json)


def _import(metadata: Path, out: Path | None, *, as_json: bool) -> int:
    document = import_metadata(metadata)
    hand_over(document, write_draft(document), out, as_json=as_json)
    ERR.print("Ranges and lists of the metadata are `observed`, read off private rows for all that is known.")
    ERR.print("Cite what is public, buy the rest (`source: measured`), name the population, and write its cap.")
    return 0


def _export(path: Path, out: Path | None, *, as_json: bool) -> int:
    schema = load_schema(path)
    if schema.observed:  # its bounds were read off the rows, and metadata is handed on
        schema.require_releasable()
    document = export_metadata(schema)
    hand_over(document, json.dumps(document, indent=4) + "\n", out, as_json=as_json)
    return 0

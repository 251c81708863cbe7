"""What every description of a released table is made from: the recipient's scorecard, the schema, the files.

Nothing else is at hand here, so a description can tell nothing that scorecard, schema and table do not. What nobody
declared is said to be so, and never made up.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from privacy.columns import Column, LevelColumn, NumberColumn, Source
from privacy.publication import Publication, publication_of
from privacy.schema import Schema
from privacy.schema_file import parse_schema

NOT_DECLARED = "Not declared."
MEDIA_TYPES = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
    "yaml": "application/yaml",
    "sha256": "text/plain",
    "pem": "application/x-pem-file",
}
NUMERIC = ("integer", "number")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file of the bundle: its SHA-256 in hex, and its size in bytes."""

    sha256: str
    size: int


def facts_of(files: Mapping[str, bytes]) -> dict[str, FileFacts]:
    """Digest and size of every file, by name."""
    return {name: FileFacts(hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()}


@dataclass(frozen=True, kw_only=True)
class Described:
    """A released table, as its recipient may know it.

    Attributes:
        card: the recipient's rendering of the scorecard.
        document: `schema.json` of the bundle.
        files: the files that are described, by name in the bundle.
        date: day of the release, YYYY-MM-DD.
        approvals: who let it out, in which role and when; empty where the checks alone did.
        code_version: version of the program.
    """

    card: Mapping[str, Any]
    document: Mapping[str, Any]
    files: Mapping[str, FileFacts]
    date: str
    approvals: Sequence[Mapping[str, Any]]
    code_version: str

    @cached_property
    def schema(self) -> Schema:
        """The schema, as declared."""
        return parse_schema(self.document, name=str(self.card["release"]["table"]))

    @cached_property
    def publication(self) -> Publication:
        """Who publishes, and for what, as far as the schema says."""
        return publication_of(self.document)

    @property
    def statement(self) -> Mapping[str, Any]:
        """The privacy statement."""
        statement: Mapping[str, Any] = self.card["statement"]
        return statement

    @property
    def rows(self) -> int:
        """Number of synthetic rows."""
        return int(self.card["synthetic"]["rows"])

    @property
    def identifier(self) -> str:
        """Name of the table in lower case letters, digits, '-', '_' and '.'."""
        return re.sub(r"[^a-z0-9._-]+", "-", str(self.card["release"]["table"]).lower()).strip("-") or "table"

    @property
    def title(self) -> str:
        """What the table is called."""
        return f"{self.document.get('title') or self.card['release']['table']} (synthetic)"

    @property
    def description(self) -> str:
        """What the table is, in a sentence or two."""
        said = str(self.document.get("description") or "").strip()
        about = (
            f"{self.rows} synthetic rows of {len(self.schema.columns)} columns, drawn from a model "
            f"({self.statement['synthesizer']}) that learned from a sensitive table under "
            f"({self.statement['epsilon']:.4g}, {self.statement['delta']:.3g})-differential privacy. No row is a "
            "record of anybody."
        )
        return f"{said}\n\n{about}" if said else about

    @property
    def sensitive(self) -> tuple[str, ...]:
        """Names of released columns that are declared sensitive."""
        return tuple(c.name for c in self.schema.columns if c.sensitive)

    @property
    def limitations(self) -> tuple[str, ...]:
        """What is not tested, not covered, or not the same as in the table it was learned from."""
        return (*self.card["not_tested"], *self.statement["not_covered"], *self._reweighted)

    @property
    def _reweighted(self) -> tuple[str, ...]:
        words = self.card["release"]["reweighted"]
        return (f"The rows were reweighted by intention: {'; '.join(words)}.",) if words else ()

    def field(self, name: str) -> Mapping[str, Any]:
        """A column's entry in the schema document."""
        found: Mapping[str, Any] = next(f for f in self.document["fields"] if f["name"] == name)
        return found

    def kind(self, column: Column) -> str:
        """The Frictionless type of a column's released values.

        Levels that are declared as numbers stay numbers. `string` for everything else that has levels, booleans too:
        a value outside the list is written as a word.
        """
        if isinstance(column, NumberColumn):
            return str(column.kind)
        declared = str(self.field(column.name).get("type", "string"))
        return declared if declared in NUMERIC else "string"

    def missing(self, column: Column) -> list[str]:
        """Texts that mean missing in the released CSV.

        Where levels are numbers, the word for values outside the list is one of them.
        """
        outside = [column.other] if isinstance(column, LevelColumn) and self.kind(column) in NUMERIC else []
        return [*column.missing, *outside]


def words_of_column(column: Column) -> str:
    """What a column may hold, and where that is known from; the values of long lists are left out."""
    if isinstance(column, LevelColumn):
        order = "ordered " if column.ordered else ""
        if column.levels is None:
            return f"one of a {order}list that was bought (at most {column.max_levels} levels), or {column.other}"
        shown = ", ".join(column.levels) if len(column.levels) <= 12 else f"{len(column.levels)} {order}levels"
        return f"one of {shown}; {column.other} outside the list" + (f" (list: {column.cite})" if column.cite else "")
    low, high = (
        column.write(bound) if bound is not None else "a bought bound" for bound in (column.minimum, column.maximum)
    )
    cites = [c for c in dict.fromkeys((column.minimum_cite, column.maximum_cite)) if c]
    return f"{column.kind} from {low} to {high}" + (f" ({'; '.join(cites)})" if cites else "")


def public_bounds(column: NumberColumn) -> dict[str, Any]:
    """The bounds the schema declares public, as values of Frictionless constraints."""
    bounds = {
        "minimum": (column.minimum, column.minimum_source),
        "maximum": (column.maximum, column.maximum_source),
    }
    return {
        name: json.loads(column.write(value)) if str(column.kind) in NUMERIC else column.write(value)
        for name, (value, source) in bounds.items()
        if value is not None and source is Source.PUBLIC
    }


def pretty(document: Mapping[str, Any]) -> bytes:
    """JSON for people and programs; equal documents give equal bytes."""
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()

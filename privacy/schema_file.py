"""The schema file: its format, and every reason it is refused for.

The file is a Frictionless Table Schema (YAML or JSON) with extension keys. A field carries `source` (`public`,
`measured` or `observed`), `cite`, `role`, `sensitive`, `max_levels`, `other`, `bins` and `tail`; one object `privacy`
carries the population, the unit, the adjacency, a public row count or none, the cap, the rules every row keeps
(`privacy.constraint_file`) and the marginals that matter (`privacy.workload_file`). `source` and `cite` may be one
word for the field, or a mapping per bound (`minimum`, `maximum`). Who publishes, and for what, may be said too
(`privacy.publication`). Unquoted words of a YAML file are read as JSON would read them: only `true`, `false`, `null`
and JSON numbers are more than text, so `no`, `007`, `2009_10` and dates stay text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import rfc8785
import yaml

from privacy.columns import Column, Role
from privacy.constraint_file import parse_constraints
from privacy.errors import SchemaError
from privacy.field_file import bad, column_of, finite, only, role_of, texts_of
from privacy.publication import KEYS, publication_of
from privacy.schema import Budget, PublicCount, Schema, quoted
from privacy.unit import Adjacency, PrivacyUnit
from privacy.workload_file import parse_workload

MAX_COLUMNS = 500


class _JsonScalars(yaml.SafeLoader):
    """YAML whose plain words mean what JSON says; YAML 1.1 would read the category `no` as false and `007` as 7."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (as in its base)


_JsonScalars.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
_JsonScalars.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_JsonScalars.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9]\d*)$"), list("-0123456789"))
JSON_FLOAT = re.compile(r"^-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)$")
_JsonScalars.add_implicit_resolver("tag:yaml.org,2002:float", JSON_FLOAT, list("-0123456789"))


def load_schema(path: Path) -> Schema:
    """Parse a schema file. Raises SchemaError with the field and the rule that was broken."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SchemaError(
            f"There is no schema file '{path.name}'.",
            why="The schema is the public description a guarantee is stated over.",
            fix="Write one, or start with `tablegate schema draft TABLE`.",
        ) from error
    except (ValueError, OSError) as error:
        raise _unreadable(path.name) from error
    return read_schema(text, path.name)


def read_schema(text: str, file_name: str) -> Schema:
    """Parse the text of a schema file; its name says whether it is JSON. Raises SchemaError."""
    try:
        # YAML takes most of JSON, but no tabs, and takes its time for long lists.
        document = json.loads(text) if file_name.endswith(".json") else yaml.load(text, Loader=_JsonScalars)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(file_name) from error
    return parse_schema(document, name=file_name.split(".")[0])


def parse_schema(document: Any, *, name: str = "table") -> Schema:
    """A schema from a parsed document. Raises SchemaError."""
    if not isinstance(document, Mapping) or not isinstance(document.get("fields"), list) or not document["fields"]:
        raise bad("It has no list `fields`.", "Describe every column of the file, in order.")
    document, digest = _canonical(document)
    known = {"$schema", "name", "title", "description", "fields", "missingValues", "privacy", "primaryKey", "sources"}
    only(document, known | KEYS, "the schema")
    publication_of(document)
    missing = texts_of(document.get("missingValues", [""]), "missingValues")
    dropped: dict[str, Role] = {}
    columns: list[Column] = []
    header: list[str] = []
    unit, population, n_public, cap, drafted = _privacy(document.get("privacy"))
    for field in document["fields"]:
        if not isinstance(field, Mapping) or not isinstance(field.get("name"), str) or not field["name"]:
            raise bad("A field has no `name`.", "Give every field the name its column has in the header.")
        header.append(field["name"])
        role = role_of(field)
        if field["name"] == unit.field:
            dropped[field["name"]] = Role.IDENTIFIER
        elif role in (Role.IDENTIFIER, Role.TEXT, Role.DROP):
            dropped[field["name"]] = role
        else:
            columns.append(column_of(field, role, missing))
    doubled = sorted({h for h in header if header.count(h) > 1})
    if doubled:
        raise bad(f"It names {quoted(doubled)} twice.", "Every column has one name.")
    if unit.field is not None and unit.field not in header:
        raise bad(f"The unit's field '{unit.field}' is not a field of it.", "Name the column of person identifiers.")
    if not columns:
        raise bad("Every column is dropped.", "Leave at least one column to synthesise.")
    if len(columns) > MAX_COLUMNS:
        raise bad(f"It has {len(columns)} columns; the limit is {MAX_COLUMNS}.", "Drop or split columns.")
    if sum(c.role is Role.TARGET for c in columns) > 1:
        raise bad("More than one column has the role `target`.", "Choose one.")
    schema = Schema(
        name=str(document.get("name", name)),
        header=tuple(header),
        columns=tuple(columns),
        dropped=dropped,
        population=population,
        unit=unit,
        n_public=n_public,
        cap=cap,
        drafted=drafted,
        digest=digest,
        document=document,
    )
    privacy = document["privacy"]
    if "constraints" in privacy:
        schema = replace(schema, constraints=parse_constraints(schema, privacy["constraints"]))
    if "workload" in privacy:
        schema = replace(schema, workload=parse_workload(schema, privacy["workload"]))
    return schema


def _unreadable(file_name: str) -> SchemaError:
    return SchemaError(
        f"The schema file '{file_name}' is not readable YAML or JSON.",
        why="It must be a Frictionless Table Schema.",
        fix="Check indentation and quotes; `tablegate schema check` shows what is understood.",
    )


def _canonical(document: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The document as plain JSON, and the SHA-256 of the canonical form (RFC 8785) of what may be published of it.

    The digest leaves out `privacy.drafted`: a published digest of what was read off the rows would let anybody test
    guesses of it. It is the digest of a bundle's `schema.json`.
    """
    try:
        plain = json.loads(json.dumps(document, default=str))  # dates become text, tuples become lists
        shown = dict(plain)
        if isinstance(plain.get("privacy"), dict):
            shown["privacy"] = {key: value for key, value in plain["privacy"].items() if key != "drafted"}
        return plain, hashlib.sha256(rfc8785.dumps(shown)).hexdigest()
    except (TypeError, ValueError, RecursionError) as error:
        raise bad(
            "It has no canonical JSON form.",
            "Use texts as keys, and finite numbers below 2^53 as values; quote longer numbers.",
        ) from error


def _privacy(
    section: Any,
) -> tuple[PrivacyUnit, str, PublicCount, Budget | None, Mapping[str, Mapping[str, Any]]]:
    if not isinstance(section, Mapping):
        raise bad("It has no `privacy` object.", "Write population, unit, adjacency, n_public and cap.")
    only(
        section,
        {"population", "unit", "adjacency", "n_public", "cap", "drafted", "constraints", "workload"},
        "`privacy`",
    )
    population = section.get("population")
    if not isinstance(population, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", population):
        raise bad(
            "`privacy.population` is not a short name of letters, digits, '.', '_' and '-'.",
            "Name the people whose budget is spent, not the file: all versions of a table share one population.",
        )
    if section.get("adjacency") != Adjacency.ADD_OR_REMOVE:
        raise bad("`privacy.adjacency` is not `add-or-remove`.", "Write it; it is the only adjacency there is.")
    written = section.get("unit")
    if written == "row":
        unit = PrivacyUnit(field=None, max_rows=1, adjacency=Adjacency.ADD_OR_REMOVE)
    elif (
        isinstance(written, Mapping)
        and set(written) == {"field", "max_rows"}
        and isinstance(written["field"], str)
        and isinstance(written["max_rows"], int)
        and not isinstance(written["max_rows"], bool)
        and 1 <= written["max_rows"] <= 10_000
    ):
        unit = PrivacyUnit(field=written["field"], max_rows=written["max_rows"], adjacency=Adjacency.ADD_OR_REMOVE)
    else:
        raise bad(
            "`privacy.unit` is neither `row` nor `{field: ..., max_rows: ...}`.",
            "Say who is protected: one row, or one person and the most rows a person may contribute.",
        )
    drafted = section.get("drafted") or {}
    if not isinstance(drafted, Mapping) or not all(isinstance(draft, Mapping) for draft in drafted.values()):
        raise bad("`privacy.drafted` is not a mapping of fields to what was read.", "Leave it as the draft wrote it.")
    return unit, population, _n_public(section.get("n_public")), _cap(section.get("cap")), drafted


def _n_public(written: Any) -> PublicCount:
    if written in ("none", "measured"):
        return PublicCount(value=None, measured=written == "measured", cite="")
    if isinstance(written, Mapping) and set(written) <= {"value", "cite", "source"}:
        value, cite = written.get("value"), written.get("cite")
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1 and isinstance(cite, str) and cite:
            if written.get("source", "public") != "public":
                raise bad("`privacy.n_public` has a source other than public.", "Write `measured` to buy the count.")
            return PublicCount(value=value, measured=False, cite=cite)
    raise bad(
        "`privacy.n_public` is neither `none`, `measured` nor `{value: ..., cite: ...}`.",
        "Under add-or-remove adjacency the row count is private unless a document publishes it.",
    )


def _cap(written: Any) -> Budget | None:
    if written is None:
        return None
    if isinstance(written, Mapping) and set(written) == {"epsilon", "delta"}:
        epsilon, delta = finite(written["epsilon"]), finite(written["delta"])
        if epsilon is not None and delta is not None and epsilon > 0 and 0 < delta < 1:
            return Budget(epsilon=epsilon, delta=delta)
    raise bad("`privacy.cap` is not `{epsilon: > 0, delta: in (0, 1)}`.", "Write the most this population may spend.")

"""The schema file: its format, and every reason it is refused for.

The file is a Frictionless Table Schema (YAML or JSON) with extension keys. A field carries `source` (`public`,
`measured` or `observed`), `cite`, `role`, `sensitive`, `max_levels`, `other`, `bins` and `tail`; one object `privacy`
carries the population, the unit, the adjacency, a public row count or none, the cap, the rules every row keeps
(`privacy.constraint_file`) and the marginals that matter (`privacy.workload_file`). `source` and `cite` may be one
word for the field, or a mapping per bound (`minimum`, `maximum`). Unquoted words of a YAML file are read as JSON
would read them: only `true`, `false`, `null` and JSON numbers are more than text, so `no`, `007`, `2009_10` and dates
stay text.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import rfc8785
import yaml

from privacy.columns import (
    MAX_LEVEL_LENGTH,
    Bins,
    Column,
    LevelColumn,
    NumberColumn,
    NumberKind,
    Role,
    Source,
    is_date_format,
    parse_bound,
)
from privacy.constraint_file import parse_constraints
from privacy.errors import SchemaError
from privacy.schema import Budget, PublicCount, Schema, level_text, quoted
from privacy.unit import Adjacency, PrivacyUnit
from privacy.workload_file import parse_workload

MAX_LEVELS = 10_000
"""Hard cap on a category list, public or measured: beyond it a marginal is noise and a tree of pairs fills memory."""

MAX_COLUMNS = 500

MAX_TAIL = 0.05
"""Most a measured bound may cut off: what is beyond is clamped, and a spike there misleads."""

DEFAULT_FORMATS = {NumberKind.DATE: "%Y-%m-%d", NumberKind.DATETIME: "%Y-%m-%dT%H:%M:%SZ"}

IDENTIFIER_NAME = re.compile(
    r"(^|[_\W])(ssn|social_security|e?mail|phone|telephone|passport|iban|credit_card|first_?name|last_?name|surname|"
    r"full_?name|street|address|licen[cs]e_?(no|number|plate)?|uuid|guid)($|[_\W])",
    re.IGNORECASE,
)
"""Column names that announce a direct identifier; such a column must be given a role that says so, or one that denies
it."""


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
        raise _bad("It has no list `fields`.", "Describe every column of the file, in order.")
    document, digest = _canonical(document)
    known = {"$schema", "name", "title", "description", "fields", "missingValues", "privacy", "primaryKey", "sources"}
    _only(document, known, "the schema")
    missing = _texts(document.get("missingValues", [""]), "missingValues")
    dropped: dict[str, Role] = {}
    columns: list[Column] = []
    header: list[str] = []
    unit, population, n_public, cap, drafted = _privacy(document.get("privacy"))
    for field in document["fields"]:
        if not isinstance(field, Mapping) or not isinstance(field.get("name"), str) or not field["name"]:
            raise _bad("A field has no `name`.", "Give every field the name its column has in the header.")
        header.append(field["name"])
        role = _role(field)
        if field["name"] == unit.field:
            dropped[field["name"]] = Role.IDENTIFIER
        elif role in (Role.IDENTIFIER, Role.TEXT, Role.DROP):
            dropped[field["name"]] = role
        else:
            columns.append(_column(field, role, missing))
    doubled = sorted({h for h in header if header.count(h) > 1})
    if doubled:
        raise _bad(f"It names {quoted(doubled)} twice.", "Every column has one name.")
    if unit.field is not None and unit.field not in header:
        raise _bad(f"The unit's field '{unit.field}' is not a field of it.", "Name the column of person identifiers.")
    if not columns:
        raise _bad("Every column is dropped.", "Leave at least one column to synthesise.")
    if len(columns) > MAX_COLUMNS:
        raise _bad(f"It has {len(columns)} columns; the limit is {MAX_COLUMNS}.", "Drop or split columns.")
    if sum(c.role is Role.TARGET for c in columns) > 1:
        raise _bad("More than one column has the role `target`.", "Choose one.")
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
        raise _bad(
            "It has no canonical JSON form.",
            "Use texts as keys, and finite numbers below 2^53 as values; quote longer numbers.",
        ) from error


def _column(field: Mapping[str, Any], role: Role, schema_missing: tuple[str, ...]) -> Column:
    name = field["name"]
    _only(
        field,
        {
            "name", "type", "title", "description", "format", "constraints", "categories", "categoriesOrdered",
            "missingValues", "trueValues", "falseValues", "source", "cite", "role", "sensitive", "max_levels", "other",
            "bins", "tail",
        },
        f"field '{name}'",
    )  # fmt: skip
    if IDENTIFIER_NAME.search(name) and "role" not in field:
        raise _bad(
            f"Field '{name}' is named like a direct identifier and has no `role`.",
            "Write `role: identifier` (it is dropped), or `role: feature` if it is none.",
        )
    missing = (
        _texts(field["missingValues"], f"missingValues of '{name}'") if "missingValues" in field else schema_missing
    )
    sensitive = field.get("sensitive", False)
    if not isinstance(sensitive, bool):
        raise _bad(f"`sensitive` of '{name}' is neither true nor false.", "Write `sensitive: true` or leave it out.")
    kind = field.get("type", "string")
    constraints = field.get("constraints", {})
    if not isinstance(constraints, Mapping):
        raise _bad(f"`constraints` of '{name}' is not a mapping.", "Write `constraints: {minimum: ..., maximum: ...}`.")
    _only(constraints, {"required", "minimum", "maximum", "enum"}, f"constraints of '{name}'")
    if kind == "boolean" or kind == "string" or "categories" in field or "enum" in constraints:
        return _level_column(field, kind, constraints, role, missing, sensitive)
    if kind not in list(NumberKind):
        raise _bad(
            f"Field '{name}' has the type '{kind}'.",
            "The types are string, boolean, integer, number, date and datetime; drop others with `role: drop`.",
        )
    if "max_levels" in field:
        return _level_column(field, kind, constraints, role, missing, sensitive)
    return _number_column(field, NumberKind(kind), constraints, role, missing, sensitive)


def _level_column(
    field: Mapping[str, Any],
    kind: str,
    constraints: Mapping[str, Any],
    role: Role,
    missing: tuple[str, ...],
    sensitive: bool,
) -> LevelColumn:
    name = field["name"]
    if "bins" in field or "tail" in field:
        raise _bad(f"Field '{name}' has levels, and `bins` or `tail`.", "Both are for numbers: leave them out.")
    aliases: dict[str, str] = {}
    if kind == "boolean":
        true = _texts(field.get("trueValues", ["true", "True", "TRUE", "1"]), f"trueValues of '{name}'")
        false = _texts(field.get("falseValues", ["false", "False", "FALSE", "0"]), f"falseValues of '{name}'")
        if not true or not false or set(true) & set(false):
            raise _bad(
                f"`trueValues` and `falseValues` of '{name}' are empty or share a text.",
                "Write what stands for true and what stands for false.",
            )
        levels: tuple[str, ...] | None = (false[0], true[0])
        aliases = {**dict.fromkeys(false[1:], false[0]), **dict.fromkeys(true[1:], true[0])}
        source, cite = Source.PUBLIC, "the type boolean has two values"
    else:
        written = field.get("categories", constraints.get("enum"))
        levels = None if written is None else _categories(written, name)
        if kind in (NumberKind.INTEGER, NumberKind.NUMBER):
            # A whole number with missing neighbours is often written 3.0; its level is 3.
            aliases = {f"{level}.0": level for level in levels or () if level.removeprefix("-").isdecimal()}
            aliases = {alias: level for alias, level in aliases.items() if alias not in (levels or ())}
        source, cite = _source(field, "categories")
    if source is Source.MEASURED:
        if levels is not None:
            raise _bad(f"Field '{name}' is `measured` and lists categories.", "Leave the list out, or cite its source.")
        cap = field.get("max_levels")
        if not isinstance(cap, int) or isinstance(cap, bool) or not 1 <= cap <= MAX_LEVELS:
            raise _bad(
                f"Field '{name}' has measured categories and no `max_levels` from 1 to {MAX_LEVELS}.",
                "Write a public cap such as `max_levels: 50` (further levels become OTHER), or drop the column with "
                "`role: text` or `role: identifier`.",
            )
    elif levels is None:
        raise _bad(
            f"Field '{name}' has levels and no `categories`.",
            "List them with `source: public` and `cite`, buy them with `source: measured` and `max_levels`, or drop "
            "the column with `role: text` or `role: identifier`.",
        )
    elif len(levels) > MAX_LEVELS:
        raise _bad(f"Field '{name}' lists {len(levels)} levels; the limit is {MAX_LEVELS}.", "Group rare levels.")
    ordered = field.get("categoriesOrdered", False)
    if not isinstance(ordered, bool):
        raise _bad(f"`categoriesOrdered` of '{name}' is neither true nor false.", "Write true, or leave it out.")
    missing = tuple(m for m in missing if m not in (levels or ()))
    return LevelColumn(
        name=name,
        levels=levels,
        ordered=ordered,
        source=source,
        cite=cite,
        max_levels=field["max_levels"] if source is Source.MEASURED else None,
        other=_other(field, {*(levels or ()), *aliases, *missing}),
        aliases=aliases,
        missing=missing or ("",),
        role=role,
        sensitive=sensitive,
    )


def _number_column(
    field: Mapping[str, Any],
    kind: NumberKind,
    constraints: Mapping[str, Any],
    role: Role,
    missing: tuple[str, ...],
    sensitive: bool,
) -> NumberColumn:
    name = field["name"]
    date_format = DEFAULT_FORMATS.get(kind, "")
    if date_format:
        date_format = field.get("format", date_format)
        if not isinstance(date_format, str) or not is_date_format(date_format):
            raise _bad(f"`format` of '{name}' is not a strftime pattern.", "Write one such as '%Y-%m-%d'.")
    bounds: dict[str, float | None] = {}
    sources: dict[str, Source] = {}
    cites: dict[str, str] = {}
    for part in ("minimum", "maximum"):
        sources[part], cites[part] = _source(field, part)
        if (part in constraints) is (sources[part] is Source.MEASURED):
            raise _bad(
                f"The {part} of '{name}' is "
                + ("written and `measured` at once." if part in constraints else "neither written nor `measured`."),
                f"Write `constraints: {{{part}: ...}}` with `source: public` and `cite`, or leave it out with "
                f"`source: {{{part}: measured}}`.",
            )
        try:
            bounds[part] = parse_bound(kind, date_format, constraints[part]) if part in constraints else None
        except ValueError as error:
            raise _bad(
                f"The {part} of '{name}' is not a {kind}.", "Write it as the column writes its values."
            ) from error
    low, high = bounds["minimum"], bounds["maximum"]
    if low is not None and high is not None and low > high:
        raise _bad(f"The minimum of '{name}' is above its maximum.", "Swap them.")
    return NumberColumn(
        name=name,
        kind=kind,
        minimum=low,
        maximum=high,
        minimum_source=sources["minimum"],
        maximum_source=sources["maximum"],
        minimum_cite=cites["minimum"],
        maximum_cite=cites["maximum"],
        date_format=date_format,
        bins=_bins(field),
        tail=_tail(field, Source.MEASURED in sources.values()),
        missing=missing or ("",),
        role=role,
        sensitive=sensitive,
    )


def _bins(field: Mapping[str, Any]) -> Bins:
    if field.get("bins", Bins.UNIFORM) not in list(Bins):
        raise _bad(f"`bins` of '{field['name']}' is none of {quoted(Bins)}.", "Choose one, or leave it out.")
    return Bins(field.get("bins", Bins.UNIFORM))


def _tail(field: Mapping[str, Any], measured: bool) -> float:
    tail = field.get("tail", 0)
    if isinstance(tail, bool) or not isinstance(tail, int | float) or not 0 <= tail <= MAX_TAIL:
        raise _bad(f"`tail` of '{field['name']}' is not a share from 0 to {MAX_TAIL}.", "Write one such as 0.001.")
    if tail and not measured:
        raise _bad(f"`tail` of '{field['name']}' cuts at public bounds.", "Measure a bound, or declare another.")
    return float(tail)


def _privacy(
    section: Any,
) -> tuple[PrivacyUnit, str, PublicCount, Budget | None, Mapping[str, Mapping[str, Any]]]:
    if not isinstance(section, Mapping):
        raise _bad("It has no `privacy` object.", "Write population, unit, adjacency, n_public and cap.")
    _only(
        section,
        {"population", "unit", "adjacency", "n_public", "cap", "drafted", "constraints", "workload"},
        "`privacy`",
    )
    population = section.get("population")
    if not isinstance(population, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", population):
        raise _bad(
            "`privacy.population` is not a short name of letters, digits, '.', '_' and '-'.",
            "Name the people whose budget is spent, not the file: all versions of a table share one population.",
        )
    if section.get("adjacency") != Adjacency.ADD_OR_REMOVE:
        raise _bad("`privacy.adjacency` is not `add-or-remove`.", "Write it; it is the only adjacency there is.")
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
        raise _bad(
            "`privacy.unit` is neither `row` nor `{field: ..., max_rows: ...}`.",
            "Say who is protected: one row, or one person and the most rows a person may contribute.",
        )
    drafted = section.get("drafted") or {}
    if not isinstance(drafted, Mapping) or not all(isinstance(draft, Mapping) for draft in drafted.values()):
        raise _bad("`privacy.drafted` is not a mapping of fields to what was read.", "Leave it as the draft wrote it.")
    return unit, population, _n_public(section.get("n_public")), _cap(section.get("cap")), drafted


def _n_public(written: Any) -> PublicCount:
    if written in ("none", "measured"):
        return PublicCount(value=None, measured=written == "measured", cite="")
    if isinstance(written, Mapping) and set(written) <= {"value", "cite", "source"}:
        value, cite = written.get("value"), written.get("cite")
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1 and isinstance(cite, str) and cite:
            if written.get("source", "public") != "public":
                raise _bad("`privacy.n_public` has a source other than public.", "Write `measured` to buy the count.")
            return PublicCount(value=value, measured=False, cite=cite)
    raise _bad(
        "`privacy.n_public` is neither `none`, `measured` nor `{value: ..., cite: ...}`.",
        "Under add-or-remove adjacency the row count is private unless a document publishes it.",
    )


def _cap(written: Any) -> Budget | None:
    if written is None:
        return None
    if isinstance(written, Mapping) and set(written) == {"epsilon", "delta"}:
        epsilon, delta = _number(written["epsilon"]), _number(written["delta"])
        if epsilon is not None and delta is not None and epsilon > 0 and 0 < delta < 1:
            return Budget(epsilon=epsilon, delta=delta)
    raise _bad("`privacy.cap` is not `{epsilon: > 0, delta: in (0, 1)}`.", "Write the most this population may spend.")


def _source(field: Mapping[str, Any], part: str) -> tuple[Source, str]:
    name = field["name"]
    written, cite = field.get("source"), field.get("cite", "")
    if isinstance(written, Mapping):
        _only(written, {"minimum", "maximum", "categories"}, f"source of '{name}'")
        written = written.get(part)
    if isinstance(cite, Mapping):
        cite = cite.get(part, "")
    if written not in list(Source):
        raise _bad(
            f"The {part} of '{name}' has no `source`.",
            "Write `source: public` with `cite`, or `source: measured`.",
        )
    source = Source(written)
    if source is Source.PUBLIC and (not isinstance(cite, str) or not cite.strip()):
        raise _bad(
            f"The {part} of '{name}' is `public` without `cite`.",
            "Name the document it comes from; what no document publishes is `measured`.",
        )
    return source, str(cite)


def _role(field: Mapping[str, Any]) -> Role:
    written = field.get("role", Role.FEATURE)
    if written not in list(Role):
        raise _bad(f"The role of '{field['name']}' is unknown.", f"The roles are {', '.join(Role)}.")
    return Role(written)


def _categories(written: Any, name: str) -> tuple[str, ...]:
    if not isinstance(written, list) or not written:
        raise _bad(f"`categories` of '{name}' is not a list.", "List the values, or {value, label} pairs.")
    values = [entry.get("value") if isinstance(entry, Mapping) else entry for entry in written]
    if not all(isinstance(value, str | int | float) for value in values):
        raise _bad(f"A category of '{name}' is neither text nor number.", "List the values, or {value, label} pairs.")
    levels = tuple(level_text(value) for value in values)
    if any(not level or len(level) > MAX_LEVEL_LENGTH or level != level.strip() for level in levels):
        raise _bad(
            f"A category of '{name}' is empty, longer than {MAX_LEVEL_LENGTH} characters or has outer blanks.",
            "Cells are stripped before they are compared; missing values belong to `missingValues`.",
        )
    if len(set(levels)) != len(levels):
        raise _bad(f"`categories` of '{name}' lists a value twice.", "Every level stands once.")
    return levels


def _other(field: Mapping[str, Any], taken: set[str]) -> str:
    other = field.get("other", "OTHER")
    if (
        not isinstance(other, str)
        or not other
        or len(other) > MAX_LEVEL_LENGTH
        or other != other.strip()
        or (other in taken and "other" in field)
    ):
        raise _bad(
            f"`other` of '{field['name']}' is empty, too long, one of its levels or one of its missing values.",
            "Choose another word, without outer blanks.",
        )
    while other in taken:
        other += "_"
    return other


def _texts(written: Any, where: str) -> tuple[str, ...]:
    if not isinstance(written, list) or not all(isinstance(t, str | int | float) for t in written):
        raise _bad(f"`{where}` is not a list of texts.", 'Write it such as ["", "NA"].')
    return tuple(level_text(t).strip() for t in written)


def _number(written: Any) -> float | None:
    if isinstance(written, bool):
        return None
    try:
        value = float(written)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _only(mapping: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(mapping) - known)
    if unknown:
        raise _bad(f"{where[0].upper()}{where[1:]} has unknown keys {quoted(unknown)}.", f"Known: {sorted(known)}.")


def _bad(what: str, fix: str) -> SchemaError:
    return SchemaError(what, why="The schema is the public half of the guarantee and must be unambiguous.", fix=fix)

"""One field of a schema file (`privacy.schema_file`) as a column, and every reason a field is refused for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

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
from privacy.errors import SchemaError
from privacy.schema import level_text, quoted

MAX_LEVELS = 10_000
"""Hard cap on a category list, public or measured: beyond it a marginal is noise and a tree of pairs fills memory."""

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


def column_of(field: Mapping[str, Any], role: Role, schema_missing: tuple[str, ...]) -> Column:
    """The column a field describes. Raises SchemaError."""
    name = field["name"]
    only(
        field,
        {
            "name", "type", "title", "description", "format", "constraints", "categories", "categoriesOrdered",
            "missingValues", "trueValues", "falseValues", "source", "cite", "role", "sensitive", "max_levels", "other",
            "bins", "tail",
        },
        f"field '{name}'",
    )  # fmt: skip
    if IDENTIFIER_NAME.search(name) and "role" not in field:
        raise bad(
            f"Field '{name}' is named like a direct identifier and has no `role`.",
            "Write `role: identifier` (it is dropped), or `role: feature` if it is none.",
        )
    missing = (
        texts_of(field["missingValues"], f"missingValues of '{name}'") if "missingValues" in field else schema_missing
    )
    sensitive = field.get("sensitive", False)
    if not isinstance(sensitive, bool):
        raise bad(f"`sensitive` of '{name}' is neither true nor false.", "Write `sensitive: true` or leave it out.")
    kind = field.get("type", "string")
    constraints = field.get("constraints", {})
    if not isinstance(constraints, Mapping):
        raise bad(f"`constraints` of '{name}' is not a mapping.", "Write `constraints: {minimum: ..., maximum: ...}`.")
    only(constraints, {"required", "minimum", "maximum", "enum"}, f"constraints of '{name}'")
    if kind == "boolean" or kind == "string" or "categories" in field or "enum" in constraints:
        return _level_column(field, kind, constraints, role, missing, sensitive)
    if kind not in list(NumberKind):
        raise bad(
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
        raise bad(f"Field '{name}' has levels, and `bins` or `tail`.", "Both are for numbers: leave them out.")
    aliases: dict[str, str] = {}
    if kind == "boolean":
        true = texts_of(field.get("trueValues", ["true", "True", "TRUE", "1"]), f"trueValues of '{name}'")
        false = texts_of(field.get("falseValues", ["false", "False", "FALSE", "0"]), f"falseValues of '{name}'")
        if not true or not false or set(true) & set(false):
            raise bad(
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
            raise bad(f"Field '{name}' is `measured` and lists categories.", "Leave the list out, or cite its source.")
        cap = field.get("max_levels")
        if not isinstance(cap, int) or isinstance(cap, bool) or not 1 <= cap <= MAX_LEVELS:
            raise bad(
                f"Field '{name}' has measured categories and no `max_levels` from 1 to {MAX_LEVELS}.",
                "Write a public cap such as `max_levels: 50` (further levels become OTHER), or drop the column with "
                "`role: text` or `role: identifier`.",
            )
    elif levels is None:
        raise bad(
            f"Field '{name}' has levels and no `categories`.",
            "List them with `source: public` and `cite`, buy them with `source: measured` and `max_levels`, or drop "
            "the column with `role: text` or `role: identifier`.",
        )
    elif len(levels) > MAX_LEVELS:
        raise bad(f"Field '{name}' lists {len(levels)} levels; the limit is {MAX_LEVELS}.", "Group rare levels.")
    ordered = field.get("categoriesOrdered", False)
    if not isinstance(ordered, bool):
        raise bad(f"`categoriesOrdered` of '{name}' is neither true nor false.", "Write true, or leave it out.")
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
            raise bad(f"`format` of '{name}' is not a strftime pattern.", "Write one such as '%Y-%m-%d'.")
    bounds: dict[str, float | None] = {}
    sources: dict[str, Source] = {}
    cites: dict[str, str] = {}
    for part in ("minimum", "maximum"):
        sources[part], cites[part] = _source(field, part)
        if (part in constraints) is (sources[part] is Source.MEASURED):
            raise bad(
                f"The {part} of '{name}' is "
                + ("written and `measured` at once." if part in constraints else "neither written nor `measured`."),
                f"Write `constraints: {{{part}: ...}}` with `source: public` and `cite`, or leave it out with "
                f"`source: {{{part}: measured}}`.",
            )
        try:
            bounds[part] = parse_bound(kind, date_format, constraints[part]) if part in constraints else None
        except ValueError as error:
            raise bad(
                f"The {part} of '{name}' is not a {kind}.", "Write it as the column writes its values."
            ) from error
    low, high = bounds["minimum"], bounds["maximum"]
    if low is not None and high is not None and low > high:
        raise bad(f"The minimum of '{name}' is above its maximum.", "Swap them.")
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
        raise bad(f"`bins` of '{field['name']}' is none of {quoted(Bins)}.", "Choose one, or leave it out.")
    return Bins(field.get("bins", Bins.UNIFORM))


def _tail(field: Mapping[str, Any], measured: bool) -> float:
    tail = field.get("tail", 0)
    if isinstance(tail, bool) or not isinstance(tail, int | float) or not 0 <= tail <= MAX_TAIL:
        raise bad(f"`tail` of '{field['name']}' is not a share from 0 to {MAX_TAIL}.", "Write one such as 0.001.")
    if tail and not measured:
        raise bad(f"`tail` of '{field['name']}' cuts at public bounds.", "Measure a bound, or declare another.")
    return float(tail)


def _source(field: Mapping[str, Any], part: str) -> tuple[Source, str]:
    name = field["name"]
    written, cite = field.get("source"), field.get("cite", "")
    if isinstance(written, Mapping):
        only(written, {"minimum", "maximum", "categories"}, f"source of '{name}'")
        written = written.get(part)
    if isinstance(cite, Mapping):
        cite = cite.get(part, "")
    if written not in list(Source):
        raise bad(
            f"The {part} of '{name}' has no `source`.",
            "Write `source: public` with `cite`, or `source: measured`.",
        )
    source = Source(written)
    if source is Source.PUBLIC and (not isinstance(cite, str) or not cite.strip()):
        raise bad(
            f"The {part} of '{name}' is `public` without `cite`.",
            "Name the document it comes from; what no document publishes is `measured`.",
        )
    return source, str(cite)


def role_of(field: Mapping[str, Any]) -> Role:
    """What a field is for; a feature where it does not say. Raises SchemaError."""
    written = field.get("role", Role.FEATURE)
    if written not in list(Role):
        raise bad(f"The role of '{field['name']}' is unknown.", f"The roles are {', '.join(Role)}.")
    return Role(written)


def _categories(written: Any, name: str) -> tuple[str, ...]:
    if not isinstance(written, list) or not written:
        raise bad(f"`categories` of '{name}' is not a list.", "List the values, or {value, label} pairs.")
    values = [entry.get("value") if isinstance(entry, Mapping) else entry for entry in written]
    if not all(isinstance(value, str | int | float) for value in values):
        raise bad(f"A category of '{name}' is neither text nor number.", "List the values, or {value, label} pairs.")
    levels = tuple(level_text(value) for value in values)
    if any(not level or len(level) > MAX_LEVEL_LENGTH or level != level.strip() for level in levels):
        raise bad(
            f"A category of '{name}' is empty, longer than {MAX_LEVEL_LENGTH} characters or has outer blanks.",
            "Cells are stripped before they are compared; missing values belong to `missingValues`.",
        )
    if len(set(levels)) != len(levels):
        raise bad(f"`categories` of '{name}' lists a value twice.", "Every level stands once.")
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
        raise bad(
            f"`other` of '{field['name']}' is empty, too long, one of its levels or one of its missing values.",
            "Choose another word, without outer blanks.",
        )
    while other in taken:
        other += "_"
    return other


def texts_of(written: Any, where: str) -> tuple[str, ...]:
    """A list of texts, stripped. Raises SchemaError, which names `where`."""
    if not isinstance(written, list) or not all(isinstance(t, str | int | float) for t in written):
        raise bad(f"`{where}` is not a list of texts.", 'Write it such as ["", "NA"].')
    return tuple(level_text(t).strip() for t in written)


def finite(written: Any) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(written, bool):
        return None
    try:
        value = float(written)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def only(mapping: Mapping[str, Any], known: set[str], where: str) -> None:
    """Refuse keys nobody knows. Raises SchemaError."""
    unknown = sorted(set(mapping) - known)
    if unknown:
        raise bad(f"{where[0].upper()}{where[1:]} has unknown keys {quoted(unknown)}.", f"Known: {sorted(known)}.")


def bad(what: str, fix: str) -> SchemaError:
    """The refusal of a schema file."""
    return SchemaError(what, why="The schema is the public half of the guarantee and must be unambiguous.", fix=fix)

"""A schema in words, column by column."""

from __future__ import annotations

from dataclasses import dataclass

from privacy.columns import Column, LevelColumn, NumberColumn, NumberKind
from privacy.schema import Schema

SHOWN_LEVELS = 12


@dataclass(frozen=True, slots=True)
class ColumnWords:
    """A column as the page shows it."""

    name: str
    kind: str
    domain: str
    source: str
    role: str


@dataclass(frozen=True, slots=True)
class SchemaWords:
    """A schema as the page shows it."""

    columns: tuple[ColumnWords, ...]
    dropped: tuple[tuple[str, str], ...]
    unit: str
    rules: tuple[str, ...]
    n_public: str
    warnings: tuple[str, ...]


def described(schema: Schema) -> SchemaWords:
    """A schema for people."""
    count = schema.n_public
    bought = "bought with each release" if count.measured else "not public"
    return SchemaWords(
        columns=tuple(_column(column) for column in schema.columns),
        dropped=tuple((name, str(role)) for name, role in schema.dropped.items()),
        unit=schema.unit.words,
        rules=schema.constraints.words if schema.constraints else (),
        n_public=f"{count.value:,} ({count.cite})" if count.value is not None else bought,
        warnings=schema.declared_after_reading,
    )


def _column(column: Column) -> ColumnWords:
    role = ", ".join([*([str(column.role)] if column.role else []), *(["sensitive"] if column.sensitive else [])])
    if isinstance(column, LevelColumn):
        kind = "ordered levels" if column.ordered else "levels"
        if column.levels is None:
            return ColumnWords(column.name, kind, f"bought, at most {column.max_levels}", str(column.source), role)
        more = len(column.levels) - SHOWN_LEVELS
        domain = ", ".join(column.levels[:SHOWN_LEVELS]) + (f" and {more} more" if more > 0 else "")
        return ColumnWords(column.name, kind, domain, column.cite or str(column.source), role)
    ends = [_end(column, end) for end in (column.minimum, column.maximum)]
    cites = dict.fromkeys(cite for cite in (column.minimum_cite, column.maximum_cite) if cite)
    sources = "; ".join(cites) or str(column.minimum_source)
    return ColumnWords(column.name, str(column.kind), f"{ends[0]} to {ends[1]}", sources, role)


def _end(column: NumberColumn, end: float | None) -> str:
    if end is None:
        return "bought"
    return f"{end:,.10g}" if column.kind is NumberKind.NUMBER else column.write(end)

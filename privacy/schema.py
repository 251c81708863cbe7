"""The schema: what is public about a table before a row of it is read.

A guarantee is a sentence about tables over a public domain, which is why the schema lives in `privacy`. A schema never
widens to fit a table: what does not fit is clamped, OTHER or missing (`privacy.columns`). Its file format and every
refusal are in `privacy.schema_file`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from privacy.columns import Column, LevelColumn, Role, Source, parse_bound
from privacy.errors import SchemaError
from privacy.unit import PrivacyUnit

if TYPE_CHECKING:  # constraints speak of the columns of a schema, so they are known to it by name alone
    from privacy.constraints import Constraints


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Epsilon and delta, totals for everything bought."""

    epsilon: float
    delta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCount:
    """The number of units: declared with a citation, bought (`measured`), or none (the generator's own totals tell)."""

    value: int | None
    measured: bool
    cite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A parsed schema. Everything in it may be published.

    Attributes:
        name: short name of the table.
        header: all column names of the file, in order.
        columns: the columns that are synthesised, in file order.
        dropped: names of columns that never leave, with their role.
        population: whose budget a release is charged to.
        unit: who is protected.
        n_public: the row count, if public.
        cap: the population's cap, written in the file.
        drafted: what `schema draft` read off the rows, by field and property.
        digest: SHA-256 of the parsed file in canonical JSON.
        document: the parsed file.
        constraints: rules every released row keeps; None where the file has none.
        workload: weight of every marginal of two or three columns that is asked for; None to leave it to the generator.
    """

    name: str
    header: tuple[str, ...]
    columns: tuple[Column, ...]
    dropped: Mapping[str, Role]
    population: str
    unit: PrivacyUnit
    n_public: PublicCount
    cap: Budget | None
    drafted: Mapping[str, Mapping[str, Any]]
    digest: str
    document: Mapping[str, Any]
    constraints: Constraints | None = None
    workload: Mapping[tuple[str, ...], int] | None = None

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the synthesised columns."""
        return tuple(column.name for column in self.columns)

    @property
    def target(self) -> LevelColumn | None:
        """The column whose role is `target`, where it has levels."""
        for column in self.columns:
            if column.role is Role.TARGET and isinstance(column, LevelColumn):
                return column
        return None

    @property
    def sensitive(self) -> tuple[LevelColumn, ...]:
        """Columns with levels that are declared sensitive: the groups of the fairness audits."""
        return tuple(c for c in self.columns if c.sensitive and isinstance(c, LevelColumn))

    @property
    def observed(self) -> tuple[str, ...]:
        """Names of columns with an entry that was read off the rows."""
        return tuple(c.name for c in self.columns if Source.OBSERVED in _sources(c))

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of columns with an entry that must be bought and has not been yet."""
        return tuple(c.name for c in self.columns if _unbought(c))

    @property
    def declared_after_reading(self) -> tuple[str, ...]:
        """Statements about public entries that equal drafted, observed ones."""
        found = []
        for column in self.columns:
            draft = self.drafted.get(column.name, {})
            for part, source, value in _entries(column):
                if source is Source.PUBLIC and part in draft and _equals_draft(column, draft[part], value):
                    found.append(f"{part} of '{column.name}'")
        return tuple(found)

    def with_columns(self, columns: Mapping[str, Column]) -> Schema:
        """The same schema with some columns replaced, as after their domains have been bought."""
        return replace(self, columns=tuple(columns.get(c.name, c) for c in self.columns))

    def require_releasable(self) -> Budget:
        """The cap; refuses what no release accepts: `observed` entries, and no cap. Raises SchemaError."""
        if self.observed:
            raise SchemaError(
                f"The schema has `observed` entries in {quoted(self.observed)}.",
                why="A bound or list read off the rows carries private values out without any noise.",
                fix="Take it from a codebook (`source: public` with `cite`), or buy it (`source: measured`).",
            )
        if self.cap is None:
            raise SchemaError(
                "The schema has no `privacy.cap`.",
                why="The cap is fixed at a population's first charge and bounds everything ever released of it.",
                fix="Write `privacy.cap: {epsilon: ..., delta: ...}`.",
            )
        return self.cap


def _entries(column: Column) -> Iterator[tuple[str, Source, Any]]:
    if isinstance(column, LevelColumn):
        yield "categories", column.source, column.levels
    else:
        yield "minimum", column.minimum_source, column.minimum
        yield "maximum", column.maximum_source, column.maximum


def _equals_draft(column: Column, drafted: Any, value: Any) -> bool:
    try:
        if isinstance(column, LevelColumn):
            return {level_text(entry) for entry in drafted} == set(value)
        return parse_bound(column.kind, column.date_format, drafted) == float(value)
    except (TypeError, ValueError):
        return False


def _sources(column: Column) -> set[Source]:
    return {source for _, source, _ in _entries(column)}


def _unbought(column: Column) -> bool:
    return any(source is Source.MEASURED and value is None for _, source, value in _entries(column))


def level_text(value: Any) -> str:
    """A category as the text its cells hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def quoted(names: Iterable[str]) -> str:
    """Names for a message: quoted, with commas."""
    return ", ".join(f"'{name}'" for name in names)

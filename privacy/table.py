"""The private table: a schema and its columns as arrays.

Reading streams by batch, and a batch is a table too; cells become codes and floats at once, so the text of the file is
never held whole. The vocabulary of a column whose categories are still to be bought is private and stays inside the
`Table`. Where rows are more than memory should hold, `privacy.rows` counts them batch by batch.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from privacy.cells import People, level_codes, numbers, word_codes
from privacy.columns import Codes, Column, Floats, LevelColumn, NumberColumn, NumberKind
from privacy.errors import TableError
from privacy.files import DAMAGED, Cells, Shard, TableFile, Words, batches
from privacy.noise import NoiseSource
from privacy.schema import Schema
from privacy.unit import PrivacyUnit

Progress = Callable[[str], None]
UnitNumbers: TypeAlias = npt.NDArray[np.int64]
Counts: TypeAlias = dict[Any, npt.NDArray[np.int64]]
"""Whole numbers by key, that add up key by key over tables below one another. Private."""

Count: TypeAlias = "Callable[[Table], Counts]"


@dataclass(slots=True)
class Tally:
    """Counts of cells that did not fit, by column and rule. Exact, hence internal: only `schema check` shows it."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, column: str, rule: str, n: int) -> None:
        """Count n more cells of a column under a rule."""
        if n:
            rules = self.counts.setdefault(column, {})
            rules[rule] = rules.get(rule, 0) + n


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as columns.

    Attributes:
        schema: the public description the columns are coded by.
        columns: codes, shape (n,), of a `LevelColumn`, in the narrowest unsigned integers where the table was read from
            a file; float64 values with NaN for missing of a `NumberColumn`.
        vocabularies: private texts behind the codes of columns whose categories have not been bought.
        units: unit number of every row, shape (n,); rows with one number belong to one person.
    """

    schema: Schema
    columns: Mapping[str, npt.NDArray[Any]]
    vocabularies: Mapping[str, tuple[str, ...]]
    units: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.units)

    def codes(self, name: str) -> Codes:
        """Codes of a column with levels, shape (n,)."""
        codes: Codes = self.columns[name].astype(np.int32, copy=False)
        return codes

    def numbers(self, name: str) -> Floats:
        """Values of a number column, shape (n,), NaN for missing."""
        values: Floats = self.columns[name]
        return values

    def total(self, count: Count) -> Counts:
        """Counts of all rows. The table is all there is, so they are taken at once (see `privacy.rows`)."""
        return count(self)

    def mapped(self, change: Callable[[Table], Table]) -> Table:
        """The changed rows."""
        return change(self)

    def whole(self) -> Table:
        """The table itself."""
        return self

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Table:
        """The rows of a mask or of indices, in that order."""
        return Table(self.schema, {n: c[rows] for n, c in self.columns.items()}, self.vocabularies, self.units[rows])

    def only(self, schema: Schema) -> Table:
        """The same rows with the columns of a narrower schema."""
        names = schema.names
        return Table(
            schema,
            {name: self.columns[name] for name in names},
            {name: words for name, words in self.vocabularies.items() if name in names},
            self.units,
        )

    def conform(self, schema: Schema) -> Table:
        """The same rows coded by a schema whose domains have since been bought: recoded, clamped, never refused."""
        columns = {column.name: self.conformed(column) for column in schema.columns}
        bought = {
            column.name for column in schema.columns if isinstance(column, LevelColumn) and column.levels is not None
        }
        vocabularies = {name: words for name, words in self.vocabularies.items() if name not in bought}
        return Table(schema, columns, vocabularies, self.units)

    def conformed(self, column: Column) -> npt.NDArray[Any]:
        """One column, coded by what has since been bought of it, shape (n,)."""
        values = self.columns[column.name]
        if isinstance(column, NumberColumn):
            return column.clamp(values)
        if column.name not in self.vocabularies or column.levels is None:
            return values
        words = [*self.vocabularies[column.name], column.other, column.missing[0]]
        recode = column.encode(np.array(words, dtype=object))
        recode[-2:] = len(column.levels), len(column.levels) + 1
        recoded: npt.NDArray[np.integer] = recode.astype(np.min_scalar_type(column.n_codes))[values]
        return recoded

    def bounded(self, noise: NoiseSource) -> Table:
        """At most `max_rows` rows of every unit, chosen by that unit's own secret coins."""
        if self.schema.unit.field is None:
            return self
        return self.select(rows_within(self.schema.unit, self.units, noise))

    def written(self, name: str) -> list[Any]:
        """A column as values for people: texts, ints, floats; None for missing."""
        column = self.schema[name]
        if isinstance(column, LevelColumn):
            return list(column.decode(self.codes(name)))
        return [None if np.isnan(v) else column.write(v) for v in self.numbers(name).tolist()]

    def csv(self) -> bytes:
        """The table as CSV; a missing value is the first `missingValues` token of its column."""
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.schema.names)
        cells = []
        for column in self.schema.columns:
            missing = column.missing[0]
            cells.append([missing if value is None else value for value in self.written(column.name)])
        writer.writerows(zip(*cells, strict=True))
        return buffer.getvalue().encode()

    def parquet(self) -> bytes:
        """The table as Parquet with typed columns, missing as null."""
        arrays = [_arrow(column, self.columns[column.name]) for column in self.schema.columns]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(arrays, names=list(self.schema.names)), sink, compression="zstd", store_schema=False)
        content: bytes = sink.getvalue().to_pybytes()
        return content


def make_table(schema: Schema, columns: Mapping[str, npt.NDArray[Any]]) -> Table:
    """A table from coded columns, every row its own unit: what a generator emits."""
    n = len(next(iter(columns.values())))
    return Table(schema, dict(columns), {}, np.arange(n, dtype=np.int64))


def stacked(tables: Sequence[Table]) -> Table:
    """Tables of one schema below one another, every row its own unit: parts of a synthetic table."""
    schema = tables[0].schema
    return make_table(schema, {name: np.concatenate([t.columns[name] for t in tables]) for name in schema.names})


def rows_within(unit: PrivacyUnit, units: UnitNumbers, noise: NoiseSource) -> npt.NDArray[np.int64]:
    """Places, ascending, of at most `max_rows` rows of every unit, chosen by that unit's own secret coins.

    Args:
        unit: who is protected.
        units: unit number of every row, shape (n,).
        noise: one word a row is drawn from it, in the order of the rows.
    """
    keys = noise.words(len(units))
    order = np.lexsort((keys, units))
    starts = np.flatnonzero(np.r_[True, np.diff(units[order]) != 0]) if len(order) else order
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return np.sort(order[rank < unit.max_rows])


def read_table(
    path: TableFile, schema: Schema, *, tally: Tally | None = None, progress: Progress | None = None
) -> Table:
    """Read a checked file by the schema. Raises TableError only for a file that is damaged behind its header."""

    def told(batch: Table) -> Table:
        if progress is not None:
            progress("reading the table")
        return batch

    return gathered(schema, map(told, read_batches(path, schema, tally=tally)))


def read_batches(
    path: TableFile,
    schema: Schema,
    *,
    shard: Shard | None = None,
    units: UnitNumbers | None = None,
    tally: Tally | None = None,
) -> Iterator[Table]:
    """The rows of a checked file, a table of some ten thousand at a time, each with a vocabulary of its own.

    Args:
        path: the file.
        schema: what it is read by. Rows without a unit are left out.
        shard: the rows that are wanted; None for all.
        units: unit number of each of these rows, -1 for rows without; None to number units as they first appear.
        tally: where to count what did not fit.

    Raises:
        TableError: the file is damaged behind its header.
    """
    wanted: dict[str, Column | None] = {c.name: c for c in schema.columns}
    identifier = schema.unit.field if units is None else None
    if identifier is not None:
        wanted[identifier] = None
    people = People(schema)
    start, place = (0, 0) if shard is None else (shard.start, shard.start)
    try:
        for batch in batches(path, wanted, None if shard is None else shard.group):
            end = place + len(next(iter(batch.values())))
            if units is not None:
                numbered = units[place - start : end - start]
            elif identifier is not None:
                numbered = people.numbered(batch[identifier])
            else:
                numbered = np.arange(place, end)
            place = end
            yield _coded(schema, batch, numbered, tally)
    except DAMAGED as error:
        raise damaged(path) from error


def read_units(path: TableFile, schema: Schema) -> UnitNumbers:
    """Unit number of every row of a checked file, shape (n,), -1 for rows without. Raises what `read_batches` does."""
    found = _Column(np.int64)
    alone = schema.unit.field or schema.names[0]
    people = People(schema)
    try:
        for batch in batches(path, {alone: None}):
            cells = batch[alone]
            rows = np.arange(found.n, found.n + len(cells))
            found.add(rows if schema.unit.field is None else people.numbered(cells))
    except DAMAGED as error:
        raise damaged(path) from error
    return found.values


def damaged(path: TableFile) -> TableError:
    """What is said of a file that cannot be read to its end."""
    return TableError(
        f"'{path.name}' is damaged behind its header.",
        why="It could not be read to its end.",
        fix="Write the file again. The charge stands, since rows may have been read.",
    )


def gathered(schema: Schema, tables: Iterable[Table]) -> Table:
    """Tables of one schema below one another, and one vocabulary of all of them."""
    columns = {c.name: _Column(_dtype(c)) for c in schema.columns}
    words: dict[str, dict[str, int]] = {c.name: {} for c in schema.columns if _is_open(c)}
    units = _Column(np.int64)
    for table in tables:
        for name, grown in columns.items():
            values = table.columns[name]
            if name in words:
                # While the vocabulary grows, OTHER is -2 and missing -1: their final codes are not known yet.
                known = words[name]
                places = [known.setdefault(text, len(known)) for text in table.vocabularies[name]]
                values = np.array([*places, -2, -1], dtype=np.int32)[values]
            grown.add(values)
        units.add(table.units)
    values_of = {name: grown.values for name, grown in columns.items()}
    for name, known in words.items():
        n_codes = len(known) + 2
        codes = values_of[name]
        values_of[name] = np.where(codes < 0, codes + n_codes, codes).astype(np.min_scalar_type(n_codes))
    return Table(schema, values_of, {name: tuple(known) for name, known in words.items()}, units.values)


def _coded(schema: Schema, batch: Mapping[str, Cells], units: UnitNumbers, tally: Tally | None) -> Table:
    told = None if tally is None else tally.add
    keep = units >= 0
    if not keep.all():
        if tally is not None:
            tally.add(schema.unit.field or "", "rows without a unit", int((~keep).sum()))
        units = units[keep]
        batch = {n: cells.kept(keep) if isinstance(cells, Words) else cells[keep] for n, cells in batch.items()}
    columns: dict[str, npt.NDArray[Any]] = {}
    vocabularies = {}
    for column in schema.columns:
        cells = batch[column.name]
        if isinstance(column, NumberColumn):
            columns[column.name] = numbers(column, cells, told)
        elif not isinstance(cells, Words):
            raise TypeError("levels are read as texts")
        elif column.levels is None:
            columns[column.name], vocabularies[column.name] = word_codes(column, cells)
        else:
            columns[column.name] = level_codes(column, cells, told)
    return Table(schema, columns, vocabularies, units)


def _is_open(column: Column) -> bool:
    return isinstance(column, LevelColumn) and column.levels is None


def _dtype(column: Column) -> npt.DTypeLike:
    if isinstance(column, NumberColumn):
        return np.float64
    return np.int32 if column.levels is None else np.min_scalar_type(column.n_codes)


class _Column:
    """Values of one column as they come in. Grows by doubling: many small arrays would leave memory in shreds."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.held: npt.NDArray[Any] = np.empty(1 << 16, dtype=dtype)
        self.n = 0

    def add(self, values: npt.NDArray[Any]) -> None:
        """Append values."""
        end = self.n + len(values)
        if end > len(self.held):
            larger = np.empty(max(end, 2 * len(self.held)), dtype=self.held.dtype)
            larger[: self.n] = self.held[: self.n]
            self.held = larger
        self.held[self.n : end] = values
        self.n = end

    @property
    def values(self) -> npt.NDArray[Any]:
        """What has come in."""
        return self.held[: self.n]


def _arrow(column: Column, values: npt.NDArray[Any]) -> Any:
    if isinstance(column, LevelColumn):
        return pa.array(column.decode(values), type=pa.string())
    mask = np.isnan(values)
    whole = np.where(mask, 0, values)
    match column.kind:
        case NumberKind.INTEGER:
            return pa.array(whole.astype(np.int64), mask=mask)
        case NumberKind.NUMBER:
            return pa.array(values, mask=mask)
        case NumberKind.DATE:
            return pa.array(whole.astype("datetime64[D]"), mask=mask)
        case NumberKind.DATETIME:
            return pa.array(whole.astype("datetime64[s]"), mask=mask)

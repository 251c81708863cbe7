"""The private table: a schema and its columns as arrays. The only module that knows pandas.

Reading streams by batch; cells become codes and floats at once, so the text of the file is never held whole. The
vocabulary of a column whose categories are still to be bought is private and stays inside the `Table`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from privacy.columns import (
    MAX_LEVEL_LENGTH,
    SECONDS_PER_DAY,
    Codes,
    Column,
    Floats,
    LevelColumn,
    NumberColumn,
    NumberKind,
    Texts,
)
from privacy.errors import TableError
from privacy.files import DAMAGED, batches, cell_text
from privacy.noise import NoiseSource
from privacy.schema import Schema

MAX_NUMBER_LENGTH = 64
Progress = Callable[[str], None]


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
        keys = noise.words(len(self))
        order = np.lexsort((keys, self.units))
        starts = np.flatnonzero(np.r_[True, np.diff(self.units[order]) != 0]) if len(order) else order
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
        return self.select(np.sort(order[rank < self.schema.unit.max_rows]))

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


def read_table(path: Path, schema: Schema, *, tally: Tally | None = None, progress: Progress | None = None) -> Table:
    """Read a checked file by the schema. Raises TableError only for a file that is damaged behind its header."""
    readers = {c.name: _LevelReader(c) if isinstance(c, LevelColumn) else _NumberReader(c) for c in schema.columns}
    wanted: dict[str, Column | None] = {c.name: c for c in schema.columns}
    if schema.unit.field is not None:
        wanted[schema.unit.field] = None
    people = _UnitReader()
    n_rows = 0
    try:
        for batch in batches(path, wanted):
            size = len(next(iter(batch.values())))
            keep = people.add(batch.get(schema.unit.field or "", range(n_rows, n_rows + size)), schema)
            for name, reader in readers.items():
                reader.add(batch[name], keep, tally)
            n_rows += size
            if progress is not None:
                progress("reading the table")
    except DAMAGED as error:
        raise TableError(
            f"'{path.name}' is damaged behind its header.",
            why="It could not be read to its end.",
            fix="Write the file again. The charge stands, since rows may have been read.",
        ) from error
    if tally is not None and people.dropped:
        tally.add(schema.unit.field or "", "rows without a unit", people.dropped)
    return Table(
        schema,
        {name: reader.values() for name, reader in readers.items()},
        {n: tuple(r.words) for n, r in readers.items() if isinstance(r, _LevelReader) and r.column.levels is None},
        people.values(),
    )


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


class _LevelReader:
    """Grows the codes of one column with levels; the vocabulary too, while the list has not been bought."""

    def __init__(self, column: LevelColumn) -> None:
        self.column = column
        self.words: dict[str, int] = {}
        self.codes = _Column(np.int32 if column.levels is None else np.min_scalar_type(column.n_codes))

    def add(self, texts: Texts, keep: npt.NDArray[np.bool_] | None, tally: Tally | None) -> None:
        texts = np.asarray(texts, dtype=object)
        texts = texts if keep is None else texts[keep]
        if self.column.levels is not None:
            codes = self.column.encode(texts)
        else:
            # While the vocabulary grows, OTHER is -2 and missing -1: their final codes are not known yet.
            missing = dict.fromkeys((*self.column.missing, ""), -1)
            codes = np.fromiter((missing.get(t, 0) or self._word(t) for t in texts), np.int32, len(texts))
        self.codes.add(codes)
        if tally is not None and self.column.levels is not None:
            tally.add(self.column.name, "outside the list: OTHER", int((codes == len(self.column.levels)).sum()))

    def _word(self, text: str) -> int:
        return self.words.setdefault(text, len(self.words)) if len(text) <= MAX_LEVEL_LENGTH else -2

    def values(self) -> npt.NDArray[np.integer]:
        codes = self.codes.values
        if self.column.levels is not None:
            return codes
        n_codes = len(self.words) + 2
        return np.where(codes < 0, codes + n_codes, codes).astype(np.min_scalar_type(n_codes))


class _NumberReader:
    """Grows the values of one number column."""

    def __init__(self, column: NumberColumn) -> None:
        self.column = column
        self.numbers = _Column(np.float64)
        numbers = pd.to_numeric(pd.Series(column.missing, dtype=object), errors="coerce").to_numpy(np.float64)
        self.sentinels = numbers if column.kind in (NumberKind.INTEGER, NumberKind.NUMBER) else numbers[:0]

    def add(self, cells: npt.NDArray[Any], keep: npt.NDArray[np.bool_] | None, tally: Tally | None) -> None:
        cells = cells if keep is None else cells[keep]
        values = cells if cells.dtype == np.float64 else self._parse(cells)
        values = np.where(np.isfinite(values) & ~np.isin(values, self.sentinels), values, np.nan)
        clamped = self.column.clamp(values)
        self.numbers.add(clamped)
        if tally is not None:
            blank = {*self.column.missing, ""}
            n_blank = sum(t in blank for t in cells) if cells.dtype == object else 0
            moved = clamped != (np.rint(values) if self.column.is_discrete else values)
            tally.add(self.column.name, "wrong type or not finite: missing", int(np.isnan(values).sum()) - n_blank)
            tally.add(self.column.name, "outside the bounds: clamped", int((moved & ~np.isnan(values)).sum()))

    def _parse(self, texts: Texts) -> Floats:
        missing = frozenset(self.column.missing)
        usable = [None if t in missing or len(t) > MAX_NUMBER_LENGTH else t for t in texts]
        if self.column.kind in (NumberKind.INTEGER, NumberKind.NUMBER):
            return np.asarray(pd.to_numeric(pd.Series(usable, dtype=object), errors="coerce"), dtype=np.float64)
        moments = pd.to_datetime(
            pd.Series(usable, dtype=object), format=self.column.date_format, errors="coerce", utc=True
        )
        seconds = moments.dt.tz_localize(None).to_numpy("datetime64[s]")
        values = np.where(np.isnat(seconds), np.nan, seconds.astype(np.int64).astype(np.float64))
        return np.floor(values / SECONDS_PER_DAY) if self.column.kind is NumberKind.DATE else values

    def values(self) -> Floats:
        return self.numbers.values


class _UnitReader:
    """Numbers the units; marks rows without one, which are dropped."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.units = _Column(np.int64)
        self.dropped = 0

    def add(self, cells: Any, schema: Schema) -> npt.NDArray[np.bool_] | None:
        if schema.unit.field is None:
            self.units.add(np.asarray(cells, dtype=np.int64))
            return None
        missing = {cell_text(token) for token in schema.document.get("missingValues", [])} | {""}
        texts = [cell_text(cell) for cell in cells]
        keep = np.fromiter((t not in missing for t in texts), bool, len(texts))
        kept = (self.numbers.setdefault(t, len(self.numbers)) for t in texts if t not in missing)
        self.units.add(np.fromiter(kept, np.int64, int(keep.sum())))
        self.dropped += int((~keep).sum())
        return keep

    def values(self) -> npt.NDArray[np.int64]:
        return self.units.values


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

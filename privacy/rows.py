"""Private rows that counts are taken of, whether memory holds them or not.

What a generator learns of a table are counts, and counts add up over parts of it. So it asks for `Rows.total` of a
function that counts the rows of one table. A `Table` answers at once. A `Stream` reads its file again for every
question: row group by row group, on the executor's workers, it reads, codes, leaves out and changes some ten thousand
rows at a time and counts them. Sums of whole numbers do not depend on how the file was cut or who counted: every
executor gives the counts of the table held in memory, to the last bit.

Privacy is untouched by the way of counting. Which rows of a person are kept and who trains was decided once, by secret
coins, before the first count, and is handed to every pass; a change (a repair, a column left out) looks at one row at a
time. A count therefore moves with one unit as it does in memory. That all passes see one table is checked by the size
and the time of change of the file. Totals are exact and private: they leave through the filter alone, and the workers
of an executor, and what lies between them and this process, are trusted with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from privacy.columns import LevelColumn
from privacy.files import FileMark, Shard, TableFile, shards_of
from privacy.schema import Schema
from privacy.table import Count, Counts, Table, UnitNumbers, gathered, read_batches

Change: TypeAlias = Callable[[Table], Table]
"""Rows to as many rows, one at a time; pickled, where workers are other processes."""

HELD_BYTES = 128 << 20
"""Coded size up to which a table is held: two million rows of fifteen columns. Reading and taking apart need about four
times as much for a moment."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Rows(Protocol):
    """Private rows."""

    @property
    def schema(self) -> Schema:
        """What the rows are coded by."""
        ...

    def total(self, count: Count) -> Counts:
        """The counts of all rows: private. `count` gives the keys and shapes it has for no rows for any."""
        ...

    def mapped(self, change: Change) -> Rows:
        """The changed rows."""
        ...

    def whole(self) -> Table:
        """All rows in memory, for what cannot be counted."""
        ...


class Executor(Protocol):
    """Where parts of a file are counted."""

    def map(self, function: Callable[[Item], Answer], items: Sequence[Item]) -> Iterator[Answer]:
        """The function's answers, in the order of the items. What it raises is raised here."""
        ...


@dataclass(frozen=True, slots=True)
class Inline:
    """One after the other, in this process."""

    def map(self, function: Callable[[Item], Answer], items: Sequence[Item]) -> Iterator[Answer]:
        """The answers."""
        return map(function, items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a stream: what a worker is sent.

    Attributes:
        file: the file, as it was when the stream was made.
        declared: the schema the file is read by.
        shard: which rows of it.
        units: unit number of each of these rows, -1 for those that are left out; shape (rows of the shard,).
        changes: what happens to rows before they are counted, in order.
    """

    file: FileMark
    declared: Schema
    shard: Shard
    units: UnitNumbers
    changes: tuple[Change, ...]

    def tables(self) -> Iterator[Table]:
        """The rows, by batch. Raises TableError where the file is damaged or not the one it was."""
        self.file.require_same()
        for batch in read_batches(self.file.path, self.declared, shard=self.shard, units=self.units):
            yield _changed(batch, self.changes)
        self.file.require_same()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Rows of a file that is read again for every count.

    Attributes:
        file: the file, as it was when it was assigned.
        declared: the schema the file is read by.
        schema: what the rows are coded by after all changes.
        taken: which rows of the file are meant, shape (rows of the file,).
        units: unit number of every row of the file, same shape; None where each is its own.
        executor: where parts are counted.
        changes: what happens to rows before they are counted, in order.
    """

    file: FileMark
    declared: Schema
    schema: Schema
    taken: npt.NDArray[np.bool_]
    units: UnitNumbers | None
    executor: Executor
    changes: tuple[Change, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The stream cut along the shards of its file. Raises TableError where that changed."""
        self.file.require_same()
        shards = shards_of(self.file.path, len(self.taken))
        return tuple(
            Part(file=self.file, declared=self.declared, shard=s, units=self._units(s), changes=self.changes)
            for s in shards
        )

    def total(self, count: Count) -> Counts:
        """The counts of all rows, in one pass over the file."""
        nothing = count(_changed(gathered(self.declared, ()), self.changes))
        return added(nothing, self.executor.map(partial(_counted, count), self.parts))

    def mapped(self, change: Change) -> Stream:
        """The same stream, changed whenever it is read."""
        nothing = _changed(gathered(self.declared, ()), (*self.changes, change))
        return replace(self, schema=nothing.schema, changes=(*self.changes, change))

    def whole(self) -> Table:
        """All rows in memory."""
        return gathered(self.schema, (table for part in self.parts for table in part.tables()))

    def _units(self, shard: Shard) -> UnitNumbers:
        rows = slice(shard.start, shard.stop)
        units = np.arange(shard.start, shard.stop) if self.units is None else self.units[rows]
        return np.where(self.taken[rows], units, -1)


def added(first: Counts, others: Iterable[Counts]) -> Counts:
    """Sums by key."""
    sums = dict(first)
    for counts in others:
        for key, value in counts.items():
            sums[key] = sums[key] + value if key in sums else value
    return sums


def _counted(count: Count, part: Part) -> Counts:
    return added({}, map(count, part.tables()))


def _changed(table: Table, changes: Sequence[Change]) -> Table:
    return reduce(lambda rows, change: change(rows), changes, table)


def held(path: TableFile, schema: Schema, most: int = HELD_BYTES) -> Table | None:
    """The table in memory; None where its codes take more bytes than that."""
    left = most

    def counted() -> Iterator[Table]:
        nonlocal left
        for batch in read_batches(path, schema):
            left -= len(batch) * row_bytes(schema)
            if left < 0:
                return
            yield batch

    table = gathered(schema, counted())
    return table if left >= 0 else None


def row_bytes(schema: Schema) -> int:
    """Bytes of one coded row: its codes and numbers, and the number of its unit."""
    sizes = [
        8 if not isinstance(c, LevelColumn) else 4 if c.levels is None else np.min_scalar_type(c.n_codes).itemsize
        for c in schema.columns
    ]
    return 8 + sum(sizes)

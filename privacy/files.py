"""Table files: what may be looked at before a charge, and rows by batch after it.

Before a charge only the header of the file may be looked at (`check_file`): no row count, no statistic, no footer but
its column names and types. After it, no cell and no row can be an error: short rows are padded with missing cells, long
ones cut, undecodable bytes replaced, blank lines skipped. Neighbouring tables are neighbours as *records*: a file whose
quoting is broken is read as the records it then has.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from privacy.columns import MAX_LEVEL_LENGTH, SECONDS_PER_DAY, Column, Floats, NumberColumn, NumberKind, Texts
from privacy.errors import TableError
from privacy.schema import Schema

BATCH_ROWS = 65_536
MAX_HEADER_CHARACTERS = 1_000_000
DAMAGED = (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class Words:
    """Texts of a column, each distinct one handled once.

    Attributes:
        texts: stripped texts, in the order in which they first appear; two may agree where only blanks told them apart.
        at: place of every cell's text, shape (n,).
    """

    texts: Sequence[str]
    at: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.at)

    def kept(self, rows: npt.NDArray[np.bool_]) -> Words:
        """The cells of a mask, and no text of any other."""
        at = self.at[rows]
        used = np.bincount(at, minlength=len(self.texts)) > 0
        return Words([text for text, kept in zip(self.texts, used, strict=True) if kept], (np.cumsum(used) - 1)[at])

    def written(self) -> Texts:
        """The text of every cell, shape (n,)."""
        texts = np.empty(len(self.texts), dtype=object)
        texts[:] = self.texts
        return texts[self.at]


Cells: TypeAlias = Words | Floats
"""A batch of one column: floats where file and schema both say numbers, else texts."""


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A table file that is not a path and never changes: one in a vault, say.

    Attributes:
        name: ends in .csv or .parquet; what messages call it.
        open: its bytes from the start, seekable; may be called again.
        decryption: pyarrow's properties for a Parquet file under modular encryption; None for one in the clear.
    """

    name: str
    open: Callable[[], BinaryIO]
    decryption: Any = None


TableFile: TypeAlias = Path | HeldFile


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows of a file that can be read by themselves: a row group of a Parquet file, and the whole of any other.

    Attributes:
        start, stop: places of its rows in the file.
        group: the row group; None for the whole file.
    """

    start: int
    stop: int
    group: int | None


@dataclass(frozen=True, slots=True)
class FileMark:
    """What tells a file from another, or from itself after a change, without reading it."""

    path: TableFile
    n_bytes: int
    modified: int

    def require_same(self) -> None:
        """Refuse a file that was written to since. Raises TableError."""
        if mark(self.path) != self:
            raise TableError(
                f"'{self.path.name}' changed while it was being read.",
                why="It is read several times, and counts of two different tables do not belong together.",
                fix="Leave the file alone until the release is done. The charge stands, since rows were read.",
            )


def mark(path: TableFile) -> FileMark:
    """Size and time of the last change."""
    if isinstance(path, HeldFile):
        return FileMark(path, 0, 0)
    stat = path.stat()
    return FileMark(path, stat.st_size, stat.st_mtime_ns)


def shards_of(path: TableFile, n_rows: int) -> tuple[Shard, ...]:
    """A file of n rows in parts, in the order of their rows."""
    if not _is_parquet(path):
        return (Shard(0, n_rows, None),)
    with _parquet(path) as file:
        footer = file.metadata
    ends = np.cumsum([footer.row_group(i).num_rows for i in range(footer.num_row_groups)]).tolist()
    return tuple(Shard(start, end, i) for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False)))


def read_texts(path: TableFile) -> Iterator[dict[str, Texts]]:
    """Every column of a file as stripped texts, by batch: for drafts, which have no schema yet."""
    for batch in batches(path, dict.fromkeys(read_header(path))):
        yield {name: cells.written() for name, cells in batch.items() if isinstance(cells, Words)}


def check_file(path: TableFile, schema: Schema) -> None:
    """Refuse a file whose header does not fit the schema. Raises TableError; reads no row."""
    header = read_header(path)
    missing = [name for name in schema.header if name not in header]
    if len(header) == 1 and len(schema.header) > 1 and any(mark in header[0] for mark in ";\t|"):
        raise TableError(
            "The header has one column and contains another delimiter.",
            why="A table is comma-separated.",
            fix="Write the file with commas, or as Parquet.",
        )
    if len(set(header)) != len(header):
        doubled = sorted({name for name in header if header.count(name) > 1} & set(schema.header))
        raise TableError(
            "The header names a column twice" + (f": {', '.join(doubled)}." if doubled else "."),
            why="It would be unclear which one the schema describes.",
            fix="Rename or drop one of them.",
        )
    if missing:
        raise TableError(
            f"The file has no column {', '.join(repr(name) for name in missing[:10])}"
            + (f" and {len(missing) - 10} more." if len(missing) > 10 else "."),
            why="The schema declares it" + (", and not one of its columns is there: is the header line missing?"
                                            if len(missing) == len(schema.header) else "."),
            fix="Correct the header, or the schema.",
        )  # fmt: skip
    if len(header) > len(schema.header):
        raise TableError(
            f"The file has {len(header) - len(schema.header)} columns the schema does not name.",
            why="Nothing leaves without a declaration, and a column nobody declared may identify people.",
            fix="Add them to the schema; `role: drop` leaves a column out.",
        )
    if _is_parquet(path):
        for entry in _schema(path):
            if entry.name in schema.names and not _is_flat(entry.type):
                raise TableError(
                    f"Column '{entry.name}' holds nested or binary values.",
                    why="A cell is one text, number, truth value or date.",
                    fix="Flatten it, or drop it with `role: drop`.",
                )


def read_header(path: TableFile) -> list[str]:
    """Column names of a file, stripped. Raises TableError when it is not a table."""
    if isinstance(path, Path) and not path.exists():
        raise TableError(f"There is no file '{path.name}'.", why="There is nothing to release.", fix="Check the path.")
    folder = isinstance(path, Path) and path.is_dir()
    if folder or not (_is_parquet(path) or path.name.endswith((".csv", ".csv.gz"))):
        raise TableError(
            f"'{path.name}' is not a table.",
            why="Tables are read from .csv, .csv.gz and .parquet files.",
            fix="Convert the table to one of them.",
        )
    try:
        if _is_parquet(path):
            names = [str(name).strip() for name in _schema(path).names]
        else:
            with _open_text(path) as lines:
                first = lines.readline(MAX_HEADER_CHARACTERS)
            names = [name.strip() for name in next(csv.reader([first], strict=True), [])]
    except DAMAGED as error:
        raise _not_a_table(path) from error
    if not names or not any(names):
        raise TableError(
            f"'{path.name}' is empty.", why="Not even a header line is there.", fix="Write one line of column names."
        )
    if any("\x00" in name or "�" in name or len(name) > MAX_LEVEL_LENGTH for name in names):
        raise _not_a_table(path)
    return names


def batches(
    path: TableFile, columns: Mapping[str, Column | None], group: int | None = None
) -> Iterator[dict[str, Cells]]:
    """Rows of a file, `BATCH_ROWS` at a time: one array a wanted column.

    Args:
        path: a file that passed `read_header`.
        columns: wanted columns by name; where one is a number column, a Parquet column of numbers or moments comes as
            floats with NaN for null. Everything else comes as texts.
        group: the one row group of a Parquet file that is wanted; None for all rows.

    Raises:
        One of `DAMAGED` when the file cannot be read to its end.
    """
    return _parquet_batches(path, columns, group) if _is_parquet(path) else _csv_batches(path, tuple(columns))


def _csv_batches(path: TableFile, names: Sequence[str]) -> Iterator[dict[str, Cells]]:
    csv.field_size_limit(sys.maxsize)  # the module refuses longer cells unless told otherwise, for the whole process
    with _open_text(path) as lines:
        reader = csv.reader(lines)
        header = [name.strip() for name in next(reader, [])]
        width = len(header)
        wanted = {name: header.index(name) for name in names}
        rows: list[list[str]] = []
        for row in reader:
            if not row:
                continue
            rows.append(row if len(row) == width else (row + [""] * width)[:width])
            if len(rows) == BATCH_ROWS:
                yield _transpose(rows, wanted)
                rows = []
        if rows:
            yield _transpose(rows, wanted)


def _transpose(rows: list[list[str]], wanted: Mapping[str, int]) -> dict[str, Cells]:
    cells = list(zip(*rows, strict=True))
    return {name: _words(cells[at]) for name, at in wanted.items()}


def _parquet_batches(
    path: TableFile, columns: Mapping[str, Column | None], group: int | None
) -> Iterator[dict[str, Cells]]:
    with _parquet(path) as file:
        names = {str(name).strip(): str(name) for name in file.schema_arrow.names}
        groups = None if group is None else [group]
        wanted = [names[name] for name in columns]
        for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=groups, columns=wanted):
            yield {name: _cells(batch.column(names[name]), column) for name, column in columns.items()}


def _cells(array: Any, column: Column | None) -> Cells:
    """An Arrow column as floats where both sides are numbers, else as stripped texts."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(column, NumberColumn):
        kind = column.kind
        if kind in (NumberKind.DATE, NumberKind.DATETIME) and _is_moments(array.type):
            seconds = pc.cast(pc.cast(array, pa.timestamp("s"), safe=False), pa.int64())
            values = np.asarray(pc.cast(seconds, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
            return np.floor(values / SECONDS_PER_DAY) if kind is NumberKind.DATE else values
        if kind in (NumberKind.INTEGER, NumberKind.NUMBER) and _is_numbers(array.type):
            values = pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            return np.asarray(values, dtype=np.float64)
    missing = column.missing[0] if column is not None else ""
    if _is_texts(array.type):
        # Distinct texts are found by Arrow, and only they become Python's; as bytes, since they need not be UTF-8.
        coded = pc.cast(array, pa.large_binary()).dictionary_encode()
        texts = [missing if b is None else b.decode("utf-8", "replace").strip() for b in coded.dictionary.to_pylist()]
        at = pc.fill_null(pc.cast(coded.indices, pa.int64()), len(texts)).to_numpy(zero_copy_only=False)
        return Words([*texts, missing], at.astype(np.intp, copy=False))
    return _words(missing if v is None else cell_text(v) for v in array.to_pylist())


def _words(cells: Iterable[str]) -> Words:
    index: dict[str, int] = {}
    at = np.array([index.setdefault(cell, len(index)) for cell in cells], dtype=np.intp)
    return Words([text.strip() for text in index], at)


def cell_text(value: Any) -> str:
    """A cell as the text a CSV of the same table would hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and np.isnan(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _is_parquet(path: TableFile) -> bool:
    return path.name.endswith((".parquet", ".pq"))


def _is_texts(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_numbers(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind))


def _is_moments(kind: Any) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def _is_flat(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_flat(kind.value_type)
    types = pa.types
    return not (
        types.is_nested(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


def _not_a_table(path: TableFile) -> TableError:
    return TableError(
        f"'{path.name}' is not a table.",
        why="Its first bytes are not what its name announces.",
        fix="Check that the file is CSV (comma-separated, UTF-8), CSV.gz or Parquet.",
    )


def _open_text(path: TableFile) -> TextIO:
    if isinstance(path, HeldFile):
        return io.TextIOWrapper(path.open(), encoding="utf-8-sig", errors="replace", newline="")
    if path.name.endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", errors="replace", newline="")
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _parquet(path: TableFile) -> Any:
    if isinstance(path, HeldFile):
        return pq.ParquetFile(path.open(), decryption_properties=path.decryption)
    return pq.ParquetFile(path)


def _schema(path: TableFile) -> Any:
    with _parquet(path) as file:
        return file.schema_arrow

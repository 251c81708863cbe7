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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from privacy.columns import MAX_LEVEL_LENGTH, SECONDS_PER_DAY, Column, NumberColumn, NumberKind, Texts
from privacy.errors import TableError
from privacy.schema import Schema

BATCH_ROWS = 65_536
MAX_HEADER_CHARACTERS = 1_000_000
DAMAGED = (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A table file that is not a path: one in a vault, say.

    Attributes:
        name: ends in .csv or .parquet; what messages call it.
        open: its bytes from the start, seekable; may be called again.
        decryption: pyarrow's properties for a Parquet file under modular encryption; None for one in the clear.
    """

    name: str
    open: Callable[[], BinaryIO]
    decryption: Any = None


TableFile: TypeAlias = Path | HeldFile


def read_texts(path: TableFile) -> Iterator[dict[str, Texts]]:
    """Every column of a file as stripped texts, by batch: for drafts, which have no schema yet."""
    yield from batches(path, dict.fromkeys(read_header(path)))


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
        for entry in _parquet(path).schema_arrow:
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
            names = [str(name).strip() for name in _parquet(path).schema_arrow.names]
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


def batches(path: TableFile, columns: Mapping[str, Column | None]) -> Iterator[dict[str, Any]]:
    """Rows of a file, `BATCH_ROWS` at a time: one array a wanted column.

    Args:
        path: a file that passed `read_header`.
        columns: wanted columns by name; where one is a number column, a Parquet column of numbers or moments comes as
            floats with NaN for null. Everything else comes as stripped texts.

    Raises:
        One of `DAMAGED` when the file cannot be read to its end.
    """
    return _parquet_batches(path, columns) if _is_parquet(path) else _csv_batches(path, tuple(columns))


def _csv_batches(path: TableFile, names: Sequence[str]) -> Iterator[dict[str, Any]]:
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


def _transpose(rows: list[list[str]], wanted: Mapping[str, int]) -> dict[str, Texts]:
    cells = list(zip(*rows, strict=True))
    return {name: _objects([cell.strip() for cell in cells[at]]) for name, at in wanted.items()}


def _parquet_batches(path: TableFile, columns: Mapping[str, Column | None]) -> Iterator[dict[str, Any]]:
    file = _parquet(path)
    names = {str(name).strip(): str(name) for name in file.schema_arrow.names}
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=[names[name] for name in columns]):
        table = {}
        for name, column in columns.items():
            table[name] = _cells(batch.column(names[name]), column)
        yield table


def _cells(array: Any, column: Column | None) -> Any:
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
        raw = pc.cast(array, pa.large_binary()).to_pylist()
        return _objects([missing if b is None else b.decode("utf-8", "replace").strip() for b in raw])
    return _objects([missing if v is None else cell_text(v) for v in array.to_pylist()])


def cell_text(value: Any) -> str:
    """A cell as the text a CSV of the same table would hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and np.isnan(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _objects(values: list[Any]) -> Texts:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


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
    if isinstance(path, Path):
        return pq.ParquetFile(path)
    return pq.ParquetFile(path.open(), decryption_properties=path.decryption)

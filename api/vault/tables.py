"""Private tables at rest: Parquet under modular encryption (AES-256-GCM, the footer too), read and written by batch.

An upload is checked and written anew, column by column as the schema declares them: what it drops is not kept. The key
of a table encrypts one file, so no nonce of Parquet's modules meets its key twice. The table's name is authenticated
with it, so that one table cannot be passed off as another.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from api.vault.vault import Vault
from privacy.errors import TableError
from privacy.files import BATCH_ROWS, DAMAGED, Cells, HeldFile, Words, batches, check_file
from privacy.schema import Schema


def table_at(vault: Vault, name: str) -> HeldFile:
    """The private table with a name; its key is asked for at once. Raises VaultError."""
    decryption = pe.create_decryption_properties(vault.keys.open(name), aad_prefix=name.encode())
    return HeldFile(name, lambda: vault.files.open(name), decryption)


def admit(vault: Vault, upload: str, kind: str, schema: Schema, name: str, largest: int) -> None:
    """Check an upload's header and write its rows as a private table under a new name and key.

    Args:
        vault: where both lie.
        upload: name of the upload.
        kind: "csv", "csv.gz" or "parquet".
        schema: of the dataset.
        name: of the table.
        largest: bytes of text a compressed upload may unfold to.

    Raises:
        TableError: it is not a table of the declared shape, is damaged, or unfolds to too much.
        VaultError: the upload's key is gone, or it was changed.
    """
    source = _opened(vault, upload, kind, largest)
    check_file(source, schema)
    wanted = [*schema.names, *([] if schema.unit.field is None else [schema.unit.field])]
    read = _typed if kind == "parquet" else _texts
    encryption = pe.create_encryption_properties(
        vault.keys.make(name), aad_prefix=name.encode(), store_aad_prefix=False
    )
    try:
        with vault.files.writing(name) as sink:
            _write(read(source, wanted), sink, encryption)
    except DAMAGED as error:
        vault.destroy(name)
        raise TableError(
            "The table is damaged behind its header, or unfolds to more than is taken in.",
            why="It could not be read to its end.",
            fix="Write the file again, and upload it.",
        ) from error
    except BaseException:
        vault.destroy(name)
        raise


def _opened(vault: Vault, upload: str, kind: str, largest: int) -> HeldFile:
    """An upload as a file in the clear, in memory a chunk at a time."""
    plain: Callable[[], BinaryIO] = lambda: vault.opened(upload)  # noqa: E731 (so that both branches have one type)
    if kind == "csv.gz":
        return HeldFile("upload.csv", lambda: _Unfolded(plain(), largest).buffered())
    return HeldFile(f"upload.{kind}", plain)


class _Unfolded(io.RawIOBase):
    """What a gzip stream unfolds to, and an error rather than more than a limit of it."""

    def __init__(self, source: BinaryIO, largest: int) -> None:
        super().__init__()
        self._source, self._plain = source, gzip.GzipFile(fileobj=source)
        self._left = largest

    def buffered(self) -> BinaryIO:
        """The same with a buffer."""
        return cast("BinaryIO", io.BufferedReader(self, buffer_size=1 << 20))

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer. Raises OSError beyond the limit."""
        part = self._plain.read(len(buffer))
        self._left -= len(part)
        if self._left < 0:
            raise OSError("unfolds to too much")
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Close the folded stream too."""
        self._source.close()
        super().close()


def _texts(source: HeldFile, wanted: list[str]) -> Iterator[Any]:
    schema = pa.schema([(name, pa.string()) for name in wanted])
    yield pa.RecordBatch.from_pylist([], schema=schema)  # a table of no rows has a schema too
    for batch in batches(source, dict.fromkeys(wanted)):
        yield pa.RecordBatch.from_arrays([_strings(batch[name]) for name in wanted], schema=schema)


def _strings(cells: Cells) -> Any:
    return pa.array(cells.written() if isinstance(cells, Words) else cells, pa.string())


def _typed(source: HeldFile, wanted: list[str]) -> Iterator[Any]:
    file = pq.ParquetFile(source.open())
    stripped = {str(name).strip(): str(name) for name in file.schema_arrow.names}
    columns = [stripped[name] for name in wanted]
    schema = pa.schema(
        [(name, file.schema_arrow.field(column).type) for name, column in zip(wanted, columns, strict=True)]
    )
    yield pa.RecordBatch.from_pylist([], schema=schema)
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
        yield pa.RecordBatch.from_arrays([batch.column(column) for column in columns], schema=schema)


def _write(rows: Iterator[Any], sink: BinaryIO, encryption: Any) -> None:
    first = next(rows)
    with pq.ParquetWriter(
        sink, first.schema, encryption_properties=encryption, compression="zstd", write_statistics=False
    ) as writer:
        for batch in rows:
            writer.write_batch(batch)

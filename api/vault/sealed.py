"""A stream of any length, encrypted as it comes: neither end holds it whole, and a reader may start anywhere.

The STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizar 2015, "Online authenticated-encryption and its
nonce-reuse misuse-resistance", section 7) over AES-256-GCM: chunks of 1 MiB, each with a nonce of its number and a
flag for the last one, so that none can be swapped, dropped or added. A key encrypts one stream.
"""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.vault.errors import TooLargeError, sealed_is_damaged

CHUNK, TAG = 1 << 20, 16
COUNTER_BYTES = 11


class SealedWriter:
    """Encrypts what is written to it.

    Attributes:
        size: bytes written so far.
    """

    def __init__(self, sink: BinaryIO, key: bytes, largest: int) -> None:
        self.size = 0
        self._sink, self._cipher, self._largest = sink, AESGCM(key), largest
        self._held = bytearray()
        self._number = 0
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of what was written, in hex: for whoever wrote it to compare, and for nobody else."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Take in more. Raises TooLargeError."""
        self.size += len(data)
        if self.size > self._largest:
            raise TooLargeError(
                f"A table has at most {self._largest} bytes here.",
                why="The installation limits what it takes in.",
                fix="Send it compressed, as csv.gz or Parquet; or have TABLEGATE_MAX_UPLOAD_BYTES raised.",
            )
        self._digest.update(data)
        self._held += data
        while len(self._held) > CHUNK:  # the last chunk is held back: only `finish` knows that it is
            self._put(bytes(self._held[:CHUNK]), last=False)
            del self._held[:CHUNK]

    def finish(self) -> None:
        """Write the last chunk."""
        self._put(bytes(self._held), last=True)
        self._held.clear()

    def _put(self, chunk: bytes, *, last: bool) -> None:
        self._sink.write(self._cipher.encrypt(_nonce(self._number, last=last), chunk, None))
        self._number += 1


class SealedReader(io.RawIOBase):
    """What a `SealedWriter` wrote, decrypted chunk by chunk; seekable. Raises VaultError where it was changed."""

    def __init__(self, source: BinaryIO, size: int, key: bytes) -> None:
        super().__init__()
        chunks = max(1, -(-size // (CHUNK + TAG)))
        self._source, self._cipher, self._chunks = source, AESGCM(key), chunks
        self._size = size - chunks * TAG
        self._at = 0
        self._loaded: tuple[int, bytes] = (-1, b"")
        if self._size < 0:
            raise sealed_is_damaged()
        self._load(chunks - 1)  # the last chunk says that nothing was cut off

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Place in the plain stream."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the plain stream."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with what comes next of one chunk; 0 at the end."""
        if self._at >= self._size:
            return 0
        number, offset = divmod(self._at, CHUNK)
        part = self._load(number)[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        """Close the encrypted stream too."""
        self._source.close()
        super().close()

    def _load(self, number: int) -> bytes:
        if self._loaded[0] != number:
            self._source.seek(number * (CHUNK + TAG))
            chunk = self._source.read(CHUNK + TAG)
            try:
                plain = self._cipher.decrypt(_nonce(number, last=number == self._chunks - 1), chunk, None)
            except (InvalidTag, ValueError) as error:
                raise sealed_is_damaged() from error
            self._loaded = number, plain
        return self._loaded[1]


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(COUNTER_BYTES, "big") + bytes([last])

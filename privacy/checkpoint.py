"""The folder a run's answers are kept in: encrypted, one run at a time, gone with its key.

Every folder has a random key of its own, in a file its owner alone may read; erasing is destroying that key. Records
are sealed one by one (AES-256-GCM). What is authenticated with each is the folder's name and a digest of all records
before it, so none can be left out, moved or passed on to another run. A record that was being written when the machine
stopped is shorter than it says: it was given to nobody (`privacy.transcript`), and is cut off before anything else is
written.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.errors import RequestError
from privacy.transcript import CheckpointError

LOCK, KEY, ANSWERS, STATE = "lock", "key", "answers", ".state"
NONCE_BYTES, LENGTH_BYTES = 12, 8
NAME = re.compile(r"[0-9a-f]{16,64}")


class RunningError(RequestError):
    """The same request is being run at this moment."""

    code = "running"
    title = "The request is being run"


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """A folder of checkpoints, one a request."""

    folder: Path

    @contextmanager
    def held(self, name: str) -> Iterator[Checkpoint]:
        """The checkpoint of a name, new or as it was left, for this process alone until the end of the block.

        Args:
            name: 16 to 64 hexadecimal digits.

        Raises:
            RunningError: another process holds it.
            CheckpointError: it was changed.
        """
        if not NAME.fullmatch(name):
            raise ValueError("a checkpoint is named by hexadecimal digits")
        room = self.folder / name
        lock = _locked(room)
        try:
            checkpoint = Checkpoint(room)
            try:
                yield checkpoint
            finally:
                if not checkpoint.begun:
                    checkpoint.erase()
        finally:
            os.close(lock)


class Checkpoint:
    """One run's answers, secrets and states. Made by `Checkpoints.held`.

    Args:
        room: its folder, which this process holds.
    """

    def __init__(self, room: Path) -> None:
        self._room = room
        self._records: list[bytes] = []
        self._heads = [hashlib.sha256(room.name.encode()).digest()]
        self._key = self._key_of(room)
        self._read()

    @property
    def begun(self) -> bool:
        """Whether anything is kept."""
        return (self._room / ANSWERS).exists() or any(self._room.glob(f"*{STATE}"))

    @property
    def records(self) -> Sequence[bytes]:
        """What was appended, in order."""
        return self._records

    def head(self, n: int) -> str:
        """Digest of the first n records, in hex."""
        return self._heads[n].hex()

    def append(self, record: bytes) -> None:
        """Add a record; it is on the disk when this returns."""
        sealed = self._sealed(record, self._heads[-1])
        with open(self._room / ANSWERS, "ab", opener=_private) as file:
            file.write(len(sealed).to_bytes(LENGTH_BYTES, "big") + sealed)
            file.flush()
            os.fsync(file.fileno())
        if not self._records:
            _sync(self._room)
        self._add(record)

    def put(self, name: str, content: bytes) -> None:
        """Replace a state, at once or not at all."""
        path = self._room / f"{name}{STATE}"
        _write(path.with_suffix(".new"), self._sealed(content, name.encode()))
        path.with_suffix(".new").replace(path)
        _sync(self._room)

    def get(self, name: str) -> bytes | None:
        """A state; None where there is none. Raises CheckpointError where it was changed."""
        path = self._room / f"{name}{STATE}"
        return self._opened(path.read_bytes(), name.encode()) if path.exists() else None

    def clear(self) -> None:
        """Overwrite and remove the key, then everything kept, and begin with another key."""
        self._wipe()
        self._records, self._heads = [], self._heads[:1]
        self._key = self._key_of(self._room)

    def erase(self) -> None:
        """The same, and leave nothing; the lock goes last, since the next run may take it from then on."""
        self._wipe()
        (self._room / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # the next run has begun
            self._room.rmdir()

    def _wipe(self) -> None:
        key = self._room / KEY
        if key.exists():
            with key.open("r+b") as file:
                file.write(secrets.token_bytes(len(self._key)))
                file.flush()
                os.fsync(file.fileno())
            key.unlink()
            _sync(self._room)
        for path in self._room.glob("*"):
            if path.name != LOCK:
                path.unlink()

    def _key_of(self, room: Path) -> bytes:
        """The folder's key. What is there without one is rubbish of a run that was erased, or never began."""
        path = room / KEY
        if path.exists() and len(key := path.read_bytes()) == 32:
            return key
        for left in room.iterdir():
            if left.name != LOCK:
                left.unlink()
        key = AESGCM.generate_key(bit_length=256)
        _write(path, key)
        _sync(room)
        return key

    def _read(self) -> None:
        path = self._room / ANSWERS
        if not path.exists():
            return
        content, at = path.read_bytes(), 0
        while at < len(content):
            start = at + LENGTH_BYTES
            end = start + int.from_bytes(content[at:start], "big")
            if max(start, end) > len(content):
                with path.open("r+b") as file:
                    file.truncate(at)
                    os.fsync(file.fileno())
                break
            self._add(self._opened(content[start:end], self._heads[-1]))
            at = end

    def _add(self, record: bytes) -> None:
        self._records.append(record)
        self._heads.append(hashlib.sha256(self._heads[-1] + hashlib.sha256(record).digest()).digest())

    def _sealed(self, content: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, content, self._room.name.encode() + context)

    def _opened(self, sealed: bytes, context: bytes) -> bytes:
        try:
            nonce, content = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return AESGCM(self._key).decrypt(nonce, content, self._room.name.encode() + context)
        except (InvalidTag, ValueError) as error:
            raise CheckpointError(
                "What the stopped run had kept was changed.",
                why="Its authentication failed, so these are not the answers it was given.",
                fix="Restore it, or charge anew with another --request.",
            ) from error


def _locked(room: Path) -> int:
    """A descriptor that holds the folder's lock; the lock goes with it, however the process ends."""
    while True:
        room.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(room / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise RunningError(
                "Another process is running this very request.",
                why="Two runs of one charge could draw one answer twice.",
                fix="Wait for it, or stop it; then give the same command again.",
            ) from error
        if (room / LOCK).exists() and os.path.samestat(os.fstat(lock), (room / LOCK).stat()):
            return lock
        os.close(lock)  # erased between opening and locking: another file is there by now, or none


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Put a folder's names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

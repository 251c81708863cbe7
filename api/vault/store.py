"""Objects by name under one URL, through fsspec: a folder by default, a bucket by configuration.

A name is given once, to content that is referred to only after it was written whole; so a reader never meets half an
object, and a store needs no renaming, which buckets do not have.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec


@dataclass(frozen=True, slots=True)
class Store:
    """A place for objects.

    Attributes:
        filesystem: fsspec's.
        root: what names are appended to.
    """

    filesystem: Any
    root: str

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A new object; down to the disk, where there is one, when the block ends, and gone when it raises."""
        path = self._path(name)
        self.filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        file = self.filesystem.open(path, "wb")
        try:
            with file:
                yield cast("BinaryIO", file)
                file.flush()
                with suppress(AttributeError, io.UnsupportedOperation):
                    os.fsync(file.fileno())
        except BaseException:
            with suppress(FileNotFoundError):
                self.filesystem.rm(path)
            raise

    def open(self, name: str) -> BinaryIO:
        """An object to read, at its start; seekable. Raises FileNotFoundError."""
        return cast("BinaryIO", self.filesystem.open(self._path(name), "rb"))

    def size(self, name: str) -> int:
        """Bytes of an object. Raises FileNotFoundError."""
        return int(self.filesystem.size(self._path(name)))

    def exists(self, name: str) -> bool:
        """Whether there is an object with this name, or objects below it."""
        return bool(self.filesystem.exists(self._path(name)))

    def names(self, below: str) -> list[str]:
        """Names of all objects below a name, relative to it, in order."""
        path = self._path(below)
        self.filesystem.invalidate_cache()
        return sorted(str(found)[len(path) + 1 :] for found in self.filesystem.find(path))

    def remove(self, name: str) -> None:
        """Remove an object, or all below a name; nothing there is no error."""
        with suppress(FileNotFoundError):
            self.filesystem.rm(self._path(name), recursive=True)

    def take_in(self, folder: Path, below: str) -> None:
        """Copy a folder's files under a name."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            with path.open("rb") as source, self.writing(f"{below}/{path.relative_to(folder).as_posix()}") as sink:
                while block := source.read(1 << 20):
                    sink.write(block)

    def take_out(self, below: str, folder: Path) -> None:
        """Copy all below a name into a new folder that its owner alone may read."""
        folder.mkdir(mode=0o700, parents=True)
        for name in self.names(below):
            target = folder / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.open(f"{below}/{name}") as source, target.open("xb") as sink:
                while block := source.read(1 << 20):
                    sink.write(block)

    def _path(self, name: str) -> str:
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise ValueError("a name is words between single slashes")
        return f"{self.root}/{name}"


def open_store(url: str) -> Store:
    """The store at a URL of fsspec; a folder is made where there is none, for its owner alone."""
    filesystem, root = fsspec.core.url_to_fs(url)
    if "file" in filesystem.protocol:
        Path(root).mkdir(mode=0o700, parents=True, exist_ok=True)
    return Store(filesystem, str(root).rstrip("/"))

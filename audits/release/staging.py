"""A bundle appears whole or not at all.

Both halves are written into a hidden sibling of the target, down to the disk, and renamed into place, the internal half
first, so that a bundle that exists is complete. A sibling is locked while its process lives; one whose lock is free was
left by a killed process, and the next run removes it together with what it had renamed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from privacy.errors import RequestError

BUNDLE, INTERNAL, REPLACED = "bundle", "internal", "replaced"
Purpose: TypeAlias = Literal["seal", "review", "report"]
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@dataclass(frozen=True, slots=True)
class Staging:
    """The hidden sibling of a bundle in the making; `token` names it, and what waits for it in quarantine."""

    folder: Path
    token: str

    def write(self, half: str, files: Mapping[str, bytes], *, mode: int) -> None:
        """Write the files of one half, and put them on the disk."""
        root = self.folder / half
        root.mkdir(mode=mode)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(mode=mode, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for folder in (*(p for p in root.iterdir() if p.is_dir()), root):
            sync(folder)

    def publish(self, out: Path) -> None:
        """Rename both halves into place. Raises RequestError when somebody else's bundle is there by now."""
        internal = internal_half(out)
        if out.exists() or internal.exists():
            raise taken(out)
        os.rename(self.folder / INTERNAL, internal)
        try:
            os.rename(self.folder / BUNDLE, out)
        except OSError as error:
            os.rename(internal, self.folder / INTERNAL)
            raise taken(out) from error
        sync(out.parent)

    def exchange(self, out: Path) -> None:
        """Put the new bundle where an old one is. Atomic where the system can swap two names; else `restore` helps."""
        if not _swap(self.folder / BUNDLE, out):
            os.rename(out, self.folder / REPLACED)
            try:
                os.rename(self.folder / BUNDLE, out)
            except OSError:
                os.rename(self.folder / REPLACED, out)
                raise
        sync(out.parent)


def publish_alone(out: Path, files: Mapping[str, bytes], *, mode: int) -> None:
    """Write a folder that is no bundle and has one half: whole, or not at all. Raises RequestError where it exists."""
    with staging(out, "report") as place:
        place.write(BUNDLE, files, mode=mode)
        try:
            if out.exists():
                raise FileExistsError
            os.rename(place.folder / BUNDLE, out)
        except OSError as error:
            raise taken(out) from error
        sync(out.parent)


def internal_half(out: Path) -> Path:
    """Where the exact findings of a bundle lie."""
    return out.with_name(out.name + ".internal")


@contextmanager
def staging(out: Path, purpose: Purpose) -> Iterator[Staging]:
    """A locked, empty sibling of `out`; removed at the end, whatever happened."""
    token = secrets.token_hex(8)
    folder = out.with_name(_prefix(out, purpose) + token)
    folder.mkdir(mode=0o700)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Staging(folder, token)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one process at a time."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def clear_leftovers(out: Path, forget: Callable[[str], None]) -> None:
    """Remove what killed runs left of `out`.

    Args:
        out: a bundle that is about to be written, or replaced.
        forget: called with the token of every run that ended before its bundle was there.
    """
    restore(out)
    for folder, token in _leftovers(out, "seal"):
        if (folder / BUNDLE).exists() and not out.exists():
            if not (folder / INTERNAL).exists():
                shutil.rmtree(internal_half(out), ignore_errors=True)
            forget(token)
        shutil.rmtree(folder, ignore_errors=True)


def restore(out: Path) -> None:
    """Put an old bundle back that a killed replacement had moved aside, and remove what else it left."""
    for folder, _ in _leftovers(out, "review"):
        if (folder / REPLACED).exists() and not out.exists():
            os.rename(folder / REPLACED, out)
        shutil.rmtree(folder, ignore_errors=True)


def claimed_by_leftover(out: Path) -> bool:
    """Whether an internal half without its bundle is what a killed run left."""
    return any((f / BUNDLE).exists() and not (f / INTERNAL).exists() for f, _ in _leftovers(out, "seal"))


def taken(out: Path) -> RequestError:
    """The error for a target that exists."""
    return RequestError(
        f"'{out.name}' or '{out.name}.internal' exists already.",
        why="A bundle is never overwritten: somebody may rely on it.",
        fix="Choose another --out, or move the old bundle and its internal half away.",
    )


def sync(folder: Path) -> None:
    """Put a folder's entries on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prefix(out: Path, purpose: Purpose) -> str:
    return f".{out.name}.{purpose}-"


def _leftovers(out: Path, purpose: Purpose) -> list[tuple[Path, str]]:
    """Siblings whose process is gone, with their tokens."""
    prefix = _prefix(out, purpose)
    if not out.parent.is_dir():
        return []
    found = []
    for folder in sorted(p for p in out.parent.iterdir() if p.name.startswith(prefix)):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.append((folder, folder.name.removeprefix(prefix)))
            finally:
                os.close(descriptor)
    return found


def _swap(one: Path, other: Path) -> bool:
    """Exchange two names in one step (Linux renameat2); False where the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    done: int = rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    return done == 0

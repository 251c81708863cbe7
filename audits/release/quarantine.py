"""Where the table of a release under review waits: encrypted, beside the ledger, and gone with its key.

Every table has a random key of its own, in a file its owner alone may read. Deleting is destroying that key: copies of
the encrypted files, in a backup or on a worn disk, are then noise. The name of a file is authenticated with its content
(AES-256-GCM), so that one table cannot be passed off as another.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audits.errors import BundleError
from audits.release.signing import write_secret
from audits.release.staging import sync

KEY, SEALED = "key", ".sealed"
NONCE_BYTES = 12
ITEM = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A folder of encrypted tables."""

    folder: Path

    def put(self, item: str, files: Mapping[str, bytes]) -> None:
        """Encrypt files under a new name and a new key. Raises FileExistsError when the name is taken."""
        room = self._room(item)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        room.mkdir(mode=0o700)
        key = AESGCM.generate_key(bit_length=256)
        write_secret(room / KEY, key)
        for name, content in files.items():
            nonce = secrets.token_bytes(NONCE_BYTES)
            write_secret(room / _sealed(name), nonce + AESGCM(key).encrypt(nonce, content, _context(item, name)))
        sync(room)
        sync(self.folder)

    def take(self, item: str, names: tuple[str, ...]) -> dict[str, bytes]:
        """Decrypt files, by name.

        Raises:
            BundleError: the table is no longer there, or was changed.
        """
        room = self._room(item)
        try:
            key = AESGCM((room / KEY).read_bytes())
            contents = {}
            for name in names:
                sealed = (room / _sealed(name)).read_bytes()
                contents[name] = key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _context(item, name))
        except FileNotFoundError as error:
            raise BundleError(
                "The table is no longer in quarantine.",
                why="It was destroyed, or this is not the quarantine it waits in.",
                fix="Name the ledger the release was made with; a destroyed table must be released anew.",
            ) from error
        except (InvalidTag, ValueError) as error:
            raise BundleError(
                "The table in quarantine was changed.",
                why="Its authentication failed, so it is not the table that was audited.",
                fix="Reject it, and find out who can write to the quarantine.",
            ) from error
        return contents

    def destroy(self, item: str) -> None:
        """Overwrite and remove the key, then the rest. A table that is not there is no error."""
        room = self._room(item)
        if not room.is_dir():
            return
        key = room / KEY
        if key.exists():
            with key.open("r+b") as file:
                file.write(secrets.token_bytes(max(key.stat().st_size, 1)))
                file.flush()
                os.fsync(file.fileno())
            key.unlink()
            sync(room)
        for path in room.iterdir():
            path.unlink()
        room.rmdir()

    def _room(self, item: str) -> Path:
        if not ITEM.fullmatch(item):
            raise ValueError("an item in quarantine is named by hexadecimal digits")
        return self.folder / item


def _sealed(name: str) -> str:
    return name.replace("/", "-") + SEALED


def _context(item: str, name: str) -> bytes:
    return f"tablegate quarantine {item} {name}".encode()

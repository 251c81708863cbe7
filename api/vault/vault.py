"""The vault: encrypted uploads and tables, bundles, and the keys, each where the settings say.

uploads/DATASET/UPLOAD          as it was sent, sealed, until it was checked
tables/DATASET/ID.parquet       the private table, Parquet modular encryption
bundles/RELEASE/DIGEST/...      both halves of a sealed bundle
quarantine/ITEM/...             encrypted tables that wait for people; their keys are with the keys
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from api.settings import Settings
from api.store.identity import new_id
from api.vault.errors import VaultError
from api.vault.keys import KeyRing, make_private, parse_private, parse_public, public_pem
from api.vault.sealed import SealedReader, SealedWriter
from api.vault.store import Store, open_store
from audits.release.signing import write_secret

PRIVATE, PUBLIC, OLDER = "vault-key.pem", "vault-key.pub.pem", "vault-key.old.pem"


@dataclass(frozen=True, slots=True)
class Vault:
    """Files and keys."""

    files: Store
    keys: KeyRing

    @contextmanager
    def receive(self, name: str, largest: int) -> Iterator[SealedWriter]:
        """Encrypt a stream as it comes, under a new key. Nothing is left when the block raises."""
        key = self.keys.make(name)
        try:
            with self.files.writing(name) as sink:
                writer = SealedWriter(sink, key, largest)
                yield writer
                writer.finish()
        except BaseException:
            self.keys.destroy(name)
            raise

    def opened(self, name: str) -> BinaryIO:
        """A received stream, decrypted as it is read; seekable. Raises VaultError."""
        source = self.files.open(name)
        reader = SealedReader(source, self.files.size(name), self.keys.open(name))
        return cast("BinaryIO", io.BufferedReader(reader, buffer_size=1 << 20))

    def destroy(self, name: str) -> None:
        """Destroy a key, and then remove what it opened."""
        self.keys.destroy(name)
        self.files.remove(name)


def open_vault(settings: Settings, *, private: bool) -> Vault:
    """The vault of an installation.

    Args:
        settings: where it lies.
        private: whether this process opens tables. Such a process makes the key where there is none.

    Raises:
        VaultError: there is no key, or none that is one.
    """
    if private:
        prepare_keys(settings.keys_folder)
    folder = settings.keys_folder
    try:
        public = parse_public((folder / PUBLIC).read_bytes())
        private_keys = [parse_private((folder / name).read_bytes()) for name in (PRIVATE, OLDER)
                        if private and (folder / name).exists()]  # fmt: skip
    except FileNotFoundError as error:
        raise VaultError(
            f"There is no '{PUBLIC}' among the installation's keys.",
            why="Uploads are encrypted for it.",
            fix="Start a worker once, which makes it; or copy it from the workers' machine.",
        ) from error
    if private and not private_keys:
        raise VaultError(
            f"There is no '{PRIVATE}' beside '{PUBLIC}' among the installation's keys.",
            why="Without it no table is opened, and another one would not fit what was encrypted.",
            fix="Copy it from another worker's machine, or from its backup.",
        )
    return Vault(open_store(settings.files), KeyRing(open_store(settings.wrapped_keys), public, private_keys))


def prepare_keys(folder: Path) -> None:
    """Make the vault's key pair where there is neither half of one: a public half alone is an API machine's."""
    if not (folder / PRIVATE).exists() and not (folder / PUBLIC).exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            write_secret(folder / PRIVATE, make_private())
        except FileExistsError:
            pass  # another worker was first; its key stands
    if not (folder / PUBLIC).exists():  # a process died between the two, or the private half alone was copied here
        (folder / PUBLIC).write_bytes(public_pem(parse_private((folder / PRIVATE).read_bytes())))


def upload_name(dataset: str, upload: str) -> str:
    """Where an upload lies until it was checked."""
    return f"uploads/{dataset}/{upload}"


def new_table_name(dataset: str) -> str:
    """Where a private table that is about to be written will lie."""
    return f"tables/{dataset}/{new_id()}.parquet"


def bundle_name(release: str, digest: str) -> str:
    """Below which both halves of a bundle lie."""
    return f"bundles/{release}/{digest}"


def quarantine_name(item: str) -> str:
    """Below which an encrypted table waits; its key has this name too."""
    return f"quarantine/{item}"

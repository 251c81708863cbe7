"""Keys of what the vault holds: each table has a random one of its own, wrapped for those who may open it.

Wrapping is public-key encryption (HPKE, RFC 9180: X25519, HKDF-SHA256, AES-256-GCM), so that the process that takes a
table in needs no key that opens one: it has the public half, workers have the private one. Erasing is destroying the
wrapped key: every copy of the file is noise from then on. Wrapped keys therefore lie apart from what they open, and
belong in no backup that outlives them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from api.vault.errors import VaultError, sealed_is_damaged
from api.vault.store import Store

KEY_BYTES = 32
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Wrapped keys by name.

    Attributes:
        store: where they lie.
        public: for whom new ones are wrapped.
        private: what opens them, the current one first; empty in a process that may not.
    """

    store: Store
    public: X25519PublicKey
    private: Sequence[X25519PrivateKey] = ()

    def make(self, name: str) -> bytes:
        """A new random key under a new name."""
        key = secrets.token_bytes(KEY_BYTES)
        self.put(name, key)
        return key

    def put(self, name: str, key: bytes) -> None:
        """Wrap a key that was made elsewhere."""
        with self.store.writing(_file(name)) as file:
            file.write(SUITE.encrypt(key, self.public, info=name.encode()))

    def open(self, name: str) -> bytes:
        """The key with a name.

        Raises:
            VaultError: it was destroyed, is wrapped for somebody else, or was changed.
        """
        if not self.private:
            raise VaultError(
                "This process has no key to the vault.",
                why="Tables are opened by workers alone.",
                fix="Leave it to a worker, or give this process the private key.",
            )
        try:
            with self.store.open(_file(name)) as file:
                wrapped = file.read()
        except FileNotFoundError as error:
            raise VaultError(
                "The key is not there.",
                why="It was destroyed, and with it what it opened.",
                fix="Upload the table again; what was erased stays so.",
            ) from error
        for private in self.private:
            with suppress(InvalidTag, ValueError):
                return bytes(SUITE.decrypt(wrapped, private, info=name.encode()))
        raise sealed_is_damaged()

    def destroy(self, name: str) -> None:
        """Overwrite and remove a key; one that is not there is no error."""
        if self.store.exists(_file(name)):
            with self.store.writing(_file(name)) as file:
                file.write(secrets.token_bytes(4 * KEY_BYTES))
            self.store.remove(_file(name))

    def exists(self, name: str) -> bool:
        """Whether there is a key with this name."""
        return self.store.exists(_file(name))

    def names(self, below: str) -> list[str]:
        """Names of all keys below a name, relative to it."""
        return [name.removesuffix(".key") for name in self.store.names(f"wrapped/{below}")]

    def rewrap(self) -> int:
        """Wrap every key anew for the current public key; how many there are. Raises VaultError."""
        names = [name.removesuffix(".key") for name in self.store.names("wrapped")]
        for name in names:
            self.put(name, self.open(name))
        return len(names)


def make_private() -> bytes:
    """A new private key, PEM."""
    return X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(private: X25519PrivateKey) -> bytes:
    """The public half of a private key, PEM."""
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def parse_private(pem: bytes) -> X25519PrivateKey:
    """A private key from PEM. Raises VaultError."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise _no_key() from error
    if not isinstance(key, X25519PrivateKey):
        raise _no_key()
    return key


def parse_public(pem: bytes) -> X25519PublicKey:
    """A public key from PEM. Raises VaultError."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError) as error:
        raise _no_key() from error
    if not isinstance(key, X25519PublicKey):
        raise _no_key()
    return key


def _file(name: str) -> str:
    return f"wrapped/{name}.key"


def _no_key() -> VaultError:
    return VaultError(
        "The vault's key is not an X25519 key in PEM.",
        why="Keys of tables are wrapped with it.",
        fix="Restore the file from where it is kept.",
    )

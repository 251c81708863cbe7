"""Signatures: Ed25519 over a DSSE envelope that holds an in-toto Statement v1, one subject a file.

The envelope signs the type together with the payload (pre-authentication encoding), so that one signed thing cannot be
passed off as another. Envelopes are canonical JSON (RFC 8785), and one that is not written exactly so is refused: then
every byte of the file is covered, padding and white space included.

Sources: DSSE 1.0 protocol and envelope; in-toto attestation framework, Statement v1; RFC 8032.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from audits.errors import BundleError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
KEY_FILE = "signing-key.pem"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that signs bundles."""

    private: Ed25519PrivateKey

    @property
    def public_pem(self) -> bytes:
        """The public half, as every bundle carries it."""
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the raw public key, in hex: what a recipient pins."""
        return fingerprint(self.private.public_key())

    def code(self, text: str) -> str:
        """HMAC-SHA256 of a text in hex, under a key of its own: equal for equal texts, and no use to who has no key."""
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tablegate codes").derive(
            self.private.private_bytes_raw()
        )
        return hmac.new(derived, text.encode(), "sha256").hexdigest()


def load_or_make_key(folder: Path) -> SigningKey:
    """The key of a folder; made on first use, PEM, readable by its owner alone.

    Two processes that come first at once get the same key. Raises BundleError when the file is no Ed25519 key.
    """
    path = folder / KEY_FILE
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        draft = folder / f".{KEY_FILE}.{secrets.token_hex(8)}"
        write_secret(draft, pem)
        try:
            os.link(draft, path)  # fails where the other process was first; its key stands
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(path.name) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise _no_key(path.name)
    return SigningKey(private)


def fingerprint(public: Ed25519PublicKey) -> str:
    """SHA-256 of a raw public key, in hex."""
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


def public_key(pem: bytes) -> Ed25519PublicKey:
    """A public key from PEM. Raises BundleError when it is none."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key("signing-key.pub.pem") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key("signing-key.pub.pem")
    return key


def seal_statement(
    subjects: Mapping[str, str], predicate: Mapping[str, Any], predicate_type: str, key: SigningKey
) -> bytes:
    """A signed envelope.

    Args:
        subjects: SHA-256 in hex, by file name.
        predicate: what is said about the files, as plain values.
        predicate_type: what kind of saying it is.
        key: who says it.
    """
    statement: dict[str, Any] = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": subjects[name]}} for name in sorted(subjects)],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }
    payload = rfc8785.dumps(statement)
    return _envelope(payload, key.private.sign(pae(PAYLOAD_TYPE, payload)), key.fingerprint)


def open_statement(envelope: bytes, public: Ed25519PublicKey) -> dict[str, Any]:
    """The statement of a signed envelope. Raises BundleError when it is not signed by the key, byte for byte."""
    try:
        parsed = json.loads(envelope)
        payload = base64.b64decode(parsed["payload"], validate=True)
        signature = base64.b64decode(parsed["signatures"][0]["sig"], validate=True)
        public.verify(signature, pae(PAYLOAD_TYPE, payload))
        if _envelope(payload, signature, fingerprint(public)) != envelope:
            raise ValueError("not canonical")
        statement: dict[str, Any] = json.loads(payload)
    except (ValueError, KeyError, IndexError, TypeError, RecursionError, InvalidSignature) as error:
        raise BundleError(
            "The signature does not fit.",
            why="Somebody changed the provenance, or signed it with another key.",
            fix="Get the bundle again from where it was released.",
        ) from error
    return statement


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed (DSSE 1.0, pre-authentication encoding)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that its owner alone may read, down to the disk. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _envelope(payload: bytes, signature: bytes, keyid: str) -> bytes:
    return rfc8785.dumps(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}],
        }
    )


def _no_key(name: str) -> BundleError:
    return BundleError(
        f"'{name}' is not an Ed25519 key in PEM.",
        why="A bundle is signed, and checked, with one.",
        fix="Restore the file; a lost private key is replaced by removing the file, and its recipients told.",
    )

"""Signed checkpoints of the chains: a head, with a signature, in a file of its own.

A chain shows what was changed within it, not that all of it was rewritten. A copy of a checkpoint kept elsewhere does:
the head it signs must stand in the chain. One is written when something is decided, and after every so many entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import select

from api.desk.desk import Desk
from api.desk.errors import ConflictError
from api.store.database import reading
from api.store.identity import now
from api.store.journal import AUDIT, LEDGER
from api.store.tables import ChainEntry
from audits.release.signing import load_or_make_key, open_statement, seal_statement

EVERY = 100
KIND = "tablegate/checkpoint/v1"
BELOW = "checkpoints"


def heads(desk: Desk) -> dict[str, tuple[int, str]]:
    """Number and digest of the last entry of each chain."""
    found = {}
    with reading(desk.engine) as session:
        for chain in (AUDIT, LEDGER):
            last = select(ChainEntry.seq, ChainEntry.digest).where(ChainEntry.chain == chain)
            row = session.execute(last.order_by(ChainEntry.seq.desc()).limit(1)).first()
            if row is not None:
                found[chain] = (int(row[0]), str(row[1]))
    return found


def write_checkpoint(desk: Desk) -> int:
    """Sign the heads as they are; the number of the audit log's last entry. The same heads are signed once."""
    found = heads(desk)
    if AUDIT not in found:
        return 0
    number = found[AUDIT][0]
    name = f"{BELOW}/{number:012d}.dsse.json"
    if not desk.vault.files.exists(name):
        key = load_or_make_key(desk.settings.keys_folder)
        predicate = {"at": now(), "heads": {chain: {"seq": seq} for chain, (seq, _) in found.items()}}
        digests = {chain: digest for chain, (_, digest) in found.items()}
        with desk.vault.files.writing(name) as file:
            file.write(seal_statement(digests, predicate, KIND, key))
    return number


def checkpoint_if_due(desk: Desk, last: int) -> int:
    """Write one where the log has grown enough since the last; the number of the newest."""
    found = heads(desk)
    return write_checkpoint(desk) if found.get(AUDIT, (0, ""))[0] >= last + EVERY else last


def stored(desk: Desk) -> Iterator[bytes]:
    """Every checkpoint of the store, in order."""
    for name in desk.vault.files.names(BELOW):
        with desk.vault.files.open(f"{BELOW}/{name}") as file:
            yield file.read()


def verify_checkpoints(desk: Desk, checkpoints: Iterable[bytes]) -> int:
    """Hold checkpoints, the stored ones or copies from elsewhere, against the chains; how many they were.

    Raises:
        BundleError: a signature does not fit.
        ConflictError: a head does not stand in its chain: the chain was cut, or rewritten.
    """
    public = load_or_make_key(desk.settings.keys_folder).private.public_key()
    count = 0
    for checkpoint in checkpoints:
        _check(desk, open_statement(checkpoint, public))
        count += 1
    return count


def _check(desk: Desk, statement: dict[str, Any]) -> None:
    digests = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    with reading(desk.engine) as session:
        for chain, head in statement["predicate"]["heads"].items():
            entry = session.get(ChainEntry, (chain, head["seq"]))
            if entry is None or entry.digest != digests[chain] or statement["predicateType"] != KIND:
                raise ConflictError(
                    f"The chain '{chain}' is not the one that was signed at entry {head['seq']}.",
                    why="It was cut or rewritten after a checkpoint.",
                    fix="Restore the database's last intact copy, and find out who can write to it.",
                )

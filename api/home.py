"""Where an installation keeps its ledger, its signing key, tables under review, and what stopped runs go on from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from platformdirs import user_data_path

from audits.release.quarantine import Quarantine
from audits.release.signing import SigningKey, load_or_make_key
from privacy.checkpoint import Checkpoints
from privacy.journal import SqliteJournal
from privacy.ledger import Ledger


class Installation(Protocol):
    """What a release needs of the installation it is made in: a folder's, or the service's."""

    @property
    def ledger(self) -> Ledger:
        """The budget of every population this installation has charged."""
        ...

    @property
    def signing_key(self) -> SigningKey:
        """The Ed25519 key bundles are signed with."""
        ...

    @property
    def quarantine(self) -> Quarantine:
        """Where tables under review wait, encrypted."""
        ...


@dataclass(frozen=True, slots=True)
class Home:
    """A ledger file, and what lies beside it.

    Attributes:
        path: the ledger's SQLite file; made on first use.
    """

    path: Path

    @property
    def ledger(self) -> Ledger:
        """The budget of every population this installation has charged."""
        return Ledger(journal=SqliteJournal(path=self.path))

    @property
    def signing_key(self) -> SigningKey:
        """The Ed25519 key bundles are signed with; made on first use."""
        return load_or_make_key(self.path.with_name(self.path.stem + ".keys"))

    @property
    def quarantine(self) -> Quarantine:
        """Where tables under review wait, encrypted."""
        return Quarantine(self.path.with_name(self.path.stem + ".quarantine"))

    @property
    def checkpoints(self) -> Checkpoints:
        """What runs that take long keep to go on from, encrypted."""
        return Checkpoints(self.path.with_name(self.path.stem + ".checkpoints"))


def default_ledger_path() -> Path:
    """One ledger a user, never in the working folder: a budget must not start anew with every folder."""
    return user_data_path("tablegate") / "ledger.db"

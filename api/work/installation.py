"""What a release needs of the installation it is made in, when that is the service: ledger, signing key, quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from api.desk.desk import Desk
from api.store.journal import LEDGER, DatabaseJournal
from audits.release.quarantine import Quarantine
from audits.release.signing import SigningKey, load_or_make_key
from privacy.ledger import Ledger


@dataclass(frozen=True, slots=True)
class ServiceInstallation:
    """The service, as `api.pipeline` sees an installation.

    Attributes:
        desk: of a worker.
        folder: where the run writes before what it made is stored.
    """

    desk: Desk
    folder: Path

    @property
    def ledger(self) -> Ledger:
        """The service's ledger, each call its own transaction."""
        return Ledger(journal=DatabaseJournal(self.desk.engine, LEDGER))

    @property
    def signing_key(self) -> SigningKey:
        """The Ed25519 key bundles are signed with; made on first use."""
        return load_or_make_key(self.desk.settings.keys_folder)

    @property
    def quarantine(self) -> Quarantine:
        """Where tables under review wait until they are stored."""
        return Quarantine(self.folder / "quarantine")

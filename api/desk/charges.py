"""The ledger within a transaction of the desk: a charge moves in the commit of whatever it is for, or not at all."""

from __future__ import annotations

from sqlalchemy.orm import Session

from api.store.journal import LEDGER, JoinedJournal
from privacy.errors import ReleaseError
from privacy.filter import PrivacyFilter
from privacy.ledger import Charge, Ledger
from privacy.noise import NoiseSource


def ledger_in(session: Session) -> Ledger:
    """The ledger, read and written in this transaction."""
    return Ledger(journal=JoinedJournal(session.connection(), LEDGER))


def void_unopened(session: Session, identity: str, reason: str) -> bool:
    """Take a charge back if no row was read, in the transaction that ends what it was for; whether it was."""
    ledger = ledger_in(session)
    charge = ledger.charge_of(identity)
    if ledger.stages(charge)[0]:
        return False
    ledger.void(charge, reason)
    return True


def opened(
    session: Session, identity: str, noise: NoiseSource, run: int, left: ReleaseError | None
) -> tuple[Charge, PrivacyFilter]:
    """The key to the rows that a charge pays for, in the transaction that makes sure this run may have it.

    A run may read again what an earlier one read, on the same charge, as long as nothing left that one's process.

    Args:
        session: the transaction.
        identity: of the charge.
        noise: what the filter draws from.
        run: the number of this run, from 1.
        left: the error to raise where something may have left an earlier run; None where nothing did.

    Raises:
        ReleaseError: `left`, where the charge was opened before.
    """
    ledger = ledger_in(session)
    charge = ledger.charge_of(identity)
    if not ledger.stages(charge)[0]:
        return charge, ledger.open(charge, noise)
    if left is not None:
        raise left
    return charge, ledger.reopen(charge, noise, f"run {run - 1} died before anything left its process")

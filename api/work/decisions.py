"""What follows a decision: the bundle is sealed anew with the names of who decided, and the table leaves or is gone."""

from __future__ import annotations

from api.desk.charges import ledger_in
from api.desk.desk import Desk
from api.desk.record import SERVICE, deciding, record
from api.desk.room import words_of
from api.desk.states import RELEASE, ReleaseState, moved
from api.store.database import reading
from api.store.identity import now
from api.store.tables import Release
from api.vault.vault import bundle_name, quarantine_name
from api.work.checkpoints import write_checkpoint
from api.work.installation import ServiceInstallation
from api.work.shelf import clear, destroy_waiting, get_bundle, get_waiting, put_bundle, waiting_item
from audits.release.bundle import Bundle
from audits.release.review import review
from audits.release.verify import signed_predicate

DECIDED = (ReleaseState.APPROVED, ReleaseState.REJECTED, ReleaseState.PUBLISHED)


def decide(desk: Desk, release: str) -> None:
    """Carry out what people decided. Done again after a crash, it goes on where the commit left it."""
    with reading(desk.engine) as session:
        found = session.get_one(Release, release)
        if found.state not in DECIDED:
            return
        approve = found.state != ReleaseState.REJECTED
        said = words_of(session, found, approve=approve)
    folder = desk.settings.work / f"decide-{release}"
    try:
        home = ServiceInstallation(desk, folder)
        key = home.signing_key
        bundle = get_bundle(desk, release, found.bundle, folder)
        item = waiting_item(bundle)
        if not signed_predicate(bundle, key.fingerprint)["approvals"]:
            if item is not None and desk.vault.keys.exists(quarantine_name(item)):
                get_waiting(desk, item, folder)
            reviewed = review(bundle, approve=approve, said=said, quarantine=home.quarantine, key=key)
            put_bundle(desk, release, folder)
            _commit(desk, release, reviewed, approve=approve, people=[one.reviewer for one in said])
            desk.vault.files.remove(bundle_name(release, found.bundle))
        if item is not None:
            destroy_waiting(desk, item)
        write_checkpoint(desk)
    finally:
        clear(folder)


def _commit(desk: Desk, release: str, reviewed: Bundle, *, approve: bool, people: list[str]) -> None:
    word = "approved" if approve else "rejected"
    with deciding(desk.engine) as session:
        found = session.get_one(Release, release)
        found.bundle = reviewed.digest
        if approve:
            found.state = moved(RELEASE, found.state, "publish")
        else:
            found.ended_at = now()
        ledger = ledger_in(session)
        facts = {"decision": word, "reviewers": people, "bundle": reviewed.digest}
        ledger.record(ledger.charge_of(found.charge), "review", facts)
        record(session, SERVICE, "publish" if approve else "destroy", release, bundle=reviewed.digest)

"""Between a run's folder and the vault: a sealed bundle, both halves, and the encrypted table that waits beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from sqlalchemy import select

from api.desk.desk import Desk
from api.desk.ordering import schema_of
from api.desk.states import ReleaseState
from api.earlier import schema_in
from api.store.database import reading
from api.store.tables import Dataset, Release
from api.vault.vault import bundle_name, quarantine_name
from audits.release.bundle import PROVENANCE
from audits.release.quarantine import KEY, Quarantine
from audits.release.signing import write_secret
from audits.release.staging import BUNDLE, internal_half

EARLIER = "earlier"
"""Where a run finds the tables that are out, below its folder."""

WAS_OUT = (ReleaseState.PUBLISHED, ReleaseState.WITHDRAWN, ReleaseState.EXPIRED)


def put_bundle(desk: Desk, release: str, folder: Path) -> str:
    """Store the bundle of a folder, and what waits in its quarantine; its digest. The same again changes nothing."""
    bundle = folder / BUNDLE
    digest = hashlib.sha256((bundle / PROVENANCE).read_bytes()).hexdigest()
    below = bundle_name(release, digest)
    desk.vault.files.take_in(bundle, f"{below}/{BUNDLE}")
    desk.vault.files.take_in(internal_half(bundle), f"{below}/{internal_half(bundle).name}")
    item = waiting_item(bundle)
    if item is not None and (folder / "quarantine" / item).is_dir():
        room, name = folder / "quarantine" / item, quarantine_name(item)
        desk.vault.keys.put(name, (room / KEY).read_bytes())
        for path in sorted(path for path in room.iterdir() if path.name != KEY):
            with desk.vault.files.writing(f"{name}/{path.name}") as sink:
                sink.write(path.read_bytes())
    return digest


def get_bundle(desk: Desk, release: str, digest: str, folder: Path) -> Path:
    """Copy a stored bundle into a new folder; its place there."""
    shutil.rmtree(folder, ignore_errors=True)
    desk.vault.files.take_out(bundle_name(release, digest), folder)
    return folder / BUNDLE


def get_waiting(desk: Desk, item: str, folder: Path) -> None:
    """Copy a table that waits for a decision beside its bundle, with its key."""
    room = folder / "quarantine" / item
    desk.vault.files.take_out(quarantine_name(item), room)
    write_secret(room / KEY, desk.vault.keys.open(quarantine_name(item)))


def earlier_bundles(desk: Desk, dataset: Dataset, release: str, folder: Path) -> tuple[Path, ...]:
    """Copy the recipients' halves of every other table of the population that ever was out, below a new folder.

    Tables that were withdrawn or have expired are among them: whoever took them may have them still. Those of other
    columns than this dataset's are left out, since their rows do not compare.

    Returns:
        Places of the bundles, the oldest first.
    """
    query = (
        select(Release)
        .join(Dataset, Dataset.id == Release.dataset)
        .where(Dataset.population == dataset.population, Release.state.in_(WAS_OUT), Release.id != release)
        .order_by(Release.id)
    )
    with reading(desk.engine) as session:
        found = list(session.scalars(query))
    bundles = []
    for one in found:
        desk.vault.files.take_out(f"{bundle_name(one.id, one.bundle)}/{BUNDLE}", folder / one.id)
        bundles.append(folder / one.id)
    names = schema_of(dataset).names
    return tuple(bundle for bundle in bundles if schema_in(bundle).names == names)


def destroy_waiting(desk: Desk, item: str) -> None:
    """Destroy the key of a table that waited, and then its files."""
    desk.vault.destroy(quarantine_name(item))


def waiting_item(bundle: Path) -> str | None:
    """Name of the table that waits, or waited, for a decision on a bundle."""
    decision = json.loads((internal_half(bundle) / "decision.json").read_bytes())
    item: str | None = decision["quarantine"]
    return item


def clear(folder: Path) -> None:
    """Remove what a run wrote, the keys of its quarantine first."""
    quarantine = folder / "quarantine"
    if quarantine.is_dir():
        for room in quarantine.iterdir():
            Quarantine(quarantine).destroy(room.name)
    shutil.rmtree(folder, ignore_errors=True)

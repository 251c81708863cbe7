"""What follows an upload, and an erasure."""

from __future__ import annotations

from api.coins import file_digest
from api.desk.desk import Desk
from api.desk.ordering import schema_of
from api.desk.record import SERVICE, deciding, record
from api.desk.runs import problem_of
from api.desk.states import DATASET, DatasetState, moved
from api.store.database import reading
from api.store.identity import now
from api.store.tables import Dataset
from api.vault.tables import admit, table_at
from api.vault.vault import new_table_name, upload_name
from privacy.errors import ReleaseError


def ingest(desk: Desk, dataset: str) -> None:
    """Check an upload and make it the dataset's private table; the upload, and an older table, are destroyed."""
    with reading(desk.engine) as session:
        found = session.get_one(Dataset, dataset)
    if found.state != DatasetState.CHECKING:
        return
    upload, name = upload_name(dataset, found.upload), new_table_name(dataset)
    try:
        admit(desk.vault, upload, found.table_kind, schema_of(found), name, desk.settings.max_upload_bytes)
    except ReleaseError as error:
        refuse(desk, dataset, found.upload, problem_of(error))
        return
    digest = file_digest(table_at(desk.vault, name))
    with deciding(desk.engine) as session:
        current = session.get_one(Dataset, dataset)
        mine = current.state == DatasetState.CHECKING and current.upload == found.upload
        if mine:
            current.state = moved(DATASET, current.state, "accept")
            current.table_name, current.table_digest = name, digest
            record(session, SERVICE, "accept", dataset, table=digest, version=current.uploads)
    for gone in (upload, found.table_name if mine else name):
        if gone:
            desk.vault.destroy(gone)


def refuse(desk: Desk, dataset: str, upload: str, problem: dict[str, str]) -> None:
    """An upload is no table of the declared shape, or could not be read; it is destroyed."""
    with deciding(desk.engine) as session:
        current = session.get_one(Dataset, dataset)
        if current.state != DatasetState.CHECKING or current.upload != upload:
            return
        current.state, current.problem = moved(DATASET, current.state, "refuse"), problem
        record(session, SERVICE, "refuse", dataset, code=problem["code"])
    desk.vault.destroy(upload_name(dataset, upload))


def erase(desk: Desk, dataset: str) -> None:
    """Destroy every key of a dataset's tables and uploads, then certify in the record what was destroyed, and when."""
    with reading(desk.engine) as session:
        found = session.get_one(Dataset, dataset)
    if found.state != DatasetState.ERASING:
        return
    destroyed = 0
    for below in ("tables", "uploads"):
        for name in desk.vault.keys.names(f"{below}/{dataset}"):
            desk.vault.keys.destroy(f"{below}/{dataset}/{name}")
            destroyed += 1
        desk.vault.files.remove(f"{below}/{dataset}")
    with deciding(desk.engine) as session:
        current = session.get_one(Dataset, dataset)
        if current.state != DatasetState.ERASING:
            return
        current.state, current.erased_at = moved(DATASET, current.state, "certify"), now()
        record(session, SERVICE, "erased", dataset, table=current.table_digest, keys=destroyed)

"""Putting the service together: its database, its vault and its queue, for whichever process asks."""

from __future__ import annotations

from api.desk.desk import Desk
from api.settings import Settings
from api.store.database import connect
from api.store.migrate import migrate
from api.tracing import open_traces
from api.vault.vault import open_vault, prepare_keys
from api.work.engine import Client
from api.work.engine import prepare as prepare_engine


def prepare(settings: Settings) -> None:
    """Bring an installation to this version: folders, keys, tables. Nothing changes where it is there already."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    prepare_keys(settings.keys_folder)
    engine = connect(settings.database)
    try:
        migrate(engine)
    finally:
        engine.dispose()
    prepare_engine(settings.database)


def open_desk(settings: Settings, *, private: bool = False) -> Desk:
    """The use cases of a prepared installation.

    Args:
        settings: which.
        private: whether this process opens tables and signs: a worker does, the API does not.
    """
    return Desk(
        settings=settings,
        engine=connect(settings.database),
        vault=open_vault(settings, private=private),
        jobs=Client(settings.database),
        traces=open_traces(settings.traces),
    )


def close_desk(desk: Desk) -> None:
    """Let go of the database, and send what was traced."""
    desk.traces.close()
    if isinstance(desk.jobs, Client):
        desk.jobs.close()
    desk.engine.dispose()

"""The same tests on SQLite, and on PostgreSQL where TABLEGATE_TEST_POSTGRESQL names a server (`make test-service`)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from api.service import close_desk
from tests.service.scene import Scene, make_scene

SERVER = os.environ.get("TABLEGATE_TEST_POSTGRESQL", "")
DATABASES = ("sqlite", "postgresql") if SERVER else ("sqlite",)


@contextmanager
def fresh_database(kind: str) -> Iterator[str]:
    """URL of an empty database that is thrown away; empty for a file in the installation's folder."""
    if kind == "sqlite":
        yield ""
        return
    name = f"tablegate_{secrets.token_hex(6)}"
    server = create_engine(SERVER, isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        server.dispose()


@pytest.fixture(params=DATABASES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with fresh_database(request.param) as url:
        made = make_scene(tmp_path, url)
        yield made
        close_desk(made.desk)

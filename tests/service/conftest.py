"""The same tests on SQLite, and on PostgreSQL where TABLEGATE_TEST_POSTGRESQL names a server (`make test-service`)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, make_url, text

from api.service import close_desk
from api.store.database import reading
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


def database_text(engine: Engine) -> str:
    """Every row of every table of a database, the queue's among them, as text."""
    inspector = inspect(engine)
    schemas = [schema for schema in inspector.get_schema_names() if schema != "information_schema"]
    tables = [(schema, table) for schema in schemas for table in inspector.get_table_names(schema)]
    assert len(tables) > 10
    with reading(engine) as session:
        rows = [row for schema, table in tables for row in session.execute(text(f'SELECT * FROM "{schema}"."{table}"'))]  # noqa: S608
    return "\n".join(map(repr, rows))


@pytest.fixture(params=DATABASES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with fresh_database(request.param) as url:
        made = make_scene(tmp_path, url)
        yield made
        close_desk(made.desk)

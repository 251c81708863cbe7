"""The database under the service: up and down, append-only; and its journals keep the promises of every journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from api.store.database import connect, reading, writing
from api.store.journal import LEDGER, DatabaseJournal
from api.store.migrate import downgrade, migrate
from api.store.tables import Base
from privacy.journal import verify
from tests.service.conftest import DATABASES, fresh_database


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with fresh_database(request.param) as url:
        made = connect(url or f"sqlite:///{tmp_path / 'service.db'}")
        yield made
        made.dispose()


def test_up_down_and_up_again_gives_the_tables_the_code_knows(engine: Engine) -> None:
    for _ in range(2):
        migrate(engine)
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        downgrade(engine, "base")
        assert set(inspect(engine).get_table_names()) <= {"alembic_version"}


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    with DatabaseJournal(engine, LEDGER).transaction() as transaction:
        kept = transaction.append("kept", {"a": 1})
    migrate(engine)
    with DatabaseJournal(engine, LEDGER).transaction() as transaction:
        assert tuple(transaction.entries()) == (kept,)


@pytest.mark.parametrize("statement", ["UPDATE chain_entry SET kind = 'other'", "DELETE FROM chain_entry"])
def test_a_chain_is_not_changed_by_accident(engine: Engine, statement: str) -> None:
    migrate(engine)
    journal = DatabaseJournal(engine, LEDGER)
    with journal.transaction() as transaction:
        transaction.append("kept", {"a": 1})
    with pytest.raises(DBAPIError, match="append-only"), writing(engine) as session:
        session.execute(text(statement))
    with journal.transaction() as transaction:
        assert verify(transaction.entries())[0] == 1


def test_a_reader_keeps_no_writer_waiting(engine: Engine) -> None:
    migrate(engine)
    with reading(engine) as session:
        assert session.execute(text("SELECT count(*) FROM chain_entry")).scalar() == 0
        with DatabaseJournal(engine, LEDGER).transaction() as transaction:
            transaction.append("kept", {})

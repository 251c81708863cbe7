"""Bring a database to this version's tables, and back: Alembic over the versions beside this file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Upgrade to a revision."""
    _with(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str) -> None:
    """Go back to a revision; "base" for an empty database."""
    _with(engine, lambda config: command.downgrade(config, revision))


def _with(engine: Engine, act: Callable[[Config], None]) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        act(config)

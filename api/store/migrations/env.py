"""Alembic's entry: runs the versions on the connection it is handed, in that connection's transaction."""

from __future__ import annotations

from alembic import context

from api.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
context.run_migrations()

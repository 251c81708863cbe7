"""Releases that are compared with new versions of their table, and each comparison."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v3"
down_revision = "v2"


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "monitor",
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("dataset", sa.String(length=64), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("set_by", sa.String(length=64), nullable=False),
        sa.Column("set_at", sa.String(length=40), nullable=False),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["release"], ["release.id"]),
        sa.ForeignKeyConstraint(["dataset"], ["dataset.id"]),
        sa.ForeignKeyConstraint(["set_by"], ["person.id"]),
        sa.PrimaryKeyConstraint("release"),
    )
    op.create_index(op.f("ix_monitor_dataset"), "monitor", ["dataset"], unique=False)
    op.create_table(
        "release_check",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("dataset", sa.String(length=64), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.String(length=40), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("table_name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=200), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("stop_asked", sa.Boolean(), nullable=False),
        sa.Column("charge", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=200), nullable=False),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.Column("ended_at", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["release"], ["release.id"]),
        sa.ForeignKeyConstraint(["dataset"], ["dataset.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("release", "dataset", "state"):
        op.create_index(op.f(f"ix_release_check_{column}"), "release_check", [column], unique=False)


def downgrade() -> None:
    """Remove them. What was charged stays charged, and the records keep what was found."""
    op.drop_table("release_check")
    op.drop_table("monitor")

"""Keys that are limited to scopes, and people of an identity provider."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v2"
down_revision = "v1"


def upgrade() -> None:
    """Make them; keys that are there stay without a limit."""
    op.add_column("api_key", sa.Column("scopes", sa.JSON(), nullable=False, server_default="[]"))
    op.create_table(
        "identity",
        sa.Column("issuer", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.id"]),
        sa.PrimaryKeyConstraint("issuer", "subject"),
    )
    op.create_index(op.f("ix_identity_person"), "identity", ["person"], unique=False)
    op.create_table(
        "errand",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("verifier", sa.String(length=64), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )


def downgrade() -> None:
    """Remove them. Limited keys end: without their limit they could do more than was meant."""
    op.execute("DELETE FROM api_key WHERE CAST(scopes AS TEXT) <> '[]'")
    op.drop_table("errand")
    op.drop_index(op.f("ix_identity_person"), table_name="identity")
    op.drop_table("identity")
    op.drop_column("api_key", "scopes")

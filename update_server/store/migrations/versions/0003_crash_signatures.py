"""Crash signatures: on which versions each was seen, and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = ["app", "channel", "comparable", "version", "first_at"]
    op.create_table(
        "crash_signatures",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("comparable", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("reports", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_crash_signatures")),
        sqlite_with_rowid=False,
    )
    columns = ["app", "channel", "version", "first_at"]
    op.create_index("ix_crash_signatures_version", "crash_signatures", columns)

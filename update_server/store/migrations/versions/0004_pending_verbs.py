"""Verbs that wait for a second person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pending_verbs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("verb", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("ring", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("needs", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("approvals", sa.Text, nullable=False),
        sa.Column("hold", sa.Text),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending_verbs")),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_pending_verbs_app")),
    )
    op.create_index(op.f("ix_pending_verbs_app"), "pending_verbs", ["app"])

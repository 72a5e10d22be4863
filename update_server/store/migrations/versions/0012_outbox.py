"""Messages to people, and how they were delivered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_UNROUTED = sa.text("routed_at IS NULL")
_UNRESOLVED = sa.text("resolved_at IS NULL")


def upgrade() -> None:
    _messages()
    _deliveries()
    _alerts()
    # Whether everybody may read of an app's rollouts, as a feed.
    op.add_column(
        "app_settings", sa.Column("atom", sa.Boolean, nullable=False, server_default=sa.false())
    )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("routed_at", sa.BigInteger),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_messages")),
        sa.UniqueConstraint("id", name=op.f("uq_messages_id")),
    )
    op.create_index("ix_messages_app_number", "messages", ["app", "number"])
    op.create_index(
        "ix_messages_unrouted",
        "messages",
        ["number"],
        sqlite_where=_UNROUTED,
        postgresql_where=_UNROUTED,
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("message", sa.Integer, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("done_at", sa.BigInteger),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("message", "target", name=op.f("uq_deliveries_message_target")),
    )
    op.create_index(
        "ix_deliveries_target_state_due_at", "deliveries", ["target", "state", "due_at"]
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("delivery", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("delivery", "number", name=op.f("pk_delivery_attempts")),
        sqlite_with_rowid=False,
    )


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("ring", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger),
        sa.Column("acknowledged_by", sa.Text, nullable=False),
        sa.Column("escalated_at", sa.BigInteger),
        sa.Column("resolved_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_alerts")),
        sa.UniqueConstraint("id", name=op.f("uq_alerts_id")),
    )
    op.create_index(
        "uq_alerts_unresolved",
        "alerts",
        ["app", "rollout", "ring", "reason"],
        unique=True,
        sqlite_where=_UNRESOLVED,
        postgresql_where=_UNRESOLVED,
    )

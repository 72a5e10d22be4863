"""Settings of apps, telemetry set aside, and what arrived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _settings()
    _quarantine()
    _arrivals()


def _settings() -> None:
    op.create_table(
        "app_settings",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("crash_messages", sa.Boolean, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("app_keys", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("app", name=op.f("pk_app_settings")),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_app_settings_app")),
    )


def _quarantine() -> None:
    op.create_table(
        "quarantined",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("install_key", sa.LargeBinary, nullable=False),
        sa.Column("event_id", sa.LargeBinary, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantined")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_quarantined_app", "quarantined", ["app", "rule", "id"])
    op.create_index("ix_quarantined_accepted", "quarantined", ["accepted", "id"])
    op.create_index("ix_quarantined_install_key", "quarantined", ["install_key"])
    op.create_table(
        "quarantine_counts",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("app", "day", "rule", "arm", name=op.f("pk_quarantine_counts")),
        sqlite_with_rowid=False,
    )


def _arrivals() -> None:
    op.create_table(
        "arrivals",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("minute", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("late_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("app", "minute", "kind", "code", name=op.f("pk_arrivals")),
        sqlite_with_rowid=False,
    )

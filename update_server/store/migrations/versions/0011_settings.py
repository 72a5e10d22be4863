"""Settings of apps, telemetry set aside, and what arrived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "app_settings",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("crash_messages", sa.Boolean, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("app_keys", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("app", name=op.f("pk_app_settings")),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_app_settings_app")),
    )

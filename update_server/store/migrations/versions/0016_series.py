"""What is drawn over time: how studies stood, and which versions ran on a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "study_points",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("marked", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("rollout", "number", name=op.f("pk_study_points")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "version_days",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("installs", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("app", "day", "channel", "version", name=op.f("pk_version_days")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "crash_hours",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("hour", sa.BigInteger, nullable=False),
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("installs", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "app", "signature", "hour", "rollout", "arm", name=op.f("pk_crash_hours")
        ),
        sqlite_with_rowid=False,
    )
    op.execute(  # instants are whole microseconds
        "INSERT INTO crash_hours (app, signature, hour, rollout, arm, installs)"
        " SELECT app, signature, first_at / 3600000000 * 3600000000, rollout, arm, count(*)"
        " FROM crash_reports WHERE NOT handled AND length(report_key) > 0"
        " GROUP BY app, signature, first_at / 3600000000 * 3600000000, rollout, arm"
    )

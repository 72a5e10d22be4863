"""How often installs are silent with no rollout about, and the window that each is in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("histories", sa.Column("silence_window", sa.LargeBinary))
    op.create_table(
        "silence_windows",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("stratum", sa.Integer, nullable=False),
        sa.Column("windows", sa.BigInteger, nullable=False),
        sa.Column("returned", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "app", "channel", "day", "stratum", name=op.f("pk_silence_windows")
        ),
        sqlite_with_rowid=False,
    )

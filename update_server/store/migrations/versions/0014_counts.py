"""What pages show, so that nothing has to be counted for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recounts",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("counted_at", sa.BigInteger, nullable=False),
        sa.Column("silent", sa.Text, nullable=False),
        sa.Column("levels", sa.Text, nullable=False),
        sa.Column("pull", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("rollout", name=op.f("pk_recounts")),
        sqlite_with_rowid=False,
    )

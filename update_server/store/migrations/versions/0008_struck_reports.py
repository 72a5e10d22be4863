"""Which labels of a study's log rest on reports that were withdrawn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "study_log",
        sa.Column("struck", sa.Boolean, nullable=False, server_default=sa.false()),
    )

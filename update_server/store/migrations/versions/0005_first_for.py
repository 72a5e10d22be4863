"""Which installs a rollout is offered to first, and which install that was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rollouts", sa.Column("first_for", sa.Text))
    op.add_column("histories", sa.Column("taken_first", sa.Text))

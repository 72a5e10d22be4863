"""People who sign in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_LIVE = sa.text("removed_at IS NULL")


def upgrade() -> None:
    _operators()
    _sessions()
    op.create_table(
        "sign_in_failures",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_failures")),
    )
    op.create_index("ix_sign_in_failures_last_at", "sign_in_failures", ["last_at"])


def _operators() -> None:
    op.create_table(
        "operators",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("app", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("identity", sa.Text),
        sa.Column("password", sa.Text),
        sa.Column("password_set_at", sa.BigInteger),
        sa.Column("must_change", sa.Boolean, nullable=False),
        sa.Column("removed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operators")),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_operators_app")),
    )
    for column in ("person", "identity"):
        op.create_index(
            f"uq_operators_{column}",
            "operators",
            [column],
            unique=True,
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        )


def _sessions() -> None:
    op.create_table(
        "operator_links",
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("operator", name=op.f("pk_operator_links")),
        sa.UniqueConstraint("sha256", name=op.f("uq_operator_links_sha256")),
        sa.ForeignKeyConstraint(
            ["operator"], ["operators.id"], name=op.f("fk_operator_links_operator")
        ),
    )
    op.create_table(
        "operator_sessions",
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("signed_in_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_operator_sessions")),
        sa.ForeignKeyConstraint(
            ["operator"], ["operators.id"], name=op.f("fk_operator_sessions_operator")
        ),
    )
    op.create_index("ix_operator_sessions_operator", "operator_sessions", ["operator"])

"""Studies of rollouts, their registers and logs, decisions, and histories of installs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_histories()
    _create_studies_and_facts()
    _create_registers()
    _create_logs()
    _create_decisions()


def _create_histories() -> None:
    op.create_table(
        "histories",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("install_key", sa.LargeBinary, nullable=False),
        sa.Column("first_at", sa.Double, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
        sa.Column("check_ins", sa.Integer, nullable=False),
        sa.Column("early", sa.LargeBinary, nullable=False),
        sa.Column("seen", sa.LargeBinary, nullable=False),
        sa.Column("crashes", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("app", "install_key", name=op.f("pk_histories")),
        sqlite_with_rowid=False,
    )


def _create_studies_and_facts() -> None:
    op.create_table(
        "studies",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("expired", sa.Boolean, nullable=False),
        sa.Column("settings", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("rollout", name=op.f("pk_studies")),
    )
    op.create_table(
        "study_facts",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_study_facts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_study_facts_rollout_number", "study_facts", ["rollout", "number"])


def _create_registers() -> None:
    op.create_table(
        "study_members",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("install_key", sa.LargeBinary, nullable=False),
        sa.Column("due_at", sa.Double, nullable=True),
        sa.Column("network", sa.LargeBinary, nullable=False),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("has_left", sa.Boolean, nullable=False),
        sa.Column("forgotten", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("rollout", "install_key", name=op.f("pk_study_members")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_study_members_rollout_due_at",
        "study_members",
        ["rollout", "due_at"],
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    for column in ("network", "platform"):
        name = f"ix_study_members_rollout_{column}"
        op.create_index(name, "study_members", ["rollout", column])
    op.create_index("ix_study_members_install_key", "study_members", ["install_key"])


def _create_logs() -> None:
    op.create_table(
        "study_log",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("networks", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint(
            "rollout", "epoch", "metric", "kind", "number", name=op.f("pk_study_log")
        ),
        sa.UniqueConstraint("rollout", "number", name=op.f("uq_study_log_rollout_number")),
        sqlite_with_rowid=False,
    )


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("log_size", sa.BigInteger, nullable=False),
        sa.Column("carried_out_at", sa.BigInteger, nullable=True),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_decisions")),
        sa.UniqueConstraint("id", name=op.f("uq_decisions_id")),
        sqlite_autoincrement=True,
    )
    for column in ("app", "rollout"):
        op.create_index(f"ix_decisions_{column}_number", "decisions", [column, "number"])
    op.create_index(
        "ix_decisions_undone",
        "decisions",
        ["number"],
        sqlite_where=sa.text("carried_out_at IS NULL"),
        postgresql_where=sa.text("carried_out_at IS NULL"),
    )

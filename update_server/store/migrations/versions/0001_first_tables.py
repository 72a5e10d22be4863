"""The first tables, and the triggers that keep the audit append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_apps_and_releases()
    _create_rollouts_and_journal()
    _create_access()
    _create_audit()
    _create_evidence()


def _create_apps_and_releases() -> None:
    op.create_table(
        "apps",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("channels", sa.Text, nullable=False),
        sa.Column("platforms", sa.Text, nullable=False),
        sa.Column("registered", sa.Boolean, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_apps")),
        sa.UniqueConstraint("name", name=op.f("uq_apps_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=True),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "releases",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("admitted_at", sa.BigInteger, nullable=False),
        sa.Column("submitted_by", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_releases_app")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_releases")),
        sa.UniqueConstraint(
            "app",
            "channel",
            "version",
            "platform",
            name=op.f("uq_releases_app_channel_version_platform"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "targets",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("length_bytes", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.Text, nullable=True),
        sa.Column("platform", sa.Text, nullable=True),
        sa.Column("version", sa.Text, nullable=True),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_targets_app")),
        sa.PrimaryKeyConstraint("app", "path", name=op.f("pk_targets")),
    )
    op.create_table(
        "documents",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_documents_app")),
        sa.PrimaryKeyConstraint("app", "channel", "kind", name=op.f("pk_documents")),
    )


def _create_rollouts_and_journal() -> None:
    op.create_table(
        "rollouts",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ladder", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("position_reached_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("paused_by", sa.Text, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("replacement", sa.Text, nullable=True),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_rollouts_app")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_rollouts")),
        sa.UniqueConstraint("id", name=op.f("uq_rollouts_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_rollouts_app"), "rollouts", ["app"], unique=False)
    op.create_table(
        "holds",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("link", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text, nullable=True),
        sa.Column("lifted_at", sa.BigInteger, nullable=True),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_holds_app")),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name=op.f("fk_holds_rollout")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_holds")),
        sa.UniqueConstraint("app", "id", name=op.f("uq_holds_app_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "journal",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("timestamp_version", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("published_at", sa.BigInteger, nullable=True),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_journal_app")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
        sa.UniqueConstraint(
            "app", "timestamp_version", name=op.f("uq_journal_app_timestamp_version")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_journal_published_at"), "journal", ["published_at"], unique=False)


def _create_access() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("revoked_at", sa.BigInteger, nullable=True),
        sa.Column("last_used_at", sa.BigInteger, nullable=True),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_tokens_app")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("sha256", name=op.f("uq_tokens_sha256")),
    )
    op.create_table(
        "groups",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_groups_app")),
        sa.PrimaryKeyConstraint("app", "name", name=op.f("pk_groups")),
    )
    op.create_table(
        "enrolment_codes",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("uses_left", sa.Integer, nullable=False),
        sa.Column("revoked_at", sa.BigInteger, nullable=True),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_enrolment_codes_app")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment_codes")),
        sa.UniqueConstraint("app", "sha256", name=op.f("uq_enrolment_codes_app_sha256")),
    )
    op.create_table(
        "enrolments",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("install_key", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger, nullable=True),
        sa.ForeignKeyConstraint(["app"], ["apps.name"], name=op.f("fk_enrolments_app")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_enrolments")),
        sa.UniqueConstraint("sha256", name=op.f("uq_enrolments_sha256")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_enrolments_live",
        "enrolments",
        ["app", "group_name", "install_key"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    op.create_table(
        "idempotent_answers",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotent_answers")),
    )
    op.create_index(
        op.f("ix_idempotent_answers_created_at"), "idempotent_answers", ["created_at"], unique=False
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_app"), "audit", ["app"], unique=False)
    if op.get_context().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$"
        )
        # For each statement: that covers TRUNCATE too, and statements that match no row.
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
        )


def _create_evidence() -> None:
    op.create_table(
        "contacts",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("install_key", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("offered", sa.Text, nullable=True),
        sa.Column("self_selected", sa.Boolean, nullable=False),
        sa.Column("telemetry", sa.Text, nullable=False),
        sa.Column("timestamp_version", sa.BigInteger, nullable=False),
        sa.Column("snapshot_sha256", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("app", "install_key", name=op.f("pk_contacts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "progress",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("install_key", sa.LargeBinary, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("ring", sa.Text, nullable=True),
        sa.Column("arm", sa.Text, nullable=True),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("rollout", "install_key", name=op.f("pk_progress")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_progress_install_key", "progress", ["install_key"], unique=False)
    op.create_table(
        "seen_events",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("install_key", sa.LargeBinary, nullable=False),
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("app", "install_key", "id", name=op.f("pk_seen_events")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "checkpoints",
        sa.Column("spool", sa.Text, nullable=False),
        sa.Column("offset_bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("spool", name=op.f("pk_checkpoints")),
    )

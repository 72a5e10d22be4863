"""Who may do what: tokens, groups, enrolments and secrets; and the audit log of what was done."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from update_server.store.columns import Instant, Json
from update_server.store.tables.metadata import metadata

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("app", Text, ForeignKey("apps.name")),  # null: all apps
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant),
)

groups = Table(
    "groups",
    metadata,
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("app", "name"),
)

# Codes and enrolments outlive their group, as a record; so they do not refer to it.
codes = Table(
    "enrolment_codes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("group_name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("revoked_at", Instant),
    UniqueConstraint("app", "sha256"),
)

enrolments = Table(
    "enrolments",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("group_name", Text, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    # An install has one live credential for a group.
    Index(
        "uq_enrolments_live",
        "app",
        "group_name",
        "install_key",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("key", Text, primary_key=True),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, index=True),
)

# --- audit -------------------------------------------------------------------------------

# Triggers (in the migration) refuse to change or remove rows of this table.
audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),  # gapless: the store counts
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("app", Text, index=True),  # no reference: a record stands for itself
    Column("subject", Text, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("before", Json, nullable=False),
    Column("after", Json, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

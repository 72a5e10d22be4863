"""Crash reports and sessions. Installs are named by report keys: no other table has these.

No foreign keys: the digest must go on when a record names an app that is gone.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from update_server.store.columns import Instant, Json, Told
from update_server.store.tables.metadata import metadata

# One install's crashes of one signature, while it stood in one arm of one rollout.
crash_reports = Table(
    "crash_reports",
    metadata,
    Column("app", Told, nullable=False),
    Column("version", Told, nullable=False),
    Column("signature", Text, nullable=False),
    Column("handled", Boolean, nullable=False),
    Column("report_key", LargeBinary, nullable=False),
    Column("rollout", Told, nullable=False),
    Column("arm", Told, nullable=False),
    Column("ring", Told, nullable=False),
    Column("channel", Told, nullable=False),
    Column("platform", Told, nullable=False),
    Column("os", Told, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("reports", BigInteger, nullable=False),
    PrimaryKeyConstraint("app", "version", "signature", "handled", "report_key", "rollout", "arm"),
    Index("ix_crash_reports_signature", "app", "signature"),
    Index("ix_crash_reports_rollout", "rollout"),
    Index("ix_crash_reports_report_key", "report_key"),  # for forgetting an install
    sqlite_with_rowid=False,
)

# What a signature is about.
crash_groups = Table(
    "crash_groups",
    metadata,
    Column("app", Told, nullable=False),
    Column("signature", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("title", Told, nullable=False),
    Column("parts", Json, nullable=False),
    Column("kind", Text, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    PrimaryKeyConstraint("app", "signature"),
    sqlite_with_rowid=False,
)

crash_samples = Table(
    "crash_samples",
    metadata,
    Column("app", Told, nullable=False),
    Column("version", Told, nullable=False),
    Column("signature", Text, nullable=False),
    Column("handled", Boolean, nullable=False),
    Column("report_key", LargeBinary, nullable=False),
    Column("id", Told, nullable=False),
    Column("at", Instant, nullable=False),
    Column("body", Json, nullable=False),
    PrimaryKeyConstraint("app", "version", "signature", "handled", "report_key", "id"),
    Index("ix_crash_samples_signature", "app", "signature"),
    Index("ix_crash_samples_report_key", "report_key"),
    sqlite_with_rowid=False,
)

# Signatures that an operator calls the same bug as another. No chains: see store.crashes.
crash_aliases = Table(
    "crash_aliases",
    metadata,
    Column("app", Told, nullable=False),
    Column("signature", Text, nullable=False),
    Column("same_as", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Told, nullable=False),
    PrimaryKeyConstraint("app", "signature"),
    sqlite_with_rowid=False,
)

# The sessions of the last days. What they count in ``session_hours`` is told by their columns.
sessions = Table(
    "sessions",
    metadata,
    Column("app", Told, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("version", Told, nullable=False),
    Column("report_key", LargeBinary, nullable=False),
    Column("rollout", Told, nullable=False),
    Column("ring", Told, nullable=False),
    Column("arm", Told, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    PrimaryKeyConstraint("app", "key"),
    Index("ix_sessions_report_key", "report_key"),
    Index("ix_sessions_received_at", "received_at"),
    sqlite_with_rowid=False,
)

# How many sessions started in an hour. Nobody is named here.
session_hours = Table(
    "session_hours",
    metadata,
    Column("app", Told, nullable=False),
    Column("version", Told, nullable=False),
    Column("rollout", Told, nullable=False),
    Column("ring", Told, nullable=False),
    Column("arm", Told, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("hour", Instant, nullable=False),
    Column("sessions", BigInteger, nullable=False),
    PrimaryKeyConstraint("app", "version", "rollout", "ring", "arm", "source", "status", "hour"),
    Index("ix_session_hours_rollout", "rollout"),
    sqlite_with_rowid=False,
)

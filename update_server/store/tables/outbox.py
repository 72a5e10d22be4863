"""Messages to people, their deliveries, and alerts. No foreign keys, like ``telemetry``."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from update_server.store.columns import Instant, Json
from update_server.store.tables.metadata import metadata

messages = Table(
    "messages",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("app", Text, nullable=False),
    Column("rollout", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("routed_at", Instant),
    Column("body", Json, nullable=False),
    Index("ix_messages_app_number", "app", "number"),
    Index(
        "ix_messages_unrouted",
        "number",
        sqlite_where=text("routed_at IS NULL"),
        postgresql_where=text("routed_at IS NULL"),
    ),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("message", Integer, nullable=False),  # its number
    Column("target", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("done_at", Instant),
    Column("status", Integer),
    Column("error", Text, nullable=False),
    UniqueConstraint("message", "target"),
    Index("ix_deliveries_target_state_due_at", "target", "state", "due_at"),
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("delivery", Integer, nullable=False),  # its number
    Column("number", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("status", Integer),
    Column("error", Text, nullable=False),
    PrimaryKeyConstraint("delivery", "number"),
    sqlite_with_rowid=False,
)

alerts = Table(
    "alerts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("app", Text, nullable=False),
    Column("rollout", Text, nullable=False),
    Column("ring", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),  # its id
    Column("opened_at", Instant, nullable=False),
    Column("acknowledged_at", Instant),
    Column("acknowledged_by", Text, nullable=False),
    Column("escalated_at", Instant),
    Column("resolved_at", Instant),
    Index(
        "uq_alerts_unresolved",
        "app",
        "rollout",
        "ring",
        "reason",
        unique=True,
        sqlite_where=text("resolved_at IS NULL"),
        postgresql_where=text("resolved_at IS NULL"),
    ),
)

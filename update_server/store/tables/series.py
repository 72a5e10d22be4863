"""What is drawn over time. No foreign keys, like ``telemetry``; nobody is named here."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, PrimaryKeyConstraint, Table, Text

from update_server.store.columns import Instant, Json, Told
from update_server.store.tables.metadata import metadata

study_points = Table(
    "study_points",
    metadata,
    Column("rollout", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("marked", Boolean, nullable=False),
    Column("body", Json, nullable=False),
    PrimaryKeyConstraint("rollout", "number"),
    sqlite_with_rowid=False,
)

# Installs by the hour of their first crash; from rows of ``crash_reports``, which they go with.
crash_hours = Table(
    "crash_hours",
    metadata,
    Column("app", Told, nullable=False),
    Column("signature", Text, nullable=False),
    Column("hour", Instant, nullable=False),
    Column("rollout", Told, nullable=False),
    Column("arm", Told, nullable=False),
    Column("installs", BigInteger, nullable=False),
    PrimaryKeyConstraint("app", "signature", "hour", "rollout", "arm"),
    sqlite_with_rowid=False,
)

version_days = Table(
    "version_days",
    metadata,
    Column("app", Told, nullable=False),
    Column("day", Integer, nullable=False),
    Column("channel", Told, nullable=False),
    Column("version", Told, nullable=False),
    Column("installs", BigInteger, nullable=False),
    PrimaryKeyConstraint("app", "day", "channel", "version"),
    sqlite_with_rowid=False,
)

"""What installs told: contacts, progress, histories and crash signatures.

No foreign keys: the digest must go on when a record names an app that is gone.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from update_server.store.columns import Instant, Told
from update_server.store.tables.metadata import metadata

# The last contact of every install.
contacts = Table(
    "contacts",
    metadata,
    Column("app", Told, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Column("channel", Told, nullable=False),
    Column("platform", Told, nullable=False),
    Column("version", Told, nullable=False),
    Column("action", Told, nullable=False),
    Column("reason", Told, nullable=False),
    Column("offered", Told),
    Column("self_selected", Boolean, nullable=False),
    Column("telemetry", Told, nullable=False),
    Column("timestamp_version", BigInteger, nullable=False),
    Column("snapshot_sha256", Told, nullable=False),
    PrimaryKeyConstraint("app", "install_key"),
    sqlite_with_rowid=False,
)

# How far each install came with a rollout. ``steps`` is a set of bits, see store.telemetry.
progress = Table(
    "progress",
    metadata,
    Column("rollout", Told, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("app", Told, nullable=False),
    Column("ring", Told),  # null, like arm: no contact was seen yet
    Column("arm", Told),
    Column("steps", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    PrimaryKeyConstraint("rollout", "install_key"),
    Index("ix_progress_install_key", "install_key"),  # for forgetting an install
    sqlite_with_rowid=False,
)

# Event IDs already counted.
seen_events = Table(
    "seen_events",
    metadata,
    Column("app", Told, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("id", LargeBinary, nullable=False),
    Column("received_at", Instant, nullable=False),
    PrimaryKeyConstraint("app", "install_key", "id"),
    sqlite_with_rowid=False,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("spool", Text, primary_key=True),
    Column("offset_bytes", BigInteger, nullable=False),
)

# What is known of each install before a study. The lists are packed, see store.histories.
histories = Table(
    "histories",
    metadata,
    Column("app", Told, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("check_ins", Integer, nullable=False),
    Column("early", LargeBinary, nullable=False),
    Column("seen", LargeBinary, nullable=False),
    Column("crashes", LargeBinary, nullable=False),
    Column("taken_first", Told),
    Column("silence_window", LargeBinary),
    PrimaryKeyConstraint("app", "install_key"),
    sqlite_with_rowid=False,
)

# Windows of silence by the UTC day on which they end, see service.studies.silences.
silence_windows = Table(
    "silence_windows",
    metadata,
    Column("app", Told, nullable=False),
    Column("channel", Told, nullable=False),
    Column("day", Integer, nullable=False),
    Column("stratum", Integer, nullable=False),
    Column("windows", BigInteger, nullable=False),
    Column("returned", BigInteger, nullable=False),
    PrimaryKeyConstraint("app", "channel", "day", "stratum"),
    sqlite_with_rowid=False,
)

# Runs of sightings of crash signatures, see service.ports.signatures.
crash_signatures = Table(
    "crash_signatures",
    metadata,
    Column("app", Told, nullable=False),
    Column("channel", Told, nullable=False),
    Column("comparable", Text, nullable=False),
    Column("version", Told, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("reports", BigInteger, nullable=False),
    Column("title", Told, nullable=False),
    PrimaryKeyConstraint("app", "channel", "comparable", "version", "first_at"),
    Index("ix_crash_signatures_version", "app", "channel", "version", "first_at"),
    sqlite_with_rowid=False,
)

"""Reports that were set aside, and what arrived.

No foreign keys: the digest must go on when a record names an app that is gone.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from update_server.store.columns import Instant, Told
from update_server.store.tables.metadata import metadata

# ``event`` is packed, see store.quarantine.
quarantined = Table(
    "quarantined",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("app", Told, nullable=False),
    Column("rule", Told, nullable=False),
    Column("arm", Text, nullable=False),
    Column("version", Told, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("event_id", LargeBinary, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Index("ix_quarantined_app", "app", "rule", "id"),
    Index("ix_quarantined_accepted", "accepted", "id"),
    Index("ix_quarantined_install_key", "install_key"),  # for forgetting an install
    sqlite_autoincrement=True,  # pages go on by number
)

# By the UTC day of receipt, counted from 1970.
quarantine_counts = Table(
    "quarantine_counts",
    metadata,
    Column("app", Told, nullable=False),
    Column("day", Integer, nullable=False),
    Column("rule", Told, nullable=False),
    Column("arm", Text, nullable=False),
    Column("events", BigInteger, nullable=False),
    PrimaryKeyConstraint("app", "day", "rule", "arm"),
    sqlite_with_rowid=False,
)

arrivals = Table(
    "arrivals",
    metadata,
    Column("app", Told, nullable=False),
    Column("minute", Instant, nullable=False),
    Column("kind", Told, nullable=False),
    Column("code", Told, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("late_ms", BigInteger, nullable=False),
    Column("last_at", Instant),  # null where only the minute is known
    PrimaryKeyConstraint("app", "minute", "kind", "code"),
    sqlite_with_rowid=False,
)

"""What other tables hold, counted: kept in the transactions that change what is counted.

Nobody is named here. A row that counts nothing any more is gone.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from update_server.store.columns import Instant, Told
from update_server.store.tables.metadata import metadata

# Installs by what they told when they last checked in.
contact_counts = Table(
    "contact_counts",
    metadata,
    Column("app", Told, nullable=False),
    Column("channel", Told, nullable=False),
    Column("platform", Told, nullable=False),
    Column("version", Told, nullable=False),
    Column("telemetry", Told, nullable=False),
    Column("installs", BigInteger, nullable=False),
    PrimaryKeyConstraint("app", "channel", "platform", "version", "telemetry"),
    sqlite_with_rowid=False,
)

# Rows of ``progress`` by the set of steps that the install reached.
progress_counts = Table(
    "progress_counts",
    metadata,
    Column("rollout", Told, nullable=False),
    Column("ring", Told, nullable=False),
    Column("arm", Told, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("installs", BigInteger, nullable=False),
    PrimaryKeyConstraint("rollout", "ring", "arm", "steps"),
    sqlite_with_rowid=False,
)

# The hours of ``session_hours`` together, for those who take part in a rollout.
session_counts = Table(
    "session_counts",
    metadata,
    Column("rollout", Told, nullable=False),
    Column("version", Told, nullable=False),
    Column("ring", Told, nullable=False),
    Column("arm", Told, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sessions", BigInteger, nullable=False),
    PrimaryKeyConstraint("rollout", "version", "ring", "arm", "source", "status"),
    sqlite_with_rowid=False,
)

# ``crash_reports`` by signature, as each ``facet`` splits them: see store.crash_folding.
crash_counts = Table(
    "crash_counts",
    metadata,
    Column("facet", Text, nullable=False),
    Column("rollout", Told, nullable=False),
    Column("app", Told, nullable=False),
    Column("signature", Text, nullable=False),
    Column("version", Told, nullable=False),
    Column("arm", Told, nullable=False),
    Column("handled", Boolean, nullable=False),
    Column("channel", Told, nullable=False),
    Column("platform", Told, nullable=False),
    Column("os", Told, nullable=False),
    Column("installs", BigInteger, nullable=False),
    Column("reports", BigInteger, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    PrimaryKeyConstraint(
        "facet",
        "rollout",
        "app",
        "signature",
        "version",
        "arm",
        "handled",
        "channel",
        "platform",
        "os",
    ),
    Index("ix_crash_counts_version", "facet", "app", "version"),
    sqlite_with_rowid=False,
)

# The facet of all together, added up over versions and arms; errors that were handled are no
# crashes of ``installs``, but reports.
crash_totals = Table(
    "crash_totals",
    metadata,
    Column("app", Told, nullable=False),
    Column("signature", Text, nullable=False),
    Column("installs", BigInteger, nullable=False),
    Column("reports", BigInteger, nullable=False),
    PrimaryKeyConstraint("app", "signature"),
    sqlite_with_rowid=False,
)

# The same whatever the signature, of crashes alone. ``named``: installs with a signature.
crashed_counts = Table(
    "crashed_counts",
    metadata,
    Column("facet", Text, nullable=False),
    Column("rollout", Told, nullable=False),
    Column("app", Told, nullable=False),
    Column("version", Told, nullable=False),
    Column("arm", Told, nullable=False),
    Column("ring", Told, nullable=False),
    Column("channel", Told, nullable=False),
    Column("installs", BigInteger, nullable=False),
    Column("named", BigInteger, nullable=False),
    Column("reports", BigInteger, nullable=False),
    PrimaryKeyConstraint("facet", "rollout", "app", "version", "arm", "ring", "channel"),
    sqlite_with_rowid=False,
)

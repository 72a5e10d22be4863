"""Studies of rollouts, and what was decided by them. No foreign keys, like ``telemetry``."""

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
    UniqueConstraint,
    false,
    text,
)

from update_server.store.columns import Instant, Json, Told
from update_server.store.tables.metadata import metadata

studies = Table(
    "studies",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("app", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("expired", Boolean, nullable=False),  # its register and its networks are gone
    Column("settings", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),  # last: a head is read without it
)

study_facts = Table(
    "study_facts",
    metadata,
    # Some of these a check-in: more in a few years than 32 bits can number.
    Column(
        "number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    Column("rollout", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_study_facts_rollout_number", "rollout", "number"),
    sqlite_autoincrement=True,  # a number that was read names no later fact
)

study_members = Table(
    "study_members",
    metadata,
    Column("rollout", Text, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("due_at", Double),
    Column("network", LargeBinary, nullable=False),
    Column("platform", Told, nullable=False),
    Column("has_left", Boolean, nullable=False),
    Column("forgotten", Boolean, nullable=False),  # goes as soon as it has left
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("rollout", "install_key"),
    Index(
        "ix_study_members_rollout_due_at",
        "rollout",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index("ix_study_members_rollout_network", "rollout", "network"),
    Index("ix_study_members_rollout_platform", "rollout", "platform"),
    Index("ix_study_members_install_key", "install_key"),  # for forgetting an install
    sqlite_with_rowid=False,
)

study_log = Table(
    "study_log",
    metadata,
    Column("rollout", Text, nullable=False),
    Column("number", BigInteger, nullable=False),  # gapless from 1: the store counts
    Column("epoch", Integer, nullable=False),
    Column("metric", Told, nullable=False),
    Column("kind", Text, nullable=False),
    Column("networks", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("struck", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("rollout", "epoch", "metric", "kind", "number"),  # as it is read
    UniqueConstraint("rollout", "number"),
    sqlite_with_rowid=False,
)

decisions = Table(
    "decisions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("rollout", Text, nullable=False),
    Column("app", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("log_size", BigInteger, nullable=False),
    Column("carried_out_at", Instant),
    Column("outcome", Text, nullable=False),
    Column("record", Json, nullable=False),
    Index("ix_decisions_app_number", "app", "number"),
    Index("ix_decisions_rollout_number", "rollout", "number"),
    Index(
        "ix_decisions_undone",
        "number",
        sqlite_where=text("carried_out_at IS NULL"),
        postgresql_where=text("carried_out_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

"""Operators, the links that set their passwords, their sessions, and failures to sign in."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text, text

from update_server.store.columns import Instant
from update_server.store.tables.metadata import metadata

_LIVE = text("removed_at IS NULL")

operators = Table(
    "operators",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("app", Text, ForeignKey("apps.name")),  # null: all apps
    Column("created_at", Instant, nullable=False),
    Column("identity", Text),
    Column("password", Text),
    Column("password_set_at", Instant),
    Column("must_change", Boolean, nullable=False),
    Column("removed_at", Instant),
    # A name is free again once its operator was removed.
    Index("uq_operators_person", "person", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
    Index(
        "uq_operators_identity", "identity", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE
    ),
)

operator_links = Table(
    "operator_links",
    metadata,
    Column("operator", Text, ForeignKey("operators.id"), primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

operator_sessions = Table(
    "operator_sessions",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("operator", Text, ForeignKey("operators.id"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("signed_in_by", Text, nullable=False),
)

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("key", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_at", Instant, nullable=False, index=True),
    Column("until", Instant, nullable=False),
)

"""Counters that only grow. No foreign key, like ``telemetry``."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text

from update_server.store.columns import Json, Told
from update_server.store.tables.metadata import metadata

counters = Table(
    "counters",
    metadata,
    Column("app", Told, nullable=False),
    Column("name", Text, nullable=False),
    Column("labels", Json, nullable=False),  # sorted pairs
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("app", "name", "labels"),
    sqlite_with_rowid=False,
)

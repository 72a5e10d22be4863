"""What operators set for the telemetry of their app."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Table, Text, false

from update_server.store.columns import Json
from update_server.store.tables.metadata import metadata

app_settings = Table(
    "app_settings",
    metadata,
    Column("app", Text, ForeignKey("apps.name"), primary_key=True),
    Column("crash_messages", Boolean, nullable=False),
    Column("tags", Json, nullable=False),
    Column("app_keys", Json, nullable=False),
    Column("atom", Boolean, nullable=False, server_default=false()),
)

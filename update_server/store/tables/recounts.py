"""The last recount of each rollout, see service.ports.recounts."""

from __future__ import annotations

from sqlalchemy import Column, Table

from update_server.store.columns import Instant, Json, Told
from update_server.store.tables.metadata import metadata

recounts = Table(
    "recounts",
    metadata,
    Column("rollout", Told, primary_key=True),
    Column("counted_at", Instant, nullable=False),
    Column("silent", Json, nullable=False),
    Column("levels", Json, nullable=False),
    Column("pull", Json, nullable=False),
    sqlite_with_rowid=False,
)

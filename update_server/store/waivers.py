"""Crashes that are known and accepted for some time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from packaging.version import Version
from sqlalchemy import Connection, delete, select

from update_server.service.ports import ExistsError, NotFoundError
from update_server.service.ports.waivers import Waiver
from update_server.store.rows import insert_new, require_app
from update_server.store.tables import waivers


class SqlWaivers:
    """Waivers over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, waiver: Waiver) -> None:
        """Store a waiver, or raise ExistsError."""
        require_app(self._connection, waiver.app)
        columns = asdict(waiver) | {"version": str(waiver.version)}
        if insert_new(self._connection, waivers, **columns) is None:
            raise ExistsError("waiver", waiver.id)

    def of_app(self, app: str) -> Sequence[Waiver]:
        """Return the waivers of *app*, oldest first."""
        found = (
            select(waivers).where(waivers.c.app == app).order_by(waivers.c.created_at, waivers.c.id)
        )
        return [
            Waiver(**{**row._asdict(), "version": Version(row.version)})
            for row in self._connection.execute(found)
        ]

    def remove(self, app: str, waiver_id: str) -> None:
        """Remove a waiver, or raise NotFoundError."""
        here = (waivers.c.app == app) & (waivers.c.id == waiver_id)
        if self._connection.execute(delete(waivers).where(here)).rowcount == 0:
            raise NotFoundError("waiver", waiver_id)

    def expire(self, app: str, now: datetime) -> None:
        """Remove the waivers of *app* that end at *now* or before."""
        ended = (waivers.c.app == app) & (waivers.c.expires_at <= now)
        self._connection.execute(delete(waivers).where(ended))

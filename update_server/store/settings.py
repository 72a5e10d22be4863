"""What operators set for the telemetry of their app."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, select

from update_server.service.ports.settings import AppSettings
from update_server.store.rows import require_app, upsert
from update_server.store.tables import app_settings


class SqlSettings:
    """Settings over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, app: str) -> AppSettings:
        """Return the settings of *app*, the defaults if nobody set them."""
        row = self._connection.execute(
            select(app_settings).where(app_settings.c.app == app)
        ).one_or_none()
        if row is None:
            return AppSettings()
        return AppSettings(
            crash_messages=row.crash_messages,
            tags=tuple(row.tags),
            app_keys=tuple(row.app_keys),
            atom=row.atom,
        )

    def put(self, app: str, settings: AppSettings) -> None:
        """Store the settings of *app* in place of those before, or raise NotFoundError."""
        require_app(self._connection, app)
        columns = asdict(settings)
        statement = upsert(self._connection, app_settings).values(app=app, **columns)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=[app_settings.c.app], set_=columns)
        )

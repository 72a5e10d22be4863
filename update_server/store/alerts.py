"""Alerts, open and resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from update_server.service.ports.outbox import Alert, Message
from update_server.store.outbox import message_of
from update_server.store.rows import insert_new, one
from update_server.store.tables import alerts, messages

_COLUMNS = tuple(alerts.c[field.name] for field in fields(Alert))


class SqlAlerts:
    """Alerts over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open(self, alert: Alert) -> bool:
        """Store an alert and return whether there was none like it."""
        return insert_new(self._connection, alerts, **asdict(alert)) is not None

    def get(self, alert_id: str) -> Alert:
        """Return an alert, or raise NotFoundError."""
        found = select(*_COLUMNS).where(alerts.c.id == alert_id)
        return Alert(**one(self._connection, found, "alert", alert_id)._asdict())

    def unresolved(self, app: str | None = None) -> Sequence[Alert]:
        """Return the alerts that are open, the oldest first."""
        found = select(*_COLUMNS).where(alerts.c.resolved_at.is_(None)).order_by(alerts.c.number)
        if app is not None:
            found = found.where(alerts.c.app == app)
        return [Alert(**row._asdict()) for row in self._connection.execute(found)]

    def told(self, app: str | None = None) -> Sequence[tuple[Alert, Message | None]]:
        """Return the alerts that are open, the oldest first, with their messages."""
        sent = (messages.c.body, messages.c.at)
        found = (
            select(*_COLUMNS, *(column.label(f"its_{column.name}") for column in sent))
            .select_from(alerts.outerjoin(messages, messages.c.id == alerts.c.message))
            .where(alerts.c.resolved_at.is_(None))
            .order_by(alerts.c.number)
        )
        if app is not None:
            found = found.where(alerts.c.app == app)
        return [
            (
                Alert(**{column.name: getattr(row, column.name) for column in _COLUMNS}),
                None if row.its_body is None else message_of(row.its_body, row.its_at),
            )
            for row in self._connection.execute(found)
        ]

    def acknowledge(self, alert_id: str, by: str, at: datetime) -> None:
        """Note who has seen it first."""
        self._set(alert_id, "acknowledged_at", acknowledged_at=at, acknowledged_by=by)

    def escalate(self, alert_id: str, at: datetime) -> None:
        """Note that somebody else was told."""
        self._set(alert_id, "escalated_at", escalated_at=at)

    def resolve(self, alert_id: str, at: datetime) -> None:
        """Note that it is over."""
        self._set(alert_id, "resolved_at", resolved_at=at)

    def expire(self, before: datetime) -> None:
        """Delete what was resolved long ago."""
        self._connection.execute(delete(alerts).where(alerts.c.resolved_at < before))

    def _set(self, alert_id: str, unless: str, **values: Any) -> None:
        this = (alerts.c.id == alert_id) & alerts.c[unless].is_(None)
        self._connection.execute(update(alerts).where(this).values(**values))

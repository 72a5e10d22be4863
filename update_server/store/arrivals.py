"""What arrived, minute by minute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, case, delete, func, select

from update_server.service.ports.arrivals import Arrived
from update_server.store.rows import upsert
from update_server.store.tables import arrivals

_Key = tuple[str, datetime, str, str]
_MILLISECONDS = 1_000


class SqlArrivals:
    """Arrivals over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, arrived: Sequence[Arrived]) -> None:
        """Add to the sums, and keep the greatest delay and the last receipt."""
        folded: dict[_Key, tuple[int, int, datetime | None]] = {}
        for one in arrived:
            key = one.app, one.minute, one.kind, one.code
            events, late_ms, last_at = folded.get(key, (0, 0, None))
            told_ms = round(one.late_seconds * _MILLISECONDS)
            last_at = max(filter(None, (last_at, one.last_at)), default=None)
            folded[key] = events + one.events, max(late_ms, told_ms), last_at
        if not folded:
            return
        statement = upsert(self._connection, arrivals)
        excluded, c = statement.excluded, arrivals.c
        later = excluded.late_ms > c.late_ms
        newer = func.coalesce(excluded.last_at > c.last_at, c.last_at.is_(None))
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(arrivals.primary_key.columns),
                set_={
                    "events": c.events + excluded.events,
                    "late_ms": case((later, excluded.late_ms), else_=c.late_ms),
                    "last_at": case((newer, excluded.last_at), else_=c.last_at),
                },
            ),
            [
                {
                    "app": app,
                    "minute": minute,
                    "kind": kind,
                    "code": code,
                    "events": events,
                    "late_ms": late_ms,
                    "last_at": last_at,
                }
                for (app, minute, kind, code), (events, late_ms, last_at) in folded.items()
            ],
        )

    def since(self, app: str, at: datetime) -> Sequence[Arrived]:
        """Return what arrived in the minutes from *at* on."""
        c = arrivals.c
        rows = self._connection.execute(
            select(arrivals).where(c.app == app, c.minute >= at).order_by(c.minute, c.kind, c.code)
        )
        return [
            Arrived(
                app=row.app,
                minute=row.minute,
                kind=row.kind,
                code=row.code,
                events=row.events,
                late_seconds=row.late_ms / _MILLISECONDS,
                last_at=row.last_at,
            )
            for row in rows
        ]

    def expire(self, before: datetime) -> None:
        """Delete the minutes that began before *before*."""
        self._connection.execute(delete(arrivals).where(arrivals.c.minute < before))

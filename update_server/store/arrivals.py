"""What arrived, minute by minute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Connection,
    case,
    delete,
    func,
    literal,
    select,
    type_coerce,
)

from update_server.service.ports.arrivals import MINUTE, Arrived
from update_server.store.columns import Instant
from update_server.store.rows import upsert
from update_server.store.tables import arrivals

_Key = tuple[str, datetime, str, str]
_MILLISECONDS = 1_000
_MICROSECOND = timedelta(microseconds=1)


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

    def since(self, app: str, at: datetime, step: timedelta = MINUTE) -> Sequence[Arrived]:
        """Return what arrived in the minutes from *at* on, in steps since 1970."""
        c = arrivals.c
        micros = type_coerce(c.minute, BigInteger)
        # A literal: PostgreSQL cannot tell that two parameters of GROUP BY are the same.
        whole = literal(step // _MICROSECOND, BigInteger, literal_execute=True)
        began = type_coerce(micros - micros % whole, Instant).label("began")
        rows = self._connection.execute(
            select(
                began,
                c.kind,
                c.code,
                func.sum(c.events).label("events"),
                func.max(c.late_ms).label("late_ms"),
                func.max(c.last_at, type_=Instant).label("last_at"),
            )
            .where(c.app == app, c.minute >= at)
            .group_by(began, c.kind, c.code)
        )
        found = [
            Arrived(
                app=app,
                minute=row.began,
                kind=row.kind,
                code=row.code,
                events=int(row.events),
                late_seconds=row.late_ms / _MILLISECONDS,
                last_at=row.last_at,
            )
            for row in rows
        ]
        # Databases do not agree on the order of texts.
        return sorted(found, key=lambda one: (one.minute, one.kind, one.code))

    def expire(self, before: datetime) -> None:
        """Delete the minutes that began before *before*."""
        self._connection.execute(delete(arrivals).where(arrivals.c.minute < before))

"""Registered apps, their generation, and leases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, or_, select, update
from sqlalchemy.engine import Row

from update_server.service.ports import App, ExistsError, LeaseLostError, NotFoundError
from update_server.store.rows import changed, insert_new, one, upsert
from update_server.store.tables import apps, leases


class SqlApps:
    """Apps over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, app: App) -> App:
        """Store *app* and return it with its number; raise ExistsError if the name is taken."""
        row = insert_new(
            self._connection,
            apps,
            name=app.name,
            created_at=app.created_at,
            channels=app.channels,
            platforms=app.platforms,
            registered=app.registered,
            generation=app.generation,
        )
        if row is None:
            raise ExistsError("app", app.name)
        return _app(row)

    def get(self, name: str) -> App:
        """Return the app called *name*, or raise NotFoundError."""
        return _app(one(self._connection, select(apps).where(apps.c.name == name), "app", name))

    def all(self) -> Sequence[App]:
        """Return all apps, by name."""
        return [_app(row) for row in self._connection.execute(select(apps).order_by(apps.c.name))]

    def update(self, app: App) -> None:
        """Write the channels, the platforms and ``registered`` of *app*."""
        written = changed(
            self._connection,
            update(apps)
            .where(apps.c.name == app.name)
            .values(channels=app.channels, platforms=app.platforms, registered=app.registered),
        )
        if not written:
            raise NotFoundError("app", app.name)

    def generations(self) -> Mapping[str, int]:
        """Return the generation of every app."""
        found = self._connection.execute(select(apps.c.name, apps.c.generation))
        return {row.name: row.generation for row in found}

    def bump(self, name: str) -> int:
        """Raise the generation of an app by one and return it."""
        generation: int | None = self._connection.execute(
            update(apps)
            .where(apps.c.name == name)
            .values(generation=apps.c.generation + 1)
            .returning(apps.c.generation)
        ).scalar_one_or_none()
        if generation is None:
            raise NotFoundError("app", name)
        return generation

    def take_lease(self, name: str, holder: str, now: datetime, seconds: int) -> int:
        """Take or extend the lease called *name*; return its fencing number.

        *name* is an app's, or another noun of which there may be one holder at a time; it
        need not exist. Each number is greater than all before, also for the same holder.

        Raises:
            LeaseLostError: Somebody else holds it, and it has not expired.
        """
        statement = upsert(self._connection, leases).values(
            name=name, holder=holder, expires_at=now + timedelta(seconds=seconds), fence=1
        )
        free = or_(leases.c.holder.is_(None), leases.c.holder == holder, leases.c.expires_at <= now)
        fence = self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[leases.c.name],
                set_={
                    "holder": statement.excluded.holder,
                    "expires_at": statement.excluded.expires_at,
                    "fence": leases.c.fence + 1,
                },
                where=free,
            ).returning(leases.c.fence)
        ).scalar_one_or_none()
        if fence is None:
            raise LeaseLostError(name, self._holder(name))
        return int(fence)

    def check_lease(self, name: str, fence: int) -> None:
        """Raise LeaseLostError unless the lease still is the one with the number *fence*.

        Whether it has expired does not matter here: nobody else has taken it. In a
        transaction that writes this stays true until it commits, since writers take turns.
        """
        held = select(leases.c.fence).where(leases.c.name == name, leases.c.holder.is_not(None))
        if self._connection.execute(held).scalar_one_or_none() != fence:
            raise LeaseLostError(name, self._holder(name))

    def drop_lease(self, name: str, fence: int) -> None:
        """Free the lease if it still is the one with the number *fence*."""
        self._connection.execute(
            update(leases)
            .where(leases.c.name == name, leases.c.fence == fence)
            .values(holder=None, expires_at=None)
        )

    def _holder(self, name: str) -> str:
        held = select(leases.c.holder).where(leases.c.name == name)
        return self._connection.execute(held).scalar_one_or_none() or ""


def _app(row: Row[Any]) -> App:
    return App(
        name=row.name,
        number=row.number,
        created_at=row.created_at,
        channels=tuple(row.channels),
        platforms=tuple(row.platforms),
        registered=row.registered,
        generation=row.generation,
    )

"""Signed states of repositories, with their bytes, in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.engine import Row

from update_server.service.ports import ExistsError, JournalRow
from update_server.store.rows import changed, insert_new, one, require_app
from update_server.store.tables import journal


class SqlJournal:
    """The journal over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, app: str, timestamp_version: int, body: bytes, now: datetime) -> JournalRow:
        """Append a signed state, not yet published.

        Raises:
            ExistsError: The app's journal has this timestamp version already.
        """
        require_app(self._connection, app)
        row = insert_new(
            self._connection,
            journal,
            app=app,
            timestamp_version=timestamp_version,
            body=body,
            created_at=now,
        )
        if row is None:
            raise ExistsError("journal row", f"{app}/{timestamp_version}")
        return _journal_row(row)

    def unpublished(self) -> Sequence[JournalRow]:
        """Return the states not yet published, of all apps, oldest first."""
        found = select(journal).where(journal.c.published_at.is_(None)).order_by(journal.c.id)
        return [_journal_row(row) for row in self._connection.execute(found)]

    def mark_published(self, row_id: int, now: datetime) -> None:
        """Note that a state is published. Of two such notes the first one stays."""
        this = journal.c.id == row_id
        fresh = update(journal).where(this, journal.c.published_at.is_(None))
        if not changed(self._connection, fresh.values(published_at=now)):
            one(self._connection, select(journal.c.id).where(this), "journal row", str(row_id))

    def newest(self, app: str) -> JournalRow:
        """Return the newest state of *app*, published or not, or raise NotFoundError."""
        found = select(journal).where(journal.c.app == app).order_by(journal.c.id.desc()).limit(1)
        return _journal_row(one(self._connection, found, "journal row", app))

    def page(self, app: str, *, after_id: int, limit: int) -> Sequence[JournalRow]:
        """Return up to *limit* states of *app* that came after *after_id*, in order."""
        found = (
            select(journal)
            .where(journal.c.app == app, journal.c.id > after_id)
            .order_by(journal.c.id)
            .limit(limit)
        )
        return [_journal_row(row) for row in self._connection.execute(found)]


def _journal_row(row: Row[Any]) -> JournalRow:
    return JournalRow(
        id=row.id,
        app=row.app,
        timestamp_version=row.timestamp_version,
        body=row.body,
        created_at=row.created_at,
        published_at=row.published_at,
    )

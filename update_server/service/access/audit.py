"""The record of who did what, read page by page.

Not here: writing it. Each use-case appends in the transaction of what it writes.
"""

from __future__ import annotations

from collections.abc import Sequence

from update_server.service.ports import AuditRecord, Database


class AuditLog:
    """Reads the append-only record."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, app: str | None, *, before_seq: int | None, limit: int
    ) -> tuple[Sequence[AuditRecord], int | None]:
        """Return records of *app* (None: all), newest first, and where the next page begins."""
        with self._database.reading() as stores:
            if app is not None:
                stores.apps.get(app)
            found = stores.audit.page(app=app, before_seq=before_seq, limit=limit + 1)
        page = found[:limit]
        return page, page[-1].seq if len(found) > limit else None

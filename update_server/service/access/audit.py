"""The record of who did what, read page by page.

Not here: writing it. Each use-case appends in the transaction of what it writes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rollout.model import RolloutId
from update_server.service.ports import AuditRecord, ChangedError, Database
from update_server.service.ports.audit import Link

CHECKED_AT_ONCE: Final = 500
"""Records whose hashes one question checks: some milliseconds' worth."""

_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """How far the chain of hashes was checked by this process, and of how many records.

    ``broken_at`` is the first record that is not as it was written, or follows one that is gone.
    """

    checked_to: int
    newest: int
    broken_at: int | None = None


class AuditLog:
    """Reads the append-only record, and remembers how far its hashes are in order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._checked = Link()
        self._lock = threading.Lock()

    def chain(self) -> Chain:
        """Check the hashes of some more records, and return how far they are in order.

        Those that were checked are not looked at again: ``serinus fsck`` looks at all.
        """
        with self._lock, self._database.reading() as stores:
            newest = stores.audit.page(app=None, before_seq=None, limit=1)
            last = newest[0].seq if newest else 0
            try:
                self._checked = stores.audit.verified(self._checked, CHECKED_AT_ONCE)
            except ChangedError as error:
                return Chain(checked_to=self._checked.seq, newest=last, broken_at=int(error.key))
            return Chain(checked_to=self._checked.seq, newest=last)

    def all(self, app: str | None) -> Iterator[AuditRecord]:
        """Yield every record of *app* (None: of all), newest first, a part at a time."""
        before: int | None = None
        while True:
            found, before = self.page(app, before_seq=before, limit=_PAGE)
            yield from found
            if before is None:
                return

    def page(
        self, app: str | None, *, before_seq: int | None, limit: int
    ) -> tuple[Sequence[AuditRecord], int | None]:
        """Return records of *app* (None: all), newest first, and where the next page begins."""
        with self._database.reading() as stores:
            if app is not None:
                stores.apps.get(app)
            found = stores.audit.page(app=app, before_seq=before_seq, limit=limit + 1)
        return _part(found, limit)

    def history(
        self, app: str, rollout: RolloutId, *, before_seq: int | None, limit: int
    ) -> tuple[Sequence[AuditRecord], int | None]:
        """Return what was done to one rollout, as ``page``. Raises NotFoundError."""
        with self._database.reading() as stores:
            found = stores.audit.page(
                app=app, subject=rollout, before_seq=before_seq, limit=limit + 1
            )
            if not found:
                stores.rollouts.get(app, rollout)
        return _part(found, limit)


def _part(found: Sequence[AuditRecord], limit: int) -> tuple[Sequence[AuditRecord], int | None]:
    """Return as many of *found* as were asked for, and before which others stand."""
    page = found[:limit]
    return page, page[-1].seq if len(found) > limit else None

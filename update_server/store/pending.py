"""Verbs that wait for a second person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from packaging.version import Version
from sqlalchemy import Connection, Select, delete, select
from sqlalchemy.engine import Row

from rollout.model import RolloutId
from update_server.service.ports import NotFoundError
from update_server.service.ports.pending import Approval, PendingVerb
from update_server.store.rows import one, require_app, upsert
from update_server.store.tables import pending_verbs


class SqlPendingVerbs:
    """Pending verbs over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, pending: PendingVerb) -> None:
        """Store a pending verb, in place of the one of this ID if there is one."""
        require_app(self._connection, pending.app)
        columns = asdict(pending) | {"version": str(pending.version)}
        statement = upsert(self._connection, pending_verbs).values(**columns)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=["id"], set_=columns)
        )

    def get(self, app: str, pending_id: str) -> PendingVerb:
        """Return the pending verb, or raise NotFoundError."""
        here = (pending_verbs.c.app == app) & (pending_verbs.c.id == pending_id)
        found = select(pending_verbs).where(here)
        return _pending(one(self._connection, found, "pending verb", pending_id))

    def all(self) -> Sequence[PendingVerb]:
        """Return the pending verbs of all apps, oldest first."""
        return self._found(select(pending_verbs))

    def of_app(self, app: str) -> Sequence[PendingVerb]:
        """Return the pending verbs of *app*, oldest first."""
        return self._found(select(pending_verbs).where(pending_verbs.c.app == app))

    def _found(self, statement: Select[Any]) -> list[PendingVerb]:
        oldest_first = statement.order_by(pending_verbs.c.asked_at, pending_verbs.c.id)
        return [_pending(row) for row in self._connection.execute(oldest_first)]

    def remove(self, app: str, pending_id: str) -> None:
        """Remove a pending verb, or raise NotFoundError."""
        here = (pending_verbs.c.app == app) & (pending_verbs.c.id == pending_id)
        if self._connection.execute(delete(pending_verbs).where(here)).rowcount == 0:
            raise NotFoundError("pending verb", pending_id)


def _pending(row: Row[Any]) -> PendingVerb:
    values = row._asdict()
    return PendingVerb(
        **{
            **values,
            "rollout": RolloutId(row.rollout),
            "version": Version(row.version),
            "approvals": tuple(
                Approval(**{**each, "tickets": tuple(each["tickets"])}) for each in row.approvals
            ),
        }
    )

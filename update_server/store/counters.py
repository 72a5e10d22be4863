"""Counters, one row a sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, select

from update_server.service.ports.counters import Counted
from update_server.store.rows import upsert
from update_server.store.tables import counters


class SqlCounters:
    """Counters over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, counted: Sequence[Counted]) -> None:
        """Add to the sums, each of which is written once."""
        sums: Counter[tuple[str, str, tuple[tuple[str, str], ...]]] = Counter()
        for one in counted:
            sums[one.app, one.name, tuple(sorted(one.labels))] += one.by
        if not sums:
            return
        statement = upsert(self._connection, counters)
        c = counters.c
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[c.app, c.name, c.labels],
                set_={"value": c.value + statement.excluded.value},
            ),
            [
                {"app": app, "name": name, "labels": labels, "value": by}
                for (app, name, labels), by in sorted(sums.items())  # an order: no deadlock
            ],
        )

    def all(self, app: str | None) -> Sequence[Counted]:
        """Return the sums of *app*, or of all apps, by app, name and labels."""
        found = select(counters)
        if app is not None:
            found = found.where(counters.c.app == app)
        rows = [
            Counted(
                app=row.app,
                name=row.name,
                labels=tuple((name, value) for name, value in row.labels),
                by=row.value,
            )
            for row in self._connection.execute(found)
        ]
        # By ourselves: databases do not agree on the order of texts.
        return sorted(rows, key=lambda one: (one.app, one.name, one.labels))

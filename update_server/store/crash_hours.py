"""In which hour installs first had a crash: counted as rows come, change and go.

By the signature that a report had, not by the one it is counted under: that may change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete

from update_server.store.crash_folding import CrashRow
from update_server.store.rows import upsert
from update_server.store.tables import crash_hours


class _Hour(NamedTuple):
    """Where it counts: the columns of the key."""

    app: str
    signature: str
    hour: datetime
    rollout: str
    arm: str


def count_hours(
    connection: Connection, before: Iterable[CrashRow], after: Iterable[CrashRow]
) -> None:
    """Count rows that were as in *before*, and are as in *after*."""
    changes = _hours(after)
    changes.subtract(_hours(before))
    rows = [{**hour._asdict(), "installs": by} for hour, by in changes.items() if by]
    if not rows:
        return
    statement = upsert(connection, crash_hours)
    key = list(crash_hours.primary_key.columns)
    added = {"installs": crash_hours.c.installs + statement.excluded.installs}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=added), rows)
    fewer = [row for row in rows if row["installs"] < 0]
    if fewer:
        mine = [column == bindparam(f"its_{column.name}") for column in key]
        connection.execute(
            delete(crash_hours).where(crash_hours.c.installs == 0, *mine),
            [{f"its_{column.name}": row[column.name] for column in key} for row in fewer],
        )


def _hours(rows: Iterable[CrashRow]) -> Counter[_Hour]:
    """Return the hours of *rows*. Where nothing tells senders apart, there is no install."""
    return Counter(
        _Hour(
            app=row.key.app,
            signature=row.key.signature,
            hour=row.first_at.replace(minute=0, second=0, microsecond=0),
            rollout=row.key.rollout,
            arm=row.key.arm,
        )
        for row in rows
        if row.key.report_key and not row.key.handled
    )

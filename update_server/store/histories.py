"""What is known of each install, whatever it is offered: its check-ins and crashes.

Lists of instants are packed as little-endian doubles: exact, and half of what text would take
for each of some million installs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from rollout.model import RolloutId
from update_server.service.ports.studies import (
    History,
    LastContact,
    Progress,
    Window,
    WindowsOfDay,
)
from update_server.store.install_records import last_contact, progress_of
from update_server.store.rows import chunks, upsert
from update_server.store.tables import contacts, histories, silence_windows

_DOUBLE_BYTES = 8
_DAY_SECONDS = 86_400
_WINDOW = "<ddB?"


class SqlHistories:
    """Histories over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, app: str, installs: Iterable[bytes]) -> Mapping[bytes, History]:
        """Return what is known of *installs*."""
        found: dict[bytes, History] = {}
        for some in chunks(installs):
            rows = self._connection.execute(
                select(histories).where(histories.c.app == app, histories.c.install_key.in_(some))
            )
            for row in rows:
                found[bytes(row.install_key)] = _history(row)
        return found

    def sample(self, app: str, limit: int, *, channel: str | None = None) -> Sequence[History]:
        """Return what is known of the installs with the lowest keys, at most *limit*.

        With a *channel*: of those that were last seen on it.
        """
        found = select(histories).where(histories.c.app == app)
        if channel is not None:
            same = (contacts.c.app == app) & (contacts.c.install_key == histories.c.install_key)
            found = found.join(contacts, same).where(contacts.c.channel == channel)
        rows = self._connection.execute(found.order_by(histories.c.install_key).limit(limit))
        return [_history(row) for row in rows]

    def put(self, app: str, changed: Mapping[bytes, History]) -> None:
        """Store what is known of installs, new ones and others."""
        if not changed:
            return
        statement = upsert(self._connection, histories)
        told = {c.name: statement.excluded[c.name] for c in histories.c if not c.primary_key}
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[histories.c.app, histories.c.install_key], set_=told
            ),
            [
                {
                    "app": app,
                    "install_key": key,
                    "first_at": one.first_at,
                    "last_at": max((one.first_at, *one.seen, *one.crashes)),
                    "check_ins": one.check_ins,
                    "early": _packed(one.early),
                    "seen": _packed(one.seen),
                    "crashes": _packed(one.crashes),
                    "taken_first": one.taken_first,
                    "silence_window": _packed_window(one.window),
                }
                for key, one in changed.items()
            ],
        )

    def last_contact(self, app: str, install_key: bytes) -> LastContact | None:
        """Return the newest check-in of one install."""
        return last_contact(self._connection, app, install_key)

    def progress_of(self, rollout: RolloutId, install_key: bytes) -> Progress | None:
        """Return how far one install came with a rollout."""
        return progress_of(self._connection, rollout, install_key)

    def forget_install(self, app: str, install_key: bytes) -> None:
        """Delete what is known of an install."""
        this = (histories.c.app == app) & (histories.c.install_key == install_key)
        self._connection.execute(delete(histories).where(this))

    def expire(self, *, heard_before: float) -> None:
        """Delete the histories of installs of which nothing was heard since."""
        self._connection.execute(delete(histories).where(histories.c.last_at < heard_before))
        self._connection.execute(
            delete(silence_windows).where(silence_windows.c.day < int(heard_before // _DAY_SECONDS))
        )

    def add_windows(self, app: str, counted: Sequence[WindowsOfDay]) -> None:
        """Add to what was counted by channel, day and stratum."""
        sums: dict[tuple[str, int, int], list[int]] = {}
        for one in counted:
            of_day = sums.setdefault((one.channel, one.day, one.stratum), [0, 0])
            of_day[0] += one.windows
            of_day[1] += one.returned
        if not sums:
            return
        statement = upsert(self._connection, silence_windows)
        c, more = silence_windows.c, statement.excluded
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[c.app, c.channel, c.day, c.stratum],
                set_={
                    "windows": c.windows + more.windows,
                    "returned": c.returned + more.returned,
                },
            ),
            [
                {
                    "app": app,
                    "channel": channel,
                    "day": day,
                    "stratum": stratum,
                    "windows": windows,
                    "returned": returned,
                }
                for (channel, day, stratum), (windows, returned) in sorted(sums.items())
            ],
        )

    def windows(
        self, app: str, channel: str, *, since: int, until: int
    ) -> Sequence[tuple[int, int, int]]:
        """Return (stratum, windows, returned) over the days from *since* on before *until*."""
        c = silence_windows.c
        found = (
            select(c.stratum, func.sum(c.windows), func.sum(c.returned))
            .where(c.app == app, c.channel == channel, c.day >= since, c.day < until)
            .group_by(c.stratum)
            .order_by(c.stratum)
        )
        return [(row[0], int(row[1]), int(row[2])) for row in self._connection.execute(found)]


def _history(row: Row[Any]) -> History:
    return History(
        first_at=row.first_at,
        check_ins=row.check_ins,
        early=_unpacked(row.early),
        seen=_unpacked(row.seen),
        crashes=_unpacked(row.crashes),
        taken_first=row.taken_first,
        window=_unpacked_window(row.silence_window),
    )


def _packed(instants: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(instants)}d", *instants)


def _unpacked(packed: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(packed) // _DOUBLE_BYTES}d", packed)


def _packed_window(window: Window | None) -> bytes | None:
    if window is None:
        return None
    return struct.pack(_WINDOW, window.began_at, window.seconds, window.stratum, window.returned)


def _unpacked_window(packed: bytes | None) -> Window | None:
    if packed is None:
        return None
    began_at, seconds, stratum, returned = struct.unpack(_WINDOW, packed)
    return Window(began_at=began_at, seconds=seconds, stratum=stratum, returned=returned)

"""Sessions of the last days, the hours that count them, and these together for each rollout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, select

from rollout.model import RolloutId
from update_server.service.ports.crashes import Cell, SessionCount, SessionState, Tally, after
from update_server.store.rows import add_up, chunks, upsert
from update_server.store.tables import session_counts, session_hours, sessions

_Key = tuple[str, bytes]  # app, key of the session
_Hour = tuple[str, str, Cell, str, str, datetime]  # app, version, cell, source, status, hour


class SqlSessions:
    """Sessions over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, states: Sequence[SessionState]) -> Sequence[SessionState | None]:
        """Take in *states*, and return what each session is after it."""
        if not states:
            return []
        before = self._known(states)
        now, noted = dict(before), list[SessionState | None]()
        for state in states:
            key = (state.app, state.key)
            if key not in now and state.goes_on:
                noted.append(None)  # what was known of it was counted, and is gone
                continue
            now[key] = after(now.get(key), state)
            noted.append(now[key])
        changed = {key: state for key, state in now.items() if before.get(key) != state}
        self._write(changed.values())
        self._count(changed, before)
        return noted

    def _known(self, states: Iterable[SessionState]) -> dict[_Key, SessionState]:
        wanted: dict[str, set[bytes]] = {}
        for state in states:
            wanted.setdefault(state.app, set()).add(state.key)
        found: dict[_Key, SessionState] = {}
        for app, keys in wanted.items():
            for some in chunks(keys):
                mine = (sessions.c.app == app) & sessions.c.key.in_(some)
                for row in self._connection.execute(select(sessions).where(mine)):
                    state = _state(row)
                    found[app, state.key] = state
        return found

    def _write(self, changed: Collection[SessionState]) -> None:
        if not changed:
            return
        statement = upsert(self._connection, sessions)
        told = {c.name: statement.excluded[c.name] for c in sessions.c if not c.primary_key}
        key = list(sessions.primary_key)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=key, set_=told),
            [_row(state) for state in changed],
        )

    def _count(
        self, changed: Mapping[_Key, SessionState], before: Mapping[_Key, SessionState]
    ) -> None:
        """Count each changed session where it is now, and no longer where it was."""
        sums: Counter[_Hour] = Counter()
        for key, state in changed.items():
            sums[_hour(state)] += 1
            if key in before:
                sums[_hour(before[key])] -= 1
        self._add(sums)

    def add(self, counts: Sequence[SessionCount]) -> None:
        """Count sessions of which no more is known."""
        sums: Counter[_Hour] = Counter()
        for one in counts:
            sums[one.app, one.version, one.cell, one.source, one.status, one.hour] += one.sessions
        self._add(sums)

    def _add(self, sums: Mapping[_Hour, int]) -> None:
        hours: dict[tuple[Any, ...], int] = {}
        together: Counter[tuple[Any, ...]] = Counter()
        for (app, version, cell, source, status, hour), count in sums.items():
            place = (version, cell.ring, cell.arm, source, status)
            hours[app, version, cell.rollout, cell.ring, cell.arm, source, status, hour] = count
            if cell.rollout:
                together[cell.rollout, *place] += count
        add_up(self._connection, session_hours, hours)
        add_up(self._connection, session_counts, together)

    def hours(self, app: str) -> Sequence[SessionCount]:
        """Return all counts of *app*."""
        found = select(session_hours).where(session_hours.c.app == app)
        counts = [
            SessionCount(
                app=app,
                version=row.version,
                cell=Cell(rollout=row.rollout, ring=row.ring, arm=row.arm),
                source=row.source,
                status=row.status,
                hour=row.hour,
                sessions=row.sessions,
            )
            for row in self._connection.execute(found)
        ]
        return sorted(
            counts, key=lambda one: (one.hour, one.version, str(one.cell), one.source, one.status)
        )

    def tallies(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Sequence[Tally]]:
        """Return how many sessions each of *rollouts* had, by version, ring, arm and status."""
        found: dict[RolloutId, dict[tuple[str, str, str], dict[str, dict[str, int]]]] = {
            rollout: {} for rollout in rollouts
        }
        for some in chunks(rollouts):
            rows = select(session_counts).where(session_counts.c.rollout.in_(some))
            for row in self._connection.execute(rows):
                places = found[RolloutId(row.rollout)]
                told = places.setdefault((row.version, row.ring, row.arm), {})
                told.setdefault(row.source, {})[row.status] = row.sessions
        return {
            rollout: [
                Tally(version=version, ring=ring, arm=arm, crashed_installs=0, sessions=told)
                for (version, ring, arm), told in sorted(places.items())
            ]
            for rollout, places in found.items()
        }

    def of_rollout(self, rollout: RolloutId) -> Sequence[Tally]:
        """Return how many sessions a rollout had, by version, ring, arm, source and status."""
        return self.tallies([rollout])[rollout]

    def forget(self, app: str, report_keys: Collection[bytes]) -> None:
        """Delete the sessions of these installs. What was counted stays counted."""
        for some in chunks(report_keys):
            mine = and_(sessions.c.app == app, sessions.c.report_key.in_(some))
            self._connection.execute(delete(sessions).where(mine))

    def expire(self, *, sessions_before: datetime, hours_before: datetime) -> None:
        """Delete sessions last told of before, and hours before."""
        old = sessions.c.received_at < sessions_before
        self._connection.execute(delete(sessions).where(old))
        of, old = session_hours.c, session_hours.c.hour < hours_before
        by = (of.rollout, of.version, of.ring, of.arm, of.source, of.status)
        gone = self._connection.execute(
            select(*by, func.sum(of.sessions)).where(old, of.rollout != "").group_by(*by)
        )
        add_up(self._connection, session_counts, {tuple(row[:-1]): -int(row[-1]) for row in gone})
        self._connection.execute(delete(session_hours).where(old))


def _hour(state: SessionState) -> _Hour:
    hour = state.started_at.replace(minute=0, second=0, microsecond=0)
    return state.app, state.version, state.cell, state.source, state.status, hour


def _row(state: SessionState) -> dict[str, Any]:
    return {
        "app": state.app,
        "key": state.key,
        "version": state.version,
        "report_key": state.report_key,
        "rollout": state.cell.rollout,
        "ring": state.cell.ring,
        "arm": state.cell.arm,
        "source": state.source,
        "status": state.status,
        "started_at": state.started_at,
        "received_at": state.received_at,
    }


def _state(row: Any) -> SessionState:
    return SessionState(
        app=row.app,
        key=bytes(row.key),
        version=row.version,
        report_key=bytes(row.report_key),
        source=row.source,
        status=row.status,
        started_at=row.started_at,
        received_at=row.received_at,
        cell=Cell(rollout=row.rollout, ring=row.ring, arm=row.arm),
    )

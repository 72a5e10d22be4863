"""Sessions: each is counted once, by the state in which it ended, under its first version."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from update_server.service.agents.pseudonyms import session_key
from update_server.service.crashes.placed import Placed, hour_of
from update_server.service.ports import Event, Stores
from update_server.service.ports.counters import Counted
from update_server.service.ports.crashes import (
    AGGREGATE,
    LAUNCH,
    SDK,
    STATUSES,
    Cell,
    SessionCount,
    SessionState,
)
from update_server.service.telemetry.ingest import FUTURE

KEEP_SESSIONS: Final = timedelta(days=5)
"""How long after its last state a session is known. Then only its hour counts it."""

CONFLICTS: Final = "session_version_conflicts"
"""The counter of states that told another version than their session's first."""

_HOUR: Final = timedelta(hours=1)
_NEAR: Final = timedelta(minutes=1)
_MOST_AT_ONCE: Final = 1_000_000_000  # sessions in one post


def note_sessions(
    stores: Stores, pepper: bytes, told: Sequence[Placed]
) -> list[tuple[Placed, SessionState]]:
    """Take in the states that *told* bear, and return with each what its session is after it."""
    known = [one for one in told if one.event.body.get("status") in STATUSES]
    if not known:
        return []
    going_on = _told_before(stores, known)
    states = [_state(pepper, one, goes_on=one.event.id in going_on) for one in known]
    noted = [
        state if after is None else after
        for state, after in zip(states, stores.sessions.note(states), strict=True)
    ]
    conflicts = [
        Counted(app=state.app, name=CONFLICTS)
        for state, after in zip(states, noted, strict=True)
        if state.version != after.version
    ]
    if conflicts:
        stores.counters.add(conflicts)
    return list(zip(known, noted, strict=True))


def count_sessions(stores: Stores, told: Sequence[Placed]) -> None:
    """Count sessions that were counted before they were told. They are nobody's."""
    counts = [
        SessionCount(
            app=one.event.app,
            version=one.version,
            cell=Cell(arm=AGGREGATE),
            source=SDK,
            status=status,
            hour=hour_of(one.event.received_at),
            sessions=min(number, _MOST_AT_ONCE),
        )
        for one in told
        for status, number in _counts(one.event)
    ]
    if counts:
        stores.sessions.add(counts)


def _state(pepper: bytes, one: Placed, *, goes_on: bool) -> SessionState:
    event = one.event
    sid = event.body.get("sid")
    return SessionState(
        app=event.app,
        key=session_key(pepper, event.app, one.sender, sid if isinstance(sid, str) else event.id),
        version=one.version,
        report_key=one.report_key,
        source=SDK if event.source == SDK else LAUNCH,
        status=event.body["status"],
        started_at=hour_of(_started_at(event)),
        received_at=hour_of(event.received_at) + _HOUR,  # it must not be gone too early
        cell=one.cell,
        goes_on=goes_on,
    )


def _told_before(stores: Stores, told: Sequence[Placed]) -> Collection[str]:
    """Return the IDs of states whose sessions were told of so long ago that they may be gone.

    An SDK's ID of a state is that of its session and the status, and IDs outlive sessions.
    """
    others: dict[tuple[str, bytes, str], str] = {}
    for event in (one.event for one in told):
        sid, _, status = event.id.rpartition(":")
        is_old = _started_at(event) <= event.received_at - KEEP_SESSIONS + _NEAR
        if is_old and status == event.body["status"]:
            place = (event.app, event.install_key)
            others |= {(*place, f"{sid}:{each}"): event.id for each in STATUSES if each != status}
    for event in (one.event for one in told):
        others.pop((event.app, event.install_key, event.id), None)  # they came together
    return {others[name] for name in stores.telemetry.seen_ids(others)} if others else ()


def _started_at(event: Event) -> datetime:
    """Return when a session began, as far as it says so and that can be."""
    text = event.body.get("started")
    try:
        started = datetime.fromisoformat(text) if isinstance(text, str) else event.at
        started = started.astimezone(UTC) if started.tzinfo else started.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        started = event.at
    return min(max(started, event.received_at - KEEP_SESSIONS), event.received_at + FUTURE)


def _counts(event: Event) -> list[tuple[str, int]]:
    counts = event.body.get("counts")
    found = counts.items() if isinstance(counts, dict) else ()
    return [
        (status, number)
        for status, number in found
        if status in STATUSES and isinstance(number, int) and number > 0
    ]

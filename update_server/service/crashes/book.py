"""Crashes by install: what reports and sessions add to the tables of crashes.

A row names an install by a pseudonym for one version. What no install sent is in the tables too,
and is no evidence. Studies are told elsewhere (``service.studies.watched``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from update_server.crashes.report import CrashReport
from update_server.crashes.signature import Signature
from update_server.service.agents.pseudonyms import report_key, sample_id
from update_server.service.agents.refresh import PEPPER
from update_server.service.crashes.facts import told_by
from update_server.service.crashes.placed import Placed, hour_of, placed
from update_server.service.crashes.released import ReleasedVersions, spellings_of
from update_server.service.crashes.session_book import KEEP_SESSIONS, count_sessions, note_sessions
from update_server.service.ports import Event, Stores
from update_server.service.ports.crashes import (
    UNPUBLISHED,
    UNTOLD,
    CrashGroup,
    Reported,
    Sample,
    SessionState,
)
from update_server.service.ports.signatures import OTHER, Sighting

KEEP_SAMPLES: Final = timedelta(days=30)
KEEP_REPORTS: Final = timedelta(days=180)
"""How long after an install's last report it is known to have crashed."""

KEEP_COUNTS: Final = timedelta(days=400)
"""How long groups, after their last report, and hours of sessions are kept. They name nobody."""

SAMPLED: Final = (
    "exception",
    "chain",
    "frames",
    "crashed_thread",
    "thread",
    "message",
    "fingerprint",
    "tags",
    "platform",
    "os",
    "arch",
    "runtime",
)
"""Fields of a report that are kept in samples, where it has them; the telling ones first."""

MOST_SAMPLE_BYTES: Final = 16 << 10
"""Of all fields of a sample together, as JSON: what our own events may have. A report of an SDK may
be of megabytes, and whoever knows a public key can have six kept of each of many signatures."""

_KINDS: Final = frozenset({"crash", "error", "session", "sessions"})
_MOST_CHARACTERS: Final = 128  # of the name of an operating system


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A report, and what it says: nothing, where its details were shed or left out."""

    place: Placed
    said: tuple[CrashReport, Signature] | None


class CrashBook:
    """Keeps crashes and sessions, in the transaction that absorbs their events."""

    def __init__(self) -> None:
        self._released = ReleasedVersions()

    def note(self, stores: Stores, events: Sequence[Event]) -> None:
        """Add what *events* tell. They are new, and it is known who sent them.

        What was set aside adds nothing.
        """
        told = [each for each in events if each.kind in _KINDS and not each.quarantine]
        if not told:
            return
        pepper = stores.access.secret(PEPPER)
        by_kind: dict[str, list[Placed]] = {kind: [] for kind in _KINDS}
        for one in placed(stores, self._released, pepper, told):
            by_kind[one.event.kind].append(one)
        count_sessions(stores, by_kind["sessions"])
        sessions = note_sessions(stores, pepper, by_kind["session"])
        reports = [_Told(place=one, said=told_by(one.event)) for one in by_kind["crash"]]
        reports += [_Told(place=one, said=told_by(one.event)) for one in by_kind["error"]]
        names = self._names(stores, reports)
        crashes = _crashed(sessions)
        crashes += [_report(one.place, name) for one, name in zip(reports, names, strict=True)]
        stores.crashes.note(crashes)
        stores.crashes.note_groups(_groups(reports, names))
        stores.crashes.add_samples(_samples(pepper, reports, names))

    def _names(self, stores: Stores, reports: Sequence[_Told]) -> list[str]:
        """Return under which signature each of *reports* is counted, and note it."""
        sightings = [self._sighting(one) for one in reports]
        noted = iter(stores.signatures.note([one for one in sightings if one is not None]))
        return [UNTOLD if one is None else next(noted) for one in sightings]

    def _sighting(self, one: _Told) -> Sighting | None:
        if one.said is None:
            return None
        event, signature = one.place.event, one.said[1]
        is_evidence = (
            one.place.is_attributed
            and event.kind == "crash"
            and self._released.is_on(event.app, event.channel, one.place.version)
        )
        return Sighting(
            app=event.app,
            # Nothing else may make a signature known to a study.
            channel=event.channel or "" if is_evidence else "",
            version=one.place.version,
            comparable=signature.comparable,
            title=signature.title,
            at=event.received_at,
        )


def forget(stores: Stores, app: str, install: bytes) -> None:
    """Delete what is kept of an install, about whichever version. Counts stay."""
    pepper = stores.access.secret(PEPPER)
    versions = {UNPUBLISHED, *spellings_of(stores, app).values()}
    keys = {report_key(pepper, app, version, install) for version in versions}
    stores.crashes.forget(app, keys)
    stores.sessions.forget(app, keys)


def expire(stores: Stores, now: datetime) -> None:
    """Delete what was kept for as long as it is kept."""
    stores.crashes.expire(
        reports_before=now - KEEP_REPORTS,
        samples_before=now - KEEP_SAMPLES,
        groups_before=now - KEEP_COUNTS,
    )
    stores.sessions.expire(sessions_before=now - KEEP_SESSIONS, hours_before=now - KEEP_COUNTS)


def _crashed(sessions: Sequence[tuple[Placed, SessionState]]) -> list[Reported]:
    """Return the crashes in which *sessions* ended, about the versions that these began as."""
    return [
        _report(
            replace(place, version=after.version, report_key=after.report_key, cell=after.cell),
            UNTOLD,
        )
        for place, after in sessions
        if place.event.body["status"] == "crashed"
    ]


def _report(place: Placed, name: str) -> Reported:
    event = place.event
    return Reported(
        app=event.app,
        version=place.version,
        signature=name,
        report_key=place.report_key,
        at=hour_of(event.at),
        cell=place.cell,
        handled=event.kind == "error",
        channel=event.channel or "",
        platform=event.platform or "",
        os=_system(event.body.get("os")),
    )


def _groups(reports: Sequence[_Told], names: Sequence[str]) -> list[CrashGroup]:
    found: dict[tuple[str, str], CrashGroup] = {}
    for one, name in zip(reports, names, strict=True):
        if one.said is None or name == OTHER:
            continue
        report, signature = one.said
        event = one.place.event
        group = CrashGroup(
            app=event.app,
            signature=name,
            key=signature.key,
            family=signature.family,
            title=signature.title,
            parts=signature.parts,
            kind=report.kind.value,
            first_at=hour_of(event.at),
            last_at=hour_of(event.at),
        )
        known = found.get((event.app, name), group)
        first = min(known, group, key=lambda each: (each.first_at, each.key))
        found[event.app, name] = replace(first, last_at=max(known.last_at, group.last_at))
    return list(found.values())


def _samples(pepper: bytes, reports: Sequence[_Told], names: Sequence[str]) -> list[Sample]:
    return [
        Sample(
            app=one.place.event.app,
            version=one.place.version,
            signature=name,
            report_key=one.place.report_key,
            id=sample_id(pepper, one.place.event.app, one.place.sender, one.place.event.id),
            at=hour_of(one.place.event.at),
            handled=one.place.event.kind == "error",
            body=_sampled(one.place.event.body),
        )
        for one, name in zip(reports, names, strict=True)
        if one.said is not None
    ]


def _sampled(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of *body* a sample keeps; of a stack that is too long the innermost frames."""
    kept: dict[str, Any] = {}
    left = MOST_SAMPLE_BYTES
    for name in SAMPLED:
        value = body.get(name)
        while isinstance(value, list | tuple) and value and _size(value) > left:
            value = value[: len(value) // 2]
        if value and _size(value) <= left:
            kept[name] = value
            left -= _size(value)
    return kept


def _size(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def _system(told: object) -> str:
    if isinstance(told, Mapping):
        parts: list[Any] = [told.get("name"), told.get("version")]
        told = " ".join(part for part in parts if isinstance(part, str))
    return told[:_MOST_CHARACTERS] if isinstance(told, str) else ""

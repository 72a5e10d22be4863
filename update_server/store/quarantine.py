"""Reports that were set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, distinct, func, select, update

from rollout.model import Arm, RolloutId
from update_server.service.ports import Event
from update_server.service.ports.quarantine import (
    MOST_KEPT,
    TAG_BYTES,
    Aside,
    Kept,
    RuleCount,
)
from update_server.store.rows import chunks, upsert
from update_server.store.tables import progress, quarantine_counts, quarantined, seen_events

_DAY_SECONDS = 86_400


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a report cannot have a {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder = msgspec.msgpack.Decoder(Event)


class SqlQuarantine:
    """Reports set aside over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def arms(
        self, rollouts: Sequence[RolloutId], installs: Collection[bytes]
    ) -> Mapping[bytes, Arm]:
        """Return the arm of each install in the first rollout in which it is in one."""
        found: dict[bytes, Arm] = {}
        for rollout in reversed(rollouts):
            for keys in chunks(installs):
                rows = self._connection.execute(
                    select(progress.c.install_key, progress.c.arm).where(
                        progress.c.rollout == rollout,
                        progress.c.install_key.in_(keys),
                        progress.c.arm.is_not(None),
                    )
                )
                found |= {bytes(key): Arm(arm) for key, arm in rows}
        return found

    def add(self, asides: Sequence[Aside]) -> None:
        """Count *asides*, and keep those for which there is room."""
        if not asides:
            return
        self._count(asides)
        room: dict[tuple[str, str], int] = {}
        rows = []
        for aside in asides:
            place = aside.event.app, aside.event.quarantine
            if place not in room:
                room[place] = MOST_KEPT - self._kept(*place)
            if room[place] > 0:
                room[place] -= 1
                rows.append(_row(aside))
        if rows:
            self._connection.execute(quarantined.insert(), rows)

    def _count(self, asides: Sequence[Aside]) -> None:
        counts = Counter(
            (
                aside.event.app,
                _day(aside.event.received_at),
                aside.event.quarantine,
                aside.arm,
            )
            for aside in asides
        )
        statement = upsert(self._connection, quarantine_counts)
        events = quarantine_counts.c.events
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(quarantine_counts.primary_key.columns),
                set_={"events": events + statement.excluded.events},
            ),
            [
                {"app": app, "day": day, "rule": rule, "arm": arm, "events": by}
                for (app, day, rule, arm), by in counts.items()
            ],
        )

    def _kept(self, app: str, rule: str) -> int:
        found = select(func.count()).where(_of(app, rule))
        return self._connection.execute(found.select_from(quarantined)).scalar_one()

    def counts(self, app: str) -> Sequence[RuleCount]:
        """Return how many reports each rule set aside, by arm."""
        c, k = quarantine_counts.c, quarantined.c
        counted = self._connection.execute(
            select(c.rule, c.arm, func.sum(c.events)).where(c.app == app).group_by(c.rule, c.arm)
        )
        waiting = self._connection.execute(
            select(
                k.rule, k.arm, func.count(), func.count(distinct(func.nullif(k.install_key, b"")))
            )
            .where(k.app == app, k.accepted.is_(False))
            .group_by(k.rule, k.arm)
        )
        kept = {(rule, arm): (int(n), int(installs)) for rule, arm, n, installs in waiting}
        found = {(rule, arm): int(n) for rule, arm, n in counted}
        return [
            RuleCount(
                rule=rule,
                arm=arm,
                events=found.get((rule, arm), 0),
                kept=kept.get((rule, arm), (0, 0))[0],
                installs=kept.get((rule, arm), (0, 0))[1],
            )
            for rule, arm in sorted({*found, *kept})
        ]

    def page(
        self, app: str, *, rule: str | None, before_id: int | None, limit: int
    ) -> Sequence[Kept]:
        """Return reports that wait, newest first."""
        c = quarantined.c
        found = select(quarantined).where(c.app == app, c.accepted.is_(False))
        if rule is not None:
            found = found.where(c.rule == rule)
        if before_id is not None:
            found = found.where(c.id < before_id)
        rows = self._connection.execute(found.order_by(c.id.desc()).limit(limit))
        return [
            Kept(id=row.id, rule=row.rule, arm=row.arm, event=_decoder.decode(row.event))
            for row in rows
        ]

    def of_install(self, app: str, install_key: bytes) -> Sequence[tuple[str, int]]:
        """Return by rule how many reports of one install wait."""
        c = quarantined.c
        keys = (install_key, install_key[:TAG_BYTES])
        found = self._connection.execute(
            select(c.rule, func.count())
            .where(c.install_key.in_(keys), c.app == app, c.accepted.is_(False))
            .group_by(c.rule)
            .order_by(c.rule)
        )
        return [(rule, int(n)) for rule, n in found]

    def accept(self, app: str, rule: str, version: str | None) -> int:
        """Let the digest take what a rule set aside; return how many reports."""
        here = _of(app, rule, version) & quarantined.c.accepted.is_(False)
        accepted = update(quarantined).where(here).values(accepted=True)
        return self._connection.execute(accepted).rowcount

    def drop(self, app: str, rule: str, version: str | None) -> int:
        """Delete what a rule set aside and nobody accepted; return how many reports."""
        here = _of(app, rule, version) & quarantined.c.accepted.is_(False)
        return self._connection.execute(delete(quarantined).where(here)).rowcount

    def has_accepted(self) -> bool:
        """Tell whether anything was accepted that was not taken yet."""
        found = select(quarantined.c.id).where(quarantined.c.accepted.is_(True)).limit(1)
        return self._connection.execute(found).scalar_one_or_none() is not None

    def take_accepted(self, limit: int) -> Sequence[Event]:
        """Remove reports that were accepted, with their IDs among those seen; return them."""
        c = quarantined.c
        rows = self._connection.execute(
            select(quarantined).where(c.accepted.is_(True)).order_by(c.id).limit(limit)
        ).all()
        for keys in chunks(row.id for row in rows):
            self._connection.execute(delete(quarantined).where(c.id.in_(keys)))
        for row in rows:
            self._connection.execute(
                delete(seen_events).where(
                    seen_events.c.app == row.app,
                    seen_events.c.install_key == row.install_key,
                    seen_events.c.id == row.event_id,
                )
            )
        events: list[Event] = [_decoder.decode(row.event) for row in rows]
        return [replace(event, quarantine="") for event in events]

    def forget_install(self, app: str, install_key: bytes) -> None:
        """Delete what was set aside of an install."""
        c = quarantined.c
        here = (c.app == app) & (c.install_key == install_key)
        self._connection.execute(delete(quarantined).where(here))

    def expire(self, before: datetime) -> None:
        """Delete what was received before *before*, and counts of days that ended by then."""
        self._connection.execute(delete(quarantined).where(quarantined.c.received_at < before))
        past = quarantine_counts.c.day < _day(before)
        self._connection.execute(delete(quarantine_counts).where(past))


def _day(at: datetime) -> int:
    return int(at.timestamp() // _DAY_SECONDS)


def _of(app: str, rule: str, version: str | None = None) -> ColumnElement[bool]:
    here = (quarantined.c.app == app) & (quarantined.c.rule == rule)
    return here if version is None else here & (quarantined.c.version == version)


def _row(aside: Aside) -> dict[str, Any]:
    event = aside.event
    return {
        "app": event.app,
        "rule": event.quarantine,
        "arm": aside.arm,
        "version": event.version,
        "install_key": event.install_key,
        "event_id": event.id.encode(),
        "received_at": event.received_at,
        "event": _encoder.encode(event),
        "accepted": False,
    }

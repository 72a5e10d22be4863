"""What rows of crash reports add to the counts of crashes. No database here.

An install is counted once wherever it is counted, whatever it had there: several signatures that
are one bug, or the same in two rollouts. Sums of finer counts would count it twice. So each way of
looking at crashes, a *facet*, has counts of its own, and what an install adds to each of them
follows from all of its rows, which are few: its report key is of one version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from update_server.service.ports.crashes import UNTOLD, Reported

ALL: Final = "all"
CHANNEL: Final = "channel"
PLACE: Final = "place"
ROLLOUT: Final = "rollout"

SPLIT: Final[Mapping[str, tuple[str, ...]]] = {
    ALL: (),
    CHANNEL: ("channel",),
    PLACE: ("platform", "os"),
    ROLLOUT: ("rollout",),
}
"""By what each facet tells apart what has one signature, version, arm, and is handled or not."""

CRASHED_SPLIT: Final[Mapping[str, tuple[str, ...]]] = {
    ALL: (),
    CHANNEL: ("channel",),
    ROLLOUT: ("rollout", "ring"),
}
"""The same of installs that crashed, whatever the signature, on one version in one arm."""


class RowKey(NamedTuple):
    """What makes two reports one row."""

    app: str
    version: str
    signature: str
    handled: bool
    report_key: bytes
    rollout: str
    arm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashRow:
    """One install's reports of one signature, while it stood in one arm of one rollout."""

    key: RowKey
    ring: str
    channel: str
    platform: str
    os: str
    first_at: datetime
    last_at: datetime
    reports: int


class Counted(NamedTuple):
    """Where ``crash_counts`` count: the columns of its key."""

    facet: str
    rollout: str
    app: str
    signature: str
    version: str
    arm: str
    handled: bool
    channel: str
    platform: str
    os: str


class CrashedIn(NamedTuple):
    """Where ``crashed_counts`` count: the columns of its key."""

    facet: str
    rollout: str
    app: str
    version: str
    arm: str
    ring: str
    channel: str


Where = TypeVar("Where", Counted, CrashedIn)


@dataclass(slots=True, kw_only=True)
class Sum:
    """What rows add up to in one place; ``named`` are installs with a signature."""

    first_at: datetime
    last_at: datetime
    installs: set[bytes] = field(default_factory=set)
    named: set[bytes] = field(default_factory=set)
    reports: int = 0

    def add(self, row: CrashRow) -> None:
        """Add *row*. Where nothing tells senders apart, there is no install."""
        if row.key.report_key:
            self.installs.add(row.key.report_key)
            if row.key.signature != UNTOLD:
                self.named.add(row.key.report_key)
        self.reports += row.reports
        self.first_at = min(self.first_at, row.first_at)
        self.last_at = max(self.last_at, row.last_at)


def key_of(one: Reported) -> RowKey:
    """Return the key of the row that *one* is part of."""
    return RowKey(
        app=one.app,
        version=one.version,
        signature=one.signature,
        handled=one.handled,
        report_key=one.report_key,
        rollout=one.cell.rollout,
        arm=one.cell.arm,
    )


def noted(held: Mapping[RowKey, CrashRow], reports: Iterable[Reported]) -> dict[RowKey, CrashRow]:
    """Return the rows after *reports*; of what may change, the newest one is told."""
    now = dict(held)
    for one in reports:
        key = key_of(one)
        known = now.get(key)
        is_newest = known is None or one.at > known.last_at
        now[key] = CrashRow(
            key=key,
            ring=one.cell.ring if known is None or is_newest else known.ring,
            channel=one.channel if known is None or is_newest else known.channel,
            platform=one.platform if known is None or is_newest else known.platform,
            os=one.os if known is None or is_newest else known.os,
            first_at=one.at if known is None else min(known.first_at, one.at),
            last_at=one.at if known is None else max(known.last_at, one.at),
            reports=1 if known is None else known.reports + 1,
        )
    return now


def counted_in(row: CrashRow, group: str) -> Iterator[Counted]:
    """Yield where *row* counts, whose signature is counted as *group*."""
    key = row.key
    for facet in SPLIT:
        if facet != ROLLOUT or key.rollout:
            yield Counted(
                facet=facet,
                rollout=key.rollout if facet == ROLLOUT else "",
                app=key.app,
                signature=group,
                version=key.version,
                arm=key.arm,
                handled=key.handled,
                channel=row.channel if facet == CHANNEL else "",
                platform=row.platform if facet == PLACE else "",
                os=row.os if facet == PLACE else "",
            )


def crashed_in(row: CrashRow) -> Iterator[CrashedIn]:
    """Yield where the install of *row* counts as one that crashed."""
    key = row.key
    for facet in CRASHED_SPLIT if not key.handled else ():
        if facet != ROLLOUT or key.rollout:
            yield CrashedIn(
                facet=facet,
                rollout=key.rollout if facet == ROLLOUT else "",
                app=key.app,
                version=key.version,
                arm=key.arm,
                ring=row.ring if facet == ROLLOUT else "",
                channel=row.channel if facet == CHANNEL else "",
            )


def sums(
    rows: Iterable[CrashRow], places: Callable[[CrashRow], Iterable[Where]]
) -> dict[Where, Sum]:
    """Return what *rows* add up to in each of the *places* where they count."""
    found: dict[Where, Sum] = {}
    for row in rows:
        for place in places(row):
            if place not in found:
                found[place] = Sum(first_at=row.first_at, last_at=row.last_at)
            found[place].add(row)
    return found


def left(
    before: Mapping[RowKey, CrashRow],
    after: Mapping[RowKey, CrashRow],
    places: Callable[[CrashRow], Iterable[Where]],
) -> set[Where]:
    """Return the places where a row counted *before*, and does not *after*."""
    found: set[Where] = set()
    for key, row in before.items():
        now = after.get(key)
        if now is not row:
            found |= set(places(row)) - set(places(now) if now else ())
    return found

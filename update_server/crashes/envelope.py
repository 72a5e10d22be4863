"""What an SDK told in one envelope, reduced to what may be kept. Made by ``sentry``.

Texts are scrubbed and cut, names of people and machines are gone; only ``user`` may still be one,
and whoever takes the envelope in makes a pseudonym of it at once. ``release`` is a version as ours
are spelled, ``""`` when none was told. Times are in UTC; they are the sender's, and may be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkSession:
    """One state of one session. ``status`` is a word of ours, ``said`` the SDK's own.

    ``sid`` is 32 hex digits, ``started`` from 5 days before the receipt to 5 minutes after it.
    A negative ``duration_seconds`` was told so.
    """

    sid: str
    status: str
    said: str
    release: str
    user: str = field(repr=False)
    at: datetime | None
    started: datetime | None
    duration_seconds: float | None
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkSessions:
    """Counts of sessions without an install, by status: shown, and never evidence.

    ``digest`` is the SHA-256 (hex) of the item: the same post counts once.
    """

    digest: str
    release: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkReport:
    """An ``event`` item. ``is_crash``: the app did not handle it, or calls it fatal.

    ``body`` holds the allow-listed fields; ``own_events.report_of`` makes a crash report of it.
    """

    id: str
    at: datetime | None
    release: str
    user: str = field(repr=False)
    is_crash: bool
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkDump:
    """An attached minidump, as it came."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkDiscards:
    """What the SDK itself dropped: (reason, category) and how many."""

    counts: Mapping[tuple[str, str], int]


Item = SdkSession | SdkSessions | SdkReport | SdkDump | SdkDiscards


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The parts of an envelope that are taken, in order.

    ``event_id`` is 32 hex digits, ``key`` that of the DSN in the header; both None when not told.
    ``skipped`` counts items that are dropped by their type (``"other"`` for those that nobody
    knows), and bad ones as ``"bad"``.
    """

    event_id: str | None
    key: str | None = field(repr=False)
    sent_at: datetime | None
    items: tuple[Item, ...]
    skipped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

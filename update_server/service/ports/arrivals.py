"""What arrived, minute by minute, and how that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """How much of one ``kind`` was received in a minute, and how late at most it was digested.

    ``code`` says why it was not taken or was set aside, and is empty where it was taken in. Both
    are words of ours. ``minute`` is its begin, ``last_at`` when the last of it was received,
    where that is known.
    """

    app: str
    minute: datetime
    kind: str
    code: str = ""
    events: int = 0
    late_seconds: float = 0.0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCount:
    """How many installs of an arm have telemetry at this level, by their last check-in."""

    arm: str
    level: str
    installs: int


class ArrivalStore(Protocol):
    """Sums by app, minute, kind and code."""

    def add(self, arrived: Sequence[Arrived]) -> None: ...  # any number of one key at a time
    # in order of time, what arrived within one *step* as one; ``minute`` is then when that began
    def since(self, app: str, at: datetime, step: timedelta = MINUTE) -> Sequence[Arrived]: ...
    def expire(self, before: datetime) -> None: ...

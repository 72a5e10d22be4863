"""What came of one virtual rollout."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """How a virtual rollout ended."""

    COMPLETED = "completed"
    PAUSED = "paused"
    PULLED = "pulled"
    SUSPENDED = "suspended"
    WAITING = "waiting"  # a gate is closed, and a person is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One decision of the judge, ``hours`` after the start, in its own words."""

    hours: float
    verdict: str
    ring: str
    cause: str | None
    sentence: str
    exposed: int
    crashed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One step of the ladder, from its opening to its end; ``to_hours`` None: it never ended."""

    position: int
    ring: str
    from_hours: float
    to_hours: float | None
    candidates: int = 0
    controls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Where the rollout stood at one time. ``log_e`` is by metric, in nats."""

    hours: float
    exposed: int
    crashed: int
    log_e: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One virtual rollout.

    ``exposed`` installs took the release, ``crashed`` of them crashed on it, ``bricked`` of them
    died of it. ``waits_for`` is what the last gate lacked. ``ticks`` and ``facts`` are the
    judge's. ``samples`` is empty unless asked for.
    """

    ending: Ending
    hours: float
    exposed: int
    crashed: int
    bricked: int
    moments: tuple[Moment, ...]
    passages: tuple[Passage, ...]
    waits_for: tuple[str, ...]
    ticks: int
    facts: int
    samples: tuple[Sample, ...] = ()

    def stopped_after(self) -> float | None:
        """Return the hours until the first pause, hold or pull; None if there was none."""
        return next((m.hours for m in self.moments if m.verdict in STOPS), None)

    def opened_after(self, position: int) -> float | None:
        """Return the hours until a step opened; None if it did not."""
        return next((p.from_hours for p in self.passages if p.position == position), None)


STOPS = frozenset({"pause", "pull", "hold", "suspend"})

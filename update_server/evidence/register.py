"""The study's register: what is remembered of each install, for one rollout.

Stores keep it; the study sees it only through ``Register``. Values are mutable on purpose:
the study changes a member and puts it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True, kw_only=True)
class Member:
    """One install in the study.

    ``stage`` is the number of the stage it last entered, -1 when it is in none; ``since`` when.
    ``risk_set`` is a key of ``state.Stage.risk_sets``. ``had`` holds the metrics (and
    signatures) whose first event this install has had: it is out of them for good.
    ``due_at`` is when its next outcome is known, None when none is awaited. ``known`` are the
    bits of outcomes already known good in this stage; see ``study``.
    """

    stage: int = -1
    since: float = 0.0
    candidate: bool = False
    internal: bool = False
    left: bool = False
    risk_set: int = -1
    platform: str = ""
    network: bytes = b""
    gap_stratum: int = -1  # -1: not in the silence metric
    window_seconds: float = 0.0
    healthy: bool = False
    returned: bool = False
    crashed: bool = False  # in this stage
    awaits: int = 0  # bits of the outcomes that are still open, see study
    crash_times: list[float] = field(default_factory=list)  # within a day of entry, at most 3
    had: set[str] = field(default_factory=set)
    due_at: float | None = None


class Register(Protocol):
    """Members of one study. ``due`` is in order of ``due_at``, then install."""

    def get(self, installs: Iterable[bytes]) -> Mapping[bytes, Member]: ...
    def put(self, members: Mapping[bytes, Member]) -> None: ...
    def due(self, now: float) -> Sequence[tuple[bytes, Member]]: ...
    def of_network(self, network: bytes) -> Sequence[tuple[bytes, Member]]: ...
    def of_platform(self, platform: str) -> Sequence[tuple[bytes, Member]]: ...
    def remove(self, install: bytes) -> None: ...


class MemoryRegister:
    """A register in memory, for rehearsals and tests."""

    def __init__(self) -> None:
        self._members: dict[bytes, Member] = {}

    def get(self, installs: Iterable[bytes]) -> Mapping[bytes, Member]:
        """Return the members among *installs*."""
        return {i: self._members[i] for i in installs if i in self._members}

    def put(self, members: Mapping[bytes, Member]) -> None:
        """Store *members*."""
        self._members.update(members)

    def due(self, now: float) -> Sequence[tuple[bytes, Member]]:
        """Return the members whose next outcome is known at *now*."""
        found = [
            (member.due_at, install)
            for install, member in self._members.items()
            if member.due_at is not None and member.due_at <= now
        ]
        return [(install, self._members[install]) for _, install in sorted(found)]

    def of_network(self, network: bytes) -> Sequence[tuple[bytes, Member]]:
        """Return the members of one network."""
        return sorted(
            ((i, m) for i, m in self._members.items() if m.network == network),
            key=lambda pair: pair[0],
        )

    def of_platform(self, platform: str) -> Sequence[tuple[bytes, Member]]:
        """Return the members on one platform."""
        return sorted(
            ((i, m) for i, m in self._members.items() if m.platform == platform),
            key=lambda pair: pair[0],
        )

    def remove(self, install: bytes) -> None:
        """Forget one install, if it is known."""
        self._members.pop(install, None)

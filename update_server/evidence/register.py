"""The study's register: what is remembered of each install, for one rollout.

Stores keep it; the study sees it only through ``Register``. Values are mutable on purpose:
the study changes a member and puts it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Protocol


@dataclass(slots=True, kw_only=True)
class Member:
    """One install in the study.

    ``stage`` is the number of the stage it last entered, -1 when it is in none; ``since`` when.
    ``expelled`` is the stage that it had to leave with its network.
    ``risk_set`` is a key of ``state.Stage.risk_sets``. ``had`` holds the metrics (and
    signatures) whose first event this install has had: it is out of them for good.
    ``awaits`` are the bits of the outcomes that are still open (``maturing``), and ``due_at`` is
    when the next of them is known, None when none is awaited. ``scores`` are the first values of
    measured metrics in this stage, until they are known too. ``healthy``, ``returned``,
    ``crashed``, ``launched`` (on the release itself), ``failed_start`` and ``believed`` (it counts
    in its network's cap) are of this stage.
    """

    stage: int = -1
    since: float = 0.0
    candidate: bool = False
    internal: bool = False
    left: bool = False
    expelled: int = -1
    risk_set: int = -1
    platform: str = ""
    network: bytes = b""
    gap_stratum: int = -1  # -1: not in the silence metric
    window_seconds: float = 0.0
    healthy: bool = False
    returned: bool = False
    crashed: bool = False
    launched: bool = False
    failed_start: bool = False
    believed: bool = False
    window_from: float = 0.0  # when the window of return that it is in began
    came_back: bool = False  # at least once in this stage: the window is a later one
    awaits: int = 0
    crash_times: list[float] = field(default_factory=list)  # within a day of entry, at most 3
    scores: dict[str, float] = field(default_factory=dict)
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
        # What was asked for last, for members are changed in place; heap entries that say
        # something else are passed over.
        self._due: dict[bytes, float] = {}
        self._heap: list[tuple[float, bytes]] = []
        self._ripe: list[tuple[float, bytes]] = []
        # Members that are or were of a network.
        self._networks: dict[bytes, set[bytes]] = {}

    def get(self, installs: Iterable[bytes]) -> Mapping[bytes, Member]:
        """Return the members among *installs*."""
        members = self._members
        return {i: members[i] for i in installs if i in members}

    def put(self, members: Mapping[bytes, Member]) -> None:
        """Store *members*."""
        self._members.update(members)
        for install, member in members.items():
            due_at = member.due_at
            if due_at is None:
                self._due.pop(install, None)
            elif self._due.get(install) != due_at:
                self._due[install] = due_at
                heappush(self._heap, (due_at, install))
            if member.network:
                self._networks.setdefault(member.network, set()).add(install)

    def due(self, now: float) -> Sequence[tuple[bytes, Member]]:
        """Return the members whose next outcome is known at *now*."""
        while self._heap and self._heap[0][0] <= now:
            self._ripe.append(heappop(self._heap))
        # A set: a member may have come back to an instant that it was put with before.
        self._ripe = sorted({(at, i) for at, i in self._ripe if self._due.get(i) == at})
        return [(i, self._members[i]) for at, i in self._ripe if at <= now]

    def of_network(self, network: bytes) -> Sequence[tuple[bytes, Member]]:
        """Return the members of one network, which has a name."""
        found = self.get(sorted(self._networks.get(network, ())))
        return [(i, m) for i, m in found.items() if m.network == network]

    def of_platform(self, platform: str) -> Sequence[tuple[bytes, Member]]:
        """Return the members on one platform."""
        return sorted(
            ((i, m) for i, m in self._members.items() if m.platform == platform),
            key=lambda pair: pair[0],
        )

    def remove(self, install: bytes) -> None:
        """Forget one install, if it is known."""
        self._members.pop(install, None)
        self._due.pop(install, None)

"""The register and the log of one study, over the stores of one transaction.

A tick asks for the same installs again and again, and changes a few of them many times: the
register reads each once and writes it once, at ``flush``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from rollout.model import RolloutId
from update_server.evidence.register import Member, MemoryRegister
from update_server.evidence.state import Label, Scored
from update_server.service.ports.studies import LogKind, Registers, Studies
from update_server.service.studies.codec import (
    decode_entry,
    decode_member,
    encode_entry,
    encode_member,
)


class StoredRegister:
    """See evidence.register.Register. What it hands out may be changed; ``flush`` writes it.

    Nothing else may write the register of this rollout in the same transaction.
    """

    def __init__(self, registers: Registers, rollout: RolloutId) -> None:
        self._registers = registers
        self._rollout = rollout
        self._memory = MemoryRegister()
        self._held: set[bytes] = set()  # in memory as they are now, be it that there is none
        self._stored: dict[bytes, bytes] = {}  # the bodies in the store, of those read
        self._removed: set[bytes] = set()
        self._due_read_to = -math.inf

    def get(self, installs: Iterable[bytes]) -> Mapping[bytes, Member]:
        """Return the members among *installs*."""
        wanted = list(installs)
        missing = [install for install in dict.fromkeys(wanted) if install not in self._held]
        if missing:
            self._hold(self._registers.members(self._rollout, missing).items())
            self._held.update(missing)
        return self._memory.get(wanted)

    def put(self, members: Mapping[bytes, Member]) -> None:
        """Hold *members* for ``flush``, and show them from now on."""
        self._held.update(members)
        self._memory.put(members)

    def due(self, now: float) -> Sequence[tuple[bytes, Member]]:
        """Return the members whose next outcome is known at *now*, in the order of that."""
        if now > self._due_read_to:
            self._due_read_to = now
            self._hold(self._registers.due_members(self._rollout, now))
        return self._memory.due(now)

    def of_network(self, network: bytes) -> Sequence[tuple[bytes, Member]]:
        """Return the members of one network, by install."""
        self._hold(self._registers.members_of_network(self._rollout, network))
        return self._memory.of_network(network)

    def of_platform(self, platform: str) -> Sequence[tuple[bytes, Member]]:
        """Return the members on one platform, by install."""
        self._hold(self._registers.members_of_platform(self._rollout, platform))
        return self._memory.of_platform(platform)

    def remove(self, install: bytes) -> None:
        """Forget one install, if it is known."""
        self._held.add(install)
        self._removed.add(install)
        self._memory.remove(install)

    def flush(self) -> None:
        """Write what changed since it was read, and remove what was removed."""
        members = self._memory.get(self._held)
        encoded = {install: encode_member(member) for install, member in members.items()}
        changed = {
            install: member
            for install, member in encoded.items()
            if self._stored.get(install) != member.body
        }
        removed = sorted(self._removed - members.keys())
        if changed:
            self._registers.put_members(self._rollout, changed)
        if removed:
            self._registers.remove_members(self._rollout, removed)
        self._stored = {install: member.body for install, member in encoded.items()}
        self._removed.clear()

    def _hold(self, found: Iterable[tuple[bytes, bytes]]) -> None:
        """Take in what the store has, unless it is held already: that may be newer."""
        read = {install: body for install, body in found if install not in self._held}
        self._held.update(read)
        self._stored.update(read)
        self._memory.put({install: decode_member(body) for install, body in read.items()})


class StoredLog:
    """See evidence.state.Log. With *first*, only so many entries of it are seen: for replays."""

    def __init__(self, studies: Studies, rollout: RolloutId, *, first: int | None = None) -> None:
        self._studies = studies
        self._rollout = rollout
        self._first = first

    @property
    def size(self) -> int:
        """How many entries there are, seen or not."""
        return self._studies.log_size(self._rollout)

    def add(self, entries: Sequence[Label | Scored]) -> None:
        """Append *entries*; they are written at once."""
        self._studies.add_log(self._rollout, [encode_entry(entry) for entry in entries])

    def labels(self, epoch: int, metric: str) -> Sequence[Label]:
        """Return the labels of one metric in one epoch."""
        found = self._found(epoch, metric, LogKind.LABEL)
        return [entry for entry in found if isinstance(entry, Label)]

    def scored(self, epoch: int, metric: str) -> Sequence[Scored]:
        """Return the scored cohorts of one metric in one epoch."""
        found = self._found(epoch, metric, LogKind.SCORED)
        return [entry for entry in found if isinstance(entry, Scored)]

    def _found(self, epoch: int, metric: str, kind: LogKind) -> Iterable[Label | Scored]:
        stored = self._studies.log(self._rollout, epoch, metric, kind, first=self._first)
        return map(decode_entry, stored)

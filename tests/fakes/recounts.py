"""Recounts in memory: one install after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from packaging.version import Version

from rollout.model import Arm, Rollout, RolloutId, RolloutState
from rollout.versions import render_version
from tests.fakes.state import State
from update_server.service.ports import Contact, FunnelCell, Phase
from update_server.service.ports.arrivals import LevelCount
from update_server.service.ports.pulls import PullCounts
from update_server.service.ports.recounts import Recount, Slice


class FakeRecounts:
    """See ports.recounts.Recounts."""

    def __init__(self, state: State) -> None:
        self._state = state

    def of(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Recount]:
        held = self._state.recounts
        return {rollout: held[rollout] for rollout in rollouts if rollout in held}

    def put(self, recounts: Sequence[Recount]) -> None:
        self._state.write()
        self._state.recounts |= {one.rollout: one for one in recounts}

    def slice(
        self, rollout: Rollout, *, silent_before: datetime, after: bytes | None, most: int
    ) -> Slice:
        known = (key for name, key in self._state.progress if name == rollout.id)
        keys, last = _next(known, after, most)
        silent, levels = Counter[tuple[str, Arm]](), Counter[tuple[str, str]]()
        for key in keys:
            one = self._state.progress[rollout.id, key]
            contact = self._state.contacts.get((one.app, key))
            arm = one.arm or Arm.CANDIDATE
            heard = contact.at if contact else one.last_at
            if arm is not Arm.CONTROL and one.steps & {Phase.APPLIED, Phase.LAUNCHED}:
                silent[one.ring or "", arm] += heard < silent_before
            if one.arm is not None and contact is not None:
                levels[one.arm, contact.telemetry] += 1
        is_pulled = rollout.state is RolloutState.PULLED
        return Slice(
            last=last,
            silent=tuple(
                FunnelCell(ring=ring, arm=arm, step="silent", installs=n)
                for (ring, arm), n in sorted(silent.items())
                if n
            ),
            levels=tuple(
                LevelCount(arm=arm, level=level, installs=n)
                for (arm, level), n in sorted(levels.items())
            ),
            pull=self._pull(rollout, keys if is_pulled else ()),
            running=len(self._runners(rollout) & set(keys)),
        )

    def slice_beside(self, rollout: Rollout, *, after: bytes | None, most: int) -> Slice:
        known = {key for name, key in self._state.progress if name == rollout.id}
        app = (key for name, key in self._state.contacts if name == rollout.app)
        keys, last = _next(app, after, most)
        beside = self._runners(rollout) & set(keys) - known
        return Slice(last=last, pull=self._pull(rollout, beside), running=len(beside))

    def running(self, rollout: Rollout) -> int:
        return len(self._runners(rollout))

    def _runners(self, rollout: Rollout) -> set[bytes]:
        return {
            key
            for (app, key), last in self._state.contacts.items()
            if (app, last.channel) == (rollout.app, rollout.channel)
            and _runs(last, rollout.version)
        }

    def _pull(self, pulled: Rollout, keys: Collection[bytes]) -> PullCounts:
        return sum((self._pull_count(pulled, key) for key in keys), PullCounts())

    def _pull_count(self, pulled: Rollout, key: bytes) -> PullCounts:
        """Return the count of a single install."""
        one = self._state.progress.get((pulled.id, key))
        last = self._state.contacts.get((pulled.app, key))
        runs_it = last is not None and _runs(last, pulled.version)
        steps = (one.steps if one else frozenset()) - {"contacts"}
        if runs_it:
            steps |= {Phase.APPLIED}
        installed = bool(steps & {"applied", "launched", "healthy", "rolled_back"})
        downloaded = installed or bool(steps & {"downloaded", "verified", "staged"})
        told_later = one is not None and (last is None or last.at < one.last_at)
        replaced = installed and not runs_it and (not told_later or "rolled_back" in steps)
        heard = max([*([one.last_at] if one else []), *([last.at] if last else [])])
        back = pulled.replacement
        rolled_back = replaced and back is not None and last is not None and _runs(last, back)
        still_on = installed and not replaced and heard >= pulled.changed_at
        return PullCounts(
            offered=int(bool(steps)),
            downloaded=int(downloaded),
            installed=int(installed),
            replaced=int(replaced),
            rolled_back=int(rolled_back),
            still_on=int(still_on),
            unreachable=int(installed and not replaced and not still_on),
        )


def _next(
    keys: Iterable[bytes], after: bytes | None, most: int
) -> tuple[list[bytes], bytes | None]:
    """Return the next keys in order, and the last of them if there are more."""
    rest = sorted(key for key in keys if after is None or key > after)
    return rest[:most], rest[most - 1] if len(rest) > most else None


def _runs(last: Contact, version: Version) -> bool:
    return last.version == render_version(version)

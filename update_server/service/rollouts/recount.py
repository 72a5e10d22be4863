"""Counts what only a look at every install of a rollout tells: now and then, and never for a page.

Silence depends on the time, and what became of a pulled release's installs on all that each told
since. Looking takes about three seconds for a million installs, so it is done in slices between the
controller's other duties, and altogether takes a fiftieth of its time: a small fleet is counted
every second, one of ten million twice in an hour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from rollout.model import Arm, Rollout, RolloutId, RolloutState
from update_server.service.ports import Clock, Database, FunnelCell, Stores
from update_server.service.ports.arrivals import LevelCount
from update_server.service.ports.pulls import PullCounts
from update_server.service.ports.recounts import Recount, Slice

SHARE: Final = 0.02
"""The part of the time that counting may take."""

EVERY_SECONDS: Final = 1.0
"""How long after one count of a rollout began the next one may begin."""

MOST: Final = 20_000
"""Installs that are looked at at once: a twentieth of a second, in which nothing else is done."""

STATED: Final = timedelta(seconds=10)
"""How much later than the stored count one began that found the same and is stored all the same."""

# An install is silent once it has missed three check-ins, and at least a day: machines are
# switched off at night.
_MISSED_CHECK_INS: Final = 3
_SILENT_AFTER_SECONDS: Final = 86_400

# Time that was not needed is not saved up for long: others wait meanwhile.
_MOST_CREDIT_SECONDS: Final = 0.1


def silent_before(now: datetime, next_check_in_seconds: int) -> datetime:
    """Return since when an install must not have checked in, to be called silent."""
    seconds = max(_SILENT_AFTER_SECONDS, _MISSED_CHECK_INS * next_check_in_seconds)
    return now - timedelta(seconds=seconds)


@dataclass(slots=True, kw_only=True)
class _Count:
    """What was found so far. ``beside``: it goes on with installs that only run the release."""

    rollout: Rollout
    began_at: datetime
    silent_before: datetime
    after: bytes | None = None
    beside: bool = False
    silent: Counter[tuple[str, Arm]] = field(default_factory=Counter)
    levels: Counter[tuple[str, str]] = field(default_factory=Counter)
    pull: PullCounts = field(default_factory=PullCounts)
    running: int = 0

    def look(self, stores: Stores, most: int) -> Recount | None:
        """Look at the next installs; return what was found when these were the last."""
        if self.beside:
            found = stores.recounts.slice_beside(self.rollout, after=self.after, most=most)
        else:
            found = stores.recounts.slice(
                self.rollout, silent_before=self.silent_before, after=self.after, most=most
            )
        self._add(found)
        if self.after is not None:
            return None
        # Where all that run it are known already there is none to look for among the others.
        if (
            not self.beside
            and self._is_pulled
            and stores.recounts.running(self.rollout) > (self.running)
        ):
            self.beside = True
            return None
        return self._result()

    @property
    def _is_pulled(self) -> bool:
        return self.rollout.state is RolloutState.PULLED

    def _add(self, found: Slice) -> None:
        self.after = found.last
        self.silent.update({(cell.ring, cell.arm): cell.installs for cell in found.silent})
        self.levels.update({(one.arm, one.level): one.installs for one in found.levels})
        self.pull += found.pull
        self.running += found.running

    def _result(self) -> Recount:
        return Recount(
            rollout=self.rollout.id,
            counted_at=self.began_at,
            silent=tuple(
                FunnelCell(ring=ring, arm=arm, step="silent", installs=installs)
                for (ring, arm), installs in sorted(self.silent.items())
            ),
            levels=tuple(
                LevelCount(arm=arm, level=level, installs=installs)
                for (arm, level), installs in sorted(self.levels.items())
            ),
            pull=self.pull if self._is_pulled else None,
        )


@dataclass(slots=True, kw_only=True)
class _Turn:
    """When a rollout may be counted again, and where it stands in the queue.

    ``tag`` is a time of counting, not of clocks: whoever took more of it waits for the others, and
    a small rollout that comes back does not wait for a large one to end (start-time fair queueing).
    """

    next_at: float
    tag: float
    count: _Count | None = None


class Recounter:
    """Counts rollouts that are live or pulled, one slice after the other."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        next_check_in_seconds: int,
        most: int = MOST,
    ) -> None:
        self._database = database
        self._clock = clock
        self._next_check_in_seconds = next_check_in_seconds
        self._most = most
        self._turns: dict[RolloutId, _Turn] = {}
        self._served = 0.0
        self._credit = _MOST_CREDIT_SECONDS
        self._credited_at = clock.monotonic()

    def step(self) -> None:
        """Look at some installs, as many as there is time for by now."""
        self._earn()
        if self._credit <= 0:
            return
        with self._database.reading() as stores:
            watched = {one.id: one for one in (*stores.rollouts.live(), *stores.rollouts.pulled())}
            self._queue(watched)
            done: list[Recount] = []
            while self._credit > 0:
                turn = self._next()
                if turn is None:
                    break
                if (found := self._look(stores, turn)) is not None:
                    done.append(found)
            known = stores.recounts.of([one.rollout for one in done])
        self._put([one for one in done if _is_news(one, known.get(one.rollout))])

    def _earn(self) -> None:
        now = self._clock.monotonic()
        earned = SHARE * (now - self._credited_at)
        self._credit = min(_MOST_CREDIT_SECONDS, self._credit + earned)
        self._credited_at = now

    def _queue(self, watched: Mapping[RolloutId, Rollout]) -> None:
        """Let the *watched* ones have turns, and begin those anew that changed."""
        now = self._clock.monotonic()
        for gone in self._turns.keys() - watched.keys():
            del self._turns[gone]
        for name, rollout in watched.items():
            turn = self._turns.setdefault(name, _Turn(next_at=now, tag=self._served))
            if turn.count is not None and turn.count.rollout.revision != rollout.revision:
                turn.count = None
            if turn.count is None and turn.next_at <= now:
                at = self._clock.now()
                turn.next_at = now + EVERY_SECONDS
                turn.tag = max(turn.tag, self._served)
                turn.count = _Count(
                    rollout=rollout,
                    began_at=at,
                    silent_before=silent_before(at, self._next_check_in_seconds),
                )

    def _next(self) -> _Turn | None:
        waiting = [turn for turn in self._turns.values() if turn.count is not None]
        return min(waiting, key=lambda turn: turn.tag, default=None)

    def _look(self, stores: Stores, turn: _Turn) -> Recount | None:
        if turn.count is None:
            return None
        self._served = turn.tag
        began = self._clock.monotonic()
        found = turn.count.look(stores, self._most)
        took = self._clock.monotonic() - began
        self._credit -= took
        turn.tag += took
        if found is not None:
            turn.count = None
        return found

    def _put(self, done: list[Recount]) -> None:
        if done:
            with self._database.transaction() as stores:
                stores.recounts.put(done)


def _is_news(found: Recount, known: Recount | None) -> bool:
    if known is None or found.counted_at - known.counted_at >= STATED:
        return True
    return (found.silent, found.levels, found.pull) != (known.silent, known.levels, known.pull)

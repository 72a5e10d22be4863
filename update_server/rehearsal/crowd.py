"""The virtual installs in time: they check in, update, crash and fall silent.

Each asks the real decision function once in each step, at its first check-in. What it does becomes
facts of the kind that the judge is given.

Check-ins that nobody could tell apart are left out: of those that an install makes in one of its
windows, the first that is not too soon to be a return says all. One sign of life every few minutes
stands for the others. Contacts of one install come by chance alone, so that the next one after any
moment can be drawn at that moment.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import IntEnum
from itertools import count
from math import inf

from rollout.decide import decide
from rollout.model import Action, Documents
from update_server.evidence.design import silence_window
from update_server.evidence.facts import Crash, Fact, Seen, Session
from update_server.evidence.settings import Settings
from update_server.rehearsal.draws import Draws
from update_server.rehearsal.harm import Harm
from update_server.rehearsal.installs import NEW, Virtual

# From hearing of the release to running it, on average.
_UPDATE_SECONDS = 600.0
_BEAT_SECONDS = 600.0
# So many check-ins of the whole fleet are to be expected between two signs of life.
_BEAT_CONTACTS = 3.0
_BEAT = b"others"
# A sign of life in the first quarter of its window is not yet a return, nor shows it health.
_EARLY = 0.25


class _Kind(IntEnum):
    CONTACT = 0  # the first one in a step
    HEALTH = 1  # the first one that shows that the app is healthy
    RETURN = 2  # the first one in a window that is not too soon
    CRASH = 3
    EXTRA_CRASH = 4  # one that the install has only on the release
    UPDATED = 5
    BEAT = 6


class Crowd:
    """All installs of one virtual rollout. ``facts`` is what the judge has not been given yet.

    ``exposed`` installs took the release; of these ``crashed`` did so on it, and ``bricked`` died.
    """

    def __init__(
        self, installs: list[Virtual], harm: Harm, settings: Settings, draws: Draws, now: float
    ) -> None:
        self._installs = installs
        self._harm = harm
        self._settings = settings
        self._draws = draws
        self._queue: list[tuple[float, int, _Kind, int, Virtual]] = []
        self._order = count()
        self._stage = 0
        contacts = sum(1 / virtual.gap for virtual in installs)
        self._beat_seconds = max(_BEAT_SECONDS, _BEAT_CONTACTS / contacts)
        self.facts: list[Fact] = []
        self.exposed = self.crashed = self.bricked = 0
        self._push(now + self._beat_seconds, _Kind.BEAT, installs[0])
        for virtual in installs:
            self._crash_after(now, _Kind.CRASH, virtual, virtual.rate)

    def open_stage(self, now: float, *, groups_only: bool) -> None:
        """Let every install check in once more, at a time of its own."""
        self._stage += 1
        draws, order, stage = self._draws, self._order, self._stage
        self._queue += [
            (now + draws.expovariate(1 / v.gap), next(order), _Kind.CONTACT, stage, v)
            for v in self._installs
            if not v.bricked and (v.internal or not groups_only)
        ]
        heapq.heapify(self._queue)

    def go_on(self, until: float, documents: Mapping[str, Documents], *, offered: bool) -> None:
        """Let everything happen until then. *offered*: the release can be taken."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            at, _, kind, stage, virtual = heapq.heappop(queue)
            if kind is _Kind.BEAT:
                self.facts.append(Session(at=at, install=_BEAT))
                self._push(at + self._beat_seconds, _Kind.BEAT, virtual)
            elif virtual.bricked:
                continue
            elif kind is _Kind.UPDATED:
                if offered:
                    self._update(virtual, at)
            elif kind in (_Kind.CRASH, _Kind.EXTRA_CRASH):
                self._crash(virtual, at, kind)
            elif stage == self._stage:
                if kind is _Kind.CONTACT:
                    self._contact(virtual, at, documents[virtual.install.platform])
                elif kind is _Kind.HEALTH:
                    self._see(virtual, at)
                else:
                    self._return(virtual, at)

    def _push(self, at: float, kind: _Kind, virtual: Virtual) -> None:
        heapq.heappush(self._queue, (at, next(self._order), kind, self._stage, virtual))

    # --- check-ins -----------------------------------------------------------------------

    def _contact(self, virtual: Virtual, at: float, documents: Documents) -> None:
        answer = decide(documents, virtual.install, datetime.fromtimestamp(at, UTC))
        if answer.action is Action.UPDATE:
            after = self._draws.expovariate(1 / _UPDATE_SECONDS)
            self._push(at + after, _Kind.UPDATED, virtual)
        self._see(virtual, at)
        if virtual.aged or virtual.internal:
            self._show_life(virtual, at)

    def _see(self, virtual: Virtual, at: float) -> None:
        install = virtual.install
        self.facts.append(
            Seen(
                at=at,
                install=virtual.key,
                bucket=virtual.bucket,
                platform=install.platform,
                internal=virtual.internal,
                aged=virtual.aged,
                crashes=virtual.crashes,
                gap_seconds=virtual.gap,
                network=virtual.key,
            )
        )

    def _return(self, virtual: Virtual, at: float) -> None:
        self.facts.append(Session(at=at, install=virtual.key, on_release=virtual.on_release))
        # It is watched on, from the end of this window.
        virtual.window_from += virtual.window
        again = virtual.window_from + _EARLY * virtual.window
        self._push_within(_Kind.RETURN, virtual, again + self._draws.expovariate(1 / virtual.gap))

    def _push_within(self, kind: _Kind, virtual: Virtual, at: float) -> None:
        """Plan a sign of life if it is in time; else the install is silent."""
        if at <= virtual.window_from + virtual.window:
            self._push(at, kind, virtual)

    def _show_life(self, virtual: Virtual, at: float) -> None:
        """Plan the check-ins after the first that can be told apart."""
        gap, draws = virtual.gap, self._draws
        in_time = self._settings.outcome_seconds
        stratum, window = silence_window(gap, self._settings)
        virtual.window_from, virtual.window = at, window
        first = at + _EARLY * in_time + draws.expovariate(1 / gap)
        if stratum < 0:
            returned = inf
        elif first > at + _EARLY * window >= at + _EARLY * in_time:
            returned = first
        else:
            returned = at + _EARLY * window + draws.expovariate(1 / gap)
        if first <= at + in_time and first != returned:
            self._push(first, _Kind.HEALTH, virtual)
        self._push_within(_Kind.RETURN, virtual, returned)

    # --- what else happens ---------------------------------------------------------------

    def _update(self, virtual: Virtual, at: float) -> None:
        harm, draws = self._harm, self._draws
        virtual.install = replace(virtual.install, version=NEW, high_water=NEW)
        virtual.on_release = True
        self.exposed += 1
        harmed = harm.affects(virtual.install.platform)
        if harmed and harm.bricked_share and draws.random() < harm.bricked_share:
            virtual.bricked = True
            self.bricked += 1
            return
        self.facts.append(Session(at=at, install=virtual.key, on_release=True))
        if harmed:
            self._crash_after(at, _Kind.EXTRA_CRASH, virtual, self._extra_rate(virtual))

    def _extra_rate(self, virtual: Virtual) -> float:
        return max(0.0, self._harm.crash_ratio - 1) * virtual.rate

    def _crash_after(self, now: float, kind: _Kind, virtual: Virtual, rate: float) -> None:
        if rate > 0:
            self._push(now + self._draws.expovariate(rate), kind, virtual)

    def _crash(self, virtual: Virtual, at: float, kind: _Kind) -> None:
        if kind is _Kind.CRASH:
            self._crash_after(at, kind, virtual, virtual.rate)
            if self._is_spared(virtual):
                return
        else:
            self._crash_after(at, kind, virtual, self._extra_rate(virtual))
        if virtual.on_release and not virtual.crashed:
            virtual.crashed = True
            self.crashed += 1
        virtual.events += 1
        event = virtual.key + virtual.events.to_bytes(8, "big")
        self.facts.append(Crash(at=at, happened_at=at, install=virtual.key, event=event))

    def _is_spared(self, virtual: Virtual) -> bool:
        """Whether a release that crashes less does not crash here, where the old one did."""
        ratio = self._harm.crash_ratio
        if ratio >= 1 or not virtual.on_release:
            return False
        return self._harm.affects(virtual.install.platform) and self._draws.random() >= ratio

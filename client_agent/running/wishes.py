"""What a person may ask for: to be told nothing of, to be forgotten, to be asked later.

Each wish is on the disk before anything is done about it, and outlives the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from client_agent.config import IdentityKind, Telemetry
from client_agent.contact.identity import LOST, Identity
from client_agent.machine import events as on
from client_agent.machine.values import Edition
from client_agent.running.parts import Parts
from client_agent.running.visit import Visits
from rollout.versions import render_version


class Wishes:
    """The wishes about one agent. *at_hand* is the version that is on its way, or waits.

    *mutex* is the loop's: no visit goes on while who we are changes. *post* gives the loop an
    event. Each method raises ``DiskError`` or ``StateError`` when it could not be written down.
    """

    def __init__(
        self,
        parts: Parts,
        visits: Visits,
        *,
        mutex: threading.RLock,
        at_hand: Callable[[], Edition | None],
        post: Callable[[on.Event], None],
    ) -> None:
        self._parts = parts
        self._visits = visits
        self._mutex = mutex
        self._at_hand = at_hand
        self._post = post
        self._is_known = False

    def know_oneself(self) -> None:
        """Be who ROOT says; a copy of another install becomes one of its own.

        Who lives in memory only was never here before: the tokens in ROOT are another's.
        """
        parts = self._parts
        with self._mutex:
            if parts.settings.identity is not IdentityKind.VOLATILE:
                now = parts.clock.now()
                self._visits.identity = parts.identities.load(now, self.leave_nothing)
            elif not self._is_known:
                self._drop_tokens()
            self._is_known = True

    def later(self) -> bool:
        """Put the version at hand off for a day; False when there is none, or no more day."""
        edition = self._at_hand()
        now = self._parts.clock.now()
        if edition is None or not self._parts.postponed.later(edition, now):
            return False
        self._post(on.Postponed())
        return True

    def skip(self) -> bool:
        """Put the version at hand off until there is another; False when there is none."""
        edition = self._at_hand()
        if edition is None:
            return False
        self._parts.postponed.skip(edition)
        self._post(on.Postponed())
        return True

    def reset_identity(self) -> Identity:
        """Become another install: ask that the old one be forgotten, and draw a new ID."""
        with self._mutex:
            self.be_forgotten()
            old, parts = self._visits.identity, self._parts
            fresh = parts.identities.draw(parts.clock.now(), volatile=old.volatile)
            self.leave_nothing("reset")
            if not fresh.volatile:
                parts.identities.store(fresh)
            self._visits.identity = fresh
            self.leave_nothing("reset")  # what the app reported meanwhile
            return fresh

    def allow_telemetry(self, level: Telemetry) -> None:
        """Change what leaves the machine. ``off`` also asks the server to forget this install."""
        self._parts.reporter.level = level  # at once, however long a visit goes on
        if level is Telemetry.OFF:
            with self._mutex:
                self.fall_silent()

    def fall_silent(self) -> None:
        """Keep nothing that could be told, and have the server forget what was.

        Tokens are kept only where something may be told: as long as there are any, the server
        may know something, and this is done once.
        """
        self.be_forgotten()
        self.leave_nothing("off")

    def be_forgotten(self) -> None:
        """Ask the server, now or later, to delete what it knows of this install.

        An app may say so before its agent has begun: it means the install that ROOT is.
        """
        if not self._is_known and self._parts.settings.root.exists():
            self.know_oneself()
        state = self._parts.installation.state.read()
        if state.tokens:  # without one the server has never heard of this install
            known = "" if state.current is None else render_version(state.current.version)
            newest = state.tokens.get(known) or [*state.tokens.values()][-1]  # old ones expire
            wisher = self._visits.identity.install_id
            self._visits.forgetting.wish(wisher, self._visits.token or newest)

    def leave_nothing(self, why: str) -> None:
        """Drop what another install may not use: tokens and events. Versions are still ours."""
        self._visits.hint = self._visits.token = None
        if why == LOST and not self._parts.installation.state.read().tokens:
            return  # there was no other: what the app reported so far is the first install's
        self._parts.spool.clear(why)
        self._parts.minidumps.clear()
        self._drop_tokens()

    def _drop_tokens(self) -> None:
        store = self._parts.installation.state
        if store.read().tokens:
            nothing: MappingProxyType[str, str] = MappingProxyType({})
            store.update(lambda state: replace(state, tokens=nothing))

"""The threads that bring messages to people, beside the controller's loop.

One addresses messages, watches and escalates; one for each target delivers. So a receiver that is
slow keeps only its own messages waiting, and never the judge.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from update_server.service.duties import Duties
from update_server.service.notices.deliver import Deliverer
from update_server.service.notices.server_watch import ServerWatch
from update_server.service.ports import Clock

ADDRESS_SECONDS: Final = 0.25
"""How often it is looked for new messages: other processes than this one write them, too."""

DELIVER_SECONDS: Final = 1.0
"""How often a courier looks by itself; for a new message it is woken at once."""

WATCH_SECONDS: Final = 15.0
EXPIRE_SECONDS: Final = 86_400.0


class Leading(Protocol):
    """The right to be the one that delivers: taken by one thread, looked at by the others."""

    @property
    def is_held(self) -> bool: ...
    def holds(self) -> bool: ...


class Couriers:
    """Works in threads of its own while this process leads."""

    def __init__(
        self,
        deliverer: Deliverer,
        watch: ServerWatch,
        clock: Clock,
        *,
        leadership: Leading,
        log: Callable[[str], None],
    ) -> None:
        self._deliverer = deliverer
        self._watch = watch
        self._leadership = leadership
        self._wake = {name: threading.Event() for name in deliverer.targets}
        self._duties = Duties(clock, log)
        self._dropped = False

    def start(self, stop: threading.Event) -> None:
        """Start the threads; they end soon after *stop* is set."""
        duties: list[Callable[[threading.Event], None]] = [self._address]
        duties += [partial(self._deliver, name) for name in self._wake]
        for duty in duties:
            threading.Thread(target=duty, args=(stop,), name="courier", daemon=True).start()

    def address_once(self) -> None:
        """Address what is new, and look after alerts."""
        if not self._duties.attempt("leading couriers", self._leadership.holds):
            return
        if not self._dropped:
            self._duties.attempt("dropping old targets", self._deliverer.drop_strangers)
            self._dropped = not self._duties.is_failing("dropping old targets")
        routed = self._duties.attempt("addressing messages", self._deliverer.route)
        if self._duties.is_time("watch", WATCH_SECONDS):
            self._duties.attempt("watching the server", self._watch.look)
            routed = self._duties.attempt("escalating alerts", self._deliverer.escalate) or routed
        if self._duties.is_time("expire", EXPIRE_SECONDS):
            self._duties.attempt("expiring messages", self._watch.expire)
        if routed:
            for event in self._wake.values():
                event.set()

    def deliver_once(self, target: str) -> None:
        """Try all that is due at *target* now."""
        deliver = partial(self._deliverer.deliver, target)
        while self._leadership.is_held and self._duties.attempt(f"telling {target}", deliver):
            pass

    def _address(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.address_once()
            stop.wait(ADDRESS_SECONDS)

    def _deliver(self, target: str, stop: threading.Event) -> None:
        while not stop.is_set():
            self._wake[target].wait(DELIVER_SECONDS)
            self._wake[target].clear()
            if not stop.is_set():
                self.deliver_once(target)

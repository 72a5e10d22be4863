"""The threads that bring messages to people, beside the controller's loop.

One addresses messages, watches and escalates; one for each target delivers. So a receiver that is
slow keeps only its own messages waiting, and never the judge.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeVar

from update_server.service.notices.deliver import Deliverer
from update_server.service.notices.server_watch import ServerWatch
from update_server.service.ports import Clock

T = TypeVar("T")

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
        self._clock = clock
        self._leadership = leadership
        self._log = log
        self._wake = {name: threading.Event() for name in deliverer.targets}
        self._failing: dict[str, str] = {}
        self._last: dict[str, float] = {}
        self._dropped = False

    def start(self, stop: threading.Event) -> None:
        """Start the threads; they end soon after *stop* is set."""
        duties: list[Callable[[threading.Event], None]] = [self._address]
        duties += [partial(self._deliver, name) for name in self._wake]
        for duty in duties:
            threading.Thread(target=duty, args=(stop,), name="courier", daemon=True).start()

    def address_once(self) -> None:
        """Address what is new, and look after alerts."""
        if not self._try("leading couriers", self._leadership.holds):
            return
        if not self._dropped:
            self._try("dropping old targets", self._deliverer.drop_strangers)
            self._dropped = "dropping old targets" not in self._failing
        routed = self._try("addressing messages", self._deliverer.route)
        if self._is_time("watch", WATCH_SECONDS):
            self._try("watching the server", self._watch.look)
            routed = self._try("escalating alerts", self._deliverer.escalate) or routed
        if self._is_time("expire", EXPIRE_SECONDS):
            self._try("expiring messages", self._watch.expire)
        if routed:
            for event in self._wake.values():
                event.set()

    def deliver_once(self, target: str) -> None:
        """Try all that is due at *target* now."""
        deliver = partial(self._deliverer.deliver, target)
        while self._leadership.is_held and self._try(f"telling {target}", deliver):
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

    def _is_time(self, what: str, seconds: float) -> bool:
        now = self._clock.monotonic()
        if what in self._last and now - self._last[what] < seconds:
            return False
        self._last[what] = now
        return True

    def _try(self, duty: str, act: Callable[[], T]) -> T | None:
        """Do one duty; tell of a fault once when it begins, and once when it is over."""
        try:
            result = act()
        except Exception as error:  # noqa: BLE001 - the threads must outlive every outage
            told = f"{type(error).__name__}: {error}"
            if self._failing.get(duty) != told:
                self._log(f"{duty} failed: {told}")
            self._failing[duty] = told
            return None
        if self._failing.pop(duty, None) is not None:
            self._log(f"{duty} works again")
        return result

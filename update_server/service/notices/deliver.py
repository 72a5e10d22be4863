"""Bringing messages to people: to whom each goes, when it is tried again, and when given up.

At least once: a message is delivered when a target says that it took it, and that is written down
after it. A kill in between sends it again, under the same id.

Not here: threads (``couriers``), and how a target is spoken to (``notify``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from update_server.service.notices.links import linked
from update_server.service.ports import Clock, Database, NotFoundError, Stores
from update_server.service.ports.outbox import (
    Alert,
    Attempt,
    Delivery,
    DeliveryState,
    Level,
    Message,
    Notifier,
    UndeliveredError,
)

WAITS: Final = (5, 15, 60, 300, 900, 1_800, 3_600, 7_200, 14_400)
"""Seconds after each try that failed; the last one again and again."""

GIVEN_UP_AFTER: Final = timedelta(hours=24)
"""How long a message is tried; the last try is at the end of it."""

ESCALATED_AFTER: Final = timedelta(minutes=15)
"""How long an alert waits to be acknowledged before somebody else is told."""

_LONGEST_WISH: Final = 3_600.0  # a target may ask not to be asked again for so many seconds
_AT_ONCE: Final = 100


class Events(StrEnum):
    """What a target wants to be told. Escalations are told whatever it says here."""

    PAGES = "pages"
    INFORMS = "informs"
    ALL = "all"
    ESCALATIONS = "escalations"

    def include(self, level: Level) -> bool:
        """Whether messages of *level* are among them."""
        return self is Events.ALL or self.value == level.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """A target and what it wants to know. No ``apps``: all of them.

    ``escalate_to`` is whom to tell when nobody acknowledges what it was told; "" for nobody.
    """

    name: str
    events: Events = Events.ALL
    apps: frozenset[str] = frozenset()
    escalate_to: str = ""

    def wants(self, message: Message) -> bool:
        """Whether *message* is for it."""
        if self.name == message.not_to or not self.events.include(message.level):
            return False
        return not self.apps or not message.app or message.app in self.apps


def wait_after(attempts: int, wish_seconds: float | None = None) -> timedelta:
    """Return how long to wait after so many tries; a target's wish can only make it longer."""
    seconds = float(WAITS[min(attempts, len(WAITS)) - 1])
    return timedelta(seconds=max(seconds, min(wish_seconds or 0.0, _LONGEST_WISH)))


class Deliverer:
    """What couriers call. Only the controller that leads does.

    ``url`` is where people reach the pages; empty: nobody said.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        subscribers: Sequence[Subscriber],
        notifiers: Mapping[str, Notifier],
        log: Callable[[str], None],
        url: str = "",
    ) -> None:
        self._database = database
        self._clock = clock
        self._subscribers = tuple(subscribers)
        self._notifiers = notifiers
        self._log = log
        self._url = url

    @property
    def targets(self) -> Sequence[str]:
        """The names of all targets."""
        return [each.name for each in self._subscribers]

    def drop_strangers(self) -> None:
        """Give up what was addressed to targets that are configured no more."""
        with self._database.transaction() as stores:
            stores.outbox.drop(self.targets, self._clock.now())

    def route(self) -> int:
        """Address what is addressed to nobody yet; return how many messages that were."""
        with self._database.reading() as stores:
            if not stores.outbox.unrouted(1):
                return 0
        with self._database.transaction() as stores:
            messages = stores.outbox.unrouted(_AT_ONCE)
            for message in messages:
                wanted = {each.name for each in self._subscribers if each.wants(message)}
                for alert in message.resolves:
                    wanted |= self._told_of(stores, alert)
                stores.outbox.route(message.id, wanted, self._clock.now())
        return len(messages)

    def escalate(self) -> int:
        """Tell others of what nobody acknowledges; return of how many alerts."""
        before = self._clock.now() - ESCALATED_AFTER
        with self._database.reading() as stores:
            if not any(_is_left(alert, before) for alert in stores.alerts.unresolved()):
                return 0
        with self._database.transaction() as stores:
            left = [each for each in stores.alerts.unresolved() if _is_left(each, before)]
            for alert in left:
                told = set(stores.outbox.targets_of(alert.message))
                others = {
                    each.escalate_to
                    for each in self._subscribers
                    if each.name in told and each.escalate_to
                }
                stores.outbox.route(alert.message, others, self._clock.now())
                stores.alerts.escalate(alert.id, self._clock.now())
        return len(left)

    def deliver(self, target: str) -> bool:
        """Try the first message that is due at *target*; return whether there was one."""
        with self._database.reading() as stores:
            due = stores.outbox.due(target, self._clock.now(), 1)
        if not due:
            return False
        [delivery] = due
        number = delivery.attempts + 1
        try:
            message = linked(delivery.message, self._url)
            status = self._notifiers[target].send(message, self._clock.now())
        except UndeliveredError as error:
            now = self._clock.now()
            tried = Attempt(number=number, at=now, status=error.status, error=error.why)
            self._failed(delivery, tried, error.retry_seconds)
            return True
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the others
            # Its text is not told: nobody knows what stands in it.
            why = f"a fault of this server's own: {type(error).__name__}"
            self._failed(delivery, Attempt(number=number, at=self._clock.now(), error=why), None)
            return True
        now = self._clock.now()
        tried = Attempt(number=number, at=now, status=status)
        with self._database.transaction() as stores:
            stores.outbox.note(delivery, tried, DeliveryState.DELIVERED, now)
        return True

    def _failed(self, delivery: Delivery, tried: Attempt, wish_seconds: float | None) -> None:
        last_at = delivery.created_at + GIVEN_UP_AFTER
        is_last = tried.at >= last_at
        due_at = min(tried.at + wait_after(tried.number, wish_seconds), last_at)
        state = DeliveryState.DEAD if is_last else DeliveryState.PENDING
        with self._database.transaction() as stores:
            stores.outbox.note(delivery, tried, state, due_at)
        subject, target = delivery.message.subject, delivery.target
        if is_last:
            self._log(f"gave up telling {target} of {subject!r}: {tried.error}")
        elif tried.number == 1:
            self._log(f"could not tell {target} of {subject!r}, trying again: {tried.error}")

    def _told_of(self, stores: Stores, alert_id: str) -> set[str]:
        """Return who was told of an alert, and so is told of its end."""
        try:
            told = stores.outbox.targets_of(stores.alerts.get(alert_id).message)
        except NotFoundError:
            return set()
        return set(told) & set(self.targets)


def _is_left(alert: Alert, before: datetime) -> bool:
    waits = alert.acknowledged_at is None and alert.escalated_at is None
    return waits and alert.opened_at <= before

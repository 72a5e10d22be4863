"""What was sent to whom, and which alerts are open: for people who look. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from update_server.service.ports import Database
from update_server.service.ports.outbox import Alert, Attempt, Delivery, Message, Undelivered
from update_server.service.telemetry.exports import UNDELIVERED_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """A delivery and all its tries, in order."""

    delivery: Delivery
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """An alert that is open. ``subject`` and ``text`` are those of the message that opened it."""

    alert: Alert
    subject: str
    text: str


class Notifications:
    """Answers questions about messages to people. *app* None: about all apps, and the server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def log(
        self, app: str | None, *, before: int | None, limit: int
    ) -> tuple[Sequence[DeliveryView], int | None]:
        """Return deliveries, newest first, and the number to go on before."""
        with self._database.reading() as stores:
            found = stores.outbox.page(app, before, limit + 1)
            tries = stores.outbox.tries([each.number for each in found[:limit]])
        views = [
            DeliveryView(delivery=each, attempts=tuple(tries.get(each.number, ())))
            for each in found[:limit]
        ]
        more = len(found) > limit
        return views, found[limit - 1].number if more else None

    def undelivered(self, now: datetime) -> Sequence[Undelivered]:
        """Return which targets messages do not reach: given up, or tried in vain for some time."""
        with self._database.reading() as stores:
            return stores.outbox.undelivered(now - UNDELIVERED_AFTER)

    def alerts(self, app: str | None) -> Sequence[AlertView]:
        """Return the alerts that are open, oldest first."""
        with self._database.reading() as stores:
            found = stores.alerts.told(app)
        return [_alert_view(alert, message) for alert, message in found]


def _alert_view(alert: Alert, message: Message | None) -> AlertView:
    if message is None:  # as old as that: kept for some months
        return AlertView(alert=alert, subject=alert.reason, text="")
    return AlertView(alert=alert, subject=message.subject, text=message.text)

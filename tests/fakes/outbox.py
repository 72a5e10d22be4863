"""Messages, deliveries and alerts in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from tests.fakes.state import State
from update_server.service.ports import NotFoundError
from update_server.service.ports.outbox import (
    Alert,
    Attempt,
    Delivery,
    DeliveryState,
    Message,
    Undelivered,
)


class FakeOutbox:
    """See outbox_ports.Outbox."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, message: Message) -> None:
        self._state.write()
        self._state.messages.setdefault(message.id, (message, None))

    def get(self, message_id: str) -> Message:
        if message_id not in self._state.messages:
            raise NotFoundError("message", message_id)
        return self._state.messages[message_id][0]

    def unrouted(self, limit: int) -> Sequence[Message]:
        return [one for one, routed_at in self._state.messages.values() if not routed_at][:limit]

    def route(self, message_id: str, targets: Iterable[str], now: datetime) -> None:
        self._state.write()
        message = self.get(message_id)
        for target in sorted(set(targets) - set(self.targets_of(message_id))):
            number = next(self._state.numbers)
            self._state.deliveries[number] = Delivery(
                number=number,
                target=target,
                message=message,
                state=DeliveryState.PENDING,
                attempts=0,
                created_at=now,
                due_at=now,
            )
        self._state.messages[message_id] = (message, now)

    def about(self, app: str, limit: int) -> Sequence[Message]:
        newest = reversed(self._state.messages.values())
        return [one for one, _ in newest if one.app == app and one.rollout][:limit]

    def targets_of(self, message_id: str) -> Sequence[str]:
        found = [each for each in self._state.deliveries.values() if each.message.id == message_id]
        self.get(message_id)
        return sorted(each.target for each in found)

    def due(self, target: str, now: datetime, limit: int) -> Sequence[Delivery]:
        found = [
            each
            for each in self._state.deliveries.values()
            if (each.target, each.state) == (target, DeliveryState.PENDING) and each.due_at <= now
        ]
        return found[:limit]

    def note(
        self, delivery: Delivery, tried: Attempt, state: DeliveryState, due_at: datetime
    ) -> None:
        self._state.write()
        tries = self._state.attempts.get(delivery.number, ())
        self._state.attempts[delivery.number] = (*tries, tried)
        self._state.deliveries[delivery.number] = replace(
            self._state.deliveries[delivery.number],
            state=state,
            attempts=tried.number,
            due_at=due_at,
            done_at=None if state is DeliveryState.PENDING else tried.at,
            status=tried.status,
            error=tried.error,
        )

    def drop(self, known: Iterable[str], now: datetime) -> None:
        self._state.write()
        targets = set(known)
        for number, each in self._state.deliveries.items():
            is_missed = each.state in {DeliveryState.PENDING, DeliveryState.DEAD}
            if is_missed and each.target not in targets:
                self._state.deliveries[number] = replace(
                    each, state=DeliveryState.DROPPED, done_at=each.done_at or now
                )

    def page(self, app: str | None, before: int | None, limit: int) -> Sequence[Delivery]:
        found = [
            each
            for number, each in sorted(self._state.deliveries.items(), reverse=True)
            if app in {None, each.message.app} and (before is None or number < before)
        ]
        return found[:limit]

    def attempts(self, delivery: int) -> Sequence[Attempt]:
        return self._state.attempts.get(delivery, ())

    def tries(self, deliveries: Collection[int]) -> Mapping[int, Sequence[Attempt]]:
        known = self._state.attempts
        return {number: known[number] for number in deliveries if number in known}

    def undelivered(self, before: datetime) -> Sequence[Undelivered]:
        found = []
        for target in sorted({each.target for each in self._state.deliveries.values()}):
            mine = [each for each in self._state.deliveries.values() if each.target == target]
            last = max(
                (
                    each.done_at
                    for each in mine
                    if each.state is DeliveryState.DELIVERED and each.done_at
                ),
                default=None,
            )
            failing = [each for each in mine if _is_failing(each, before, last)]
            if failing:
                since = min(each.created_at for each in failing)
                found.append(
                    Undelivered(
                        target=target,
                        messages=len(failing),
                        since=since,
                        error=failing[-1].error,
                    )
                )
        return found

    def expire(self, before: datetime) -> None:
        self._state.write()
        waiting = {
            each.message.id
            for each in self._state.deliveries.values()
            if each.state is DeliveryState.PENDING
        }
        for name, (message, routed_at) in list(self._state.messages.items()):
            if message.at < before and routed_at is not None and name not in waiting:
                del self._state.messages[name]
        for number, each in list(self._state.deliveries.items()):
            if each.message.id not in self._state.messages:
                del self._state.deliveries[number]
                self._state.attempts.pop(number, None)


def _is_failing(each: Delivery, before: datetime, last: datetime | None) -> bool:
    if each.state is DeliveryState.PENDING:
        return each.attempts > 0 and each.created_at < before
    if each.state is DeliveryState.DEAD:
        return last is None or each.done_at is None or last < each.done_at
    return False


class FakeAlerts:
    """See outbox_ports.Alerts."""

    def __init__(self, state: State) -> None:
        self._state = state

    def open(self, alert: Alert) -> bool:
        self._state.write()
        if any(_key(each) == _key(alert) for each in self.unresolved()):
            return False
        if alert.id in self._state.alerts:
            return False
        self._state.alerts[alert.id] = alert
        return True

    def get(self, alert_id: str) -> Alert:
        if alert_id not in self._state.alerts:
            raise NotFoundError("alert", alert_id)
        return self._state.alerts[alert_id]

    def unresolved(self, app: str | None = None) -> Sequence[Alert]:
        return [
            each
            for each in self._state.alerts.values()
            if each.resolved_at is None and app in {None, each.app}
        ]

    def told(self, app: str | None = None) -> Sequence[tuple[Alert, Message | None]]:
        known = self._state.messages
        return [
            (each, known[each.message][0] if each.message in known else None)
            for each in self.unresolved(app)
        ]

    def acknowledge(self, alert_id: str, by: str, at: datetime) -> None:
        self._set(alert_id, "acknowledged_at", acknowledged_at=at, acknowledged_by=by)

    def escalate(self, alert_id: str, at: datetime) -> None:
        self._set(alert_id, "escalated_at", escalated_at=at)

    def resolve(self, alert_id: str, at: datetime) -> None:
        self._set(alert_id, "resolved_at", resolved_at=at)

    def expire(self, before: datetime) -> None:
        self._state.write()
        for name, each in list(self._state.alerts.items()):
            if each.resolved_at is not None and each.resolved_at < before:
                del self._state.alerts[name]

    def _set(self, alert_id: str, unless: str, **values: object) -> None:
        self._state.write()
        known = self._state.alerts.get(alert_id)
        if known is not None and getattr(known, unless) is None:
            self._state.alerts[alert_id] = replace(known, **values)  # type: ignore[arg-type]


def _key(alert: Alert) -> tuple[str, str, str, str]:
    return alert.app, alert.rollout, alert.ring, alert.reason

"""Messages to people, and their deliveries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, func, insert, literal, or_, select, update
from sqlalchemy.engine import Row

from update_server.service.ports import NotFoundError
from update_server.service.ports.outbox import (
    Attempt,
    Delivery,
    DeliveryState,
    Level,
    Message,
    Undelivered,
)
from update_server.store.rows import insert_new, one, upsert
from update_server.store.tables import deliveries, delivery_attempts, messages

_FAILING = or_(
    deliveries.c.state == DeliveryState.DEAD,
    and_(deliveries.c.state == DeliveryState.PENDING, deliveries.c.attempts > 0),
)


class SqlOutbox:
    """Messages over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, message: Message) -> None:
        """Store a message, unless one of this id is stored."""
        body = {**asdict(message), "at": None, "resolves": list(message.resolves)}
        insert_new(
            self._connection,
            messages,
            id=message.id,
            app=message.app,
            rollout=message.rollout,
            at=message.at,
            body=body,
        )

    def get(self, message_id: str) -> Message:
        """Return a message, or raise NotFoundError."""
        found = select(messages).where(messages.c.id == message_id)
        return _message(one(self._connection, found, "message", message_id))

    def unrouted(self, limit: int) -> Sequence[Message]:
        """Return the first messages that are addressed to nobody yet."""
        found = select(messages).where(messages.c.routed_at.is_(None))
        rows = self._connection.execute(found.order_by(messages.c.number).limit(limit))
        return [_message(row) for row in rows]

    def route(self, message_id: str, targets: Iterable[str], now: datetime) -> None:
        """Address a message to *targets*, beside those that it is addressed to."""
        number = self._number(message_id)
        rows = [
            {
                "message": number,
                "target": target,
                "state": DeliveryState.PENDING.value,
                "attempts": 0,
                "created_at": now,
                "due_at": now,
                "error": "",
            }
            for target in sorted(set(targets))
        ]
        if rows:
            statement = upsert(self._connection, deliveries).on_conflict_do_nothing()
            self._connection.execute(statement, rows)
        routed = update(messages).where(messages.c.number == number)
        self._connection.execute(routed.values(routed_at=now))

    def about(self, app: str, limit: int) -> Sequence[Message]:
        """Return the newest messages about rollouts of *app*, newest first."""
        found = select(messages).where(messages.c.app == app, messages.c.rollout != "")
        rows = self._connection.execute(found.order_by(messages.c.number.desc()).limit(limit))
        return [_message(row) for row in rows]

    def targets_of(self, message_id: str) -> Sequence[str]:
        """Return whom a message is addressed to."""
        found = select(deliveries.c.target).where(deliveries.c.message == self._number(message_id))
        return sorted(self._connection.execute(found).scalars())

    def due(self, target: str, now: datetime, limit: int) -> Sequence[Delivery]:
        """Return what is to be tried now, the oldest first."""
        found = _with_messages().where(
            deliveries.c.target == target,
            deliveries.c.state == DeliveryState.PENDING,
            deliveries.c.due_at <= now,
        )
        rows = self._connection.execute(found.order_by(deliveries.c.number).limit(limit))
        return [_delivery(row) for row in rows]

    def note(
        self, delivery: Delivery, tried: Attempt, state: DeliveryState, due_at: datetime
    ) -> None:
        """Write a try down, and what follows from it."""
        self._connection.execute(
            insert(delivery_attempts).values(delivery=delivery.number, **asdict(tried))
        )
        self._connection.execute(
            update(deliveries)
            .where(deliveries.c.number == delivery.number)
            .values(
                state=state.value,
                attempts=tried.number,
                due_at=due_at,
                done_at=None if state is DeliveryState.PENDING else tried.at,
                status=tried.status,
                error=tried.error,
            )
        )

    def drop(self, known: Iterable[str], now: datetime) -> None:
        """Try no more, nor miss, what is addressed to any target that is not *known*."""
        is_missed = deliveries.c.state.in_([DeliveryState.PENDING, DeliveryState.DEAD])
        done_at = func.coalesce(deliveries.c.done_at, literal(now, deliveries.c.done_at.type))
        self._connection.execute(
            update(deliveries)
            .where(is_missed, deliveries.c.target.not_in(sorted(known)))
            .values(state=DeliveryState.DROPPED.value, done_at=done_at)
        )

    def page(self, app: str | None, before: int | None, limit: int) -> Sequence[Delivery]:
        """Return deliveries, newest first."""
        found = _with_messages().order_by(deliveries.c.number.desc()).limit(limit)
        if app is not None:
            found = found.where(messages.c.app == app)
        if before is not None:
            found = found.where(deliveries.c.number < before)
        return [_delivery(row) for row in self._connection.execute(found)]

    def attempts(self, delivery: int) -> Sequence[Attempt]:
        """Return the tries of a delivery, in order."""
        return self.tries([delivery]).get(delivery, ())

    def tries(self, numbers: Collection[int]) -> Mapping[int, Sequence[Attempt]]:
        """Return the tries of each of these deliveries, in order; of none where there were none."""
        c = delivery_attempts.c
        found = select(delivery_attempts).where(c.delivery.in_(numbers)).order_by(c.number)
        by_delivery: dict[int, list[Attempt]] = {}
        for row in self._connection.execute(found):
            by_delivery.setdefault(row.delivery, []).append(
                Attempt(number=row.number, at=row.at, status=row.status, error=row.error)
            )
        return by_delivery

    def undelivered(self, before: datetime) -> Sequence[Undelivered]:
        """Return which targets messages do not reach, by name."""
        last = (
            select(deliveries.c.target, func.max(deliveries.c.done_at).label("at"))
            .where(deliveries.c.state == DeliveryState.DELIVERED)
            .group_by(deliveries.c.target)
            .subquery()
        )
        found = (
            select(deliveries)
            .outerjoin(last, last.c.target == deliveries.c.target)
            .where(_FAILING)
            .where(
                or_(
                    and_(
                        deliveries.c.state == DeliveryState.PENDING,
                        deliveries.c.created_at < before,
                    ),
                    and_(
                        deliveries.c.state == DeliveryState.DEAD,
                        or_(last.c.at.is_(None), last.c.at < deliveries.c.done_at),
                    ),
                )
            )
            .order_by(deliveries.c.target, deliveries.c.number)
        )
        by_target: dict[str, list[Row[Any]]] = {}
        for row in self._connection.execute(found):
            by_target.setdefault(row.target, []).append(row)
        return [
            Undelivered(
                target=target,
                messages=len(rows),
                since=min(row.created_at for row in rows),
                error=rows[-1].error,
            )
            for target, rows in sorted(by_target.items())
        ]

    def expire(self, before: datetime) -> None:
        """Delete old messages that wait for nothing, with their deliveries."""
        waiting = select(deliveries.c.message).where(deliveries.c.state == DeliveryState.PENDING)
        old = (
            select(messages.c.number)
            .where(messages.c.at < before, messages.c.routed_at.is_not(None))
            .where(messages.c.number.not_in(waiting))
        )
        theirs = select(deliveries.c.number).where(deliveries.c.message.in_(old))
        of_theirs = delivery_attempts.c.delivery.in_(theirs)
        self._connection.execute(delete(delivery_attempts).where(of_theirs))
        numbers = list(self._connection.execute(old).scalars())
        self._connection.execute(delete(deliveries).where(deliveries.c.message.in_(old)))
        for number in numbers:
            self._connection.execute(delete(messages).where(messages.c.number == number))

    def _number(self, message_id: str) -> int:
        found = select(messages.c.number).where(messages.c.id == message_id)
        number: int | None = self._connection.execute(found).scalar_one_or_none()
        if number is None:
            raise NotFoundError("message", message_id)
        return number


_DELIVERY = tuple(field.name for field in fields(Delivery) if field.name != "message")


def _with_messages() -> Select[Any]:
    columns = [deliveries.c[name] for name in _DELIVERY]
    sent = (messages.c.at.label("sent_at"), messages.c.body.label("body"))
    return select(*columns, *sent).join(messages, messages.c.number == deliveries.c.message)


def _delivery(row: Row[Any]) -> Delivery:
    values = {name: getattr(row, name) for name in _DELIVERY}
    values["state"] = DeliveryState(row.state)
    return Delivery(**values, message=message_of(row.body, row.sent_at))


def _message(row: Row[Any]) -> Message:
    return message_of(row.body, row.at)


def message_of(body: dict[str, Any], at: datetime) -> Message:
    """Return the message that was stored with this body, and was told at *at*."""
    told = {"at": at, "level": Level(body["level"]), "resolves": tuple(body["resolves"])}
    return Message(**{**body, **told})

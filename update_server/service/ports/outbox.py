"""Messages to people, how they are delivered, and the alerts that they open and end.

A message is stored in the transaction of what it tells, so there is one exactly if that happened.
It names no target: whoever delivers knows those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

# --- values ------------------------------------------------------------------------------


class Level(StrEnum):
    """Whether a message is to wake somebody."""

    PAGES = "pages"
    INFORMS = "informs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What people are told, in its words for good.

    ``id`` is what receivers know it by, however often it comes. ``type`` is the CloudEvents type.
    ``subject`` has at most 70 characters, ``text`` at most 800; ``sentence`` is what of ``text``
    the decision record, or the verb, says. What is about no app or no rollout has "" there.
    ``decision`` is the decision record behind it. ``alert`` is the alert that it opens,
    ``resolves`` are those that it ends. It is not sent to ``not_to``.
    """

    id: str
    at: datetime
    type: str
    level: Level
    subject: str
    text: str
    sentence: str
    app: str = ""
    channel: str = ""
    rollout: str = ""
    version: str = ""
    ring: str = ""
    state: str = ""
    actor: str = ""
    decision: Mapping[str, Any] | None = None
    alert: str = ""
    resolves: tuple[str, ...] = ()
    not_to: str = ""


class DeliveryState(StrEnum):
    """What became of a message to a target. ``dropped``: the target is configured no more."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message on its way to one target. ``number`` orders all deliveries.

    ``due_at`` is when it is tried next; ``done_at`` when it was delivered or given up.
    """

    number: int
    target: str
    message: Message
    state: DeliveryState
    attempts: int
    created_at: datetime
    due_at: datetime
    done_at: datetime | None = None
    status: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try. ``status`` is the receiver's, where it gave one; ``error`` is empty on success."""

    number: int
    at: datetime
    status: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """The messages that do not reach a target; ``error`` is what came of the last try."""

    target: str
    messages: int
    since: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that somebody should look at, until it is resolved.

    One at a time is open for each app, rollout, ring and reason; "" where there is not one.
    ``message`` opened it. It is acknowledged by the person ``acknowledged_by``.
    """

    id: str
    app: str
    rollout: str
    ring: str
    reason: str
    message: str
    opened_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    escalated_at: datetime | None = None
    resolved_at: datetime | None = None


# --- stores ------------------------------------------------------------------------------


class Outbox(Protocol):
    """Messages and their deliveries."""

    def add(self, message: Message) -> None: ...  # one of this id stays as it is
    def get(self, message_id: str) -> Message: ...  # NotFoundError
    # what nobody has addressed yet, and up to *limit* of it, in order
    def unrouted(self, limit: int) -> Sequence[Message]: ...
    # addresses a message: deliveries that are due now; to a target that has it, nothing
    def route(self, message_id: str, targets: Iterable[str], now: datetime) -> None: ...
    # the newest *limit* messages of an app's rollouts, newest first
    def about(self, app: str, limit: int) -> Sequence[Message]: ...

    def targets_of(self, message_id: str) -> Sequence[str]: ...  # sorted
    def due(self, target: str, now: datetime, limit: int) -> Sequence[Delivery]: ...  # in order
    # writes a try down, and what follows: DELIVERED, DEAD, or PENDING until *due_at*
    def note(
        self, delivery: Delivery, tried: Attempt, state: DeliveryState, due_at: datetime
    ) -> None: ...
    # what is pending at any other target, or was given up there: nobody is missing it any more
    def drop(self, known: Iterable[str], now: datetime) -> None: ...

    # newest first; *app* None: of all apps, and of none
    def page(self, app: str | None, before: int | None, limit: int) -> Sequence[Delivery]: ...
    def attempts(self, delivery: int) -> Sequence[Attempt]: ...  # in order
    # the same of each that was tried
    def tries(self, deliveries: Collection[int]) -> Mapping[int, Sequence[Attempt]]: ...
    # by target: what was given up since the target last got anything, and what was tried, is
    # older than *before* and still pending
    def undelivered(self, before: datetime) -> Sequence[Undelivered]: ...
    # messages older than that which are delivered or given up, with their deliveries
    def expire(self, before: datetime) -> None: ...


class Alerts(Protocol):
    """Alerts, open and resolved."""

    def open(self, alert: Alert) -> bool: ...  # False, and nothing, if one like it is open
    def get(self, alert_id: str) -> Alert: ...  # NotFoundError
    def unresolved(self, app: str | None = None) -> Sequence[Alert]: ...  # oldest first
    # the same, each with the message that opened it, unless that is gone
    def told(self, app: str | None = None) -> Sequence[tuple[Alert, Message | None]]: ...
    def acknowledge(self, alert_id: str, by: str, at: datetime) -> None: ...  # the first one counts
    def escalate(self, alert_id: str, at: datetime) -> None: ...
    def resolve(self, alert_id: str, at: datetime) -> None: ...
    def expire(self, before: datetime) -> None: ...  # those resolved before


# --- delivering --------------------------------------------------------------------------


class UndeliveredError(Exception):
    """A target did not take a message. ``why`` holds no secret, and nothing the target chose.

    ``retry_seconds``: how long the target wants not to be asked.
    """

    def __init__(
        self, why: str, *, status: int | None = None, retry_seconds: float | None = None
    ) -> None:
        super().__init__(why)
        self.why = why
        self.status = status
        self.retry_seconds = retry_seconds


class Notifier(Protocol):
    """What brings a message to one target."""

    # returns the receiver's status; raises UndeliveredError
    def send(self, message: Message, now: datetime) -> int: ...

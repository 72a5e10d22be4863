"""Alerts: opened once by a message that pages, acknowledged by people, ended by another message."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from update_server.service.notices.server_announcements import resolved
from update_server.service.ports import NotFoundError, Stores
from update_server.service.ports.outbox import Alert, Level, Message

RESOLVED = "serinus.alert.resolved"


class Reason(StrEnum):
    """Why there is an alert. Of targets that get nothing each has its own: ``undelivered:NAME``."""

    PAUSED = "paused"
    PULLED = "pulled"
    HELD = "held"
    ADVISED = "advised"
    SUSPENDED = "suspended"
    NO_VERDICT = "no_verdict"
    SILENT = "telemetry_silent"
    METADATA = "metadata_not_refreshed"
    UNDELIVERED = "undelivered"


def name_of(kind: str, *parts: object) -> str:
    """Return a name that whoever says the same again gives alike: ``msg_`` and 24 hex digits."""
    told = "\0".join(map(str, parts))
    return f"{kind}_{hashlib.sha256(told.encode()).hexdigest()[:24]}"


def page(stores: Stores, message: Message, reason: str) -> bool:
    """Send *message* with an alert, unless one for this reason is open; return whether it was."""
    alert = Alert(
        id=name_of("al", message.id),
        app=message.app,
        rollout=message.rollout,
        ring=message.ring,
        reason=reason,
        message=message.id,
        opened_at=message.at,
    )
    if not stores.alerts.open(alert):
        return False
    stores.outbox.add(replace(message, level=Level.PAGES, alert=alert.id))
    return True


def open_about(stores: Stores, app: str, rollout: str) -> Sequence[Alert]:
    """Return the open alerts about a rollout."""
    return [each for each in stores.alerts.unresolved(app) if each.rollout == rollout]


def acknowledge(
    stores: Stores, app: str, rollout: str, by: str, at: datetime, reason: str = ""
) -> bool:
    """Note that a person knows of a rollout's alerts; return whether there was any to know of.

    The audit log says so, too, and what they said of it.
    """
    unseen = [each for each in open_about(stores, app, rollout) if each.acknowledged_at is None]
    for alert in unseen:
        stores.alerts.acknowledge(alert.id, by, at)
        stores.audit.append(
            at=at, actor=by, action="alert.acknowledge", app=app, subject=rollout, reason=reason
        )
    return bool(unseen)


def end_with(stores: Stores, message: Message, alerts: Iterable[Alert]) -> Message:
    """End *alerts*; return *message* as the one that says so to whoever was told of them."""
    ended = tuple(alerts)
    for alert in ended:
        stores.alerts.resolve(alert.id, message.at)
    return replace(message, resolves=tuple(alert.id for alert in ended))


def end(
    stores: Stores, alert: Alert, at: datetime, *, by: str | None = None, channel: str = ""
) -> None:
    """End *alert* and say so in a message of its own."""
    try:
        opening = stores.outbox.get(alert.message)
    except NotFoundError:  # expired long ago; there is nothing to refer to
        stores.alerts.resolve(alert.id, at)
        return
    said = resolved(
        opening.subject,
        opening.app or "serinus",
        channel or opening.channel,
        at,
        lasted_seconds=(at - alert.opened_at).total_seconds(),
        by=by,
    )
    message = replace(
        opening,
        id=name_of("msg", alert.id, "resolved"),
        at=at,
        type=RESOLVED,
        level=Level.INFORMS,
        subject=said.subject,
        text=said.text,
        sentence=said.sentence,
        actor=by or "serinus",
        decision=None,
        alert="",
    )
    stores.outbox.add(end_with(stores, message, [alert]))

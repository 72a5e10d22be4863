"""Watching the server itself: metadata that nobody renews, and messages that reach nobody.

Level-triggered: what is so opens an alert, and what is so no more ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from signing.roles import TIMESTAMP_EXPIRES
from update_server.service.access.caller import AUTOMATIC
from update_server.service.notices import server_announcements
from update_server.service.notices.alerting import Reason, end, name_of, page
from update_server.service.notices.message_text import Said
from update_server.service.ports import Clock, Database, JournalRow, NotFoundError, Stores
from update_server.service.ports.outbox import Level, Message, Undelivered

NOT_RENEWED_AFTER: Final = timedelta(hours=3)
"""Metadata is renewed each hour: three times in a row it was not."""

UNDELIVERED_AFTER: Final = timedelta(minutes=15)
"""How long a message may be on its way before others are told that it does not arrive."""

KEEP_MESSAGES: Final = timedelta(days=90)

_Finding = Callable[[Stores, datetime], None]


class ServerWatch:
    """Looks, and opens and ends alerts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def look(self) -> None:
        """Look once. It writes only where something has changed."""
        now = self._clock.now()
        with self._database.reading() as stores:
            changes = [*_changes(stores, _not_renewed(stores, now), Reason.METADATA)]
            changes += _changes(stores, _undelivered(stores, now), Reason.UNDELIVERED)
        if not changes:
            return
        with self._database.transaction() as stores:
            for change in changes:
                change(stores, now)

    def expire(self) -> None:
        """Delete messages and alerts that were over long ago."""
        before = self._clock.now() - KEEP_MESSAGES
        with self._database.transaction() as stores:
            stores.outbox.expire(before)
            stores.alerts.expire(before)


def undelivered_now(stores: Stores, now: datetime) -> tuple[Undelivered, ...]:
    """Return the targets that messages do not reach."""
    return tuple(stores.outbox.undelivered(now - UNDELIVERED_AFTER))


def _changes(stores: Stores, found: Mapping[str, _Finding], reason: Reason) -> list[_Finding]:
    """Return what opens an alert for each key of *found*, and what ends those of other keys.

    Keys are what follows the reason in an alert's, or its app.
    """
    known = {
        _key(each.app, each.reason): each
        for each in stores.alerts.unresolved()
        if each.reason.partition(":")[0] == reason
    }
    opened = [change for key, change in found.items() if key not in known]
    over = [alert for key, alert in known.items() if key not in found]

    def ends(stores: Stores, now: datetime) -> None:
        for alert in over:
            end(stores, alert, now)

    return [*opened, ends] if over else opened


def _key(app: str, reason: str) -> str:
    return reason.partition(":")[2] or app


def _not_renewed(stores: Stores, now: datetime) -> dict[str, _Finding]:
    found: dict[str, _Finding] = {}
    for app in stores.apps.all():
        if not app.registered:
            continue
        try:
            newest = stores.journal.newest(app.name)
        except NotFoundError:
            continue
        if now - newest.created_at >= NOT_RENEWED_AFTER:
            found[app.name] = _tell_not_renewed(app.name, newest)
    return found


def _tell_not_renewed(app: str, newest: JournalRow) -> _Finding:
    def tell(stores: Stores, now: datetime) -> None:
        expires_at = newest.created_at + TIMESTAMP_EXPIRES
        said = server_announcements.not_refreshed(app, now, newest.created_at, expires_at)
        page(stores, _message(said, Reason.METADATA, now, app=app), Reason.METADATA)

    return tell


def _undelivered(stores: Stores, now: datetime) -> dict[str, _Finding]:
    return {each.target: _tell_undelivered(each) for each in undelivered_now(stores, now)}


def _tell_undelivered(found: Undelivered) -> _Finding:
    def tell(stores: Stores, now: datetime) -> None:
        said = server_announcements.undelivered(
            found.target, now, found.messages, found.since, found.error
        )
        message = _message(said, Reason.UNDELIVERED, now, not_to=found.target)
        page(stores, message, f"{Reason.UNDELIVERED}:{found.target}")

    return tell


def _message(
    said: Said, reason: Reason, now: datetime, *, app: str = "", not_to: str = ""
) -> Message:
    return Message(
        id=name_of("msg", reason, app, not_to, now.isoformat()),
        at=now,
        type=f"serinus.alert.{reason}",
        level=Level.PAGES,
        subject=said.subject,
        text=said.text,
        sentence=said.sentence,
        app=app,
        actor=AUTOMATIC.name,
        not_to=not_to,
    )

"""What everybody may read of an app's rollouts, where its operators say so.

Whoever changed something, and why, is the operators' own business: of what people did only the
change itself is told; of what the server did by itself, on what evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from update_server.evidence.words import ring
from update_server.service.access.caller import AUTOMATIC
from update_server.service.agents.table import Tables
from update_server.service.errors import NoFileError
from update_server.service.notices.plain_text import plain
from update_server.service.ports import Clock, Database
from update_server.service.ports.outbox import Message

MOST_ENTRIES: Final = 50
KEPT_SECONDS: Final = 10.0
_LOOKED_AT: Final = 100
_LONGEST: Final = 800
_CHANGE: Final = "serinus.rollout."


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change of a rollout. ``id`` is its message's; ``evidence`` is empty where there is none.

    ``kind`` is what happened: ``paused``, ``promoted`` and so on.
    """

    id: str
    at: datetime
    kind: str
    title: str
    evidence: str


class Feed:
    """Answers from the database, and not from tables: nobody's update waits for it.

    It is asked at most once in ``KEPT_SECONDS`` for each app, however often others ask.
    """

    def __init__(self, tables: Tables, database: Database, clock: Clock) -> None:
        self._tables = tables
        self._database = database
        self._clock = clock
        self._kept: dict[str, tuple[float, Sequence[Entry]]] = {}

    def entries(self, app: str) -> Sequence[Entry]:
        """Return what became of the rollouts of *app*, newest first.

        Raises:
            NotReadyError, UnknownAppError: As ``Tables.of``.
            NoFileError: Its operators have not said that everybody may read it.
        """
        if not self._tables.of(app).table.settings.atom:
            raise NoFileError
        now = self._clock.monotonic()
        kept = self._kept.get(app)
        if kept is not None and now - kept[0] < KEPT_SECONDS:
            return kept[1]
        with self._database.reading() as stores:
            messages = stores.outbox.about(app, _LOOKED_AT)
        changes = [_entry(each) for each in messages if each.type.startswith(_CHANGE)]
        self._kept[app] = (now, changes[:MOST_ENTRIES])
        return changes[:MOST_ENTRIES]


def _entry(message: Message) -> Entry:
    kind = message.type.removeprefix(_CHANGE)
    where = ring(message.ring)
    what = kind.replace("_", " ").capitalize()
    return Entry(
        id=message.id,
        at=message.at,
        kind=kind,
        title=plain(f"{what}: {message.version} on {message.channel}, ring {where}", _LONGEST),
        evidence=plain(message.sentence, _LONGEST) if message.actor == AUTOMATIC.name else "",
    )

"""One request with crash reports while it is taken in: what becomes of each report in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from rollout.errors import BadNameError
from rollout.names import check_install_id
from update_server.service.agents.pseudonyms import install_key, reporter_key
from update_server.service.agents.table import AppTable
from update_server.service.agents.tokens import Bearer
from update_server.service.crashes.limits import Kind, ReportLimits
from update_server.service.crashes.versions import attribute
from update_server.service.ports import Event
from update_server.service.telemetry.ingest import happened_at

SOURCE: Final = "sdk"
MARKED: Final = frozenset({"crash", "error"})
"""Kinds of which a mark is kept when their details are shed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Whose report it is: an install's by its token, or anybody's with the key of the app."""

    table: AppTable
    bearer: Bearer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """When and from where it came. ``at_seconds`` is ``at`` on the monotonic clock.

    ``sent_at`` is the install's clock when it sent it, ``network`` a pseudonym, empty for none.
    """

    at: datetime
    at_seconds: float
    network: bytes
    sent_at: datetime | None = None


@dataclass(slots=True)
class Arrival:
    """What of one request is kept (``events``), refused and how often, and shed."""

    sender: Sender
    received: Received
    pepper: bytes
    limits: ReportLimits
    events: list[Event] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    shed: set[Kind] = field(default_factory=set)

    def event(
        self, kind: str, event_id: str, told: Sequence[str], user: str, at: datetime | None
    ) -> Event | None:
        """Return an event without details, of whom *user* names, about the releases *told*.

        None when it happened too long ago, which is counted. *at* None: when it came.
        """
        received, sent_at = self.received.at, self.received.sent_at
        happened = received
        if at is not None:
            found = happened_at(at, received_at=received, sent_at=sent_at)
            if found is None:
                self.refused["too_old"] += 1
                return None
            happened = found
        about = attribute(self.sender.table, [text for text in told if text], self.sender.bearer)
        key, body = self._who(user)
        return Event(
            app=self.sender.table.name,
            install_key=key,
            id=event_id,
            at=happened,
            received_at=received,
            kind=kind,
            version=about.version,
            source=SOURCE,
            channel=about.channel,
            platform=about.platform,
            quarantine=about.quarantine,
            body=body,
        )

    def take(self, limited: Kind, event: Event, details: Mapping[str, Any]) -> None:
        """Keep *event* with *details* if there is room in the limits of its kind.

        What is shed costs its details and not the count: a mark is kept, up to a limit of its own.
        """
        if self.admits(limited, event):
            self.events.append(replace(event, body={**event.body, **details}))
        elif details.get("status") == "crashed":
            self.leave_mark(replace(event, kind="crash"))
        else:
            self.leave_mark(event)

    def admits(self, limited: Kind, event: Event) -> bool:
        """Take one from the limits, and remember it when there was none."""
        network = self.received.network
        reporter = str(event.body.get("reporter", "")).encode()
        admitted = self.limits.admits(
            limited,
            install=event.app.encode() + b"\0" + (event.install_key or reporter or network),
            network=network,
            now=self.received.at_seconds,
        )
        if not admitted:
            self.shed.add(limited)
        return admitted

    def leave_mark(self, event: Event) -> None:
        """Keep that it happened: of a crash or an error, not of more sessions than can be."""
        if event.kind in MARKED and self.admits(Kind.MARK, event):
            self.events.append(event)
        else:
            self.refused["limited"] += 1

    def _who(self, user: str) -> tuple[bytes, Mapping[str, str]]:
        """Return the key of the install, or what there is of one; and what tells others apart."""
        app = self.sender.table.name
        if self.sender.bearer is not None:
            return self.sender.bearer.tag, {}
        try:
            return install_key(self.pepper, app, check_install_id(user.lower())), {}
        except BadNameError:
            reporter = reporter_key(self.pepper, app, user).hex()
            return b"", {"reporter": reporter} if user else {}

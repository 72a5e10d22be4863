"""Whose a report is: what names an install in part, or calls itself one, is looked up.

Tokens of crash SDKs hold the first bytes of an install's key. Who has but the key of the app may
say which install it is; that counts if it is one that has checked in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from update_server.service.agents.tokens import TAG_BYTES
from update_server.service.crashes.arrival import SOURCE
from update_server.service.ports import Contact, Event, SeenInstall, Stores

REPORTER: Final = "reporter"
"""The field of a body that tells apart who is no install of ours: hex digits."""

_Found = Mapping[tuple[str, bytes], SeenInstall]
_REPORTS: Final = frozenset({"session", "crash", "error", "sessions", "discards", "minidump"})


def with_senders(
    stores: Stores, contacts: Sequence[Contact], events: Sequence[Event]
) -> list[Event]:
    """Return *events* with the whole keys of the installs that sent them.

    What nobody is known to have sent has an empty key then. *contacts* were received with the
    events, and are not stored yet. Where no event has to be looked up, nothing is read.
    """
    asked: dict[str, set[bytes]] = {}
    for event in events:
        if _is_open(event):
            asked.setdefault(event.app, set()).add(event.install_key)
    if not asked:
        return list(events)
    found: dict[tuple[str, bytes], SeenInstall] = {}
    for app, keys in asked.items():
        found |= {(app, key): seen for key, seen in stores.telemetry.find(app, keys).items()}
    for contact in contacts:
        seen = SeenInstall(
            install_key=contact.install_key, channel=contact.channel, platform=contact.platform
        )
        found[contact.app, contact.install_key] = seen
        found[contact.app, contact.install_key[:TAG_BYTES]] = seen
    return [_known(event, found) if _is_open(event) else event for event in events]


def _is_open(event: Event) -> bool:
    """Return whether it has to be looked up whose *event* is."""
    is_report = event.source == SOURCE and event.kind in _REPORTS
    return len(event.install_key) == TAG_BYTES or (is_report and event.install_key != b"")


def _known(event: Event, found: _Found) -> Event:
    seen = found.get((event.app, event.install_key))
    if seen is None:
        # It still tells its senders apart; what is set aside is kept as it is, and without.
        reporter = {REPORTER: event.install_key[:TAG_BYTES].hex()}
        body = event.body if event.quarantine else {**event.body, **reporter}
        return replace(event, install_key=b"", body=body)
    return replace(
        event,
        install_key=seen.install_key,
        channel=event.channel or seen.channel,
        platform=event.platform or seen.platform,
    )

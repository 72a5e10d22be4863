"""A report with its place: the version it is about, by which key, and where the install stood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from packaging.version import Version

from update_server.service.agents.pseudonyms import report_key
from update_server.service.crashes.released import ReleasedVersions
from update_server.service.crashes.senders import REPORTER
from update_server.service.ports import Event, Stores
from update_server.service.ports.crashes import UNATTRIBUTED, UNPUBLISHED, Cell, Standing

_NOWHERE: Final = Cell(arm=UNATTRIBUTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One report. ``version`` is spelled as its release is, or ``UNPUBLISHED``.

    ``sender`` is the key of the install, or what else tells senders apart; it may be empty.
    ``report_key`` is the pseudonym made of it, empty with it.
    """

    event: Event
    version: str
    sender: bytes
    report_key: bytes
    cell: Cell

    @property
    def is_attributed(self) -> bool:
        """Whether an install that has checked in sent it."""
        return self.event.install_key != b""


def hour_of(at: datetime) -> datetime:
    """Return *at* as tables with report keys have it.

    Other tables have the same crash to the microsecond, beside the install's key.
    """
    return at.replace(minute=0, second=0, microsecond=0)


def placed(
    stores: Stores, released: ReleasedVersions, pepper: bytes, events: Sequence[Event]
) -> list[Placed]:
    """Return *events* with their places.

    Versions that nobody published are one: anybody may tell of any number of them.
    """
    spelled = released.spelled(stores, ((event.app, event.version) for event in events))
    standings = _standings(stores, events)
    found: list[Placed] = []
    for event in events:
        version = spelled.get((event.app, event.version), UNPUBLISHED)
        sender = event.install_key or _reporter(event)
        found.append(
            Placed(
                event=event,
                version=version,
                sender=sender,
                report_key=report_key(pepper, event.app, version, sender) if sender else b"",
                cell=cell_of(
                    standings.get((event.app, event.install_key), ()), version, event.channel
                )
                if event.install_key
                else _NOWHERE,
            )
        )
    return found


def cell_of(standings: Sequence[Standing], version: str, channel: str | None) -> Cell:
    """Return where an install stands that tells of *version*.

    That is in the live rollout of the version; else in the newest live one, where it may be a
    control; else in the newest of the version. *standings* are the install's, the newest first.
    """
    here = [one for one in standings if channel in {None, one.channel}]
    about = None if version == UNPUBLISHED else Version(version)
    ranked = sorted(here, key=lambda one: (not one.live, one.version != about))  # stable
    for one in ranked:
        if one.live or one.version == about:
            return Cell(rollout=one.rollout, ring=one.ring, arm=one.arm)
    return Cell()


def _standings(
    stores: Stores, events: Sequence[Event]
) -> Mapping[tuple[str, bytes], Sequence[Standing]]:
    installs: dict[str, set[bytes]] = {}
    for event in events:
        if event.install_key:
            installs.setdefault(event.app, set()).add(event.install_key)
    return {
        (app, install): standings
        for app, keys in installs.items()
        for install, standings in stores.crashes.standings(app, keys).items()
    }


def _reporter(event: Event) -> bytes:
    try:
        return bytes.fromhex(event.body.get(REPORTER, ""))
    except (TypeError, ValueError):
        return b""

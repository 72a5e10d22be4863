"""What a crash event says of its signature, and whether that is new to a release.

Known is what was seen before the release was published, so a signature that both arms begin to
show stays new for all of the study. The word must not depend on who crashed.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

from packaging.version import Version

from rollout.versions import render_version
from update_server.crashes.own_events import report_of
from update_server.crashes.report import CrashReport
from update_server.crashes.signature import Signature
from update_server.crashes.signature import signature_of as _signature_of
from update_server.service.ports import Event, Stores
from update_server.service.ports.crashes import Alias

PREDECESSORS: Final = 3
"""Versions before a release on which a signature stays known, however long ago it was seen."""


def signature_of(event: Event) -> Signature | None:
    """Return the signature of a crash; None when *event* is none, or says nothing about it."""
    told = told_by(event) if event.kind == "crash" else None
    return None if told is None else told[1]


def told_by(event: Event) -> tuple[CrashReport, Signature] | None:
    """Return what a crash or a handled error says, and its signature; None if it says nothing."""
    report = report_of(event.body)
    return None if report is None else (report, _signature_of(report))


def is_new(known: Collection[str], signature: Signature) -> bool:
    """Return whether a signature was unknown when the release was published."""
    return signature.comparable not in known


def known_signatures(
    stores: Stores, app: str, channel: str, version: Version, published_at: datetime
) -> frozenset[str]:
    """Return the comparable keys that were known when *version* was published.

    With them those that an operator had called the same by then. It is the same at any later
    time, so it may be asked for once.
    """
    released = {each.version for each in stores.releases.all(app) if each.channel == channel}
    versions = predecessors(released, version)
    known = stores.signatures.known(
        app, channel, versions=[render_version(v) for v in versions], published_at=published_at
    )
    aliases = [one for one in stores.crashes.aliases(app) if one.at < published_at]
    return known | _same(aliases, known)


def _same(aliases: Sequence[Alias], known: Collection[str]) -> frozenset[str]:
    """Return the signatures that are the same as one that is *known*."""
    bugs: dict[str, set[str]] = {}
    for one in aliases:
        bugs.setdefault(one.same_as, {one.same_as}).add(one.signature)
    return frozenset(name for bug in bugs.values() if bug & set(known) for name in bug)


def predecessors(released: Iterable[Version], version: Version) -> Sequence[Version]:
    """Return the last versions before *version*, newest first."""
    return heapq.nlargest(PREDECESSORS, (each for each in released if each < version))

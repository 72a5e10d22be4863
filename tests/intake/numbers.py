"""What is counted of an app's reports, in one value that tests compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeVar

from update_server.service.ports import Stores
from update_server.service.ports.crashes import UNTOLD
from update_server.service.telemetry.counting import DISCARDED, QUARANTINED, REJECTED

Places = dict[tuple[str, str, str], int]
Ended = dict[tuple[str, str, str, str], int]

K = TypeVar("K", bound=Hashable)

# Counters that say something about reports; the others count check-ins and kinds.
_TELLING = frozenset({DISCARDED, QUARANTINED, REJECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What is shown of an app. Empty where nothing was reported.

    ``sessions``: by version, arm, source and status. ``crashes``, ``errors``: reports by version,
    arm and type, which is ``none`` for crashes that sessions tell, and for reports without details.
    ``crashed``: installs by version and arm. ``counters``: what was counted without a place, by
    name and labels.
    """

    sessions: Ended = field(default_factory=dict)
    crashes: Places = field(default_factory=dict)
    errors: Places = field(default_factory=dict)
    crashed: dict[tuple[str, str], int] = field(default_factory=dict)
    counters: dict[tuple[str, ...], int] = field(default_factory=dict)

    def since(self, before: Numbers) -> Numbers:
        """Return what has been added to what was counted *before*."""
        return Numbers(
            sessions=_added(self.sessions, before.sessions),
            crashes=_added(self.crashes, before.crashes),
            errors=_added(self.errors, before.errors),
            crashed=_added(self.crashed, before.crashed),
            counters=_added(self.counters, before.counters),
        )


def numbers_in(stores: Stores, app: str) -> Numbers:
    """Return what is counted of *app*."""
    sessions: Counter[tuple[str, str, str, str]] = Counter()
    for one in stores.sessions.hours(app):
        sessions[one.version, str(one.cell.arm), one.source, one.status] += one.sessions
    return Numbers(
        sessions=dict(+sessions),
        crashes=_reports(stores, app, handled=False),
        errors=_reports(stores, app, handled=True),
        crashed={(one.version, str(one.arm)): one.installs for one in stores.crashes.crashed(app)},
        counters={
            (one.name, *(value for _, value in one.labels)): one.by
            for one in stores.counters.all(app)
            if one.name in _TELLING
        },
    )


def signatures_in(stores: Stores, app: str) -> set[str]:
    """Return the signatures of all reports of *app*."""
    return {one.signature for one in stores.crashes.counts(app)} - {UNTOLD}


def _reports(stores: Stores, app: str, *, handled: bool) -> Places:
    counts = [one for one in stores.crashes.counts(app) if one.handled is handled]
    groups = stores.crashes.groups(app, [one.signature for one in counts])
    found: Counter[tuple[str, str, str]] = Counter()
    for one in counts:
        title = groups[one.signature].title if one.signature in groups else one.signature
        found[one.version, str(one.arm), title.partition(" in ")[0]] += one.reports
    return dict(found)


def _added(after: dict[K, int], before: dict[K, int]) -> dict[K, int]:
    """Return by how much each number grew, without those that did not."""
    return {key: by for key, number in after.items() if (by := number - before.get(key, 0))}

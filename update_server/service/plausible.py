"""Which reports cannot be what they say: rules that look at a report, and never at an arm.

A rule that hits one arm more than the other takes evidence away (docs/evidence.md, Set aside), so
each of them lets through whatever an honest install may send in either arm.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from typing import Final

from packaging.version import Version

from update_server.evidence.facts import Rule
from update_server.service.table import AppTable
from update_server.service.tokens import InstallToken

MOST_LAUNCHES_PER_HOUR: Final = 200
"""More starts of an app within an hour are no person's."""

ENDED_BADLY: Final = frozenset({"crashed", "abnormal"})
"""Ends of sessions after which whatever watches over the app starts it again at once."""

_HOUR_SECONDS: Final = 3_600
# Up to 500 bytes each: 10 MB.
_MOST_REMEMBERED: Final = 20_000


def why_not(table: AppTable, token: InstallToken, version: Version | None) -> Rule | None:
    """Return why an install with *token* cannot have run *version*; None if it can have.

    *version* None is none at all, which is set aside.

    A version that is not newer than both of the token's passes: a crash is often told by the next
    version, and a version that failed is left for the one before. What is newer was never offered.
    Where the token cannot name what ran, everything passes: fleets that begin with Serinus run
    versions that were never published here, and controls go on to.
    """
    if version is None:
        return Rule.UNKNOWN_VERSION
    running = table.by_number.get(token.running)
    if running is None:
        return None
    if not is_published(table, version):
        return Rule.UNKNOWN_VERSION
    assigned = table.by_number.get(token.assigned)
    if token.assigned and assigned is None:  # of a release that this process has not read yet
        return None
    newest = max(running.version, assigned.version) if assigned else running.version
    return Rule.VERSION_NOT_IN_TOKEN if version > newest else None


def is_published(table: AppTable, version: Version) -> bool:
    """Whether there is a release of this version, on any channel and platform."""
    return any(version in releases for releases in table.releases.values())


class Launches:
    """Starts of each install by the hour in which they were, as one process heard of them.

    A start that is told twice counts once. When there are too many to remember, those of the
    installs that were heard of longest ago are forgotten, and may begin anew.
    """

    def __init__(self, remembered: int = _MOST_REMEMBERED) -> None:
        self._room = remembered
        self._starts: OrderedDict[tuple[bytes, int], set[int]] = OrderedDict()
        self._lock = threading.Lock()

    def is_plausible(self, install: bytes, started_at: datetime, name: str) -> bool:
        """Note the start called *name*; return whether so many are possible in that hour."""
        key = install, int(started_at.timestamp()) // _HOUR_SECONDS
        start = hash(name)
        with self._lock:
            starts = self._starts.setdefault(key, set())
            self._starts.move_to_end(key)
            if start in starts:
                return True
            if len(starts) >= MOST_LAUNCHES_PER_HOUR:
                return False
            starts.add(start)
            self._room -= 1
            while self._room < 0:
                _, forgotten = self._starts.popitem(last=False)
                self._room += len(forgotten)
        return True

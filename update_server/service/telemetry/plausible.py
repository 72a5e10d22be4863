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
from update_server.service.agents.table import AppTable
from update_server.service.agents.tokens import InstallToken

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

    A version passes that is not newer than all that is published where the token says that the
    install belongs. So it may be one from before the token, for a crash is often told by the next
    version, and a version that failed is left for the one before; and one from after it, for who
    updates by hand tells of the new version before checking in. What the token assigns is not
    looked at: it is what the arms differ in. Where the token cannot name what ran, everything
    passes: fleets that begin with Serinus run versions that were never published here, and
    controls go on to.
    """
    if version is None:
        return Rule.UNKNOWN_VERSION
    running = table.by_number.get(token.running)
    if running is None:
        return None
    if not is_published(table, version):
        return Rule.UNKNOWN_VERSION
    newest = max(table.releases[running.channel, running.platform])
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

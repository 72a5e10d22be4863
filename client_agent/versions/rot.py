"""Whether the version that starts is still whole: files go missing, and scanners take some away.

A version that is not is told and decided about like one that is not there: it comes anew, in full,
beside what is left of it. Names and sizes are looked at, once a day; what rots inside of a file is
noticed where whole trees are hashed, before one is armed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from client_agent.clock import Clock
from client_agent.launcher import check_tree
from client_agent.values import InstalledVersion
from client_agent.versions.install import Installation, plain_name

LOOK_EVERY = timedelta(days=1)


class Rot:
    """What is known of the current version of one ROOT."""

    def __init__(self, installation: Installation, clock: Clock) -> None:
        self._installation = installation
        self._clock = clock
        self._looked: tuple[str, datetime, bool] | None = None

    def is_in(self, current: InstalledVersion | None) -> bool:
        """Return whether files of *current* are missing, or have other sizes than they should."""
        if current is None:
            return False
        now, looked = self._clock.now(), self._looked
        known = looked is not None and looked[0] == current.directory
        if looked is not None and known and abs(now - looked[1]) < LOOK_EVERY:
            return looked[2]
        is_rotten = self._is_rotten(current)
        self._looked = current.directory, now, is_rotten
        return is_rotten

    def _is_rotten(self, current: InstalledVersion) -> bool:
        folder = str(self._installation.path_of(current))
        try:
            check_tree(folder, {"digest": current.manifest_sha256}, full=False)
        except (OSError, ValueError):
            return True
        return False


def is_repair(current: InstalledVersion) -> bool:
    """Return whether *current* has been made anew before. Damaged once more, it is left alone.

    An app that writes to its own files, or a scanner that takes them, would have it fetched and
    started anew every day.
    """
    return current.directory != plain_name(current.version, current.manifest_sha256)

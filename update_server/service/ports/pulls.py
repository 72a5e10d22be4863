"""What became of the installs of a pulled release: what stores count, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from packaging.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class PullCounts:
    """Distinct installs of a pulled release's channel.

    ``offered`` >= ``downloaded`` >= ``installed`` = ``replaced`` + ``still_on`` +
    ``unreachable``, always: who is known to have come further has come this far.

    ``installed`` told that they applied or launched it, or checked in with it. Of these
    ``replaced`` were seen on another version, or told that they went back, since;
    ``rolled_back`` of them on the replacement. The rest were last seen on the release:
    ``still_on`` were heard from since the pull, ``unreachable`` were not.
    """

    offered: int = 0
    downloaded: int = 0
    installed: int = 0
    replaced: int = 0
    rolled_back: int = 0
    still_on: int = 0
    unreachable: int = 0

    def __add__(self, other: PullCounts) -> PullCounts:
        """Return both together; no install may be in both."""
        names = [field.name for field in fields(self)]
        return PullCounts(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPlan:
    """Where a pull sends its installs (None: they stay on it), and how many are there.

    They were counted at ``counted_at``; both are None until they are.
    """

    replacement: Version | None
    counts: PullCounts | None
    counted_at: datetime | None

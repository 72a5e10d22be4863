"""Which crash signatures were seen, on which versions and when. See ``ports`` for the rules.

Signatures of one version are kept as *runs*: a sighting less than ``LOOK_BACK`` after the last
one extends its run, a later one begins another. So what was known at a past instant stays the
same whatever is noted afterwards, and no row holds an install.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

LOOK_BACK: Final = timedelta(days=30)
"""How long a signature of whatever version stays known."""

MAX_NEW_A_DAY: Final = 200
"""Runs that one version may begin in one UTC day; what begins later goes to ``OTHER``."""

OTHER: Final = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A crash with a signature. ``at`` is when it was received; ``title`` names nobody.

    ``channel`` is empty for what is only shown: it is known on no channel.
    """

    app: str
    channel: str
    version: str
    comparable: str
    title: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Sightings of one signature on one version, each less than ``LOOK_BACK`` after another."""

    channel: str
    version: str
    comparable: str
    first_at: datetime
    last_at: datetime


class Signatures(Protocol):
    """Sightings of crash signatures, noted by the digest alone."""

    # returns under which name each is kept: its own, or OTHER
    def note(self, sightings: Sequence[Sighting]) -> Sequence[str]: ...
    # those that were seen on one of *versions* before *published_at*, or on any version within
    # LOOK_BACK before it; what is noted with a later ``at`` changes nothing
    def known(
        self, app: str, channel: str, *, versions: Sequence[str], published_at: datetime
    ) -> frozenset[str]: ...
    # of these signatures, on all versions of these channels
    def runs(
        self, app: str, channels: Collection[str], comparables: Collection[str]
    ) -> Sequence[Run]: ...
    # the title first noted of each; unknown ones are not in it
    def titles(self, app: str, channel: str, comparables: Iterable[str]) -> Mapping[str, str]: ...
    def expire(self, *, seen_before: datetime) -> None: ...  # runs that ended before

"""Crash reports, their groups and samples, and sessions, as they are stored and counted.

Rows name installs by *report keys* (``pseudonyms.report_key``), which tell installs apart within
a release and cannot be linked across releases. All is written by the digest alone, but aliases.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Protocol

from packaging.version import Version

from rollout.model import RolloutId

UNATTRIBUTED: Final = "unattributed"
"""The arm of what no known install told. It is shown, and never evidence."""

AGGREGATE: Final = "aggregate"
"""The arm of sessions that were counted before they were told: any number in one post."""

UNPUBLISHED: Final = "unpublished"
"""Stands for all versions that nobody published here, such as those before the first rollout."""

UNTOLD: Final = "none"
"""The signature of crashes that nobody named: of sessions, and of reports without details."""

FIRST_SAMPLES: Final = 3
NEWEST_SAMPLES: Final = 3

STATUSES: Final = ("ok", "exited", "errored", "abnormal", "crashed")
"""How a session stands. Of two states of one session the later one here is true."""

LAUNCH: Final = "launch"
SDK: Final = "sdk"
SOURCES: Final = (LAUNCH, SDK)
"""Who told of a session: our launcher or agent, or an SDK in the app.

An app that has both tells of each start twice, so numbers of the two are never added.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Where an install stood: in a rollout, its ring and arm; all empty when not known."""

    rollout: str = ""
    ring: str = ""
    arm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an install takes part in one rollout. ``live``: it is active or paused."""

    rollout: RolloutId
    channel: str
    version: Version
    live: bool
    ring: str
    arm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """One crash of one install, or an error that its app handled.

    ``report_key`` is empty where nothing tells one sender from another. ``at``: when it happened.
    """

    app: str
    version: str
    signature: str
    report_key: bytes
    at: datetime
    cell: Cell
    handled: bool = False
    channel: str = ""
    platform: str = ""
    os: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashGroup:
    """What a signature is about. ``key``, ``title`` and ``parts`` are those first seen of it.

    ``signature`` is the comparable key; ``kind`` is what wrote the frames.
    """

    app: str
    signature: str
    key: str
    family: str
    title: str
    parts: tuple[str, ...]
    kind: str
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One report as it came, but for what is not kept. ``id`` is the event's."""

    app: str
    version: str
    signature: str
    report_key: bytes
    id: str
    at: datetime
    handled: bool = False
    body: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """An operator says that ``signature`` is the same bug as ``same_as``."""

    app: str
    signature: str
    same_as: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashCount:
    """How many distinct installs and reports of a group there are in one place.

    ``version``, ``platform`` and ``os`` are empty where they are not told apart.
    """

    signature: str
    version: str
    arm: str
    handled: bool
    installs: int
    reports: int
    first_at: datetime
    last_at: datetime
    platform: str = ""
    os: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashTotal:
    """What the counts of a group add up to. Errors that were handled are ``errors`` alone.

    ``installs`` are counted once for each version and arm; ``counts`` is how many counts there are.
    """

    installs: int
    reports: int
    errors: int
    first_at: datetime
    last_at: datetime
    counts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashPlaces:
    """Where a group was seen: by platform and system, and in each of some rollouts."""

    places: Sequence[CrashCount]
    rollouts: Mapping[RolloutId, Sequence[CrashCount]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashedInstalls:
    """Distinct installs with a crashed session or a crash report; ``named``: with a signature."""

    version: str
    arm: str
    installs: int
    named: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of the installs and sessions of one version, ring and arm of a rollout.

    ``sessions``: by source, then by status.
    """

    version: str
    ring: str
    arm: str
    crashed_installs: int
    sessions: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """One state of one session.

    ``key`` is a pseudonym of the install's session, the same whatever version it tells.
    ``goes_on``: the session is known to have been told of before, and is no new one.
    """

    app: str
    key: bytes
    version: str
    report_key: bytes
    source: str
    status: str
    started_at: datetime
    received_at: datetime
    cell: Cell
    goes_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCount:
    """So many sessions, without anybody's name. ``hour`` is the one in which they started."""

    app: str
    version: str
    cell: Cell
    source: str
    status: str
    hour: datetime
    sessions: int


def kept_samples(samples: Collection[Sample]) -> list[Sample]:
    """Return those that are kept of the *samples* of one place: the first and the newest ones."""
    in_order = sorted(samples, key=lambda one: (one.at, one.id, one.report_key))
    first, rest = in_order[:FIRST_SAMPLES], in_order[FIRST_SAMPLES:]
    return [*first, *rest[-NEWEST_SAMPLES:]]


def after(known: SessionState | None, told: SessionState) -> SessionState:
    """Return a session of which *told* was told, after what was *known* of it.

    States may come in any order: the highest status is true, and the first version and source stay.
    """
    if known is None:
        return told
    return replace(
        known,
        status=max(known.status, told.status, key=STATUSES.index),
        started_at=min(known.started_at, told.started_at),
        received_at=max(known.received_at, told.received_at),
    )


class Crashes(Protocol):
    """Crash reports by install, and what is known of their signatures."""

    def standings(
        self, app: str, installs: Collection[bytes]
    ) -> Mapping[bytes, Sequence[Standing]]: ...  # newest rollout first; unknown ones are not in it
    def note(self, reports: Sequence[Reported]) -> None: ...
    def note_groups(self, groups: Sequence[CrashGroup]) -> None: ...
    def add_samples(self, samples: Sequence[Sample]) -> None: ...  # the first and the newest stay
    def forget(self, app: str, report_keys: Collection[bytes]) -> None: ...
    def expire(
        self, *, reports_before: datetime, samples_before: datetime, groups_before: datetime
    ) -> None: ...

    def put_alias(self, alias: Alias) -> None: ...  # instead of one of the same signature
    def aliases(self, app: str) -> Sequence[Alias]: ...  # by signature

    # counted under the signature that theirs is the same as; only of *signatures*, if told
    def counts(
        self,
        app: str,
        *,
        version: str | None = None,
        channel: str | None = None,
        signatures: Collection[str] | None = None,
    ) -> Sequence[CrashCount]: ...
    # of the same, for each of *signatures* the *most* that were seen last
    def last_counts(
        self,
        app: str,
        signatures: Collection[str],
        *,
        most: int,
        version: str | None = None,
        channel: str | None = None,
    ) -> Sequence[CrashCount]: ...
    # what all of the same add up to, by signature; what was never counted is not in it
    def totals(
        self,
        app: str,
        signatures: Collection[str],
        *,
        version: str | None = None,
        channel: str | None = None,
    ) -> Mapping[str, CrashTotal]: ...
    # the signatures that most installs crashed with, then those of most reports
    def worst(
        self,
        app: str,
        *,
        version: str | None = None,
        channel: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Sequence[str]: ...
    # of those who took part in each of *rollouts*, for every one that is asked for; versions are
    # not told apart, and an install that crashed on two is counted for both: nothing links the two
    def counts_of(
        self, rollouts: Collection[RolloutId]
    ) -> Mapping[RolloutId, Sequence[CrashCount]]: ...
    # the same of one signature of each rollout: but for those left out, the one that was seen first
    # most lately, of those that installs have which stand in one of *arms*; no counts if none is
    def newest_of(
        self, rollouts: Collection[RolloutId], *, arms: Collection[str], but: Collection[str]
    ) -> Mapping[RolloutId, Sequence[CrashCount]]: ...
    def places(self, app: str, signature: str) -> Sequence[CrashCount]: ...  # by platform and os
    # the same, and by version what those have who took part in each of these rollouts of *app*
    def places_and(
        self, app: str, signature: str, rollouts: Collection[RolloutId]
    ) -> CrashPlaces: ...
    def crashed(
        self, app: str, *, version: str | None = None, channel: str | None = None
    ) -> Sequence[CrashedInstalls]: ...
    def groups(self, app: str, signatures: Collection[str]) -> Mapping[str, CrashGroup]: ...
    # the titles of groups by app and signature; unknown ones are not in it
    def titles(self, names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], str]: ...
    def samples(self, app: str, signatures: Collection[str]) -> Sequence[Sample]: ...  # newest 1st
    def crashed_of(self, rollout: RolloutId) -> Sequence[Tally]: ...  # without sessions
    def tallies(
        self, rollouts: Collection[RolloutId]
    ) -> Mapping[RolloutId, Sequence[Tally]]: ...  # the same, for every one that is asked for


class Sessions(Protocol):
    """Sessions of the last days, and how many there were in each hour.

    The counts are right at any time: they change with each state that is noted.
    """

    # returns what each session is after its state, which has the version that was told first;
    # None where it goes on and nothing is known of it any more
    def note(self, states: Sequence[SessionState]) -> Sequence[SessionState | None]: ...
    def add(self, counts: Sequence[SessionCount]) -> None: ...
    def hours(self, app: str) -> Sequence[SessionCount]: ...  # none is 0
    def of_rollout(self, rollout: RolloutId) -> Sequence[Tally]: ...  # without crashed installs
    def tallies(
        self, rollouts: Collection[RolloutId]
    ) -> Mapping[RolloutId, Sequence[Tally]]: ...  # the same, for every one that is asked for
    def forget(self, app: str, report_keys: Collection[bytes]) -> None: ...  # counts stay
    def expire(self, *, sessions_before: datetime, hours_before: datetime) -> None: ...

"""The values of a rollout: what the signed documents say, and what an install is told.

Everything here is frozen and already valid: untrusted text becomes these values in
``rollout.documents`` or at the edge of a process, and nowhere else.

Not here: rules. Who gets what is ``rollout.decide``; legal changes are ``rollout.transitions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from packaging.version import Version

InstallId = NewType("InstallId", str)
"""A UUID of any version, 36 lower-case characters."""

RolloutId = NewType("RolloutId", str)
"""``ro_`` and 4 to 32 lower-case letters or digits."""

FULL_EXPOSURE_BP = 10_000


class Action(StrEnum):
    """What an install does about an assignment."""

    UPDATE = "update"
    STAY = "stay"
    ROLLBACK = "rollback"


class Reason(StrEnum):
    """Why an install was given its assignment."""

    IN_RING = "in_ring"
    MUST_REACH = "must_reach"
    ROLLED_BACK = "rolled_back"
    UP_TO_DATE = "up_to_date"
    OUTSIDE_RING = "outside_ring"
    HOLDBACK = "holdback"
    PAUSED = "paused"
    PULLED = "pulled"
    HELD = "held"
    NOT_ELIGIBLE = "not_eligible"
    THROTTLED = "throttled"
    NO_RELEASE = "no_release"
    STALE_SERVER = "stale_server"


class Detail(StrEnum):
    """Why a version may not run on an install (``Reason.NOT_ELIGIBLE``)."""

    NOT_SIGNED = "not_signed"
    REVOKED = "revoked"
    BELOW_FLOOR = "below_floor"
    MIN_VERSION = "min_version"
    MIN_OS = "min_os"
    NO_ROLLBACK_EDGE = "no_rollback_edge"
    AUDIENCE = "audience"


class RolloutState(StrEnum):
    """Where a rollout stands. ``SUPERSEDED`` never appears in a signed document."""

    ACTIVE = "active"
    PAUSED = "paused"
    PULLED = "pulled"
    COMPLETED = "completed"
    SUPERSEDED = "superseded"


OFFERED = frozenset({RolloutState.ACTIVE, RolloutState.COMPLETED})
"""The states in which a release is offered; the two decide alike."""


class Arm(StrEnum):
    """Which side of the comparison an install is on, for one rollout.

    ``INTERNAL`` installs chose to be first: they are not randomized and never compared.
    """

    CANDIDATE = "candidate"
    CONTROL = "control"
    INTERNAL = "internal"


# --- what the signed documents say -------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Which installs a ring or a hold is for. Every field that is not None must match.

    Values of a list are alternatives, but for ``os_version``, whose comparisons such as
    ``>=12`` must all hold. ``unknown`` is true when the document names a selector that this
    version does not know.
    """

    groups: tuple[str, ...] | None = None
    platform: tuple[str, ...] | None = None
    os_version: tuple[str, ...] | None = None
    locale: tuple[str, ...] | None = None
    country: tuple[str, ...] | None = None
    custom: Mapping[str, tuple[str, ...]] | None = None
    unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row of a ladder: a ring, or a further exposure of the same ring.

    ``exposure_bp`` is None for a ring of the policy's internal groups.
    """

    ring: str
    exposure_bp: int | None = None
    holdback_bp: int = 0
    soak_seconds: int = 0
    approvals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MustReach:
    """From ``after`` on, every install below ``version`` takes it, whatever else holds."""

    version: Version
    after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """What the server may do by itself."""

    pause: bool = True
    pull: bool = True
    rollback: bool = True
    max_rollbacks_per_day: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """How many distinct operators an escalation needs."""

    outside_ramp: int = 1
    resume_after_auto_pause: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The signed bounds of every decision on one channel.

    ``ceiling`` holds (age in seconds, exposure_bp) in ascending order of age; empty means
    no ceiling.
    """

    app: str
    channel: str
    issued: datetime
    floor: Version | None = None
    revoked: frozenset[Version] = frozenset()
    must_reach: tuple[MustReach, ...] = ()
    ceiling: tuple[tuple[int, int], ...] = ()
    internal_groups: tuple[str, ...] = ()
    ramp: tuple[Step, ...] = ()
    automatic: Automatic = field(default_factory=Automatic)
    approvals: Approvals = field(default_factory=Approvals)
    link_hosts: tuple[str, ...] = ()
    custom_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRing:
    """A ring that is open now. Without groups in its audience it is *general*."""

    name: str
    exposure_bp: int
    audience: Audience = field(default_factory=Audience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A known risk that keeps a slice of installs where they are."""

    id: str
    title: str
    link: str
    audience: Audience


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One release's exposure, as the signed rollout document states it."""

    version: Version
    state: RolloutState
    exposure_bp: int
    rollout: RolloutId | None = None
    holdback_bp: int = 0
    rings: tuple[OpenRing, ...] = ()
    holds: tuple[Hold, ...] = ()
    from_versions: frozenset[Version] = frozenset()
    rollback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDocument:
    """Who gets which release now, on one channel. Entries in order of priority."""

    app: str
    channel: str
    issued: datetime
    next_check_in_seconds: int
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The payload that agents install. Its bytes' hash and length are TUF's."""

    path: str
    format: str
    manifest_sha256: str
    tree_bytes: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A way from one tree to this release's tree."""

    path: str
    from_version: Version
    from_manifest: str
    algo: str
    output_bytes: int
    max_file_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFile:
    """A file of the release that other updaters fetch (msi, dmg, …)."""

    path: str
    kind: str
    native: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What may run: one version for one platform on one channel. Immutable.

    ``salt`` holds the 32 raw bytes that draw this release's buckets.
    """

    app: str
    channel: str
    platform: str
    version: Version
    salt: bytes
    released_at: datetime
    artifact: Artifact
    not_before: datetime | None = None
    min_version: Version | None = None
    min_os: str | None = None
    rollback_to: tuple[Version, ...] = ()
    security: bool = False
    others: tuple[SideFile, ...] = ()
    deltas: tuple[Delta, ...] = ()
    data_schema: int | None = None
    reads_schema_max: int | None = None
    authenticode_spki: tuple[str, ...] = ()
    apple_team_id: tuple[str, ...] = ()

    @property
    def ages_from(self) -> datetime:
        """The instant from which the policy's ceiling counts."""
        return self.not_before or self.released_at


# --- what is decided ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A version that failed on this machine, and when it may be tried again."""

    version: Version
    retry_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """One copy of an app on one machine, as far as a decision needs to know it.

    ``version`` is None when it is not told (or nothing is installed yet); ``high_water`` is
    the highest version ever installed here; ``sticky_floor`` the highest policy floor ever
    seen here.
    """

    id: InstallId
    channel: str
    platform: str
    version: Version | None = None
    high_water: Version | None = None
    sticky_floor: Version | None = None
    groups: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """The verified documents of one channel and platform.

    ``rollout`` is None when there is none to trust; ``rollout_missing`` then says why
    (``NO_RELEASE``: there is none yet; ``STALE_SERVER``: expired or refused).
    ``releases`` are those of this channel and platform that the documents name, and the
    install's high-water one.
    """

    policy: Policy
    rollout: RolloutDocument | None = None
    rollout_missing: Reason = Reason.NO_RELEASE
    releases: Mapping[Version, Release] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What an install should do, and why. ``version`` is None for ``stay``."""

    action: Action
    reason: Reason
    version: Version | None = None
    ring: str | None = None
    rollout: RolloutId | None = None
    bucket: int | None = None
    detail: Detail | None = None
    hold: Hold | None = None


# --- the server's own record of a rollout ------------------------------------------------


class Actor(StrEnum):
    """Who did something: a person, or the server by itself."""

    PERSON = "person"
    AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One release's exposure on one channel, as the server wants it to be.

    ``position`` indexes ``ladder``: the step reached. ``revision`` grows by one with each
    change. ``replacement`` is where a pulled release's installs are sent, if anywhere.
    ``position_reached_at`` is when the present step was opened, or opened again by a resume.
    ``paused_by`` outlasts the pause of a rollout that was superseded. ``first_for`` is the bad
    version whose installs are all offered this one at once, until the rollout is paused.
    """

    id: RolloutId
    app: str
    channel: str
    version: Version
    state: RolloutState
    ladder: tuple[Step, ...]
    position: int
    started_at: datetime
    position_reached_at: datetime
    changed_at: datetime
    revision: int = 1
    paused_by: Actor | None = None
    reason: str = ""
    replacement: Version | None = None
    first_for: Version | None = None

    @property
    def step(self) -> Step:
        """The step of the ladder that is open."""
        return self.ladder[self.position]

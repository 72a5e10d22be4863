"""The role table: names, thresholds, expiries and paths of one app's repository.

One TUF repository per app. Offline keys say what may run and within which bounds
(root, targets, policy, releases); online keys choose among that (rollout, snapshot,
timestamp). The table is docs/trust.md, 2.

Not here: keys (``signing.keys``) and anything signed (``signing.ceremony``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rollout.documents import path_of_policy, path_of_rollout
from rollout.errors import RolloutError
from rollout.names import check_app, check_channel, check_platform

MAX_LIVE_VERSIONS = 100
"""Versions that one releases role lists; older ones leave the metadata, their bytes stay."""

ROLLOUT_EXPIRES = timedelta(hours=72)
SNAPSHOT_EXPIRES = timedelta(days=7)
TIMESTAMP_EXPIRES = timedelta(hours=24)
TIMESTAMP_EXPIRES_MIN = timedelta(hours=6)
TIMESTAMP_EXPIRES_MAX = timedelta(days=7)

# When the online keys sign again although nothing changed (docs/trust.md, 2).
ROLLOUT_EVERY = timedelta(hours=24)
SNAPSHOT_EVERY = timedelta(hours=24)

_NIGHTLY_EXPIRES = timedelta(days=30)

# Keys that must agree before a release of the channel may run. A channel that is not
# named here is guarded like stable.
_TEAM_RELEASE_THRESHOLD = {"beta": 1, "nightly": 1}


class RoleKind(StrEnum):
    """What a role is for."""

    ROOT = "root"
    TARGETS = "targets"
    POLICY = "policy"
    RELEASES = "releases"
    ROLLOUT = "rollout"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"

    @property
    def online(self) -> bool:
        """Whether the server's own keys sign it."""
        return self in ONLINE

    @property
    def delegated(self) -> bool:
        """Whether targets, and not root, says who signs it."""
        return self in DELEGATED


ONLINE = frozenset({RoleKind.ROLLOUT, RoleKind.SNAPSHOT, RoleKind.TIMESTAMP})
DELEGATED = frozenset({RoleKind.POLICY, RoleKind.RELEASES, RoleKind.ROLLOUT})

_EXPIRES = {
    RoleKind.ROOT: timedelta(days=365),
    RoleKind.TARGETS: timedelta(days=365),
    RoleKind.POLICY: timedelta(days=90),
    RoleKind.RELEASES: timedelta(days=365),
    RoleKind.ROLLOUT: ROLLOUT_EXPIRES,
    RoleKind.SNAPSHOT: SNAPSHOT_EXPIRES,
    RoleKind.TIMESTAMP: TIMESTAMP_EXPIRES,
}

ROOT = RoleKind.ROOT.value
TARGETS = RoleKind.TARGETS.value
POLICY = RoleKind.POLICY.value
SNAPSHOT = RoleKind.SNAPSHOT.value
TIMESTAMP = RoleKind.TIMESTAMP.value


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleName:
    """A role's name, taken apart. ``channel`` and ``platform`` are empty where unused."""

    kind: RoleKind
    channel: str = ""
    platform: str = ""

    def __str__(self) -> str:
        parts = (self.kind.value, self.channel, self.platform)
        return ".".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRule:
    """One row of the table. ``keys`` is how many people the team column gives a key."""

    name: str
    kind: RoleKind
    keys: int
    threshold: int
    expires: timedelta
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which roles an app's repository has, and how they are guarded.

    ``team`` takes the thresholds of the team column, else all are 1. ``separate_keys``
    (solo only) asks for one publisher key per role; it changes no threshold.
    """

    app: str
    channels: tuple[str, ...]
    platforms: tuple[str, ...] = ()
    team: bool = False
    separate_keys: bool = False

    def __post_init__(self) -> None:
        check_app(self.app)
        for channel in self.channels:
            check_channel(channel)
        for platform in self.platforms:
            check_platform(platform)

    def roles(self) -> tuple[RoleRule, ...]:
        """Return every role: root, targets, policy, releases, rollout, snapshot, timestamp."""
        releases = (
            releases_role(channel, platform)
            for channel in self.channels
            for platform in self.platforms
        )
        rollouts = (rollout_role(channel) for channel in self.channels)
        names = (ROOT, TARGETS, POLICY, *releases, *rollouts, SNAPSHOT, TIMESTAMP)
        return tuple(self.rule(name) for name in names)

    def delegated_roles(self) -> tuple[RoleRule, ...]:
        """Return the roles that targets delegates to, in the order of the table."""
        return tuple(rule for rule in self.roles() if rule.kind.delegated)

    def rule(self, name: str) -> RoleRule:
        """Return the row of one role. Raises ValueError for a name that is no role's."""
        role = parse_role(name)
        if role is None:
            raise ValueError(f"{name!r} is no role")
        return RoleRule(
            name=name,
            kind=role.kind,
            keys=self._keys(role),
            threshold=self._threshold(role),
            expires=expires_after(role),
            paths=paths_for(self.app, role, self.channels),
        )

    def _threshold(self, role: RoleName) -> int:
        if not self.team or role.kind.online:
            return 1
        if role.kind is RoleKind.RELEASES:
            return _TEAM_RELEASE_THRESHOLD.get(role.channel, 2)
        return 2

    def _keys(self, role: RoleName) -> int:
        if role.kind is RoleKind.ROOT:
            return 3 if self.team else 2  # solo: one in use, one printed and put away
        if role.kind is RoleKind.TIMESTAMP:
            return 2  # one online, one cold
        if not self.team or role.kind.online or role.channel == "nightly":
            return 1
        return 3


def releases_role(channel: str, platform: str) -> str:
    """Return the name of the role that signs releases of *channel* for *platform*."""
    return str(RoleName(kind=RoleKind.RELEASES, channel=channel, platform=platform))


def rollout_role(channel: str) -> str:
    """Return the name of the online role that signs the rollout document of *channel*."""
    return str(RoleName(kind=RoleKind.ROLLOUT, channel=channel))


def parse_role(name: str) -> RoleName | None:
    """Take a role's name apart, or return None when it is not one of ours.

    Neither channels nor platforms may contain a dot, so no two roles share a name.
    """
    kind, *rest = name.split(".")
    try:
        match (kind, rest):
            case (RoleKind.RELEASES.value, [channel, platform]):
                return RoleName(
                    kind=RoleKind.RELEASES,
                    channel=check_channel(channel),
                    platform=check_platform(platform),
                )
            case (RoleKind.ROLLOUT.value, [channel]):
                return RoleName(kind=RoleKind.ROLLOUT, channel=check_channel(channel))
            case (RoleKind.RELEASES.value | RoleKind.ROLLOUT.value, _):
                return None
            case (_, []):
                return RoleName(kind=RoleKind(kind))
            case _:
                return None
    except (RolloutError, ValueError):
        return None


def expires_after(role: RoleName) -> timedelta:
    """Return how long a signature for *role* is good."""
    if role.kind is RoleKind.RELEASES and role.channel == "nightly":
        return _NIGHTLY_EXPIRES
    return _EXPIRES[role.kind]


def lifetime_of(name: str) -> timedelta:
    """Return how long a signature for the role *name* is good; ValueError for no role's name."""
    role = parse_role(name)
    if role is None:
        raise ValueError(f"{name!r} is no role")
    return expires_after(role)


def paths_for(app: str, role: RoleName, channels: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the path patterns that targets delegates to *role*; none for top-level roles.

    ``channels`` are those with a policy: the policy role serves all of them.
    """
    match role.kind:
        case RoleKind.POLICY:
            return tuple(path_of_policy(app, channel) for channel in channels)
        case RoleKind.RELEASES:
            return (f"{app}/releases/{role.channel}/{role.platform}/*/*",)
        case RoleKind.ROLLOUT:
            return (path_of_rollout(app, role.channel),)
        case _:
            return ()

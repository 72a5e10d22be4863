"""Where the installs of a pulled release are sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from packaging.version import Version

from rollout.model import Policy, Release, Rollout, RolloutState
from update_server.service.errors import NeverAllowedError
from update_server.service.ports import Stores
from update_server.service.repository.desired import documents_of, releases_of, rollouts_of

Releases = Mapping[str, Mapping[Version, Release]]


def default_replacement(
    pulled: Rollout, rollouts: Iterable[Rollout], policy: Policy, releases: Releases
) -> Version | None:
    """Return the newest completed version that the pulled release may go back to, everywhere.

    The way back must be signed for each platform that has the release, or some of its
    installs would be left on it unannounced. None when there is no such version.
    """
    edges = [
        frozenset(by_version[pulled.version].rollback_to)
        for by_version in releases.values()
        if pulled.version in by_version
    ]
    completed = {rollout.version for rollout in rollouts if rollout.state is RolloutState.COMPLETED}
    allowed = completed.intersection(*edges) if edges else set[Version]()
    return max((version for version in allowed if _may_run(version, policy)), default=None)


def default_replacement_of(stores: Stores, pulled: Rollout) -> Version | None:
    """Return the same from what is stored. Raises NotRegisteredError."""
    policy, _ = documents_of(stores, pulled.app, pulled.channel)
    rollouts = rollouts_of(stores, pulled.app, pulled.channel)
    releases = releases_of(stores, pulled.app, pulled.channel, [pulled.version])
    return default_replacement(pulled, rollouts, policy, releases)


def ways_back_of(stores: Stores, rollout: Rollout) -> Sequence[Version]:
    """Return all versions that a pull may send installs to, newest first.

    Raises NotRegisteredError.
    """
    policy, _ = documents_of(stores, rollout.app, rollout.channel)
    own = releases_of(stores, rollout.app, rollout.channel, [rollout.version])
    edges = {
        version
        for by_version in own.values()
        if rollout.version in by_version
        for version in by_version[rollout.version].rollback_to
    }
    signed = releases_of(stores, rollout.app, rollout.channel, [*edges]).values()
    there = {version for by_version in signed for version in by_version if version in edges}
    return sorted((version for version in there if _may_run(version, policy)), reverse=True)


def check_replacement(
    pulled: Version, replacement: Version, policy: Policy, releases: Releases
) -> None:
    """Return if the way from *pulled* to *replacement* is signed.

    Raises:
        NeverAllowedError: It is not, or *replacement* must not run any more.
    """
    signed = any(
        pulled in by_version and replacement in by_version[pulled].rollback_to
        for by_version in releases.values()
    )
    if not signed:
        raise NeverAllowedError([f"{pulled} to {replacement}: no signed edge"])
    if not any(replacement in by_version for by_version in releases.values()):
        raise NeverAllowedError([f"{replacement}: not among the signed releases"])
    if not _may_run(replacement, policy):
        raise NeverAllowedError([f"{replacement}: revoked, or below the floor"])


def _may_run(version: Version, policy: Policy) -> bool:
    above_floor = policy.floor is None or version >= policy.floor
    return above_floor and version not in policy.revoked

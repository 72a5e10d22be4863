"""Whether a version may run on an install at all: rules 1 and 2 of docs/trust.md, 5."""

from __future__ import annotations

from packaging.version import Version

from rollout.errors import InvalidVersionError
from rollout.model import Detail, Documents, Install, Release
from rollout.versions import os_version_fits, parse_os_version


def why_not_allowed(version: Version, documents: Documents, install: Install) -> Detail | None:
    """Return the first reason why *version* may not run on *install*; None if it may."""
    policy = documents.policy
    release = _release_of(version, documents, install)
    if release is None:
        return Detail.NOT_SIGNED
    if version in policy.revoked:
        return Detail.REVOKED
    # Both floors count, so the higher does: a replayed policy cannot lower the sticky one.
    if any(floor is not None and version < floor for floor in (install.sticky_floor, policy.floor)):
        return Detail.BELOW_FLOOR
    if not _is_new_enough(release, install):
        return Detail.MIN_VERSION
    if not _os_is_new_enough(release, install):
        return Detail.MIN_OS
    if not _may_go_back_to(version, documents, install):
        return Detail.NO_ROLLBACK_EDGE
    return None


def runs_on(release: Release, install: Install) -> bool:
    """Whether *release* is for this channel and platform, and the install new enough for it."""
    place = (release.channel, release.platform)
    return (
        place == (install.channel, install.platform)
        and _is_new_enough(release, install)
        and _os_is_new_enough(release, install)
    )


def _release_of(version: Version, documents: Documents, install: Install) -> Release | None:
    """Return the signed release for exactly this app, channel, platform and version."""
    release = documents.releases.get(version)
    if release is None:
        return None
    policy = documents.policy
    agrees = (
        release.app == policy.app
        and release.channel == policy.channel == install.channel
        and release.platform == install.platform
        and release.version == version
    )
    return release if agrees else None


def _is_new_enough(release: Release, install: Install) -> bool:
    if release.min_version is None:
        return True
    # A version that is not told counts as older than all.
    return install.version is not None and install.version >= release.min_version


def _os_is_new_enough(release: Release, install: Install) -> bool:
    if release.min_os is None:
        return True
    try:
        found = parse_os_version(install.attributes.get("os_version", ""))
        return os_version_fits(found, f">={release.min_os}")
    except InvalidVersionError:  # not told, or not in numbers: fail towards staying
        return False


def _may_go_back_to(version: Version, documents: Documents, install: Install) -> bool:
    """Whether *version* is no step back, or one that the highest version installed here allows.

    Edges of older releases never count: else a chain of rollbacks could walk down, step by
    step, to a version that nobody meant to be reachable.
    """
    reached = [v for v in (install.high_water, install.version) if v is not None]
    if not reached or version >= max(reached):
        return True
    highest = _release_of(max(reached), documents, install)
    return highest is not None and version in highest.rollback_to

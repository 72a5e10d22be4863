"""Which versions leave a releases role when there are too many (docs/trust.md, 2).

What leaves stays in storage, and its document stays immutable. Installs that run it go on;
no install can be sent to it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from packaging.version import Version
from tuf.api.metadata import TargetFile

from rollout.documents import parse_release
from rollout.model import Release
from signing.contents import RELEASE_FILE, role_contents
from signing.errors import CeremonyError
from signing.roles import MAX_LIVE_VERSIONS, POLICY, RoleName, rollout_role
from signing.state import RepositoryState
from signing.verify import document_of


def prune(
    current: RepositoryState, role: RoleName, targets: Mapping[str, TargetFile]
) -> dict[str, TargetFile]:
    """Return *targets*, the next contents of *role*, with at most 100 versions.

    The oldest leave, by signing; never one that is new, a stepping stone of a
    ``min_version``, a ``must_reach``, a version that a live release may be rolled back to,
    or one that the present rollout document names.

    Raises:
        CeremonyError: ``too_many_versions``: no more may leave.
    """
    releases = [
        parse_release(document_of(target))
        for path, target in targets.items()
        if path.endswith(f"/{RELEASE_FILE}")
    ]
    surplus = len(releases) - MAX_LIVE_VERSIONS
    if surplus <= 0:
        return dict(targets)
    kept = set(_needed(current, role, releases))
    oldest_first = sorted(releases, key=lambda release: (release.released_at, release.version))
    leaving = [release for release in oldest_first if release.version not in kept][:surplus]
    if len(leaving) < surplus:
        detail = f"of {len(releases)} versions only {len(leaving)} may leave the metadata"
        raise CeremonyError("too_many_versions", detail, str(role))
    folders = {release.artifact.path.rpartition("/")[0] for release in leaving}
    return {
        path: target for path, target in targets.items() if path.rpartition("/")[0] not in folders
    }


def _needed(
    current: RepositoryState, role: RoleName, releases: Iterable[Release]
) -> Iterator[Version]:
    live = {release.version for release in releases}
    before = role_contents(current, str(role))
    yield from live - before.releases.keys()
    for release in releases:
        yield from release.rollback_to
        if release.min_version is not None:
            # The lowest version from which this one may be reached.
            yield min(
                (version for version in live if version >= release.min_version),
                default=release.version,
            )
    for policy in role_contents(current, POLICY).policies.values():
        if policy.channel == role.channel:
            yield from (goal.version for goal in policy.must_reach)
    for rollout in role_contents(current, rollout_role(role.channel)).rollouts.values():
        yield from (entry.version for entry in rollout.entries)

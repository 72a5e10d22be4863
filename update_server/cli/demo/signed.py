"""What the publisher signed, read from the server's public files as any outsider can.

Nothing that the server says in its answers counts here: the releases come out of TUF
metadata that verifies from the workspace's root.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version
from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater

from rollout.bucket import bucket_of
from rollout.documents import path_of_release
from rollout.model import Release
from signing.errors import TrustError
from signing.verify import release_of
from update_server.cli.errors import CliError


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an app's signed files are, and what is believed of them."""

    public_url: str
    root: bytes
    app: str
    channel: str
    platform: str


def signed_releases(
    source: Source, versions: Iterable[Version], cache: Path
) -> Mapping[Version, Release]:
    """Return those of *versions* that are signed for the source's channel and platform.

    *cache* is a folder for the metadata on its way.

    Raises:
        CliError: The metadata cannot be had or does not verify.
    """
    cache.mkdir(parents=True, exist_ok=True)
    url = f"{source.public_url}/v1/apps/{source.app}/tuf/"
    place = (source.app, source.channel, source.platform)
    found: dict[Version, Release] = {}
    try:
        updater = Updater(str(cache), url, bootstrap=source.root)
        updater.refresh()
        for version in versions:
            target = updater.get_targetinfo(path_of_release(*place, version))
            if target is not None:
                found[version] = release_of(target, *place, version)
    except (DownloadError, RepositoryError, TrustError, OSError) as error:
        raise CliError("not_verified", f"the signed files do not verify: {error}") from error
    return found


def ring_of(release: Release, install_id: str, shares: Iterable[tuple[str, int]]) -> str:
    """Return the first general ring, of (name, exposure_bp) in order, that has this install."""
    bucket = bucket_of(release.salt, install_id)
    for name, exposure_bp in shares:
        if bucket < exposure_bp:
            return name
    return ""

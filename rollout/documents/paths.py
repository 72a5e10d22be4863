"""Where each document stands among an app's targets."""

from __future__ import annotations

from packaging.version import Version

from rollout.versions import render_version


def path_of_policy(app: str, channel: str) -> str:
    """Return the target path of a channel's policy."""
    return f"{app}/policy/{channel}.json"


def path_of_rollout(app: str, channel: str) -> str:
    """Return the target path of a channel's rollout document."""
    return f"{app}/rollout/{channel}.json"


def release_folder(app: str, channel: str, platform: str, version: Version) -> str:
    """Return the folder, without final slash, that holds a release's files."""
    return f"{app}/releases/{channel}/{platform}/{render_version(version)}"


def path_of_release(app: str, channel: str, platform: str, version: Version) -> str:
    """Return the target path of a release document."""
    return f"{release_folder(app, channel, platform, version)}/release.json"

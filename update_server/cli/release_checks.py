"""What is looked at before a release is made: mistakes that a signature would keep for good."""

from __future__ import annotations

from collections.abc import Sequence

from packaging.version import Version

from signing.contents import role_contents
from signing.roles import RoleKind, RoleName
from signing.state import RepositoryState
from update_server.cli.api import app_path
from update_server.cli.command import Session
from update_server.cli.draft import Source
from update_server.cli.errors import CliError


def check_platforms(session: Session, platforms: Sequence[str]) -> None:
    """Raise CliError for a platform that the app is not registered for."""
    known = session.api.get(app_path(session.app, "signing"))["platforms"]
    for platform in platforms:
        if platform not in known:
            raise CliError(
                "unknown_platform",
                f"{session.app} is not registered for {platform}, only for {' '.join(known)}",
                hint=f"serinus app add --app {session.app} --platform {platform}",
            )


def check_ways_back(session: Session, source: Source) -> None:
    """Raise CliError for a way back to no release; tell what cannot be mended later."""
    items = session.api.items(app_path(session.app, "releases"))
    versions = [Version(item["version"]) for item in items if item["channel"] == source.channel]
    older = [version for version in versions if version < source.version]
    for back in source.rollback_to:
        if back not in versions:
            there = " ".join(map(str, older)) or "none yet"
            raise CliError(
                "unknown_release",
                f"--rollback-to {back}: {source.channel} has no such release; older ones: {there}",
                hint="serinus release list",
            )
    if not versions and source.not_before is None:
        session.console.say(
            f"{source.version} is the first on {source.channel} and names no --not-before:"
            " the policy's ceiling counts from now, and what is signed cannot be corrected"
        )
    if older and not source.rollback_to:
        session.console.say(
            f"{source.version} names no way back: if it is pulled, its installs wait for a fix;"
            f" --rollback-to {max(older)} would send them there"
        )


def check_schemas(state: RepositoryState, source: Source, platforms: Sequence[str]) -> None:
    """Raise CliError for a way back to a release that could not read what this one writes.

    An older release that says nothing of schemas is not taken to read newer ones; agents think so,
    too (docs/agent.md, 11).
    """
    if source.data_schema is None:
        return
    for platform in platforms:
        role = RoleName(kind=RoleKind.RELEASES, channel=source.channel, platform=platform)
        releases = role_contents(state, str(role)).releases
        for back in source.rollback_to:
            reads = releases[back].reads_schema_max if back in releases else source.data_schema
            if reads is None or reads < source.data_schema:
                raise CliError(
                    "unreadable_data",
                    f"--rollback-to {back}: on {platform} it reads data schema"
                    f" {'of no number' if reads is None else f'{reads} at most'},"
                    f" and {source.version} writes {source.data_schema}",
                    hint="a release in between that reads both and writes the old one",
                )

"""``serinus release``: sign a version and hand it in; look at what was; verify from outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
from packaging.version import Version

from rollout.errors import RolloutError
from rollout.names import check_platform
from rollout.versions import parse_version, render_version
from signing.ceremony import sign_releases
from update_server.cli.api import app_path
from update_server.cli.command import Group, Session, local, option, remote
from update_server.cli.deltas.of_release import DELTA_BASES, Deltas, Wanted, deltas_for
from update_server.cli.deltas.report import delta_line, delta_rows
from update_server.cli.draft import Draft, Source, draft_release
from update_server.cli.errors import NOTHING_TO_DO, UsageError
from update_server.cli.release_checks import check_platforms, check_schemas, check_ways_back
from update_server.cli.scratch import scratch_folder
from update_server.cli.signing import current_state, signed_already, submit
from update_server.cli.upload import upload
from update_server.cli.verify import verify_server
from update_server.clock import SystemClock


@click.group(cls=Group)
def release() -> None:
    """Sign and hand in releases, and look at them.

    Example: serinus release list
    """


@release.command("publish")
@click.argument("version")
@option("--channel", help="The channel; else the workspace's.")
@option(
    "--artifact",
    "artifacts",
    metavar="PLATFORM=PATH",
    multiple=True,
    required=True,
    help="A directory, zip, tar or single executable; once per platform.",
)
@option("--entry", metavar="PATH", help="What is started, relative to the tree.")
@option("--notes", type=click.Path(path_type=Path, exists=True), help="Release notes.")
@option("--floor", metavar="VERSION", help="Only installs at or above it can take this one.")
@option("--rollback-to", "rollback_to", metavar="VERSION", multiple=True, help="Signed ways back.")
@option("--not-before", metavar="TIME", help="RFC 3339; the policy's ceiling counts from there.")
@option("--min-os", metavar="VERSION", help="Lowest version of the operating system.")
@option("--security", is_flag=True, help="Mark it as a security fix.")
@option("--data-schema", type=int, help="Number of the data format it writes.")
@option("--reads-schema-max", type=int, help="Highest data format it can read.")
@option("--no-deltas", is_flag=True, help="Make none.")
@option(
    "--delta-bases",
    type=click.IntRange(0, 20),
    default=DELTA_BASES,
    show_default=True,
    help="Make deltas from so many of the versions that most installs run.",
)
@option(
    "--delta-from",
    metavar="VERSION",
    multiple=True,
    help="Make a delta from it, whatever installs run.",
)
@remote
def publish(
    session: Session,
    version: str,
    *,
    channel: str | None,
    artifacts: tuple[str, ...],
    entry: str | None,
    notes: Path | None,
    floor: str | None,
    rollback_to: tuple[str, ...],
    not_before: str | None,
    min_os: str | None,
    security: bool,
    data_schema: int | None,
    reads_schema_max: int | None,
    no_deltas: bool,
    delta_bases: int,
    delta_from: tuple[str, ...],
) -> int:
    """Sign VERSION with the workspace's keys, upload it, and hand it in. Nobody gets it yet.

    What is signed cannot be changed any more; a version has its files and ways back for good.
    When it breaks off, the same command goes on where it was; exit code 3 if all is done.

    Example: serinus release publish 2.1.0 --artifact linux-x86_64=dist/notes --rollback-to 2.0.0
    """
    now = SystemClock().now()
    trees = _artifacts(artifacts)
    source = Source(
        app=session.app,
        channel=session.channel(channel),
        version=_version(version),
        entry_point=entry,
        notes=notes,
        min_version=None if floor is None else _version(floor),
        rollback_to=tuple(_version(each) for each in rollback_to),
        not_before=None if not_before is None else _time(not_before),
        min_os=min_os,
        security=security,
        data_schema=data_schema,
        reads_schema_max=reads_schema_max,
    )
    for back in source.rollback_to:
        if back >= source.version:
            raise UsageError("bad_version", f"--rollback-to {back} does not lead back")
    wanted = Wanted(count=delta_bases, these=tuple(_version(each) for each in delta_from))
    if no_deltas and wanted.these:
        raise UsageError("bad_deltas", "--no-deltas and --delta-from exclude each other")
    check_platforms(session, list(trees))
    check_ways_back(session, source)
    state = current_state(session)
    check_schemas(state, source, list(trees))
    deltas: dict[str, Deltas] = {}
    with scratch_folder() as folder:
        drafts = [
            draft_release(source, platform, path, folder=folder, now=now)
            for platform, path in trees.items()
        ]
        if signed_already(session, [draft.to_sign for draft in drafts]):
            session.console.document({"version": render_version(source.version)})
            session.console.print(f"{session.app} {source.version} is published already")
            return NOTHING_TO_DO
        for number, draft in enumerate(drafts if not no_deltas else []):
            work = folder / f"deltas-{draft.platform}"
            deltas[draft.platform] = made = deltas_for(session, state, draft, wanted, work)
            drafts[number] = draft.with_deltas({each.delta: each.file for each in made.made})
        to_sign = [draft.to_sign for draft in drafts]
        _upload(session, drafts)
        told = delta_rows(drafts, deltas)
    answer = submit(
        session,
        ("releases", "targets"),
        lambda state, signers: sign_releases(state, to_sign, signers, now),
    )
    session.console.document(
        {
            "version": render_version(source.version),
            "channel": source.channel,
            "platforms": [draft.platform for draft in drafts],
            "deltas": told,
            **answer,
        }
    )
    for row in told:
        session.console.say(delta_line(row))
    session.console.print(f"{session.app} {source.version} is published on {source.channel}")
    where = f" --channel {source.channel}" if channel else ""
    session.console.say(f"next: serinus rollout start {source.version}{where}")
    return 0


@release.command("list")
@remote
def list_releases(session: Session) -> int:
    """List the app's releases.

    Example: serinus release list --json
    """
    items = list(session.api.items(app_path(session.app, "releases")))
    session.console.document({"items": items})
    session.console.listing(
        ("version", "channel", "platforms", "admitted", "state"),
        [
            (
                item["version"],
                item["channel"],
                " ".join(each["platform"] for each in item["platforms"]),
                item["admitted_at"],
                item["state"],
            )
            for item in items
        ],
    )
    return 0


@release.command("show")
@click.argument("version")
@remote
def show(session: Session, version: str) -> int:
    """Show one release with its files.

    Example: serinus release show 2.1.0
    """
    found = session.api.get(app_path(session.app, "releases", version))
    session.console.document(found)
    session.console.print(
        f"{session.app} {found['version']} on {found['channel']}: {found['state']}"
    )
    session.console.table(
        ("platform", "file", "bytes", "sha256"),
        [
            (
                each["platform"],
                each["artifact"]["path"].rpartition("/")[2],
                each["artifact"]["length_bytes"],
                each["artifact"]["sha256"],
            )
            for each in found["platforms"]
        ],
    )
    session.console.table(
        ("platform", "delta from", "bytes", "of the payload"),
        [
            (
                each["platform"],
                delta["from"],
                delta["length_bytes"],
                f"{delta['length_bytes'] / each['artifact']['length_bytes']:.1%}",
            )
            for each in found["platforms"]
            for delta in each["deltas"]
        ],
    )
    return 0


@release.command("verify")
@option(
    "--root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The root apps compile in.",
)
@option("--url", required=True, help="Base URL of the app, such as https://host/v1/apps/notes.")
@local
def verify(session: Session, *, root: Path | None, url: str) -> int:
    """Check a repository from outside, as an agent would, down to every file's hash.

    Example: serinus release verify --url https://updates.example.org/v1/apps/notes
    """
    app = url.rstrip("/").rpartition("/")[2]
    root_file = root or session.need_workspace().root_file(app)
    if not root_file.exists():
        raise UsageError(
            "no_root",
            f"{url} would be app {app!r}, whose root is not here ({root_file.name}):"
            " the address ends in the app's name",
            hint="--url https://HOST/v1/apps/APP, or --root FILE",
        )
    return verify_server(session.console, root_file, url, SystemClock().now())


def _upload(session: Session, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        for file in draft.files.values():
            label = f"upload {file.path.name}"
            upload(session.api, session.console, session.app, file.path, file.sha256, label=label)


def _artifacts(texts: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in texts:
        platform, _, path = text.partition("=")
        if not platform or not path:
            raise UsageError("bad_artifact", f"--artifact {text} is not PLATFORM=PATH")
        try:
            check_platform(platform)
        except RolloutError as error:
            raise UsageError("bad_release", str(error)) from error
        if not Path(path).exists():
            raise UsageError("bad_artifact", f"--artifact {text}: there is no {path}")
        if platform in found:
            raise UsageError("bad_artifact", f"--artifact names {platform} twice")
        found[platform] = Path(path)
    return found


def _version(text: str) -> Version:
    try:
        return parse_version(text)
    except RolloutError as error:
        raise UsageError("bad_version", str(error)) from error


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError("bad_time", f"{text!r} is no time such as 2026-11-25T03:00:00Z") from error
    if at.tzinfo is None:
        raise UsageError("bad_time", f"{text!r} does not say its zone; add Z for UTC")
    return at

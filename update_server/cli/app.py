"""``serinus app``: register apps, look at them, change their policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from signing.ceremony import sign_policy
from update_server.cli import passphrase
from update_server.cli.api import app_path
from update_server.cli.command import Group, Session, option, remote
from update_server.cli.errors import CliError
from update_server.cli.policy import policy_document, read_overrides
from update_server.cli.registration import layout_of, register, this_platform
from update_server.cli.settings import settings
from update_server.cli.signing import submit
from update_server.clock import SystemClock


@click.group(cls=Group)
def app() -> None:
    """Register and show apps, and change their policies.

    Example: serinus app list
    """


app.add_command(settings)


@app.command("add")
@option(
    "--channel",
    "channels",
    multiple=True,
    default=("stable",),
    show_default=True,
    help="A channel of the app; once per channel.",
)
@option("--platform", "platforms", multiple=True, help="Such as linux-x86_64; else this one.")
@option("--policy", type=click.Path(path_type=Path, exists=True), help="TOML or JSON overrides.")
@remote
def add(
    session: Session, *, channels: tuple[str, ...], platforms: tuple[str, ...], policy: Path | None
) -> int:
    """Register an app at the server, signed with the workspace's keys.

    Of an app that is registered it adds the platforms; the next release for one signs it in.
    Its root, which builds of the app compile in, is kept in the workspace: root.json for the
    workspace's own app, root-APP.json for others.

    Example: serinus app add --app notes --platform linux-x86_64 --platform macos-arm64
    """
    workspace, now = session.need_workspace(), SystemClock().now()
    if (extended := _extend(session, channels, platforms)) is not None:
        return extended
    overrides = read_overrides(policy)
    answer = register(
        session.api,
        workspace,
        layout_of(session.app, channels, platforms or (this_platform(),)),
        {channel: policy_document(session.app, channel, now, overrides) for channel in channels},
        passphrase.known(session.console),
        now,
    )
    session.console.document(answer)
    session.console.print(f"{session.app} is registered")
    return 0


def _extend(session: Session, channels: Sequence[str], platforms: Sequence[str]) -> int | None:
    """Add *platforms* to the app and return the exit code, or None if it is not registered."""
    known = {each["app"]: each for each in session.api.items("/v1/admin/apps")}.get(session.app)
    if known is None or not known["registered"] or not set(platforms) - set(known["platforms"]):
        return None
    if set(channels) - set(known["channels"]):
        raise CliError("exists", f"{session.app} is registered; its channels stay as they are")
    request = {"app": session.app, "channels": list(channels), "platforms": list(platforms)}
    answer = session.api.post("/v1/admin/apps", request)
    session.console.document(answer)
    session.console.print(f"{session.app} is registered for {' '.join(answer['platforms'])}")
    return 0


@app.command("list")
@remote
def list_apps(session: Session) -> int:
    """List the server's apps.

    Example: serinus app list --json
    """
    items = list(session.api.items("/v1/admin/apps"))
    session.console.document({"items": items})
    session.console.listing(
        ("app", "channels", "platforms", "registered"),
        [
            (i["app"], " ".join(i["channels"]), " ".join(i["platforms"]), i["registered"])
            for i in items
        ],
    )
    return 0


@app.command("show")
@remote
def show(session: Session) -> int:
    """Show the app's signed roles, channels and running versions.

    Example: serinus app show --app notes
    """
    signed = session.api.get(app_path(session.app, "signing"))
    running = list(session.api.items(app_path(session.app, "versions")))
    session.console.document({key: signed[key] for key in signed if key != "metadata"})
    session.console.table(("role", "version"), sorted(signed["versions"].items()))
    session.console.table(
        ("channel", "platform", "version", "installs"),
        [(i["channel"], i["platform"], i["version"], i["installs"]) for i in running],
    )
    return 0


@app.command("policy")
@click.argument("file", type=click.Path(path_type=Path, exists=True), required=False)
@option("--channel", help="The channel; else the workspace's.")
@remote
def policy_command(session: Session, file: Path | None, *, channel: str | None) -> int:
    """Show the policy in force; with FILE, sign and hand in a new one.

    FILE holds the fields that differ from the standard policy, as TOML or JSON.

    Example: serinus app policy policy.toml --channel stable
    """
    name = session.channel(channel)
    if file is None:
        found = session.api.get(app_path(session.app, "policy"), channel=name)
        session.console.document(found)
        session.console.table(("field", "value"), sorted(found["policy"].items()))
        return 0
    now = SystemClock().now()
    document = policy_document(session.app, name, now, read_overrides(file))
    session.console.confirm(f"replace the policy of {session.app} on {name}?")
    answer = submit(
        session,
        ("policy", "targets"),
        lambda state, signers: sign_policy(state, {name: document}, signers, now),
    )
    session.console.document(answer)
    session.console.print(f"the policy of {name} is in force")
    return 0

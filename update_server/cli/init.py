"""``serinus init``: a workspace with keys, a server's data, the first app and its token."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import click

from rollout.errors import RolloutError
from signing.roles import Layout
from update_server import config as configs
from update_server import wiring
from update_server.cli import passphrase, workspace
from update_server.cli.api import AdminApi
from update_server.cli.command import Session, local, option
from update_server.cli.errors import CliError, UsageError
from update_server.cli.local import LocalTransport
from update_server.cli.policy import policy_document, read_overrides
from update_server.cli.registration import BACKUP_KEY, ROOT_FILE, make_keys, register
from update_server.clock import SystemClock

_CONFIG = """\
# The server on this machine, and what its publishers' commands use.
[server]
data = "server"
public = "{public}"
admin = "{admin}"

[publisher]
server = "http://{admin}"
app = "{app}"
channel = "{channel}"

# Offline keys. The files are encrypted; keep copies, and keep them off the server.
[keys]
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@option("--app", required=True, help="Name of the first app, such as notes.")
@option("--channel", "channels", multiple=True, default=("stable",), show_default=True)
@option("--platform", "platforms", multiple=True, help="Such as linux-x86_64; else this one.")
@option("--solo/--team", default=True, help="One person, or thresholds of two.")
@option("--separate-keys", is_flag=True, help="One key file per offline role.")
@option("--policy", type=click.Path(path_type=Path, exists=True), help="TOML or JSON overrides.")
@option("--public", default="127.0.0.1:8080", show_default=True, help="Where agents connect.")
@option("--admin", default="127.0.0.1:8081", show_default=True, help="Where people connect.")
@local
def init(
    session: Session,
    folder: Path,
    *,
    channels: tuple[str, ...],
    platforms: tuple[str, ...],
    solo: bool,
    separate_keys: bool,
    policy: Path | None,
    public: str,
    admin: str,
) -> int:
    """Make a workspace in FOLDER: keys, settings, server data, the first app and a token.

    Example: serinus init updates --app notes --platform linux-x86_64
    """
    if not solo:
        raise UsageError(
            "not_here",
            "a team's keys are made by its members, each on a machine of their own",
            hint="docs/runbook.md, section Teams",
        )
    app, now = session.app, SystemClock().now()
    folder = folder.absolute()
    if (folder / workspace.FILE).exists():
        raise CliError("exists", f"{folder} is a workspace already; nothing was changed")
    layout = _layout(app, channels, platforms or (this_platform(),), separate_keys=separate_keys)
    overrides = read_overrides(policy)
    policies = {channel: policy_document(app, channel, now, overrides) for channel in channels}
    secret = passphrase.new(session.console)

    folder.mkdir(parents=True, exist_ok=True)
    uris = make_keys(folder / "keys", secret, now, separate=separate_keys)
    text = _CONFIG.format(public=public, admin=admin, app=app, channel=channels[0])
    text += "".join(f'{role} = "{uri}"\n' for role, uri in uris.items())
    # The settings come last of what makes a workspace: before, a second try may begin anew.
    config_file = folder / workspace.FILE
    config_file.write_text(text, encoding="utf-8")
    config = configs.load(config_file)
    wiring.prepare(config)
    token = wiring.first_token(config)
    made = workspace.load(folder)
    made.token_file.touch(mode=0o600)
    made.token_file.write_text(token + "\n", encoding="ascii")
    api = AdminApi(LocalTransport(wiring.local_admin_app(config)), token)
    register(api, made, layout, policies, lambda _: secret, now)

    session.console.document(
        {
            "workspace": str(folder),
            "app": app,
            "channels": list(channels),
            "platforms": list(layout.platforms),
            "root": str(folder / ROOT_FILE),
            "token_file": str(made.token_file),
            "data": str(config.data),
        }
    )
    session.console.print(f"{app} is registered; the root for your builds is {folder / ROOT_FILE}")
    session.console.say(f"print keys/{BACKUP_KEY}, put it away, and delete the file")
    session.console.say("next: serinus serve")
    return 0


def this_platform() -> str:
    """Return this machine's platform in our words, such as ``linux-x86_64``."""
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    machine = {"AMD64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{system}-{re.sub(r'[^a-z0-9_]', '_', machine.lower())}"


def _layout(
    app: str, channels: tuple[str, ...], platforms: tuple[str, ...], *, separate_keys: bool
) -> Layout:
    try:
        return Layout(app=app, channels=channels, platforms=platforms, separate_keys=separate_keys)
    except RolloutError as error:
        raise UsageError("bad_name", str(error)) from error

"""``serinus init``: a workspace with keys, a server's data, the first app and its token."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from update_server import config as configs
from update_server import wiring
from update_server.cli import passphrase, workspace
from update_server.cli.api import AdminApi
from update_server.cli.command import Command, Session, local, option
from update_server.cli.errors import CliError, UsageError
from update_server.cli.local import LocalTransport
from update_server.cli.policy import policy_document, read_overrides
from update_server.cli.registration import (
    BACKUP_KEY,
    layout_of,
    make_keys,
    register,
    this_platform,
)
from update_server.cli.serve import own_data
from update_server.cli.workspace import FILE, ROOT_FILE, TOKEN_FILE
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


# What it makes beside the settings, which come last: a folder without them is no workspace.
_PARTS = ("keys", "server", TOKEN_FILE, ROOT_FILE)
_BEGUN = f".{FILE}.begun"


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@option("--app", "app_name", help="Name of the first app, such as notes; else it is asked for.")
@option(
    "--channel",
    "channels",
    multiple=True,
    default=("stable",),
    show_default=True,
    help="A channel of the app; once per channel.",
)
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
    app_name: str | None,
    channels: tuple[str, ...],
    platforms: tuple[str, ...],
    solo: bool,
    separate_keys: bool,
    policy: Path | None,
    public: str,
    admin: str,
) -> int:
    """Make a workspace in FOLDER: keys, settings, server data, the first app and a token.

    The keys' passphrase is asked for, or read from the file SERINUS_PASSPHRASE_FILE names.

    Example: serinus init updates --app notes --platform linux-x86_64
    """
    if not solo:
        raise UsageError(
            "not_here",
            "a team's keys are made by its members, each on a machine of their own:"
            " docs/runbook.md, section Teams",
        )
    console, now = session.console, SystemClock().now()
    folder = folder.absolute()
    _check_new(folder)
    app = app_name or console.ask("name of the app", instead="serinus init --app NAME")
    layout = layout_of(app, channels, platforms or (this_platform(),), separate_keys=separate_keys)
    overrides = read_overrides(policy)
    policies = {channel: policy_document(app, channel, now, overrides) for channel in channels}
    text = _CONFIG.format(public=public, admin=admin, app=app, channel=channels[0])
    _check_settings(folder, text)
    secret = passphrase.new(console)

    with _all_or_nothing(folder) as begun:
        uris = make_keys(folder / "keys", secret, now, separate=separate_keys)
        begun.write_text(
            text + "".join(f'{role} = "{uri}"\n' for role, uri in uris.items()), encoding="utf-8"
        )
        config = configs.load(begun)
        with own_data():
            wiring.prepare(config)
            token = wiring.first_token(config)
            admin_app = wiring.local_admin_app(config)
        made = workspace.Workspace(folder=folder, app=app, keys=uris)
        made.token_file.touch(mode=0o600)
        made.token_file.write_text(token + "\n", encoding="ascii")
        api = AdminApi(LocalTransport(admin_app), token)
        register(api, made, layout, policies, lambda _: secret, now)

    console.document(
        {
            "workspace": str(folder),
            "app": app,
            "channels": list(channels),
            "platforms": list(layout.platforms),
            "root": str(made.root_file(app)),
            "token_file": str(made.token_file),
            "data": str(config.data),
        }
    )
    console.print(f"{app} is registered; the root for your builds is {made.root_file(app)}")
    console.say(f"print keys/{BACKUP_KEY}, put it away, and delete the file")
    console.say("next: serinus serve" if folder == Path.cwd() else f"next: cd {folder}")
    return 0


def _check_new(folder: Path) -> None:
    """Raise CliError if there is a workspace, or something that would be in the way."""
    if (folder / FILE).exists():
        raise CliError("exists", f"{folder} is a workspace already; nothing was changed")
    if (folder / _BEGUN).exists():
        return  # an earlier try was cut off; what is there is its own
    for part in _PARTS:
        if (folder / part).exists():
            raise CliError("exists", f"{folder / part} is in the way; nothing was changed")


def _check_settings(folder: Path, text: str) -> None:
    """Raise UsageError if a server could not run with these settings."""
    with tempfile.TemporaryDirectory(prefix="serinus-") as other:
        file = Path(other) / FILE
        file.write_text(text.replace('"server"', f'"{folder / "server"}"'), encoding="utf-8")
        try:
            configs.load(file)
        except configs.ConfigError as error:
            raise UsageError("bad_config", str(error).removeprefix(f"{file}: ")) from error


@contextmanager
def _all_or_nothing(folder: Path) -> Iterator[Path]:
    """Let the block make the parts of a workspace; if it fails, remove all of them again.

    Yields the file that becomes the settings, and *folder* a workspace, at the end. Where it
    lies about, a try was cut off, and the next one clears up after it.
    """
    there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    begun = folder / _BEGUN
    if begun.exists():
        _remove_parts(folder)
    begun.touch()
    try:
        yield begun
        begun.replace(folder / FILE)
    except BaseException:
        _remove_parts(folder)
        begun.unlink()
        if not there:
            folder.rmdir()
        raise


def _remove_parts(folder: Path) -> None:
    for part in _PARTS:
        path = folder / part
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

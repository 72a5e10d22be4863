"""``serinus serve``: run the processes of a server on this machine."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from update_server import config as configs
from update_server import wiring
from update_server.cli.command import Session, local, option
from update_server.cli.errors import CliError, UsageError
from update_server.processes import ROLES, Supervisor


@click.command()
@option("--role", type=click.Choice(list(ROLES)), default="all", show_default=True)
@option("--config", "config_file", type=click.Path(path_type=Path), help="serinus.toml.")
@option("--once", is_flag=True, help="With --role signer: refresh what is due, then stop.")
@local
def serve(session: Session, *, role: str, config_file: Path | None, once: bool) -> int:
    """Run the server: public app, admin app, controller and signer.

    Example: serinus serve --config /srv/serinus/serinus.toml
    """
    config = load_config(session, config_file)
    if once:
        if role != "signer":
            raise UsageError("usage", "--once goes with --role signer")
        session.console.document({"refreshed": wiring.refresh_once(config)})
        return 0
    wiring.prepare(config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    session.console.say(f"data in {config.data}")
    if role in {"all", "web"}:
        session.console.say(f"agents: http://{config.public}  people: http://{config.admin}")
    Supervisor(config, role).run(stop)
    return 0


def load_config(session: Session, config_file: Path | None) -> configs.Config:
    """Return the server's settings: from the file named, else from the workspace."""
    path = config_file or session.need_workspace().config_file
    try:
        return configs.load(path)
    except configs.ConfigError as error:
        raise CliError("bad_config", str(error)) from error

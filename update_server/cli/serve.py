"""``serinus serve``: run the processes of a server on this machine."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from update_server import config as configs
from update_server import wiring
from update_server.cli.command import Command, Session, local, option
from update_server.cli.errors import CliError, UsageError
from update_server.cli.readiness import announce
from update_server.processes import ROLES, Supervisor


@click.command(cls=Command)
@option(
    "--role",
    type=click.Choice(list(ROLES)),
    default="all",
    show_default=True,
    help="Which of the server's processes run here.",
)
@option("--config", "config_file", type=click.Path(path_type=Path), help="serinus.toml.")
@option("--once", is_flag=True, help="With --role signer: refresh what is due, then stop.")
@local
def serve(session: Session, *, role: str, config_file: Path | None, once: bool) -> int:
    """Run the server: public app, admin app, controller and signer.

    It says `ready` when all of them answer, starts those again that die, and stops in order
    on SIGTERM or Ctrl-C. With --json the one document comes when it is ready.

    Example: serinus serve --config /srv/serinus/serinus.toml
    """
    config = load_config(session, config_file)
    if once:
        if role != "signer":
            raise UsageError("usage", "--once goes with --role signer")
        with own_data():
            session.console.document({"refreshed": wiring.refresh_once(config)})
        return 0
    for name, address in (("public", config.public_address), ("admin", config.admin_address)):
        if name in ROLES[role]:
            _check_free(config, name, address)
    if "signer" in ROLES[role] and wiring.signer_answers(config):
        raise CliError("already_running", f"another server's signer runs on {config.data}")
    with own_data():
        wiring.prepare(config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    session.console.say(f"data in {config.data}")
    if role in {"all", "web"}:
        session.console.say(f"agents: http://{config.public}  people: http://{config.admin}")
    announce(session.console, config, role, stop, lambda: wiring.signer_answers(config))
    Supervisor(config.path, role, log=session.console.say).run(stop)
    session.console.say("stopped")
    return 0


def load_config(session: Session, config_file: Path | None) -> configs.Config:
    """Return the server's settings: from the file named, else from the workspace."""
    path = config_file or session.need_workspace().config_file
    try:
        return configs.load(path)
    except configs.ConfigError as error:
        raise UsageError("bad_config", str(error)) from error


@contextmanager
def own_data() -> Iterator[None]:
    """Turn faults of the server's own data into refusals."""
    try:
        yield
    except wiring.FAULTS as error:
        raise CliError("data_unusable", f"the server's data cannot be used: {error}") from error


def _check_free(config: configs.Config, name: str, address: tuple[str, int]) -> None:
    """Raise CliError if nobody could listen on *address*."""
    host, port = address
    try:
        kind, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except OSError as error:
        setting = f'{name} = "{host}:{port}" in {config.path}'
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} is taken by another process: stop it, or change {setting}"
            raise CliError("port_taken", text) from error
        text = error.strerror or os.strerror(error.errno or 0)
        raise CliError("bad_address", f"cannot listen as {setting} says: {text}") from error

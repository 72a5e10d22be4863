"""The ``serinus`` command: which commands there are, and where each one lives."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from update_server.cli.errors import REFUSED

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("update_server.cli.demo.command", "demo"),
    "init": ("update_server.cli.init", "init"),
    "serve": ("update_server.cli.serve", "serve"),
    "app": ("update_server.cli.app", "app"),
    "key": ("update_server.cli.key", "key"),
    "release": ("update_server.cli.release", "release"),
    "rollout": ("update_server.cli.rollout", "rollout"),
    "group": ("update_server.cli.access", "group"),
    "enrolment": ("update_server.cli.access", "enrolment"),
    "hold": ("update_server.cli.access", "hold"),
    "token": ("update_server.cli.access", "token"),
    "doctor": ("update_server.cli.doctor", "doctor"),
    "fsck": ("update_server.cli.fsck", "fsck"),
}
"""Command names, and module and function of each; loaded only when used, so that ``serinus
rollout pause`` does not wait for what ``serinus serve`` needs."""


class _Commands(click.Group):
    """Loads a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's name
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's names
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="serinus", prog_name="serinus")
def cli() -> None:
    """Ship new versions of installed apps to a few machines first, and stop when they suffer.

    \b
    serinus demo                 the whole story on this machine
    serinus init                 a workspace with keys, and a server's data
    serinus serve                run the server
    serinus release publish      sign a release and hand it in
    serinus rollout start        show it to the first ring
    """  # noqa: D301 - click takes the mark from the source


def main(run: Callable[..., Any] = cli) -> None:
    """Run the command line."""
    try:
        run(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from error
    except click.exceptions.Exit as end:
        raise SystemExit(end.exit_code) from end
    except click.Abort as abort:
        raise SystemExit(REFUSED) from abort


if __name__ == "__main__":
    main()

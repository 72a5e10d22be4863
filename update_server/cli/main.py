"""The ``serinus`` command: which commands there are, and where each one lives."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from update_server.cli.command import Group, outcome
from update_server.cli.console import Console
from update_server.cli.errors import USAGE, CliError, UsageError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("update_server.cli.demo.command", "demo"),
    "init": ("update_server.cli.init", "init"),
    "serve": ("update_server.cli.serve", "serve"),
    "app": ("update_server.cli.app", "app"),
    "key": ("update_server.cli.key", "key"),
    "release": ("update_server.cli.release", "release"),
    "rehearse": ("update_server.cli.rehearse", "rehearse"),
    "rollout": ("update_server.cli.rollout", "rollout"),
    "group": ("update_server.cli.access", "group"),
    "enrolment": ("update_server.cli.access", "enrolment"),
    "hold": ("update_server.cli.access", "hold"),
    "crash": ("update_server.cli.crash", "crash"),
    "waiver": ("update_server.cli.waiver", "waiver"),
    "quarantine": ("update_server.cli.quarantine", "quarantine"),
    "token": ("update_server.cli.access", "token"),
    "operator": ("update_server.cli.operator", "operator"),
    "notify": ("update_server.cli.notify", "notify"),
    "doctor": ("update_server.cli.doctor", "doctor"),
    "fsck": ("update_server.cli.fsck", "fsck"),
}
"""Command names, and module and function of each; loaded only when used, so that ``serinus
rollout pause`` does not wait for what ``serinus serve`` needs."""


class _Commands(Group):
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

    Every command takes --json and --yes. Each option can also be set by a variable: --app by
    SERINUS_APP, and so on.

    Example: serinus demo --headless
    """  # noqa: D301 - click takes the mark from the source


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and leave with its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    console = Console(as_json="--json" in given)
    raise SystemExit(outcome(console, lambda: _run(given)))


def _run(arguments: Sequence[str]) -> int:
    try:
        code = cli.main(arguments, prog_name="serinus", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "serinus"
        text = error.format_message().rstrip(".")
        raise UsageError("usage", f"{text[:1].lower()}{text[1:]}", hint=f"{path} --help") from error
    except click.ClickException as error:
        raise CliError("usage", error.format_message()) from error
    except click.Abort as abort:
        raise KeyboardInterrupt from abort
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()

"""The copy of all help texts in ``docs/cli.md``. ``make docs`` writes it; a test compares it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import click

from client_agent import cli as agent
from tests.command_tree import commands
from update_server.cli.main import cli as root

FILE = Path(__file__).parents[1] / "docs" / "cli.md"
_WIDTH = 100

_HEAD = """\
# Command line

<!-- Written by `make docs` from the help texts. Change those. -->

`serinus` is for publishers and operators, `serinus-agent` for apps in any language. Every command
takes `--json` (one JSON document on stdout, also on failure; nothing else there) and `--yes` (the
answer to every plain question; a version that is asked for is given with `--confirm`). Messages,
hints and bars go to stderr. Bars and colours appear only on a terminal, and never with `NO_COLOR`.

| exit code | |
| --- | --- |
| 0 | done; or asked for, where a second person is needed: then the document has `pending` |
| 1 | refused or failed; the message, and `type` of the document, say why ([errors](errors.md)) |
| 2 | the command line, or the workspace, does not say what is needed |
| 3 | there was nothing to do |

Each option can also be set by a variable: `--app` by `SERINUS_APP`, `--not-before` by
`SERINUS_NOT_BEFORE`. The server comes from `--server`, else `SERINUS_SERVER`, else the workspace;
the token from `--token-file`, else `SERINUS_TOKEN`, else the workspace. More variables, and all
settings: [settings](settings.md).
"""


def render() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_server_commands(), *_agent_commands()])


def _server_commands() -> Iterator[str]:
    for path, command in commands(root):
        context = click.Context(
            command, info_name=path, terminal_width=_WIDTH, help_option_names=["-h", "--help"]
        )
        yield f"## {path}\n\n```text\n{command.get_help(context)}\n```\n"


def agent_commands() -> dict[str, list[argparse.Action]]:
    """Return the options and arguments of each of the agent's commands."""
    return {
        name: [each for each in parser._actions if not isinstance(each, argparse._HelpAction)]
        for name, parser in _subcommands().choices.items()
    }


def _subcommands() -> argparse._SubParsersAction[argparse.ArgumentParser]:
    (found,) = (
        action
        for action in agent._parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return found


def _agent_commands() -> Iterator[str]:
    told = {choice.dest: choice.help for choice in _subcommands()._choices_actions}
    for name, actions in agent_commands().items():
        rows = [f"| {_usage(action)} | {action.help or '-'} |" for action in actions]
        table = ["| | |", "| --- | --- |", *rows]
        yield "\n".join([f"## serinus-agent {name}", "", told[name] or "", "", *table, ""])


def _usage(action: argparse.Action) -> str:
    if not action.option_strings:
        words = action.choices or (action.metavar or action.dest,)
        return " or ".join(f"`{word}`" for word in words)
    names = ", ".join(action.option_strings)
    takes = action.nargs != 0
    return f"`{names} {action.metavar or action.dest.upper()}`" if takes else f"`{names}`"


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")

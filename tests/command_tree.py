"""Walk over the command line's commands, for tests and for the copy in ``docs/cli.md``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click


def commands(command: click.Command, path: str = "serinus") -> Iterator[tuple[str, click.Command]]:
    """Yield every command and group below *command*, itself first, with what is typed for it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, f"{path} {name}")


def example_of(command: click.Command) -> str:
    """Return the worked example in a command's help; empty without one."""
    text = textwrap.dedent(command.help or "").replace("\b\n", "")
    _, _, example = text.partition("Example: ")
    return example.partition("\n\n")[0].strip()

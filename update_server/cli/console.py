"""The only file that prints.

Data goes to standard output, everything else to standard error. With ``--json`` standard
output carries exactly one JSON document, also on failure. Messages start ``serinus: ``, in
lower case, without a full stop. Colours and bars appear only on a terminal, and never with
``NO_COLOR``. Questions are asked only where somebody can answer.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console as RichConsole
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from update_server.cli.errors import CliError, UsageError

Advance = Callable[[int], None]
"""Called with the number of bytes that are done in all."""

Share = Callable[[str, str, int], None]
"""Called with a bar's name, its label, and how much of it is full, in basis points."""


class Console:
    """Where one command speaks: to a person, or as one JSON document to a program."""

    def __init__(self, *, as_json: bool = False, yes: bool = False) -> None:
        self.as_json = as_json
        self._yes = yes
        self._out = RichConsole(highlight=False, soft_wrap=True)
        # As wide as they are: an ID that is cut off could not be typed again.
        self._tables = RichConsole(highlight=False, soft_wrap=True, width=10_000)
        self._err = RichConsole(stderr=True, highlight=False, soft_wrap=True)

    @property
    def interactive(self) -> bool:
        """Whether somebody can answer a question."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def say(self, message: str) -> None:
        """Tell a person what happens."""
        self._err.print(Text(f"serinus: {message}"))

    def print(self, text: str) -> None:
        """Print data for people; nothing with ``--json``."""
        if not self.as_json:
            self._out.print(Text(text))

    def document(self, document: Mapping[str, Any]) -> None:
        """Print the one JSON document of ``--json``."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
            sys.stdout.flush()

    def line(self, document: Mapping[str, Any], text: str) -> None:
        """Print one line of a stream: a JSON object, or text for people."""
        if self.as_json:
            self.document(document)
        else:
            self._out.print(Text(text))

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table for people; nothing with ``--json``, or without rows."""
        if rows and not self.as_json:
            self._tables.print(make_table(heads, rows))

    def listing(self, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a list for people as a table, and say when there is none yet."""
        if not rows and not self.as_json:
            self.say("none yet")
        self.table(heads, rows)

    def error(self, error: CliError) -> None:
        """Tell what was wrong and what to do."""
        self._err.print(Text(f"serinus: {error.detail}"))
        if error.hint:
            self._err.print(Text(f"serinus: try {error.hint}"))
        self.document(error.problem())

    def ask(self, question: str, *, instead: str) -> str:
        """Return what a person types; raises UsageError, naming *instead*, if nobody can."""
        return self._ask(question, ": ", instead)

    def confirm(self, question: str, *, expected: str = "", given: str | None = None) -> None:
        """Go on only if a person agrees; with *expected*, only if they type just that.

        ``--yes`` answers plain questions; *given* (``--confirm``) stands for typing.

        Raises:
            CliError: They do not, or nobody can be asked.
        """
        if expected:
            typed = given
            if typed is None:
                how = f"; type {expected} to go on: "
                typed = self._ask(question, how, f"the same command with --confirm {expected}")
            if typed != expected:
                raise CliError("not_confirmed", f"nothing was done: {typed!r} is not {expected!r}")
            return
        if self._yes:
            return
        answer = self._ask(question, " [y/N] ", "the same command with --yes")
        if answer.lower() not in {"y", "yes"}:
            raise CliError("not_confirmed", "nothing was done")

    def _ask(self, question: str, how: str, instead: str) -> str:
        """*how* follows the question where there is somebody to read how to answer it."""
        if not self.interactive:
            detail = f"{question} — there is no terminal to answer on"
            raise UsageError("no_terminal", detail, hint=instead)
        self._err.print(Text(f"serinus: {question}{how}"), end="")
        return sys.stdin.readline().strip()

    def secret(self, prompt: str) -> bytes:
        """Ask for a secret without showing it."""
        if not self.interactive:
            raise UsageError(
                "no_terminal",
                f"the {prompt} is needed and there is no terminal to type it on",
                hint="SERINUS_PASSPHRASE_FILE=FILE",
            )
        return getpass.getpass(f"serinus: {prompt}: ", stream=sys.stderr).encode()

    @property
    def _moving(self) -> bool:
        """Whether bars and living tables are wanted."""
        return self._err.is_terminal and "NO_COLOR" not in os.environ

    @contextmanager
    def progress(self, label: str, total_bytes: int | None) -> Iterator[Advance]:
        """Show a bar while bytes move. Silent where there is no terminal."""
        bar = Progress(
            TextColumn("serinus: {task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=self._err,
            transient=True,
            disable=not self._moving,
        )
        with bar:
            task = bar.add_task(label, total=total_bytes)
            yield lambda done: bar.update(task, completed=done)

    @contextmanager
    def shares(self) -> Iterator[Share]:
        """Show bars of shares that change, below what is printed. Silent as ``progress``."""
        bars = Progress(
            TextColumn("serinus: {task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.4g} %"),
            console=self._err,
            transient=True,
            disable=not self._moving,
            redirect_stdout=sys.stdout.isatty(),  # elsewhere data goes where it is to go
        )
        tasks: dict[str, TaskID] = {}

        def show(name: str, label: str, basis_points: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(label, total=10_000)
            bars.update(tasks[name], description=label, completed=basis_points)

        with bars:
            yield show

    @contextmanager
    def live(self, first: Table) -> Iterator[Callable[[Table], None]]:
        """Show a table that changes, on a terminal; elsewhere show nothing."""
        if not self._moving:
            yield lambda _: None
            return
        with Live(first, console=self._err, refresh_per_second=4) as live:
            yield live.update


def make_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return a plain table, numbers to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, head in enumerate(heads):
        numeric = rows and all(isinstance(row[column], int) for row in rows)
        table.add_column(head, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*("-" if cell is None else Text(str(cell)) for cell in row))
    return table

"""What a person at a real terminal sees and types."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.cli_world import Cli, Typing, a_short_folder, an_outsider
from update_server.cli.console import Console, make_table

_PATIENCE_SECONDS = 60.0


class Terminal:
    """A command at a pseudo-terminal."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self._ours, theirs = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SERINUS_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "update_server.cli.main", *arguments],
            cwd=folder,
            env=environment | {"TERM": "xterm", "COLUMNS": "100"} | variables,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def expect(self, text: str) -> None:
        """Read until *text* is on the screen."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while text not in self.seen:
            assert time.monotonic() < until, self.seen
            assert self._read(), self.seen

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._ours, f"{line}\n".encode())

    def end(self) -> int:
        """Read to the end; return the exit code."""
        while self._read():
            pass
        os.close(self._ours)
        return self._process.wait(_PATIENCE_SECONDS)

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], _PATIENCE_SECONDS)[0]:
            return False
        try:
            data = os.read(self._ours, 65_536)
        except OSError:  # nobody writes any more
            return False
        self.seen += data.decode()
        return bool(data)


@pytest.fixture
def somebody() -> Iterator[Cli]:
    with a_short_folder() as folder:
        yield an_outsider(folder)


def test_a_passphrase_is_typed_twice_and_not_shown_and_is_hard_to_guess(somebody: Cli) -> None:
    terminal = Terminal(somebody.folder, "key", "new", "anna.key", "--owner", "anna")
    terminal.expect("serinus: new passphrase for your signing keys: ")
    terminal.type("correct horse battery")
    terminal.expect("serinus: the same again: ")
    terminal.type("correct horse battery")

    assert terminal.end() == 0
    assert "anna.key: " in terminal.seen
    assert "correct horse" not in terminal.seen
    made = json.loads((somebody.folder / "anna.key").read_bytes())
    assert (made["kdf"]["name"], made["kdf"]["n"]) == ("scrypt", 2**17)


def test_two_passphrases_that_differ_make_nothing(somebody: Cli) -> None:
    terminal = Terminal(somebody.folder, "key", "new", "anna.key", "--owner", "anna")
    terminal.expect("signing keys: ")
    terminal.type("correct horse battery")
    terminal.expect("again: ")
    terminal.type("correct horse bakery")

    assert terminal.end() == 1
    assert "serinus: the two differ; nothing was made" in terminal.seen
    assert not (somebody.folder / "anna.key").exists()


def test_ctrl_c_at_a_question_makes_nothing(somebody: Cli) -> None:
    terminal = Terminal(somebody.folder, "init", "ws")
    terminal.expect("name of the app: ")
    terminal._process.send_signal(2)

    assert terminal.end() == 1
    assert "serinus: interrupted" in terminal.seen
    assert not (somebody.folder / "ws").exists()


def test_the_passphrase_of_keys_is_asked_for_once(workspace: Cli) -> None:
    done = workspace.run(
        "app", "policy", "policy.toml", "--yes", "--json", code=2,
        variables={"SERINUS_PASSPHRASE_FILE": "", "SERINUS_SERVER": "http://127.0.0.1:9"},
    )  # fmt: skip

    assert done.error == "no_terminal"
    assert done.document["hint"] == "SERINUS_PASSPHRASE_FILE=FILE"


# --- bars and tables -------------------------------------------------------------------------


def test_a_table_that_changes_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def shown(screen: io.StringIO) -> str:
        with contextlib.redirect_stderr(screen), Console().live(make_table(["a"], [])) as update:
            update(make_table(["version"], [["1.1.0"]]))
        return screen.getvalue()

    assert "1.1.0" in shown(Typing())
    assert shown(io.StringIO()) == ""
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(Typing()) == ""


def test_bars_of_shares_are_kept_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Typing()
    with contextlib.redirect_stderr(screen), Console().shares() as show:
        show("a", "1.1.0: ring 1%", 100)
        show("a", "1.1.0: ring 10%", 1_000)

    assert "1.1.0: ring 10%" in screen.getvalue()
    assert "10 %" in screen.getvalue()


def test_numbers_stand_to_the_right_and_nothing_is_a_dash() -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        Console().table(("name", "count"), [("a", 5), ("b", 1_000), (None, 7)])

    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        "name  count",
        "a         5",
        "b      1000",
        "-         7",
    ]


def test_an_identifier_is_never_cut_off() -> None:
    out, name = io.StringIO(), "x" * 200
    with contextlib.redirect_stdout(out):
        Console().table(("id", "name"), [(name, name)])

    assert out.getvalue().count(name) == 2


def test_json_leaves_text_and_tables_out() -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        console = Console(as_json=True)
        console.print("text")
        console.table(("a",), [("b",)])
        console.document({"a": "ä"})

    assert out.getvalue() == '{"a": "ä"}\n'

"""The frame around every command: help, usage errors, faults, interrupts, examples."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.cli.cli_world import Cli
from tests.command_tree import commands, example_of
from update_server.cli.command import outcome
from update_server.cli.console import Console
from update_server.cli.errors import NOTHING_TO_DO, CliError, UsageError
from update_server.cli.main import cli as root

COMMANDS = dict(commands(root))


def test_without_a_command_the_help_is_shown_and_usage_is_the_exit_code(outsider: Cli) -> None:
    done = outsider.run(code=2)

    assert done.out == ""
    assert "serinus rollout start" in done.err


@pytest.mark.parametrize(
    ("arguments", "detail", "hint"),
    [
        (["bogus"], "no such command 'bogus'", "serinus --help"),
        (["rollout", "bogus"], "no such command 'bogus'", "serinus rollout --help"),
        (["rollout", "start"], "missing argument 'VERSION'", "serinus rollout start --help"),
        (["fsck", "--bogus"], "no such option '--bogus'", "serinus fsck --help"),
    ],
)
def test_a_command_line_that_is_wrong_says_what_and_where_to_look(
    outsider: Cli, arguments: list[str], detail: str, hint: str
) -> None:
    told = outsider.run(*arguments, code=2)
    document = outsider.json(*arguments, code=2)

    assert told.out == ""
    assert told.err == f"serinus: {detail}\nserinus: try {hint}\n"
    assert document == {"type": "about:blank#usage", "detail": detail, "hint": hint}


def test_a_file_that_click_cannot_open_is_told_as_any_refusal(outsider: Cli) -> None:
    done = outsider.run("key", "export", "nowhere.key", code=2)

    assert done.err.startswith("serinus: invalid value for 'FILE'")


def test_the_version_is_told(outsider: Cli) -> None:
    assert outsider.run("--version").out.startswith("serinus, version ")


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_with_an_example_whose_options_exist(
    outsider: Cli, path: str
) -> None:
    shown = outsider.run(*path.split()[1:], "--help").out
    example = example_of(COMMANDS[path])

    assert example.startswith(path), example
    assert all(line.strip() in shown for line in example.splitlines())
    known = {name for option in COMMANDS[path].params for name in option.opts}
    if not isinstance(COMMANDS[path], click.Group):
        assert {word for word in shlex.split(example) if word.startswith("--")} <= known


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_takes_json_and_yes_and_has_a_variable_for_each_option(path: str) -> None:
    if isinstance(COMMANDS[path], click.Group):
        return
    options = [each for each in COMMANDS[path].params if isinstance(each, click.Option)]
    names = {name for option in options for name in option.opts}
    assert {"--json", "--yes"} <= names
    for option in options:
        flag = next(name for name in option.opts if name.startswith("--"))
        assert option.envvar == "SERINUS_" + flag[2:].replace("-", "_").upper()
        assert option.help


# --- how commands end -----------------------------------------------------------------------


def ended(
    run: object, capsys: pytest.CaptureFixture[str], *, as_json: bool = False
) -> tuple[int, str]:
    def act() -> int | None:
        if isinstance(run, BaseException):
            raise run
        assert run is None or isinstance(run, int)
        return run

    code = outcome(Console(as_json=as_json), act)
    caught = capsys.readouterr()
    return code, caught.out if as_json else caught.err


def test_exit_codes_are_those_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(None, capsys) == (0, "")
    assert ended(NOTHING_TO_DO, capsys) == (3, "")
    assert ended(CliError("x", "no"), capsys) == (1, "serinus: no\n")
    assert ended(UsageError("x", "no", hint="yes"), capsys) == (
        2,
        "serinus: no\nserinus: try yes\n",
    )


def test_faults_of_the_system_name_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    fault = OSError(13, "Permission denied", "/srv/x")

    assert ended(fault, capsys) == (1, "serinus: /srv/x: Permission denied\n")
    assert ended(OSError("odd"), capsys) == (1, "serinus: odd\n")


def test_a_fault_of_ours_is_one_line_and_no_stack_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, told = ended(KeyError("items"), capsys)

    assert code == 1
    assert told.startswith("serinus: this should not happen: KeyError: 'items'\nserinus: try ")
    assert "Traceback" not in told
    monkeypatch.setenv("SERINUS_DEBUG", "1")
    with pytest.raises(KeyError):
        ended(KeyError("items"), capsys)


def test_an_interrupt_is_told_also_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = ended(KeyboardInterrupt(), capsys)
    _, document = ended(KeyboardInterrupt(), capsys, as_json=True)

    assert code == 1
    assert told == "serinus: interrupted; the same command can be given again\n"
    assert '"about:blank#interrupted"' in document


def test_ctrl_c_ends_a_command_that_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, "-m", "update_server.cli.main", "app", "list", "--server", address],
            env=os.environ | {"SERINUS_TOKEN": "srn_x"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            link, _ = silent.accept()
            with link:
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=20)

    assert (process.returncode, out) == (1, "")
    assert err == "serinus: interrupted; the same command can be given again\n"


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path: Path) -> None:
    # `serinus --help | true`: nobody reads, and nobody is told.
    script = (
        "import sys; from update_server.cli.command import outcome;"
        "from update_server.cli.console import Console;"
        "console = Console();"
        "act = lambda: [console.print('x' * 10_000) for _ in range(100)] and 0;"
        "sys.exit(outcome(console, act))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        assert process.wait(20) == 1
    assert told == b""

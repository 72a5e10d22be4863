"""`serinus serve` says when it is ready, and why it cannot begin."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.cli.cli_world import Cli, a_signer, free_ports, words
from update_server import config as configs
from update_server.cli import readiness
from update_server.cli.console import Console


def on_free_ports(cli: Cli) -> configs.Config:
    public, admin = free_ports(2)
    text = cli.config_file.read_text()
    text = text.replace('public = "127.0.0.1:8080"', f'public = "127.0.0.1:{public}"')
    text = text.replace('admin = "127.0.0.1:8081"', f'admin = "127.0.0.1:{admin}"')
    cli.config_file.write_text(text)
    return cli.config


@contextmanager
def serving(cli: Cli, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "update_server.cli.main", "serve", *arguments],
        cwd=cli.folder,
        env=os.environ | cli.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.e2e
def test_a_server_says_when_it_is_ready_and_stops_in_order(workspace: Cli) -> None:
    workspace.set("[server]", "[server]\nworkers = 1")
    config = on_free_ports(workspace)
    with serving(workspace, "--json") as server:
        assert server.stdout is not None
        assert server.stderr is not None
        ready = json.loads(server.stdout.readline())
        # It said so, and so it is: no waiting here.
        assert workspace.run("app", "list", variables={"SERINUS_SERVER": ready["admin"]}).code == 0
        server.terminate()
        code, told = server.wait(30), server.stderr.read()

    assert ready == {
        "ready": True,
        "role": "all",
        "data": str(config.data),
        "public": f"http://{config.public}",
        "admin": f"http://{config.admin}",
    }
    assert code == 0
    assert told.splitlines() == [
        f"serinus: data in {config.data}",
        f"serinus: agents: http://{config.public}  people: http://{config.admin}",
        "serinus: ready",
        "serinus: stopped",
    ]


@pytest.mark.e2e
def test_a_role_by_itself_is_ready_by_itself_and_stops_at_a_ctrl_c(workspace: Cli) -> None:
    with serving(workspace, "--role", "signer") as server:
        assert server.stderr is not None
        lines = [server.stderr.readline().strip() for _ in range(2)]
        server.send_signal(signal.SIGINT)
        code, rest = server.wait(30), server.stderr.read()

    assert lines == [f"serinus: data in {workspace.config.data}", "serinus: ready"]
    assert (code, rest) == (0, "serinus: stopped\n")


@pytest.mark.parametrize("name", ["public", "admin"])
def test_a_port_that_is_taken_is_told_before_anything_starts(workspace: Cli, name: str) -> None:
    config = on_free_ports(workspace)
    address = getattr(config, f"{name}_address")
    with socket.create_server(address):
        done = workspace.run("serve", "--json", code=1)

    assert done.error == "port_taken"
    assert f'{name} = "127.0.0.1:{address[1]}"' in done.document["detail"]
    assert str(workspace.config_file) in done.document["detail"]


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_this_machines_is_told(workspace: Cli, host: str) -> None:
    workspace.set("127.0.0.1:8080", f"{host}:8080")

    assert workspace.refused("serve") == "bad_address"


def test_two_servers_do_not_share_their_data(workspace: Cli) -> None:
    on_free_ports(workspace)
    with a_signer(workspace):
        assert workspace.refused("serve") == "already_running"


def test_a_workspace_that_is_missing_is_told(outsider: Cli) -> None:
    done = outsider.run("serve", code=2)

    assert done.err == (
        "serinus: there is no serinus.toml here or above\n"
        "serinus: try serinus init, or SERINUS_WORKSPACE=FOLDER\n"
    )
    named = outsider.run("serve", "--config", "nowhere.toml", "--json", code=2)
    assert named.error == "bad_config"
    assert "make a workspace with `serinus init`" in named.document["detail"]


def test_settings_that_are_wrong_are_told(workspace: Cli) -> None:
    workspace.set("lease_seconds = 1", "lease_seconds = 0")

    assert workspace.refused("serve", code=2) == "bad_config"


def test_once_refreshes_what_the_signer_has(workspace: Cli) -> None:
    assert workspace.json("serve", "--role", "signer", "--once") == {"refreshed": ["notes"]}
    assert workspace.refused("serve", "--once", code=2) == "usage"


def test_who_waits_long_is_told_for_what(
    workspace: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(readiness, "_PATIENCE_SECONDS", 0.0)
    config, stop = on_free_ports(workspace), threading.Event()
    asked: list[bool] = []
    watched = threading.Event()

    def signer_answers() -> bool:
        asked.append(True)
        if len(asked) > 2:
            watched.set()
        return False

    readiness.announce(Console(), config, "all", stop, signer_answers)
    assert watched.wait(20)
    stop.set()
    for thread in threading.enumerate():
        if thread.name == "readiness":
            thread.join(20)

    told = capsys.readouterr().err
    assert words(told) == words("serinus: not ready yet: signer, public, admin not answering")


def test_a_server_on_every_address_is_asked_on_this_machine(workspace: Cli) -> None:
    public, admin = free_ports(2)
    workspace.set("127.0.0.1:8080", f"0.0.0.0:{public}")
    workspace.set('admin = "127.0.0.1:8081"', f'admin = "[::]:{admin}"')

    checks: dict[str, Callable[[], bool]] = readiness._checks(workspace.config, "web", lambda: True)

    assert [check() for check in checks.values()] == [False, False]

"""Where a command's server, app and token come from, and what it says when there are none."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from tests.cli.cli_world import Cli, free_ports, running, serving_admin
from update_server import wiring
from update_server.cli import api as apis
from update_server.cli.api import Answer
from update_server.cli.errors import CliError, ProblemError, UsageError
from update_server.cli.workspace import Workspace, find, load
from update_server.clock import SystemClock


def test_the_flag_comes_first_then_the_variable_then_the_workspace(cli: Cli) -> None:
    server = cli.config_file.read_text().partition('server = "')[2].partition('"')[0]
    cli.set(f'server = "{server}"', 'server = "http://127.0.0.1:9"')

    assert cli.refused("app", "list") == "unreachable"
    assert cli.run("app", "list", variables={"SERINUS_SERVER": server}).code == 0
    wrong = {"SERINUS_SERVER": "http://127.0.0.1:9"}
    assert cli.run("app", "list", "--server", server, variables=wrong).code == 0


def test_a_workspace_is_found_from_below_and_by_its_variable(cli: Cli) -> None:
    below = cli.folder / "a" / "b"
    below.mkdir(parents=True)

    assert Cli(folder=below).run("app", "list").code == 0
    named = {"SERINUS_WORKSPACE": str(cli.folder)}
    assert Cli(folder=cli.folder.parent).run("app", "list", variables=named).code == 0
    wrong = {"SERINUS_WORKSPACE": str(below)}
    done = Cli(folder=below).run("app", "list", "--json", code=2, variables=wrong)
    assert done.error == "no_workspace"


def test_without_a_workspace_everything_must_be_named(outsider: Cli, cli: Cli) -> None:
    server = cli.config_file.read_text().partition('server = "')[2].partition('"')[0]
    token = str(cli.folder / "admin.token")

    assert outsider.refused("app", "list", code=2) == "no_token"
    assert outsider.refused("app", "show", "--token-file", token, code=2) == "no_app"
    arguments = ("app", "show", "--token-file", token, "--app", "notes", "--server", server)
    assert outsider.json(*arguments)["app"] == "notes"
    arguments = ("app", "policy", "--token-file", token, "--app", "notes", "--server", server)
    assert outsider.json(*arguments)["channel"] == "stable"


@pytest.mark.parametrize("text", ["", "two words", "schlüssel"])
def test_what_is_no_token_is_not_sent(outsider: Cli, text: str) -> None:
    (outsider.folder / "token").write_text(text)

    assert outsider.refused("app", "list", "--token-file", "token", code=2) == "no_token"
    if text:
        done = outsider.run("app", "list", "--json", code=2, variables={"SERINUS_TOKEN": text})
        assert done.error == "no_token"
        assert text not in done.err


def test_a_token_file_that_is_not_there_is_told(outsider: Cli) -> None:
    done = outsider.run("app", "list", "--token-file", "nowhere", code=2)

    assert done.err == "serinus: no token can be read from nowhere: No such file or directory\n"


def test_a_token_that_is_unknown_is_refused_by_the_server(cli: Cli) -> None:
    done = cli.run("app", "list", "--json", code=1, variables={"SERINUS_TOKEN": "srn_wrong"})

    assert (done.error, done.document["status"]) == ("unauthorized", 401)


def test_a_server_that_is_away_is_told_with_what_to_do(workspace: Cli) -> None:
    done = workspace.run("app", "list", "--server", "http://127.0.0.1:9", code=1)

    assert done.err == (
        "serinus: http://127.0.0.1:9 does not answer: nothing listens there\n"
        "serinus: try serinus serve, or name the server with --server\n"
    )
    done = workspace.run("app", "list", "--server", "nonsense://x", code=1)
    assert done.err.startswith("serinus: nonsense://x is no address of a web server\n")


def test_the_workspaces_own_server_is_waited_for_while_it_starts(
    workspace: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`serinus serve &` returns before anybody listens."""
    starting = ServerThatStarts(workspace)
    monkeypatch.setattr(apis, "_START_SECONDS", 20.0)
    monkeypatch.setattr(apis, "SystemClock", lambda: starting)
    try:
        done = workspace.run("rollout", "watch", "--seconds", "0.1")
    finally:
        starting.stop()

    assert done.err == "serinus: waiting for the server\n"


def test_a_server_of_this_machine_that_does_not_start_is_given_up_on(
    workspace: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.set("127.0.0.1:8081", "127.0.0.1:9")
    monkeypatch.setattr(apis, "_START_SECONDS", 0.1)

    done = workspace.run("app", "list", code=1)

    assert done.err.startswith("serinus: waiting for the server\nserinus: http://127.0.0.1:9 does")
    assert "waiting" not in workspace.run("doctor", code=1).err


class ServerThatStarts(SystemClock):
    """A clock: who sleeps for the second time wakes to a server that listens."""

    def __init__(self, cli: Cli) -> None:
        (port,) = free_ports(1)
        cli.set("127.0.0.1:8081", f"127.0.0.1:{port}")
        self._config = replace(cli.config, lease_seconds=0)
        self._port = port
        self._slept = 0
        self._stack = contextlib.ExitStack()
        self.stop = self._stack.close

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._slept += 1
        if self._slept == 2:
            app = wiring.local_admin_app(self._config)
            server = make_server("127.0.0.1", self._port, app, threaded=True)
            self._stack.enter_context(running(server))


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        ("200 OK", b"<html>", "unexpected_answer"),
        ("200 OK", b"[]", "unexpected_answer"),
        ("200 OK", b"{}", "unexpected_answer"),
        ("502 Bad Gateway", b"<html>", "http_502"),
        ("403 No", b'{"title": "Go away"}', "http_403"),
    ],
)
def test_a_server_of_another_kind_is_told_as_such(
    workspace: Cli, status: str, body: bytes, code: str
) -> None:
    def other(_environ: Any, start: Any) -> list[bytes]:
        start(status, [])
        return [body]

    server = make_server("127.0.0.1", 0, other)
    with running(server):
        url = f"http://127.0.0.1:{server.server_port}"
        assert workspace.refused("app", "list", "--server", url) == code


def test_a_server_that_hangs_up_is_told(workspace: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:

        def hang_up() -> None:
            door.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        done = workspace.run("app", "list", "--server", url, code=1)
        thread.join()
    assert done.err.startswith(f"serinus: {url} broke off the connection\n")


def test_lists_are_read_page_by_page(workspace: Cli) -> None:
    def paged(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [])
        if "cursor=2" in environ["QUERY_STRING"]:
            return [b'{"items": [{"id": "b"}], "next_cursor": null}']
        return [b'{"items": [{"id": "a"}], "next_cursor": 2}']

    server = make_server("127.0.0.1", 0, paged)
    with running(server):
        url = f"http://127.0.0.1:{server.server_port}"
        items = workspace.json("token", "list", "--server", url)["items"]

    assert [item["id"] for item in items] == ["a", "b"]


# --- the workspace's own file ---------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["[publisher", "publisher = 1", "[publisher]\nport = 'x'", "[publisher]\napp = 1", "\udcff"],
)
def test_a_workspace_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "serinus.toml").write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(UsageError) as refused:
        load(tmp_path)

    assert refused.value.code == "bad_workspace"
    assert str(tmp_path) in refused.value.detail


def test_nothing_is_found_where_there_is_none(tmp_path: Path) -> None:
    assert find(tmp_path) is None


def test_keys_are_named_for_each_role_or_for_the_publisher(tmp_path: Path) -> None:
    keys = {"publisher": "srnkey:keys/p.key", "policy": "awskms:alias/x"}
    workspace = Workspace(folder=tmp_path, app="notes", keys=keys)

    assert workspace.key_uri("releases") == f"srnkey:{tmp_path}/keys/p.key"
    assert workspace.key_uri("policy") == "awskms:alias/x"
    with pytest.raises(UsageError) as refused:
        workspace.key_uri("root")
    assert refused.value.code == "no_key"


def test_a_problem_keeps_what_the_server_said() -> None:
    error = ProblemError(409, {"type": "about:blank#x", "detail": "no", "hint": "y", "more": [1]})

    assert (error.code, error.detail, error.hint) == ("x", "no", "y")
    assert error.problem()["more"] == [1]


def test_an_answer_without_json_is_no_object() -> None:
    with pytest.raises(CliError):
        Answer(status=200, headers={}, body=b"no").json()


def test_a_local_server_needs_no_port(workspace: Cli) -> None:
    with serving_admin(workspace):
        assert workspace.json("app", "list")["items"]

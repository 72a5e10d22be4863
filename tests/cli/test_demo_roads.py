"""Commands and calls of the demo, against real processes and a real socket."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from packaging.version import Version

from update_server.cli.demo.roads import Observer, Outsider, Publisher, free_ports, run_command
from update_server.cli.errors import CliError

Answer = Callable[[str, str, Any], tuple[int, Mapping[str, Any]]]


@contextmanager
def a_server(answer: Answer) -> Iterator[str]:
    """Serve JSON on a loopback port: *answer* gets method, path and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do("GET")

        def do_POST(self) -> None:
            self._do("POST")

        def _do(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, document = answer(method, self.path, json.loads(body or "null"))
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def nothing() -> None:
    pass


def run(code: str, what: str = "x", idle: Callable[[], None] = nothing) -> dict[str, Any]:
    return run_command(what, (sys.executable, "-c", code), {}, idle)


def a_publisher(folder: Path) -> Publisher:
    return Publisher(
        workspace=folder, passphrase=folder / "passphrase", scratch=folder / "tmp", idle=nothing
    )


def test_a_command_gives_its_document() -> None:
    assert run("print('{\"id\": 7}')") == {"id": 7}


@pytest.mark.parametrize("printed", ["", "[1]", "done"])
def test_a_command_that_prints_no_object_gives_an_empty_one(printed: str) -> None:
    assert run(f"print({printed!r})") == {}


def test_a_refused_command_says_why_in_its_own_words() -> None:
    code = 'print(\'{"detail": "no such ring"}\'); raise SystemExit(1)'

    with pytest.raises(CliError) as caught:
        run(code, "serinus rollout promote")

    assert caught.value.detail == "serinus rollout promote: no such ring"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit(3)", "it ended with 3"),
        ("raise SystemExit('disk full')", "disk full"),
    ],
)
def test_a_command_that_fails_without_a_document_is_told_by_its_last_line(
    code: str, words: str
) -> None:
    with pytest.raises(CliError) as caught:
        run(code, "serinus init")

    assert caught.value.detail == f"serinus init: {words}"


def test_a_command_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("update_server.cli.demo.roads._MAX_TICKS", 1)

    with pytest.raises(CliError) as caught:
        run("import time; time.sleep(60)")

    assert caught.value.code == "command_failed"


def test_others_are_looked_after_while_a_command_runs(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def let_go() -> None:
        with suppress(OSError):  # it does not listen yet
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))

    # The command ends only because something else was done meanwhile.
    assert run(f"open({str(pipe)!r}).read()", idle=let_go) == {}


def test_a_persons_own_settings_do_not_reach_the_demos_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERINUS_TOKEN", "srn_mine")
    publisher = a_publisher(tmp_path)

    assert "SERINUS_TOKEN" not in publisher.environment
    assert publisher.environment["SERINUS_WORKSPACE"] == str(tmp_path)
    assert publisher.environment["TMPDIR"] == str(tmp_path / "tmp")


def test_a_publishers_refusal_names_the_command(tmp_path: Path) -> None:
    publisher = a_publisher(tmp_path / "nowhere")

    with pytest.raises(CliError) as caught:
        publisher.run("rollout", "list")

    assert caught.value.detail.startswith("serinus rollout list: ")


def test_a_check_in_tells_the_version_that_is_offered() -> None:
    asked: list[Any] = []

    def answer(method: str, path: str, body: Any) -> tuple[int, Mapping[str, Any]]:
        asked.append((method, path, body))
        version = "1.1.0" if len(asked) == 1 else None
        return 200, {"assignment": {"version": version}}

    with a_server(answer) as url:
        outsider = Outsider(url, "demo")
        offered = [outsider.check_in({"version": "1.0.0"}) for _ in range(2)]

    assert offered == ["1.1.0", None]
    assert asked[0] == ("POST", "/v1/apps/demo/check-in", {"version": "1.0.0"})


def test_a_refused_check_in_is_no_offer_but_an_error() -> None:
    problem = {"type": "about:blank#unknown_app"}

    with a_server(lambda *_: (404, problem)) as url, pytest.raises(CliError) as caught:
        Outsider(url, "demo").check_in({})

    assert caught.value.code == "refused"


def test_a_check_in_without_an_answer_is_an_error() -> None:
    (port,) = free_ports(1)

    with pytest.raises(CliError) as caught:
        Outsider(f"http://127.0.0.1:{port}", "demo").check_in({})

    assert caught.value.code == "unreachable"


def test_the_apps_are_ready_when_they_answer() -> None:
    (port,) = free_ports(1)
    nobody = f"http://127.0.0.1:{port}"

    with a_server(lambda *_: (200, {"items": [], "next_cursor": None})) as url:
        assert Outsider(url, "demo").ready()
        assert Observer(url, "srn_x", "demo").ready()
    with a_server(lambda *_: (503, {})) as url:
        assert not Outsider(url, "demo").ready()
        assert not Observer(url, "srn_x", "demo").ready()
    assert not Outsider(nobody, "demo").ready()
    assert not Observer(nobody, "srn_x", "demo").ready()


def test_a_funnel_is_counted_over_all_arms() -> None:
    funnel = {"offered": {"candidate": 3, "control": 0, "internal": 2}}

    with a_server(lambda *_: (200, {"funnel": funnel})) as url:
        observer = Observer(url, "srn_x", "demo")
        assert observer.reached("ro_7k2m", "offered") == 5
        assert observer.reached("ro_7k2m", "healthy") == 0


def test_versions_are_known_from_check_ins() -> None:
    items = [{"version": "", "installs": 2}, {"version": "2.0.0", "installs": 1}]

    with a_server(lambda *_: (200, {"items": items, "next_cursor": None})) as url:
        observer = Observer(url, "srn_x", "demo")
        assert observer.knows_installs_on(Version("2.0"))
        assert not observer.knows_installs_on(Version("2.1.0"))


def test_free_ports_differ_and_can_be_bound() -> None:
    ports = free_ports(3)

    assert len(set(ports)) == 3
    with socket.create_server(("127.0.0.1", ports[0])):
        pass

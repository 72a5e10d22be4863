"""Uploads go on where they were, whatever broke."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.cli_world import Cli, Typing
from update_server.cli import upload as uploads
from update_server.cli.api import AdminApi, HttpTransport, app_path
from update_server.cli.console import Console
from update_server.cli.errors import CliError, ProblemError
from update_server.cli.upload import upload

PIECE = 64 * 1024


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_PIECE_BYTES", PIECE)
    monkeypatch.setattr(uploads, "_PAUSE_SECONDS", 0.01)


def server_of(cli: Cli) -> str:
    return cli.config_file.read_text().partition('server = "')[2].partition('"')[0]


def api_of(cli: Cli, server: str | None = None) -> AdminApi:
    token = (cli.folder / "admin.token").read_text().strip()
    return AdminApi(HttpTransport(server or server_of(cli)), token)


def a_file(folder: Path, size: int) -> tuple[Path, str]:
    data = os.urandom(size)
    path = folder / "payload"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def send(api: AdminApi, path: Path, sha256: str) -> None:
    upload(api, Console(), "notes", path, sha256, label="upload")


def kept(api: AdminApi, sha256: str) -> tuple[str, str]:
    head = api.send("HEAD", app_path("notes", "blobs", sha256)).headers
    return head["upload-complete"], head["upload-offset"]


class Cutter:
    """A proxy that cuts the connection after so many bytes to the server, so many times."""

    def __init__(self, server: str, *, after: int, times: int) -> None:
        host, port = server.removeprefix("http://").split(":")
        self._server = (host, int(port))
        self._after = after
        self._cuts_left = times
        self._door = socket.create_server(("127.0.0.1", 0))
        self.bytes_sent = 0
        self.deaf_after_cuts = False
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                asking, _ = self._door.accept()
            except OSError:
                return
            with asking, socket.create_connection(self._server) as server:
                if self._cuts_left or not self.deaf_after_cuts:
                    self._carry(asking, server)

    def _carry(self, asking: socket.socket, server: socket.socket) -> None:
        back = threading.Thread(target=self._bring_back, args=(asking, server))
        back.start()
        with contextlib.suppress(OSError):
            while data := asking.recv(16 * 1024):
                self.bytes_sent += len(data)
                if self.bytes_sent > self._after and self._cuts_left:
                    self._cuts_left -= 1
                    break
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            asking.shutdown(socket.SHUT_RDWR)
        back.join()

    def _bring_back(self, asking: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(16 * 1024):
                asking.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()


@contextlib.contextmanager
def a_cutter(server: str, *, after: int, times: int) -> Iterator[Cutter]:
    cutter = Cutter(server, after=after, times=times)
    thread = threading.Thread(target=cutter.serve)
    thread.start()
    try:
        yield cutter
    finally:
        cutter.close()
        thread.join()


@pytest.mark.parametrize("size", [0, 1, PIECE, 3 * PIECE + 5])
def test_a_file_of_any_size_arrives_and_is_sent_once(cli: Cli, size: int) -> None:
    path, sha256 = a_file(cli.folder, size)
    api = api_of(cli)

    send(api, path, sha256)
    path.write_bytes(b"not read any more")
    send(api, path, sha256)

    assert kept(api, sha256) == ("?1", str(size))


def test_a_terminal_sees_a_bar(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sha256 = a_file(cli.folder, 3 * PIECE)
    seen = Typing()
    monkeypatch.delenv("NO_COLOR", raising=False)
    with contextlib.redirect_stderr(seen):
        send(api_of(cli), path, sha256)

    assert "serinus: upload" in seen.getvalue()


def test_a_connection_that_breaks_is_made_again(cli: Cli) -> None:
    size = 10 * PIECE
    path, sha256 = a_file(cli.folder, size)
    with a_cutter(server_of(cli), after=5 * PIECE, times=1) as cutter:
        send(api_of(cli, cutter.url), path, sha256)

    assert kept(api_of(cli), sha256) == ("?1", str(size))
    assert size < cutter.bytes_sent < 1.5 * size  # what had arrived was not sent again


def test_a_server_that_stays_away_is_given_up_on_and_the_next_try_goes_on(cli: Cli) -> None:
    path, sha256 = a_file(cli.folder, 10 * PIECE)
    with a_cutter(server_of(cli), after=3 * PIECE, times=1) as cutter:
        cutter.deaf_after_cuts = True
        with pytest.raises(CliError) as broken:
            send(api_of(cli, cutter.url), path, sha256)
    assert broken.value.code == "unreachable"
    there = int(kept(api_of(cli), sha256)[1])
    assert PIECE <= there < 10 * PIECE

    send(api_of(cli), path, sha256)

    assert kept(api_of(cli), sha256)[0] == "?1"


def test_a_file_that_is_not_what_was_announced_is_refused(cli: Cli) -> None:
    path, _ = a_file(cli.folder, 2 * PIECE)
    other = hashlib.sha256(b"other").hexdigest()

    with pytest.raises(ProblemError) as refused:
        send(api_of(cli), path, other)

    assert refused.value.code == "digest_mismatch"
    assert kept(api_of(cli), other) == ("?0", "0")


def test_two_who_send_the_same_file_help_each_other(cli: Cli) -> None:
    size = 20 * PIECE
    path, sha256 = a_file(cli.folder, size)
    faults: list[BaseException] = []

    def send_it() -> None:
        try:
            send(api_of(cli), path, sha256)
        except BaseException as fault:  # noqa: BLE001 - told below
            faults.append(fault)

    threads = [threading.Thread(target=send_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert kept(api_of(cli), sha256) == ("?1", str(size))

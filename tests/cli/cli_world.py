"""The command line in this process, against a real admin app on a real port."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from signing import key_files, keys
from update_server import config as configs
from update_server import wiring
from update_server.cli import key, registration
from update_server.cli.main import main
from update_server.signer import link

APP = "notes"
LINUX = "linux-x86_64"
PASSPHRASE = "correct horse battery staple"

_ADMIN = re.compile(r'(admin = "|server = "http://)127.0.0.1:[0-9]+')

POLICY = """
ceiling = []
internal_groups = ["staff"]
link_hosts = ["status.example.org"]

[[ramp]]
ring = "internal"

[[ramp]]
ring = "10%"
exposure_bp = 1000

[[ramp]]
ring = "all"
exposure_bp = 10000
"""


class Typing(io.StringIO):
    """Somebody at a terminal: what they type, or, as an output, what they see."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def error(self) -> str:
        """The stable code of a refusal."""
        return str(self.document["type"]).partition("#")[2]


@dataclass(kw_only=True)
class Cli:
    """A folder, and ``serinus`` in it."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(
        self,
        *arguments: str,
        code: int = 0,
        typed: str | Typing | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a command; *typed* sits somebody at a terminal who types it."""
        out = io.StringIO()
        err = io.StringIO() if typed is None else Typing()
        with (
            contextlib.chdir(self.folder),
            _environment(self.variables | dict(variables or {})),
            _stdin(_keyboard(typed)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main(arguments)
            except SystemExit as end:
                ended = end.code
        done = Done(code=int(str(ended)), out=out.getvalue(), err=err.getvalue())
        assert done.code == code, f"{arguments}: {done}"
        return done

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run a command with ``--json`` and return its document."""
        return self.run(*arguments, "--json", code=code).document

    def refused(self, *arguments: str, code: int = 1) -> str:
        """Run a command that is refused; return the stable code of the refusal."""
        return self.run(*arguments, "--json", code=code).error

    def program(self, version: str, size: int = 0) -> Path:
        """Return a small real program, with *size* bytes that do not compress."""
        program = self.folder / f"notes-{version}"
        program.write_bytes(f"#!/bin/sh\necho notes {version}\nexit 0\n".encode())
        if size:
            with program.open("ab") as file:
                file.write(os.urandom(size))
        program.chmod(0o755)
        return program

    def publish(self, version: str, *more: str) -> dict[str, Any]:
        """Publish a small real program."""
        artifact = f"{LINUX}={self.program(version)}"
        return self.json("release", "publish", version, "--artifact", artifact, *more)

    def start(self, version: str, ring: str = "internal") -> dict[str, Any]:
        """Start a rollout."""
        return self.json("rollout", "start", version, "--ring", ring, "--reason", "test")

    @property
    def config_file(self) -> Path:
        return self.folder / "serinus.toml"

    @property
    def config(self) -> configs.Config:
        return configs.load(self.config_file)

    def set(self, old: str, new: str) -> None:
        """Change the settings."""
        text = self.config_file.read_text()
        assert old in text
        self.config_file.write_text(text.replace(old, new))


@contextlib.contextmanager
def a_short_folder() -> Iterator[Path]:
    """Return a folder whose path leaves room for a Unix socket's."""
    with tempfile.TemporaryDirectory(prefix="srn-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def an_outsider(folder: Path) -> Cli:
    """Return a command line in *folder*, which is no workspace."""
    (folder / "passphrase").write_text(PASSPHRASE + "\n")
    (folder / "policy.toml").write_text(POLICY)
    return Cli(folder=folder, variables={"SERINUS_PASSPHRASE_FILE": str(folder / "passphrase")})


def init(cli: Cli, *more: str) -> Done:
    """Make a workspace in the command line's folder."""
    return cli.run("init", "--app", APP, "--platform", LINUX, "--policy", "policy.toml", *more)


@contextlib.contextmanager
def cheap_keys() -> Iterator[None]:
    """Let this process make key files at the lowest cost, and open each one only once for all.

    How hard a passphrase is to guess is not what is tested here; that new keys of real
    processes have the full cost is (test_console.py).
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (registration, key):
            patch.setattr(module, "new_key", partial(keys.new_key, scrypt_n=2**15))
        patch.setattr(key_files, "_derive", cache(key_files._derive))
        yield


def copy_of(cli: Cli, folder: Path) -> Cli:
    """Return the same workspace in another folder, with a short lease."""
    shutil.copytree(cli.folder, folder, dirs_exist_ok=True)
    other = Cli(folder=folder, variables={"SERINUS_PASSPHRASE_FILE": str(folder / "passphrase")})
    if "lease_seconds" not in other.config_file.read_text():
        other.set("[server]", "[server]\nlease_seconds = 1")
    return other


@contextlib.contextmanager
def serving_admin(cli: Cli) -> Iterator[None]:
    """Serve the workspace's data while the block runs, and let its commands find it."""
    # Verbs wait until no web process offers what it confirmed earlier: there is none here.
    config = replace(cli.config, lease_seconds=0)
    server = make_server("127.0.0.1", 0, wiring.local_admin_app(config), threaded=True)
    address = f"127.0.0.1:{server.server_port}"
    cli.config_file.write_text(_ADMIN.sub(rf"\g<1>{address}", cli.config_file.read_text()))
    with running(server):
        yield


@contextlib.contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """Serve a folder as any web server does; yield its URL."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}"


@contextlib.contextmanager
def running(server: Any) -> Iterator[None]:
    """Run a socket server in a thread while the block runs."""
    # A server that is told to stop notices at its next look: by default, every half second.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def a_signer(cli: Cli) -> Iterator[None]:
    """Run the workspace's signer on its socket while the block runs."""
    stop, config = threading.Event(), cli.config
    log: list[str] = []
    signer = wiring.signer(config)
    thread = threading.Thread(
        target=link.serve, args=(config.signer_socket, signer, stop, log.append)
    )
    thread.start()
    try:
        while not wiring.signer_answers(config):
            assert thread.is_alive(), log
        yield
    finally:
        stop.set()
        thread.join()


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def words(text: str) -> list[str]:
    """Return the words of a text, however it is laid out."""
    return text.split()


def rows(done: Done) -> Sequence[list[str]]:
    """Return the lines of a table without its head, as words."""
    return [line.split() for line in done.out.splitlines()[1:]]


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith("SERINUS_"):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _keyboard(typed: str | Typing | None) -> io.StringIO:
    match typed:
        case None:
            return io.StringIO()
        case str():
            return Typing(typed)
    return typed


class _stdin(contextlib._RedirectStream[io.StringIO]):  # noqa: N801 - named as its siblings
    _stream = "stdin"

"""A real server in a folder of its own: real processes, ports, keys and signatures."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

APP = "notes"
LINUX = "linux-x86_64"
PASSPHRASE = "correct horse battery staple"
_READY_SECONDS = 90.0

POLICY = """
ceiling = []
internal_groups = ["staff"]

[[ramp]]
ring = "internal"

[[ramp]]
ring = "1%"
exposure_bp = 100

[[ramp]]
ring = "10%"
exposure_bp = 1000

[[ramp]]
ring = "all"
exposure_bp = 10000
"""


class CommandFailedError(AssertionError):
    """A command ended with another exit code than 0."""

    def __init__(self, arguments: Sequence[str], code: int, out: str, err: str) -> None:
        super().__init__(f"serinus {' '.join(arguments)}: exit {code}\n{out}\n{err}")
        self.code = code
        self.out = out


@dataclass
class Server:
    """A workspace, and the processes that serve it while it runs.

    ``log``: the file that gets what they write; without one it goes where the tests' output goes.
    """

    folder: Path
    public: str
    admin: str
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None
    _versions: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    def new_version(self) -> str:
        """Return a version newer than all that this server knows."""
        return f"{next(self._versions)}.0.0"

    @property
    def environment(self) -> dict[str, str]:
        """What its commands run with: nothing of the caller's settings."""
        others = {
            name: text for name, text in os.environ.items() if not name.startswith("SERINUS_")
        }
        return others | {"SERINUS_PASSPHRASE_FILE": str(self.folder / "passphrase")}

    @property
    def agents_url(self) -> str:
        return f"http://{self.public}/v1/apps/{APP}"

    @property
    def token(self) -> str:
        return (self.folder / "admin.token").read_text().strip()

    def start_rollout(self, version: str, *more: str) -> dict[str, Any]:
        """Start a rollout, again where the controller was just changing one of the channel's."""
        for _ in range(5):
            try:
                return self.serinus("rollout", "start", version, "--reason", "test", *more)
            except CommandFailedError as error:
                if "about:blank#conflict" not in error.out:
                    raise
        raise AssertionError(f"the channel changed each time that {version} was to start")

    def serinus(
        self, *arguments: str, allowed: Sequence[int] = (0,), seconds: float = 100
    ) -> dict[str, Any]:
        """Run a command and return its JSON document. Exit code 3: nothing was to be done."""
        done = subprocess.run(
            [sys.executable, "-m", "update_server.cli.main", *arguments, "--json"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if done.returncode not in allowed:
            raise CommandFailedError(arguments, done.returncode, done.stdout, done.stderr)
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(self.log.open("ab")) if self.log else None
            self.process = subprocess.Popen(
                # Gone with the tests, however they end.
                [
                    "setpriv",
                    "--pdeathsig",
                    "TERM",
                    sys.executable,
                    "-m",
                    "update_server.cli.main",
                    "serve",
                ],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + _READY_SECONDS
        while time.monotonic() < until:
            assert self.process.poll() is None, "the server stopped by itself"
            if _answers(f"http://{self.public}/readyz") and _answers(f"http://{self.admin}/"):
                return
            time.sleep(0.1)
        raise AssertionError("the server did not become ready")

    def kill(self) -> None:
        """End every process of the server at once, as a power cut does."""
        assert self.process is not None
        for pid in (self.process.pid, *offspring(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """Stop the server as an administrator does."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def publish(self, version: str, *more: str) -> dict[str, Any]:
        """Publish a small real program that prints its version."""
        return self.serinus(*self.release(version), *more)

    def release(self, version: str) -> Sequence[str]:
        """Write such a program, and return the command that publishes it."""
        program = self.folder / f"notes-{version}"
        program.write_text(f"#!/bin/sh\necho notes {version}\n")
        program.chmod(0o755)
        return ("release", "publish", version, "--artifact", f"{LINUX}={program}")

    def check_in(self, install_id: str, version: str | None = "1.0.0") -> dict[str, Any]:
        """Check in as an agent of another make would."""
        request = {
            "install_id": install_id,
            "version": version,
            "channel": "stable",
            "platform": LINUX,
        }
        return self.post("/check-in", request)[1]

    def wait_until_offered(self, version: str) -> None:
        """Return when check-ins offer *version*."""
        self.wait_until_told(lambda told: told["version"] == version)

    def wait_until_told(
        self, expected: Callable[[Mapping[str, Any]], bool], version: str = "1.0.0"
    ) -> None:
        """Return when an install on *version* is told what is *expected*.

        Verbs that widen are seen by check-ins within two seconds; a busy machine takes longer.
        """
        install_id, until = an_id(), time.monotonic() + 10
        while not expected(told := self.check_in(install_id, version)["assignment"]):
            assert time.monotonic() < until, told
            time.sleep(0.1)

    def post(self, path: str, document: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST to the public app; return status and body."""
        request = urllib.request.Request(
            self.agents_url + path,
            data=json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


def init(folder: Path) -> None:
    """Make a workspace with keys at their full cost; servers take copies of it."""
    (folder / "passphrase").write_text(PASSPHRASE)
    (folder / "policy.toml").write_text(POLICY)
    Server(folder=folder, public="", admin="").serinus(
        "init", ".", "--app", APP, "--platform", LINUX, "--policy", "policy.toml"
    )


@contextlib.contextmanager
def a_server(
    workspace: Path,
    folder: Path,
    *,
    workers: int = 1,
    log: Path | None = None,
    settings: str = "",
) -> Iterator[Server]:
    """Start a server with a copy of *workspace*; stop it, and all its processes, at the end.

    *settings* are further tables of its ``serinus.toml``.
    """
    shutil.copytree(workspace, folder)
    public, admin = (f"127.0.0.1:{port}" for port in _free_ports(2))
    config = folder / "serinus.toml"
    text = config.read_text().replace("127.0.0.1:8080", public).replace("127.0.0.1:8081", admin)
    config.write_text(text.replace("[server]", f"[server]\nworkers = {workers}") + settings)
    server = Server(folder=folder, public=public, admin=admin, log=log)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500  # a server that wants a token is there
    except OSError:
        return False
    return True


def offspring(pid: int) -> Iterator[int]:
    """Yield the processes that *pid* started, and those that these did."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield int(child)
            yield from offspring(int(child))


def an_id() -> str:
    """Return a new install's ID."""
    return str(uuid.uuid4())


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]

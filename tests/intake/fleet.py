"""Installs on both sides of a rollout, and the real programs that run on them.

1.0.0 is everybody's; 1.1.0 is offered to half of the installs, the candidates. The others are the
controls. What programs know of us is the ``SENTRY_DSN`` that their agent was given.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from client_agent.config import Telemetry
from client_agent.reports.dsn import sentry_dsn
from client_agent.settings_file import load
from tests.e2e.install import Install
from tests.e2e.running import APP, LINUX, PASSPHRASE, Server, a_server, an_id, offspring
from tests.intake.node import sdk_folder
from tests.intake.numbers import Numbers, numbers_in
from tests.intake.record import PROGRAMS
from update_server.service.ports.crashes import UNTOLD
from update_server.store import SqlDatabase

OLD, NEW = "1.0.0", "1.1.0"
POLICY = """
ceiling = []
internal_groups = []

[[ramp]]
ring = "half"
exposure_bp = 5000

[[ramp]]
ring = "all"
exposure_bp = 10000
"""
_MOST_DRAWS = 40
_PROGRAM_SECONDS = 60
_WAIT_SECONDS = 20
_TWO_DIGESTS_SECONDS = 1.2


@dataclass
class Fleet:
    """A server with both releases, and the installs that were made of it."""

    server: Server
    folder: Path
    rollout: str
    database: SqlDatabase
    _first: Install
    _made: int = 0

    def candidate(self) -> Program:
        """Return a new install that was offered 1.1.0, and runs it."""
        return self._drawn(offered=True)

    def control(self) -> Program:
        """Return a new install on 1.0.0 that is not offered 1.1.0."""
        return self._drawn(offered=False)

    def _drawn(self, *, offered: bool) -> Program:
        """Draw installs until one is on the wanted side: which side it is, its own ID decides."""
        for _ in range(_MOST_DRAWS):
            self._made += 1
            install = self._first.again(self.folder / f"install-{self._made}")
            install.agent("check")
            if (install.installation.state.read().pending is not None) == offered:
                if not offered:
                    return Program.of(install, OLD)
                first = Program.of(install, NEW).dsn
                install.confirm()
                install.agent("check")
                return Program.of(install, NEW, first)
        raise AssertionError("no install was on that side")

    def numbers(self) -> Numbers:
        """Return what is counted by now."""
        with self.database.reading() as stores:
            return numbers_in(stores, APP)

    def shown(self) -> Numbers:
        """Return what people are shown: crashes on their page, sessions with the rollout."""
        crashes = self.admin("/crashes?limit=200")
        reports: dict[bool, Counter[tuple[str, str, str]]] = {True: Counter(), False: Counter()}
        for group in crashes["items"]:
            kind = group["title"].partition(" in ")[0]
            kind = "none" if group["signature"] == UNTOLD else kind
            for one in group["counts"]:
                place = (one["version"], one["arm"], kind)
                reports[one["handled"]][place] += one["reports"]
        sessions: Counter[tuple[str, str, str, str]] = Counter()
        for one in self.admin(f"/rollouts/{self.rollout}")["outcomes"]:
            for source, counts in one["sessions"].items():
                for status, count in counts.items():
                    sessions[one["version"], one["arm"], source, status] += count
        return Numbers(
            sessions=dict(+sessions),
            crashes=dict(reports[False]),
            errors=dict(reports[True]),
            crashed={
                (one["version"], one["arm"]): one["installs"] for one in crashes["crashed_installs"]
            },
        )

    def wait_until_counted(self, expected: Numbers, *, since: Numbers) -> None:
        """Return when what was added *since* is as *expected*, and stays so for two digests."""

        def added() -> Numbers:
            return self.numbers().since(since)

        wait_until(lambda: added() == expected, lambda: f"{added()}, expected {expected}")
        time.sleep(_TWO_DIGESTS_SECONDS)
        assert added() == expected

    def admin(self, path: str) -> Any:
        """Return what the admin app answers below the app's own part."""
        return json.loads(self.get(f"/v1/admin/apps/{APP}{path}"))

    def let_keep_messages(self) -> None:
        """Set the app to keep what its exceptions say, scrubbed, and some tags."""
        change = {"crash_messages": True, "tags": ["password"], "reason": "a test"}
        self._ask("PATCH", f"/v1/admin/apps/{APP}/settings", json.dumps(change).encode())
        time.sleep(_TWO_DIGESTS_SECONDS)  # intake reads what changed twice a second

    def get(self, path: str) -> bytes:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(
            f"http://{self.server.admin}{path}",
            method=method,
            data=body,
            headers={
                "Authorization": f"Bearer {self.server.token}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            answer: bytes = response.read()
        return answer


@dataclass(frozen=True)
class Program:
    """The app on one install, running *version*, with what its agent gave it as *dsn*.

    ``first_dsn``: what it had at its first start, before it had checked in as that version.
    """

    install: Install
    version: str
    dsn: str
    first_dsn: str = ""

    @classmethod
    def of(cls, install: Install, version: str, first_dsn: str = "") -> Program:
        settings = load(install.config)
        state = install.installation.state.read()
        dsn = sentry_dsn(settings.app, state, Version(version), Telemetry.CRASH)
        assert dsn is not None
        return cls(install, version, dsn, first_dsn)

    def python(self, situation: str, **environment: str) -> int:
        """Run the program with sentry-sdk; return its exit status."""
        return self._run([sys.executable, str(PROGRAMS / "python_app.py"), situation], environment)

    def node(self, situation: str) -> int:
        """Run the program with @sentry/node; return its exit status."""
        command = ["node", str(PROGRAMS / "node_app.js"), situation]
        return self._run(command, {"NODE_PATH": str(sdk_folder())})

    @contextlib.contextmanager
    def launched(self, situation: str) -> Iterator[subprocess.Popen[str]]:
        """Start the installed program as a service manager does, which sees how it ends."""
        launcher = str(self.install.root / "launcher.py")
        with subprocess.Popen(
            [sys.executable, "-I", launcher, "--wait", situation],
            env={**os.environ, "SENTRY_DSN": self.dsn},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            yield process

    def _run(self, command: Sequence[str], environment: dict[str, str]) -> int:
        done = subprocess.run(
            [*command, f"notes@{self.version}"],
            env={**os.environ, **environment, "SENTRY_DSN": self.dsn},
            capture_output=True,
            check=False,
            timeout=_PROGRAM_SECONDS,
        )
        return done.returncode


def key_of(dsn: str) -> str:
    """Return the key in *dsn*, which is the install's token."""
    return dsn.partition("//")[2].partition("@")[0]


def wait_until(holds: Callable[[], bool], told: Callable[[], object] = str) -> None:
    """Return when *holds*: what was sent is counted by another process, twice a second."""
    until = time.monotonic() + _WAIT_SECONDS
    while not holds():
        assert time.monotonic() < until, told()
        time.sleep(0.1)


def kill(process: subprocess.Popen[str]) -> None:
    """Wait until a program that hangs is ready, and end it with all that sees it end."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for pid in (*offspring(process.pid), process.pid):
        os.kill(pid, signal.SIGKILL)


def publish(server: Server, version: str, *more: str) -> None:
    """Publish a version whose program is the Python one. It knows its version from its agent."""
    program = server.folder / f"notes-{version}"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROGRAMS / "python_app.py"}" "$1"\n')
    program.chmod(0o755)
    server.serinus("release", "publish", version, "--artifact", f"{LINUX}={program}", *more)


@contextlib.contextmanager
def a_fleet(folder: Path, *, workers: int = 1, settings: str = "") -> Iterator[Fleet]:
    """Start a server with both releases, and one install that has 1.0.0.

    *settings* are added to its ``serinus.toml``; what it writes is in ``server.log``.
    """
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "passphrase").write_text(PASSPHRASE)
    (workspace / "policy.toml").write_text(POLICY)
    Server(folder=workspace, public="", admin="").serinus(
        "init", ".", "--app", APP, "--platform", LINUX, "--policy", "policy.toml"
    )
    with (workspace / "serinus.toml").open("a") as config:
        config.write(settings)
    log = folder / "log"
    with a_server(workspace, folder / "updates", workers=workers, log=log) as server:
        publish(server, OLD)
        everybody = ("--ring", "all", "--reason", "a test", "--yes")
        server.serinus("rollout", "start", OLD, *everybody)
        server.wait_until_told(lambda told: told["version"] == OLD, "0.9.0")
        first = Install.empty(server, folder / "install-0")
        first.update()
        first.confirm()
        publish(server, NEW, "--rollback-to", OLD)
        started = server.serinus("rollout", "start", NEW, "--ring", "half", "--reason", "a test")
        wait_until(lambda: server.check_in(an_id(), OLD)["assignment"]["version"] == NEW)
        database = SqlDatabase(f"sqlite:///{server.folder}/server/serinus.db")
        yield Fleet(server, folder, started["id"], database, first)

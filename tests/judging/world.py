"""A real server whose judge's clock runs fast, and what it knows and decides."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.running import APP, PASSPHRASE, Server, a_server, offspring
from tests.judging.fleet import LINUX, NEW, OLD, WINDOWS
from update_server.evidence.state import Label, Scored, State
from update_server.service.ports.studies import StoredDecision
from update_server.service.studies.codec import decode_entry, decode_state
from update_server.store import SqlDatabase

HOUR = 3_600.0

# Two steps, then everybody. A hold says where to read more, so the server needs a host for that.
_POLICY = """
ceiling = []
internal_groups = ["staff"]
link_hosts = ["status.example.org"]

[[ramp]]
ring = "30%"
exposure_bp = 3000

[[ramp]]
ring = "60%"
exposure_bp = 6000

[[ramp]]
ring = "all"
exposure_bp = 10000
"""


def make_workspace(folder: Path) -> None:
    """Make a workspace with both platforms and steps wide enough for a small fleet."""
    (folder / "passphrase").write_text(PASSPHRASE)
    (folder / "policy.toml").write_text(_POLICY)
    Server(folder=folder, public="", admin="").serinus(
        *("init", ".", "--app", APP, "--policy", "policy.toml"),
        *("--platform", LINUX, "--platform", WINDOWS),
    )
    config = folder / "serinus.toml"
    trusted = '[server]\ntrusted_proxies = ["127.0.0.1"]\n'
    config.write_text(config.read_text().replace("[server]\n", trusted))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A ladder file. A window of ``hours`` by the judge's clock takes ``seconds`` of ours."""

    seconds: float
    hours: float = 2.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    first_bp: int | None = None  # a first step of one's own, outside the signed ramp

    @property
    def speed(self) -> float:
        return self.hours * HOUR / self.seconds

    def text(self) -> str:
        window = f"{self.hours:g} h"
        settings: dict[str, Any] = {
            "unsafe_speed": self.speed,
            "alpha": 0.001,
            "minimum_age": "0 s",
            "minimum_check_ins": 0,
            "outcome": window,
            "silence_minimum": window,
            "silence_gaps": 1,
            "cohort": window,
            "timeout": "60 d",
            **self.settings,
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        ceilings = {"crashed": 0.9, "unhealthy": 0.9, "crash_loop": 0.9, "silent": 0.9}
        lines += ["[ceilings]", *(f"{name} = {share}" for name, share in ceilings.items())]
        for up_to_bp in (3_000, 6_000, 10_000):
            lines += ["[[gates]]", f"up_to_bp = {up_to_bp}", "margin = 3", "silence = 0.3"]
        if self.first_bp is not None:
            for ring, share in (("first", self.first_bp), ("all", 10_000)):
                lines += ["[[step]]", f'ring = "{ring}"', f"exposure_bp = {share}"]
        return "\n".join(lines) + "\n"


class World:
    """The server, its data, and the one rollout that is judged."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._database = SqlDatabase(f"sqlite:///{server.folder}/server/serinus.db")

    def close(self) -> None:
        self._database.close()

    def publish(self, version: str, *more: str) -> None:
        """Publish a release for both platforms."""
        command = list(self.server.release(version))
        program = command[-1].removeprefix(f"{LINUX}=")
        command += ["--artifact", f"{WINDOWS}={program}"]
        self.server.serinus(*command, *more)

    def open_old(self) -> None:
        """Publish the old release, and open it to all: a pull goes back to it."""
        self.publish(OLD)
        self.server.serinus("rollout", "start", OLD, "--ring", "all", "--reason", "test")

    def start(self, terms: Terms) -> None:
        """Start the rollout of the new release, judged by *terms*."""
        file = self.server.folder / "ladder.toml"
        file.write_text(terms.text())
        self.server.serinus("rollout", "start", NEW, "--ladder", str(file), "--reason", "test")

    def rollout(self) -> dict[str, Any]:
        """Return the newest rollout as the admin app tells it."""
        link = http.client.HTTPConnection(self.server.admin, timeout=20)
        try:
            headers = {"Authorization": f"Bearer {self.server.token}"}
            link.request("GET", f"/v1/admin/apps/{APP}/rollouts?limit=1", headers=headers)
            told = json.loads(link.getresponse().read())
        finally:
            link.close()
        found: dict[str, Any] = told["items"][0]
        return found

    def wait(
        self, what: str, reached: Callable[[Mapping[str, Any]], bool], patience: float
    ) -> dict[str, Any]:
        """Return the rollout once it is as expected; fail after *patience* seconds."""
        until = time.monotonic() + patience
        while not reached(found := self.rollout()):
            assert time.monotonic() < until, (what, found, self.decisions())
            time.sleep(0.25)
        return found

    def decisions(self) -> Sequence[StoredDecision]:
        """Return the decisions on the new release, oldest first."""
        with self._database.reading() as stores:
            rollout = stores.rollouts.of_app(APP)[0]
            return stores.decisions.page(APP, rollout=rollout.id, limit=1_000)[::-1]

    def carried_out(self, verdict: str, patience: float = 20) -> StoredDecision:
        """Return the first decision of that verdict, once the server has done as it says."""
        until = time.monotonic() + patience
        while True:
            found = [one for one in self.decisions() if one.verdict == verdict and one.outcome]
            if found:
                return found[0]
            assert time.monotonic() < until, self.decisions()
            time.sleep(0.25)

    def verdicts(self) -> list[str]:
        """Return what was decided of the new release, in order."""
        return [decision.verdict for decision in self.decisions()]

    def sentences(self) -> list[str]:
        """Return what ``serinus rollout decisions`` tells people."""
        told = self.server.serinus("rollout", "decisions", NEW)
        return [item["sentence"] for item in told["items"]]

    def log(self) -> list[Label | Scored]:
        """Return what was counted, in order."""
        with self._database.reading() as stores:
            rollout = stores.rollouts.of_app(APP)[0]
            return [decode_entry(entry) for entry in stores.studies.whole_log(rollout.id)]

    def state(self) -> State:
        """Return where the study stands."""
        with self._database.reading() as stores:
            rollout = stores.rollouts.of_app(APP)[0]
            return decode_state(stores.studies.get(rollout.id).state)

    def stop_judging(self) -> None:
        """Halt the controller where it stands, but not while it keeps others from writing."""
        (controller,) = self.controllers()
        with self._database.transaction():
            os.kill(controller, signal.SIGSTOP)

    def controllers(self) -> list[int]:
        """Return the processes that judge; one of them leads."""
        assert self.server.process is not None
        return controllers_under(self.server.process.pid)


def controllers_under(pid: int) -> list[int]:
    """Return the controllers among the processes that *pid* started."""
    found = []
    for each in offspring(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0")
            if command[-3:-1] == [b"update_server.processes", b"controller"]:
                found.append(each)
    return found


@contextlib.contextmanager
def a_judge(folder: Path) -> Iterator[tuple[World, int]]:
    """Judge what lies in *folder*, without any web process; give its supervisor's process ID."""
    server = Server(folder=folder, public="", admin="")
    processes = []
    try:
        for role in ("signer", "controller"):
            command = [sys.executable, "-m", "update_server.cli.main", "serve", "--role", role]
            guarded = ["setpriv", "--pdeathsig", "TERM", *command]
            processes.append(subprocess.Popen(guarded, cwd=folder, env=server.environment))
        world = World(server)
        yield world, processes[-1].pid
        world.close()
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(30)


def prepare(workspace: Path, folder: Path, act: Callable[[World], None]) -> None:
    """Make *folder* of *workspace*, after *act* and with its servers stopped."""
    first = folder.with_name(f"{folder.name} first")
    with a_world(workspace, first) as world:
        act(world)
    shutil.move(first, folder)
    # Servers take their ports for those of the workspace.
    shutil.copy(workspace / "serinus.toml", folder / "serinus.toml")


def copy_data(folder: Path, copy: Path) -> None:
    """Copy a workspace whose server was killed: all but the sockets that it left behind."""

    def sockets(where: str, names: list[str]) -> list[str]:
        return [name for name in names if (Path(where) / name).is_socket()]

    shutil.copytree(folder, copy, ignore=sockets)


@contextlib.contextmanager
def a_world(workspace: Path, folder: Path, *, workers: int = 1) -> Iterator[World]:
    """Start a server with a copy of *workspace*."""
    with a_server(workspace, folder, workers=workers) as server:
        world = World(server)
        try:
            yield world
        finally:
            world.close()

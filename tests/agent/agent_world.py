"""One install and its server: a real repository, a real HTTP server, a clock that tests move."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from packaging.version import Version

from client_agent.config import Settings
from client_agent.consent.policy import Policy, UpdateInfo
from client_agent.running.loop import Loop
from client_agent.running.parts import Hooks, assemble
from client_agent.values import State
from client_agent.versions.install import Installation
from tests.agent.agent_fakes import START, Dice, FakeClock, Machine
from tests.agent.signed_world import BASE, PLATFORM, SignedWorld, an_entry
from tests.agent.trees import Packed, Tree, install, pack
from tests.agent.web_server import Asked, Reply, WebServer

TOKEN = "T" * 58


class AgentWorld:
    """Publishes with ``publish``, and runs agents (``loop``) on one ROOT."""

    def __init__(self, folder: Path, server: WebServer, now: datetime = START) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.server = server
        self.clock = FakeClock(now)
        self.machine = Machine()
        self.signed = SignedWorld(now)
        self.signed.serve(server)
        self.packed: dict[str, Packed] = {}
        self.events: list[dict[str, Any]] = []
        self.check_ins: list[dict[str, Any]] = []
        self.answer: dict[str, Any] | None = None
        self.told: list[tuple[str, Any]] = []
        self._seeds = itertools.count(1)
        server.on(f"{BASE}/check-in", self._check_in)
        server.on(f"{BASE}/events", self._take_events)

    # --- the publisher ---------------------------------------------------------------

    def add(self, version: str, tree: Tree | None = None, **fields: Any) -> None:
        """Sign a release of *version* and put its payload on the server."""
        packed = pack(tree, version=version, **fields.pop("schema", {}))
        artifact = packed.goal.release.artifact
        self.packed[version] = packed
        described = {
            "manifest_sha256": artifact.manifest_sha256,
            "tree_bytes": artifact.tree_bytes,
            "files": artifact.files,
        }
        self.signed.add_release(version, packed.payload, artifact=described, **fields)

    def roll_out(self, *entries: dict[str, Any]) -> None:
        self.signed.set_rollout(*entries)
        self.signed.commit(now=self.clock.now())

    def publish(self, version: str, **entry: Any) -> None:
        """Sign a release and give it to everybody."""
        self.add(version)
        self.roll_out(an_entry(version, **entry))

    # --- the machine -----------------------------------------------------------------

    def settings(self, **changes: Any) -> Settings:
        app = self.signed.settings(self.server.url)
        return replace(Settings(app=app, root=self.root), **changes)

    def loop(
        self,
        *,
        version: str | None = "2.0.0",
        launch_id: str | None = None,
        u: float = 0.0,
        policy: Policy | None = None,
        **changes: Any,
    ) -> Loop:
        """Return an agent's loop on ROOT; ``u`` is what its die shows each time."""
        hooks = Hooks(
            on_staged=self._note("staged"),
            on_restart_wanted=self._note("restart"),
            on_fell_back=self._note("fell_back"),
        )
        parts = assemble(
            self.settings(**changes),
            hooks=hooks,
            attributes={"os_version": "12"},
            platform=self.machine,
            clock=self.clock,
            chance=Dice(seed=next(self._seeds), fixed=u),
            policy=policy,
            in_process=True,  # what a child does otherwise, test_agent and test_install show
        )
        own = None if version is None else Version(version)
        return Loop(parts, own_version=own, launch_id=launch_id)

    def put_in(self, version: str) -> None:
        """Let *version* be installed and current in ROOT, as an installer leaves it."""
        if version not in self.packed:
            self.add(version)
        Installation.create_root(self.root)
        here = Installation(self.root, self.machine, self.clock, in_process=True)
        install(here, self.packed[version])
        here.state.clear_last_result()

    def state(self, loop: Loop) -> State:
        return loop.parts.installation.state.read()

    def steps(self) -> list[str]:
        """Return the phases of the updates that the server heard of."""
        return [event["phase"] for event in self.events if event["kind"] == "update"]

    # --- the server ------------------------------------------------------------------

    def say(self, action: str, version: str | None, reason: str, **more: Any) -> None:
        """Let the API answer check-ins with this hint; without one it is down."""
        given = {"action": action, "version": version, "reason": reason, "ring": None}
        self.answer = {
            "assignment": {**given, "rollout": None, "bucket": 1},
            "token": TOKEN,
            "next_check_in_seconds": 3_600,
            "metadata": {"timestamp_version": 1},
            "flags": {},
            **more,
        }

    def _check_in(self, asked: Asked) -> Reply:
        self.check_ins.append(json.loads(asked.body))
        if self.answer is None:
            return Reply(status=503)
        return Reply(body=json.dumps(self.answer).encode())

    def _take_events(self, asked: Asked) -> Reply:
        if self.answer is None:
            return Reply(status=503)
        body = json.loads(asked.body)
        self.events.extend({**event, "token": body["token"]} for event in body["events"])
        said = {"accepted": len(body["events"]), "rejected": []}
        return Reply(status=202, body=json.dumps(said).encode())

    def _note(self, what: str) -> Callable[[UpdateInfo], None]:
        def note(info: UpdateInfo) -> None:
            self.told.append((what, info))

        return note


@contextmanager
def a_world(folder: Path, now: datetime = START) -> Iterator[AgentWorld]:
    with WebServer() as server:
        yield AgentWorld(folder, server, now)


assert PLATFORM == "linux-x86_64"  # the platform of the packed trees

"""The publisher and the server of one install, in a process of their own: others here fork.

What is signed never expires within a proof, so that every case can begin on the same day.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from client_agent.config import AppSettings
from tests.agent.agent_fakes import START
from tests.agent.agent_world import AgentWorld
from tests.agent.deltas import make_delta
from tests.agent.signed_world import BASE, an_entry, ranged
from tests.agent.trees import Packed, Tree, pack
from tests.agent.web_server import Asked, Reply, WebServer

OFFERED, PULLED, REISSUED = "offered", "pulled", "reissued"
NEW = "2.0"
VERSIONS = ("0.9", "1.0", NEW)
_FAR = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Publisher:
    """``packed`` are the payloads by version; ``app`` is what an agent has compiled in."""

    app: AppSettings
    packed: Mapping[str, Packed]

    def say(self, stage: str) -> None:
        """Let the server give out what is signed at *stage*; it never goes back to an older one."""
        with urllib.request.urlopen(f"{self.app.server}/stage/{stage}", timeout=30):
            pass


def tree_of(version: str) -> Tree:
    """Return a small tree with everything in it; its app says which version it is, and where."""
    app = f'#!/bin/sh\necho {version} "$0"\n'.encode()
    # Only a delta need not bring it again. All of it comes in one piece, always.
    noise = random.Random(1).randbytes(2_000)
    return {
        "app": app,
        "bin/twice": app,
        "data/changed": noise[:900] + version.encode() + noise[900:],
        "data/same": noise[::-1],
        "link": "-> app",
        "none": None,
    }


@contextmanager
def a_publisher() -> Iterator[Publisher]:
    """Publish and serve until the block ends."""
    told, tell = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(told)
        try:
            _serve(tell)
        finally:
            os._exit(1)
    os.close(tell)
    try:
        with os.fdopen(told, "rb") as pipe:
            yield Publisher(*pickle.load(pipe))
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def _add_new(world: AgentWorld) -> None:
    """Sign the new version, and a delta to it from the one before."""
    base = VERSIONS[-2]
    goal = pack(tree_of(NEW), version=NEW)
    made = make_delta(world.packed[base], tree_of(base), goal, tree_of(NEW))
    path = f"{goal.goal.target.path.rpartition('/')[0]}/from-{base}.delta"
    world.signed.add_file(path, made.data)
    delta = {
        "path": path,
        "from": base,
        "from_manifest": made.signed.from_manifest,
        "algo": "pb1",
        "output_bytes": made.signed.output_bytes,
        "max_file_bytes": made.signed.max_file_bytes,
    }
    world.add(NEW, tree_of(NEW), deltas=[delta])


def _serve(tell: int) -> None:
    with tempfile.TemporaryDirectory() as folder, WebServer() as server:
        world = AgentWorld(Path(folder), server, START)
        world.say("update", NEW, "in_ring")
        signed = world.signed
        for part in signed.roles.values():
            part.expires = START + _FAR
        for version in VERSIONS[:-1]:
            world.add(version, tree_of(version))
        _add_new(world)
        stages = {}
        for name, entries in (
            (OFFERED, [an_entry(NEW)]),
            (PULLED, []),
            (REISSUED, [an_entry(NEW, rollout="ro_again")]),
        ):
            signed.now = START
            signed.set_rollout(*entries)
            signed.commit(now=START + _FAR)  # expiries count from then
            stages[name] = dict(signed.files)
        stage = OFFERED

        def answer(asked: Asked) -> Reply:
            nonlocal stage
            server.asked.clear()
            path = asked.path
            if path.startswith("/stage/"):
                stage = path.removeprefix("/stage/")
                return Reply()
            data = stages[stage].get(path.removeprefix(f"{BASE}/"))
            return Reply(status=404) if data is None else ranged(asked, data)

        server.default = answer
        said: tuple[Any, ...] = (signed.settings(server.url), world.packed)
        with os.fdopen(tell, "wb") as pipe:
            pickle.dump(said, pipe)
        parent = os.getppid()
        while os.getppid() == parent:
            signal.sigtimedwait([], 1.0)

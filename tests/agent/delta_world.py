"""An install on 2.0.0 and a server that offers 2.1.0, in full and as a delta from 2.0.0.

Both can be spoilt, as a publisher would by signing what is broken, or as a server would by giving
other bytes than were signed. The agent, its disk and HTTP are real.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from client_agent.machine.states import Armed
from client_agent.running.loop import Loop
from tests.agent.agent_world import AgentWorld, a_world
from tests.agent.deltas import make_delta
from tests.agent.signed_world import an_entry, stored
from tests.agent.trees import APP, Tree, pack

OLD_VERSION, NEW_VERSION = "2.0.0", "2.1.0"
FOLDER = "demo/releases/stable/linux-x86_64/2.1.0"
DELTA_PATH = f"{FOLDER}/from-{OLD_VERSION}.delta"
PAYLOAD_PATH = f"{FOLDER}/demo-{NEW_VERSION}.srn"

Spoil = Callable[[bytes], bytes]

_random = random.Random(4)
_LIBRARY = _random.randbytes(60_000)

OLD: Tree = {
    "app": APP,
    "data/kept": _random.randbytes(40_000),
    "data/gone": b"gone",
    "lib/library": _LIBRARY,
}
NEW: Tree = {
    "app": APP,
    "data/kept": OLD["data/kept"],
    "data/added": b"added" * 20,
    "lib/library": _LIBRARY[:30_000] + b"changed" + _LIBRARY[30_007:] + b"and longer",
}


def as_it_is(data: bytes) -> bytes:
    return data


@dataclass(kw_only=True)
class DeltaWorld:
    """One install, and its two versions."""

    world: AgentWorld
    delta: bytes = b""
    payload: bytes = b""

    def publish(self, *, sign: Spoil = as_it_is, tree: Tree | None = None, **fields: Any) -> None:
        """Give 2.1.0 to everybody, with a delta to it, which *sign* may spoil before."""
        old, goal = pack(OLD, version=OLD_VERSION), pack(tree or NEW, version=NEW_VERSION)
        made = make_delta(old, OLD, goal, tree or NEW)
        self.delta, self.payload = sign(made.data), goal.payload
        self.world.signed.add_file(DELTA_PATH, self.delta)
        document = {
            "path": DELTA_PATH,
            "from": OLD_VERSION,
            "from_manifest": made.signed.from_manifest,
            "algo": "pb1",
            "output_bytes": made.signed.output_bytes,
            "max_file_bytes": made.signed.max_file_bytes,
        }
        self.world.add(NEW_VERSION, tree or NEW, deltas=[document | fields])
        self.world.roll_out(an_entry(NEW_VERSION))
        self.world.say("update", NEW_VERSION, "in_ring")

    def serve(self, path: str, data: bytes | None) -> None:
        """Let the server give *data* for a signed file, or deny that it has it."""
        found = self.delta if path == DELTA_PATH else self.payload
        if data is None:
            del self.world.signed.files[stored(path, found)]
        else:
            self.world.signed.files[stored(path, found)] = data

    def begun(self, **options: Any) -> Loop:
        """Return the loop of an agent that has just started."""
        loop = self.world.loop(version=OLD_VERSION, **options)
        loop.begin()
        return loop

    def run(self, loop: Loop) -> None:
        """Let the agent make the visit that is due, and its whole run."""
        self.world.clock.advance(loop.seconds_to_wait() + 1)
        while not self.world.check_ins:
            loop.tick()
            self.world.clock.advance(max(1.0, loop.seconds_to_wait()))

    def fetched(self) -> list[str]:
        """Return which of the two files were asked for, in order."""
        names = {
            stored(DELTA_PATH, self.delta): "delta",
            stored(PAYLOAD_PATH, self.payload): "full",
        }
        paths = [path.split("/demo/", 1)[-1] for path in self.world.server.paths()]
        return [names[path] for path in paths if path in names]

    def downloads(self) -> list[dict[str, Any]]:
        """Return what the server heard of finished downloads."""
        return [
            {name: event.get(name) for name in ("delta", "downloaded_bytes", "error")}
            for event in self.world.events
            if event.get("phase") == "downloaded"
        ]

    def is_armed(self, loop: Loop) -> bool:
        """Return whether the next start runs 2.1.0, which was verified byte by byte."""
        pending = self.world.state(loop).pending
        if not isinstance(loop.state, Armed) or pending is None:
            return False
        return pending.installed.version == Version(NEW_VERSION)


@contextmanager
def a_delta_world(folder: Path) -> Iterator[DeltaWorld]:
    """Return an install that has 2.0.0, before anything else was published."""
    with a_world(folder) as world:
        world.add(OLD_VERSION, OLD)
        world.put_in(OLD_VERSION)
        yield DeltaWorld(world=world)


def made_up_for(folder: Path, count: int, seed: int) -> int:
    """Return after how many of *count* spoilt deltas the payload was taken in the same run.

    Every other one was signed as it is, the others were spoilt by the server.
    """
    good = 0
    dice = random.Random(seed)
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        with a_delta_world(place) as world:
            world.publish(sign=(lambda data: spoilt(data, dice)) if number % 2 else as_it_is)
            if not number % 2:
                world.serve(DELTA_PATH, spoilt(world.delta, dice))
            loop = world.begun()
            world.run(loop)
            in_one_run = len(world.world.check_ins) <= 2  # the visit, and the check before arming
            told = [one["delta"] for one in world.downloads()][-1:] == [False]
            good += world.is_armed(loop) and in_one_run and told
    return good


def spoilt(data: bytes, dice: random.Random) -> bytes:
    """Return *data* cut, longer, or with a few other bits; never as it was."""
    match dice.randrange(4):
        case 0:
            return data[: dice.randrange(len(data))]
        case 1:
            return data + dice.randbytes(1 + dice.randrange(100))
        case 2:
            at = dice.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]
    start = dice.randrange(len(data) - 16)
    return (
        data[:start] + bytes(byte ^ 0xA5 for byte in data[start : start + 16]) + data[start + 16 :]
    )

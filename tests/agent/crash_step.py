"""One step of an update, as a program of its own: ``crash_step.py STEP ROOT``.

Run under strace by ``test_crash_points``, which kills it or makes its calls fail.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from client_agent.clock import SystemClock
from client_agent.install import Installation
from client_agent.platforms.linux import Linux
from tests.agent.trees import Packed, pack


def version(number: str) -> Packed:
    """Return a version whose app prints its own number."""
    app = f"#!/bin/sh\necho {number}\n".encode()
    tree = {"app": app, "bin/twice": app, "data/file": b"x" * 5000, "link": "-> app", "none": None}
    return pack(tree, version=number)


NEW = version("2.0")


def part_of(installation: Installation) -> Path:
    return installation.parts / f"{NEW.goal.target.sha256}.part"


def build(installation: Installation) -> None:
    installation.collect_garbage([], keep_parts=[NEW.goal.target.sha256])
    with part_of(installation).open("rb") as part:
        installation.build(part, NEW.goal, lambda _written, _total: None)


def arm(installation: Installation) -> None:
    built = installation.find_built(NEW.goal)
    if built is None:
        sys.exit("not built")
    now = SystemClock().now()
    installation.state.arm(NEW.goal, built, now=now, not_after=now + timedelta(hours=24))


def confirm(installation: Installation) -> None:
    installation.state.confirm(SystemClock().now())


def collect(installation: Installation) -> None:
    installation.collect_garbage([])


def disarm(installation: Installation) -> None:
    installation.state.disarm()


STEPS = {"build": build, "arm": arm, "confirm": confirm, "collect": collect, "disarm": disarm}


def main(step: str, root: str) -> None:
    installation = Installation(Path(root), Linux(), SystemClock(), in_process=True)
    installation.prepare()
    STEPS[step](installation)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Pulse: a program that says each second that it lives, with the agent inside, frozen."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from built_in import BROKEN, ROOT_JSON, SERVER, VERSION

from client_agent import Agent, UpdateInfo
from client_agent.cli import main as serinus_agent


def main() -> int:
    """Run until SIGTERM, or until an update wants a restart."""
    if sys.argv[1:2] == ["--agent"]:  # the whole serinus-agent is in here: no second program
        return serinus_agent(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    log: Path = parser.parse_args().log
    if BROKEN:
        raise SystemExit("pulse: this version is broken on purpose")

    end, restart = threading.Event(), threading.Event()

    def wanted(_info: UpdateInfo) -> None:  # in the agent's thread
        restart.set()
        end.set()

    def ended(_number: int, _frame: FrameType | None) -> None:
        end.set()

    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, ended)
    agent = Agent.for_app(
        app="pulse",
        version=VERSION,
        root_metadata=ROOT_JSON,
        server=SERVER,
        apply="now",
        on_restart_wanted=wanted,
    )
    agent.start()
    agent.healthy()
    while not end.is_set():
        with log.open("a", encoding="utf-8") as file:
            file.write(f"pulse {VERSION}\n")
        end.wait(1)
    if restart.is_set():
        agent.restart()  # closes; returns only if the launcher does not start
    agent.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

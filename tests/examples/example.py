"""An example and its server: built, published and installed by the files in its own folder."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.running import APP, LINUX, Server

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = Path(sys.executable).parent

# At this speed 3 s lie between two check-ins, and a version that lives for 2 s is confirmed.
SPEED = 300
HURRY = f"""unsafe_speed = {SPEED}

[health]
uptime_seconds = {2 * SPEED}
deadline_seconds = {40 * SPEED}
"""
PACK_SECONDS = 600.0
WAIT_SECONDS = 60.0
SLICE_SECONDS = 0.1


@dataclass
class Example:
    """One folder of ``examples/``, published as *app* on *server* and installed in *root*."""

    folder: Path
    app: str
    server: Server
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """What its programs run with: ours come first, as in an activated environment."""
        path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
        return self.server.environment | {"PATH": path, "AGENT": str(EXAMPLES.parent)}

    @property
    def root_json(self) -> Path:
        """The root that is built in or installed."""
        own = self.app == APP
        return self.server.folder / ("root.json" if own else f"root-{self.app}.json")

    @property
    def url(self) -> str:
        return f"http://{self.server.public}"

    def script(self, name: str, *arguments: str) -> None:
        """Run one of the example's own scripts."""
        done = subprocess.run(
            [str(self.folder / name), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"

    def release(self, version: str, *how: str) -> None:
        """Build *version* and publish it."""
        self.script("build.sh", version, *how)
        self.publish(version)

    def install_agent(self, data: Path) -> list[str | Path]:
        """Put the example's settings into an empty folder; return the command of its agent.

        It installs the newest version by itself, and starts it with *data* as argument.
        """
        self.root.mkdir()
        shutil.copy(self.folder / "agent.toml", self.root)
        shutil.copy(self.root_json, self.root / "root.json")
        self.hurry()
        settings = self.root / "agent.toml"
        return [PROGRAMS / "serinus-agent", "run", "--config", settings, "--", data]

    def publish(self, version: str, *more: str) -> None:
        """Sign what was built as *version*, and give it to everybody."""
        app, artifact = ("--app", self.app), f"{LINUX}={self.folder / 'dist' / version}"
        publish = ("release", "publish", version, *app, "--artifact", artifact, *more)
        self.server.serinus(*publish, seconds=PACK_SECONDS)
        everybody = ("--ring", "all", "--reason", "example", "--yes")
        self.server.serinus("rollout", "start", version, *app, *everybody)
        self._wait_until_offered(version)

    def _wait_until_offered(self, version: str) -> None:
        """Return when check-ins know of it, which takes two seconds: an installer asks once."""
        new = {"install_id": str(uuid.uuid4()), "version": None, "channel": "stable"}
        request = urllib.request.Request(
            f"{self.url}/v1/apps/{self.app}/check-in",
            data=json.dumps({**new, "platform": LINUX}).encode(),
            headers={"Content-Type": "application/json"},
        )

        def told() -> dict[str, Any]:
            with urllib.request.urlopen(request, timeout=20) as response:
                assignment: dict[str, Any] = json.load(response)["assignment"]
            return assignment

        wait_until(lambda: told()["version"] == version, lambda: str(told()))

    def hurry(self) -> None:
        """Let the installed agent's time go faster than the example's settings say."""
        settings = self.root / "agent.toml"
        text = re.sub(r"unsafe_speed = .*\n", HURRY, settings.read_text())
        settings.write_text(text.replace("http://127.0.0.1:8080", self.url))

    @property
    def state(self) -> dict[str, Any]:
        """What ``state.json`` says."""
        try:
            found: dict[str, Any] = json.loads((self.root / "state.json").read_bytes())["body"]
        except FileNotFoundError:
            return {"current": None, "pending": None, "bans": []}
        return found

    def wait_until_current(self, version: str) -> None:
        """Return when *version* is confirmed here."""
        wait_until(lambda: (self.state["current"] or {}).get("version") == version, self.told)

    def wait_until_banned(self, version: str) -> None:
        """Return when *version* has been given up here."""
        wait_until(lambda: version in [ban["version"] for ban in self.state["bans"]], self.told)

    def wait_until_armed(self, version: str) -> None:
        """Return when the next start would try *version*."""
        wait_until(lambda: (self.state["pending"] or {}).get("version") == version, self.told)

    def told(self) -> str:
        """Return what helps to understand a failure."""
        return json.dumps(self.state, indent=1)


def copy_of(name: str, folder: Path) -> Path:
    """Return a copy of the example's files, as git has them: tests leave nothing behind."""
    built = shutil.ignore_patterns("dist", "build")
    return Path(shutil.copytree(EXAMPLES / name, folder / name, ignore=built))


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* in a session of its own, which ends with the block; *log* gets its output."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def ended(process: subprocess.Popen[bytes]) -> int:
    """Ask a program to end; return its status."""
    process.terminate()
    return process.wait(30)


def wait_until(
    holds: Callable[[], bool], told: Callable[[], object] = str, seconds: float = WAIT_SECONDS
) -> None:
    """Return when *holds*; these programs have clocks of their own."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, told()
        time.sleep(SLICE_SECONDS)

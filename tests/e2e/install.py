"""An install as people have it: a folder that ``serinus-agent`` keeps up to date."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client_agent.clock import SystemClock
from client_agent.platforms import current
from client_agent.versions.install import Installation
from tests.e2e.running import APP, LINUX, Server


@dataclass(frozen=True)
class Install:
    """ROOT of ``serinus-agent``, with which all is done."""

    root: Path

    @classmethod
    def empty(cls, server: Server, root: Path) -> Install:
        root.mkdir()
        shutil.copy(server.folder / "root.json", root)
        (root / "agent.toml").write_text(
            f'[app]\napp = "{APP}"\nplatform = "{LINUX}"\nserver = "http://{server.public}"\n'
        )
        return cls(root)

    @property
    def config(self) -> Path:
        return self.root / "agent.toml"

    @property
    def installation(self) -> Installation:
        return Installation(self.root, current(), SystemClock())

    def agent(self, verb: str, *more: str) -> dict[str, Any]:
        config = str(self.config)
        done = subprocess.run(
            [sys.executable, "-m", "client_agent.cli", verb, "--config", config, "--json", *more],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.stdout, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def confirm(self) -> None:
        """End the trial of what is armed well; how that happens is not what is tested here."""
        self.installation.state.confirm(datetime.now(UTC))

    def again(self, root: Path) -> Install:
        """Return a copy of this install as another one."""
        shutil.copytree(self.root, root, symlinks=True)
        (root / "identity.json").unlink()
        return Install(root)

    def update(self) -> dict[str, Any]:
        """Let the agent make one visit; return what it says of itself then."""
        self.agent("check")
        return self.agent("status")

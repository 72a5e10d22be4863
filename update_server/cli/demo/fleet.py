"""The demo's forty installs: a folder and an agent process each, and what is found in them.

Not here: any of the agent's own code. The folders are written and read as a person with an
editor would, after the layout that docs/protocol.md describes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from packaging.version import Version

from rollout.errors import RolloutError
from rollout.versions import parse_version

GROUP = "staff"
ROOT_FILE = "root.json"
CONFIG_FILE = "agent.toml"

_AGENT_TOML = """\
[app]
app = "{app}"
channel = "{channel}"
platform = "{platform}"
server = "{server}"
root_metadata = "{root_file}"

[agent]
apply = "now"

[schedule]
unsafe_speed = {speed}

[health]
command = ["--version"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What every install's ``agent.toml`` says. ``speed`` divides every wait of the agent."""

    app: str
    channel: str
    platform: str
    server: str
    speed: float

    def render(self) -> str:
        """Return the text of ``agent.toml``."""
        return _AGENT_TOML.format(
            app=self.app,
            channel=self.channel,
            platform=self.platform,
            server=self.server,
            root_file=ROOT_FILE,
            speed=self.speed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One start of the program, as its marker tells. ``signal`` is set when one ended it."""

    launch_id: str
    version: str
    signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the last update took from the network: by a delta or in full, and how many bytes.

    ``full_bytes`` is the size of its full payload.
    """

    version: Version
    delta: bool
    received_bytes: int
    full_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What an install's folder says at one moment.

    ``starts`` are those not yet reported; ``checked_at`` is its agent's last answered check-in.
    """

    install_id: str | None = None
    version: Version | None = None
    pending: Version | None = None
    banned: frozenset[Version] = frozenset()
    directories: Mapping[str, str]
    starts: tuple[Launch, ...] = ()
    checked_at: datetime | None = None
    taken: Taken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallFolder:
    """One install of the demo: ROOT of its agent."""

    number: int
    root: Path
    internal: bool

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"install {self.number:02}"

    @property
    def log(self) -> Path:
        """What its agent says."""
        return self.root / "agent.log"

    def agent(self, *arguments: str) -> tuple[str, ...]:
        """Return the command that runs its agent."""
        verb, *rest = arguments
        config = str(self.root / CONFIG_FILE)
        return (sys.executable, "-m", "client_agent.cli", verb, *rest, "--config", config)

    def versions(self) -> tuple[Path, ...]:
        """Return the folders below ``versions/``."""
        return tuple(sorted(path for path in (self.root / "versions").glob("*") if path.is_dir()))

    def look(self) -> Look:
        """Return what its folder says now. Nothing there yet is nothing said."""
        body = _body(self.root / "state.json")
        status = _object(self.root / "status.json")
        records = {name: _record(body, name) for name in ("current", "previous", "pending")}
        return Look(
            install_id=self.identity().get("install_id"),
            version=_version(records["current"]),
            pending=_version(records["pending"]),
            banned=frozenset(filter(None, map(_version, body.get("bans", ())))),
            directories={
                name: record["dir"] for name, record in records.items() if "dir" in record
            },
            starts=tuple(self._starts()),
            checked_at=_instant(status.get("checked_at")),
            taken=_taken(_record(status, "last_update")),
        )

    def identity(self) -> dict[str, Any]:
        """Return the content of ``identity.json``, or nothing before the first run."""
        return _object(self.root / "identity.json")

    def _starts(self) -> Iterator[Launch]:
        for marker in sorted((self.root / "launches").glob("*.json")):
            said: dict[str, Any] = {}
            for line in _lines(marker):
                said.update(line)
            if "version" in said:
                yield Launch(
                    launch_id=marker.stem,
                    version=str(said["version"]),
                    signal=said.get("signal"),
                )


def make_folders(
    folder: Path, count: int, internal: int, settings: AgentSettings, root_metadata: bytes
) -> tuple[InstallFolder, ...]:
    """Write *count* empty installs below *folder*; the first *internal* are the publisher's."""
    made = []
    for number in range(1, count + 1):
        root = folder / f"{number:02}"
        root.mkdir(parents=True, mode=0o700)
        (root / ROOT_FILE).write_bytes(root_metadata)
        (root / CONFIG_FILE).write_text(settings.render(), encoding="utf-8")
        made.append(InstallFolder(number=number, root=root, internal=number <= internal))
    return tuple(made)


def _record(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    record = body.get(name)
    return record if isinstance(record, dict) else {}


def _version(record: Mapping[str, Any]) -> Version | None:
    try:
        return parse_version(str(record["version"]))
    except (KeyError, RolloutError):
        return None


def _taken(record: Mapping[str, Any]) -> Taken | None:
    version = _version(record)
    if version is None:
        return None
    return Taken(
        version=version,
        delta=bool(record.get("delta")),
        received_bytes=int(record.get("received_bytes", 0)),
        full_bytes=int(record.get("full_bytes", 0)),
    )


def _instant(said: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(said))
    except ValueError:
        return None
    return at if at.tzinfo else None


def _body(path: Path) -> dict[str, Any]:
    body = _object(path).get("body")
    return body if isinstance(body, dict) else {}


def _object(path: Path) -> dict[str, Any]:
    lines = list(_lines(path, whole=True))
    return lines[0] if lines else {}


def _lines(path: Path, *, whole: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a file, one a line; skip what is torn, missing or no object."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return  # the agent has not written it yet, or has just removed it
    for line in (text,) if whole else text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found

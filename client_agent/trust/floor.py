"""What an install must never forget: the durable floor, in two slots.

python-tuf keeps its metadata without fsync, so a power cut may empty it, and with it all memory
of which versions were seen. What must not be lost lies here instead: written in turn to
``floor.a`` and ``floor.b``, each with a counter and a SHA-256, file and folder synced. A torn
write costs the newest step, never the memory.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.version import Version

from client_agent.errors import Code, DiskError
from client_agent.platforms.port import Platform
from rollout.errors import RolloutError
from rollout.strict_json import MAX_INTEGER, parse_strict
from rollout.versions import parse_canonical_version, render_version

SLOTS = ("floor.a", "floor.b")
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The highest version of a role that was seen, and under which keys.

    It restarts when the keys change: versions that a thief drove up to the limit would lock the
    role for ever otherwise (docs/trust.md, 9).
    """

    version: int = 0
    keys: str = ""

    def forbids(self, version: int, keys: str) -> bool:
        """Return whether *version*, signed under *keys*, lies below what was seen.

        One that a slot could not hold is forbidden as well: a slot that cannot be read back
        would be an end to all memory.
        """
        return version > MAX_INTEGER or (self.keys == keys and version < self.version)

    def seen(self, version: int, keys: str) -> Memory:
        """Return the memory after a version that was not forbidden."""
        return Memory(version=version, keys=keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """All that is remembered. ``server`` is a digest of the place the versions came from.

    ``sticky_floor`` is the highest floor of a policy, ``high_water`` the highest version ever
    armed here, ``issued`` the latest signed instant: neither ever falls or restarts.
    """

    counter: int = 0
    server: str = ""
    root_version: int = 0
    timestamp: Memory = Memory()
    targets: Memory = Memory()
    policy: Memory = Memory()
    sticky_floor: Version | None = None
    high_water: Version | None = None
    issued: datetime | None = None

    def raised(
        self,
        *,
        sticky_floor: Version | None = None,
        high_water: Version | None = None,
        issued: datetime | None = None,
    ) -> Floor:
        """Return the floor with each of the three raised, if it was lower."""
        return replace(
            self,
            sticky_floor=_higher(self.sticky_floor, sticky_floor),
            high_water=_higher(self.high_water, high_water),
            issued=max((at for at in (self.issued, issued) if at is not None), default=None),
        )


class FloorFile:
    """The two slots in ``trust/``."""

    def __init__(self, folder: Path, platform: Platform) -> None:
        self._folder = folder
        self._platform = platform

    def load(self) -> tuple[Floor, bool]:
        """Return the newest floor that is whole, and whether memory was lost.

        Lost means that slots are there and none is whole. The install goes on from what its
        versions on disk tell, since an agent that refuses for ever can never be repaired.

        Raises:
            DiskError: A slot is there and cannot be read.
        """
        contents = [self._read(self._folder / name) for name in SLOTS]
        floors = [floor for data in contents if data is not None if (floor := _parse(data))]
        lost = not floors and any(data is not None for data in contents)
        return max(floors, key=lambda floor: floor.counter, default=Floor()), lost

    def save(self, floor: Floor) -> Floor:
        """Store *floor* over the older slot; on return it is durable.

        Raises:
            DiskError: It could not be written; the newer slot is untouched.
        """
        numbered = replace(floor, counter=floor.counter + 1)
        slot = self._folder / SLOTS[numbered.counter % 2]
        new = slot.with_name(f"{slot.name}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        try:
            with open(os.open(new, flags, 0o600), "wb") as file:  # noqa: PTH123 - of a descriptor
                file.write(_render(numbered))
                file.flush()
                self._platform.sync_file(file.fileno())
            self._platform.replace(new, slot)
        except OSError as error:
            raise DiskError(Code.IO, f"{slot.name}: {error.strerror}") from error
        return numbered

    def _read(self, path: Path) -> bytes | None:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
        try:
            with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - of a descriptor
                return file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskError(Code.IO, f"{path.name}: {error.strerror}") from error


def _higher(one: Version | None, other: Version | None) -> Version | None:
    return max((version for version in (one, other) if version is not None), default=None)


def _render(floor: Floor) -> bytes:
    body = {
        "counter": floor.counter,
        "server": floor.server,
        "root_version": floor.root_version,
        "timestamp": {"version": floor.timestamp.version, "keys": floor.timestamp.keys},
        "targets": {"version": floor.targets.version, "keys": floor.targets.keys},
        "policy": {"version": floor.policy.version, "keys": floor.policy.keys},
        "sticky_floor": None if floor.sticky_floor is None else render_version(floor.sticky_floor),
        "high_water": None if floor.high_water is None else render_version(floor.high_water),
        "issued": None if floor.issued is None else int(floor.issued.timestamp()),
    }
    text = _canonical(body)
    return json.dumps({"sum": _sum(text), "body": body}).encode() + b"\n"


def _parse(data: bytes) -> Floor | None:
    """Return the floor in a slot, or None when it is torn."""
    try:
        document = parse_strict(data, max_bytes=_MAX_BYTES)
        body = document["body"]
        if document["sum"] != _sum(_canonical(body)):
            return None
        issued = body["issued"]
        return Floor(
            counter=body["counter"],
            server=body["server"],
            root_version=body["root_version"],
            timestamp=Memory(**body["timestamp"]),
            targets=Memory(**body["targets"]),
            policy=Memory(**body["policy"]),
            sticky_floor=_version(body["sticky_floor"]),
            high_water=_version(body["high_water"]),
            issued=None if issued is None else datetime.fromtimestamp(issued, UTC),
        )
    except (RolloutError, LookupError, TypeError, ValueError, OverflowError):
        return None


def _version(text: Any) -> Version | None:
    return None if text is None else parse_canonical_version(text)


def _canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _sum(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()

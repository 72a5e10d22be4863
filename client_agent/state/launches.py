"""The launcher's markers: ``launches/<launch_id>.json``, one for each start of the app.

The first line is the launcher's; whoever learns how the start went on adds a line. The file is
open and locked for as long as the app lives, so it is never replaced, and a line that a power
cut tore says nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from client_agent.disk.os_errors import disk_errors
from client_agent.errors import DiskError
from client_agent.launcher import lives, process
from client_agent.platforms import Platform
from client_agent.state.state_body import parse_time, render_time
from client_agent.values import Marker, MarkerStatus
from rollout.errors import InvalidVersionError
from rollout.versions import parse_version

_LAUNCH_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_OPEN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_MAX_BYTES = 64 * 1024
_EXCEPTION_CODE = 0x80000000  # Windows: from here on the code is an exception's

CRASH_EXIT_CODES = (1, 101)
"""What an uncaught error ends with in Python and in Rust."""


@dataclass(frozen=True, slots=True)
class _Read:
    marker: Marker
    directory: str
    in_use: bool


class Launches:
    """The markers in *folder*."""

    def __init__(
        self, folder: Path, platform: Platform, crash_exit_codes: Container[int] = CRASH_EXIT_CODES
    ) -> None:
        self._folder = folder
        self._platform = platform
        self._crash_exit_codes = crash_exit_codes

    def all(self) -> list[Marker]:
        """Return every marker that can be read, oldest first."""
        found = (self._read(launch_id) for launch_id in self._launch_ids())
        return sorted(
            (read.marker for read in found if read is not None),
            key=lambda marker: (marker.started, marker.launch_id),
        )

    def one(self, launch_id: str) -> Marker | None:
        """Return the marker of that start, if there is one."""
        read = self._read(launch_id)
        return None if read is None else read.marker

    def directories_in_use(self) -> set[str]:
        """Return the directories of the versions that run now, or left a process behind.

        An app that closes every descriptor that it inherits, as some servers do, gives its lock
        away: its process alone tells then.
        """
        found = (self._read(launch_id) for launch_id in self._launch_ids())
        return {read.directory for read in found if read is not None and read.in_use}

    def seal(
        self,
        launch_id: str,
        status: MarkerStatus,
        now: datetime,
        *,
        exit_code: int | None = None,
        signal: int | None = None,
    ) -> None:
        """Say how that start ended. A marker that is sealed already stays as it is."""
        marker = self.one(launch_id)
        if marker is None or marker.status is not MarkerStatus.OPEN:
            return
        said: dict[str, object] = {"status": status, "ended": render_time(now)}
        if exit_code is not None:
            said["exit_code"] = exit_code
        if signal is not None:
            said["signal"] = signal
        self._add(launch_id, said)

    def mark_healthy(self, launch_id: str) -> None:
        """Say that this start was healthy: a later non-zero exit is then no crash on trial."""
        marker = self.one(launch_id)
        if marker is None or not marker.healthy:  # apps say so again and again; once is enough
            self._add(launch_id, {"healthy": True})

    def mark_reported(self, launch_id: str) -> None:
        """Say that this start's session is in the spool."""
        self._add(launch_id, {"reported": True})

    def remove(self, launch_id: str) -> None:
        """Remove the marker, and what ``faulthandler`` wrote beside it."""
        if _LAUNCH_ID.fullmatch(launch_id):
            with disk_errors():
                for suffix in (".json", ".fault"):
                    self._path(launch_id, suffix).unlink(missing_ok=True)

    def clean(self, keep: Container[str]) -> None:
        """Remove what is reported or says nothing, but for the starts in *keep*."""
        for launch_id in self._launch_ids():
            if launch_id in keep or self._is_alive(launch_id):
                continue
            marker = self.one(launch_id)
            if marker is None or marker.reported:
                with suppress(DiskError):  # it stays for later, and keeps nobody from an update
                    self.remove(launch_id)

    def _launch_ids(self) -> list[str]:
        names = (path.stem for path in self._folder.glob("*.json"))
        return [name for name in names if _LAUNCH_ID.fullmatch(name)]

    def _path(self, launch_id: str, suffix: str = ".json") -> Path:
        if not _LAUNCH_ID.fullmatch(launch_id):  # it may come from the environment
            raise FileNotFoundError(launch_id)
        return self._folder / f"{launch_id}{suffix}"

    def _add(self, launch_id: str, said: dict[str, object]) -> None:
        line = b"\n" + json.dumps(said).encode() + b"\n"  # the line before may be torn
        with disk_errors():
            try:
                descriptor = os.open(self._path(launch_id), os.O_WRONLY | os.O_APPEND | _OPEN)
            except FileNotFoundError:
                return  # the app was not started by the launcher
            try:
                os.write(descriptor, line)
                self._platform.sync_file(descriptor)
            finally:
                os.close(descriptor)

    def _is_alive(self, launch_id: str) -> bool:
        try:
            descriptor = os.open(self._path(launch_id), os.O_RDWR | _OPEN)
        except OSError:
            return False
        try:
            return self._platform.is_locked(descriptor)
        finally:
            os.close(descriptor)

    def _read(self, launch_id: str) -> _Read | None:
        try:
            descriptor = os.open(self._path(launch_id), os.O_RDWR | _OPEN)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            locked = self._platform.is_locked(file.fileno())
            lines = file.read(_MAX_BYTES).splitlines()
        said = _all_said(lines)
        try:
            marker = self._marker(launch_id, said, alive=locked and lives(said))
            return _Read(marker, str(said["dir"]), in_use=locked or _surely_lives(said))
        except (LookupError, ValueError, TypeError, InvalidVersionError):
            return None

    def _marker(self, launch_id: str, said: dict[str, Any], *, alive: bool) -> Marker:
        ended = said.get("ended")
        return Marker(
            launch_id=launch_id,
            version=parse_version(said["version"]),
            token=said.get("token"),
            status=self._status(said),
            started=parse_time(said["started"]),
            boot_id=str(said["boot_id"]),
            trial=said["trial"] is True,
            healthy=said.get("healthy") is True,
            alive=alive,
            reported=said.get("reported") is True,
            ended=None if ended is None else parse_time(ended),
            exit_code=said.get("exit_code"),
            signal=said.get("signal"),
            process_id=(said.get("process") or [None, None])[1],
        )

    def _status(self, said: dict[str, Any]) -> MarkerStatus:
        """Return how it ended, by docs/agent.md, 12.

        Who saw the exit status but not its meaning (the launcher) says a status of null.
        """
        if said.get("status") is not None:
            return MarkerStatus(said["status"])
        code = said.get("exit_code")
        if code is None:
            return MarkerStatus.OPEN
        crashed = (
            said.get("signal") is not None
            or code >= _EXCEPTION_CODE
            or code in self._crash_exit_codes
            or said.get("healthy") is not True
        )
        return MarkerStatus.CRASHED if crashed else MarkerStatus.ERRORED


def _surely_lives(said: dict[str, Any]) -> bool:
    """Return whether a marker's very process lives; no number that was given again counts."""
    noted = said.get("process") or []
    return bool(noted) and noted == process(noted[1]) and noted[2] not in {"", "unknown"}


def _all_said(lines: list[bytes]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for line in lines:
        try:
            said.update(json.loads(line))
        except (ValueError, TypeError):
            continue
    return said

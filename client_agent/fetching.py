"""From a goal to its finished directory: make room, download, build, and remember failures.

Not here: which goal (``client_agent.trust``), arming it (``client_agent.perform``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO

from client_agent.errors import AgentError, Code, DiskError, StateError
from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.values import Fault
from client_agent.parts import Parts
from client_agent.telling import Telling, fault_of
from client_agent.values import VersionFailure
from client_agent.visit import Visits

_ROOM_BYTES = 16 * 1024 * 1024
_ROOM_TENTHS = 11  # of ten: a tree takes a little more than its files


@dataclass(slots=True)
class _Download:
    """A verified part, waiting to be built."""

    part: BinaryIO
    received_bytes: int
    seconds: int


class Fetching:
    """Fetches and builds for one agent. *failed* notes an error and returns it as a fault."""

    def __init__(
        self,
        parts: Parts,
        visits: Visits,
        telling: Telling,
        stop: threading.Event,
        failed: Callable[[AgentError], Fault],
    ) -> None:
        self._parts = parts
        self._visits = visits
        self._telling = telling
        self._stop = stop
        self._failed = failed
        self._download: _Download | None = None

    @property
    def received(self) -> tuple[int, int] | None:
        """Bytes and seconds of the download that waits to be built."""
        download = self._download
        return None if download is None else (download.received_bytes, download.seconds)

    def fetch(self, effect: do.Fetch) -> on.Event | None:
        """Bring the goal's bytes to a verified part, unless its directory is there already."""
        goal, parts = effect.goal, self._parts
        try:
            built = parts.installation.find_built(goal)
            keep = [built.directory] if built else []
            parts.installation.collect_garbage(keep, keep_parts=[goal.target.sha256])
            if built is not None:
                return on.AlreadyBuilt()
            have = parts.downloader.have_bytes(goal.target)
            tree = goal.release.artifact.tree_bytes * _ROOM_TENTHS // 10
            missing = goal.target.length_bytes - have
            parts.installation.preflight(missing + tree + _ROOM_BYTES)
            started = parts.clock.monotonic()
            part = parts.downloader.fetch(
                goal.target,
                parts.sources(self._visits.identity),
                self._visits.transport,
                self._stop,
                self._progress,
            )
        except AgentError as error:
            return on.DownloadFailed(fault=self._failed(error))
        seconds = int(parts.clock.monotonic() - started)
        self._download = _Download(part, missing, seconds)
        return on.Downloaded()

    def build(self, effect: do.Build) -> on.Event | None:
        """Make the goal's directory from the verified part."""
        download, self._download = self._download, None
        if download is None:
            return on.BuildFailed(fault=fault_of(StateError(Code.LOST)))
        try:
            with download.part as part:
                self._parts.installation.build(part, effect.goal, _no_progress)
        except AgentError as error:
            return on.BuildFailed(fault=self._failed(error))
        return on.Built()

    def drop_part(self, effect: do.DropPart) -> None:
        """Delete the part: its directory is finished."""
        try:
            self._parts.downloader.drop(effect.goal.target)
        except DiskError as error:  # garbage collection gets it later
            self._telling.once(error)

    def remember_failure(self, effect: do.RememberFailure) -> None:
        """Bar the edition for a while, longer each time."""
        edition, store = effect.edition, self._parts.installation.state
        try:
            known = [
                old
                for old in store.read().failures
                if (old.version, old.manifest_sha256) == (edition.version, edition.manifest_sha256)
            ]
            count = 1 + (known[0].count if known else 0)
            no_space = effect.fault.code == Code.NO_SPACE
            pause = self._parts.schedule.retry_failed(count, no_space=no_space)
            store.note_failure(
                VersionFailure(
                    version=edition.version,
                    manifest_sha256=edition.manifest_sha256,
                    code=effect.fault.code,
                    count=count,
                    retry_at=self._parts.clock.now() + timedelta(seconds=pause),
                    tries_left=known[0].tries_left if known else None,
                )
            )
        except AgentError as error:
            self._telling.once(error)

    def _progress(self, done: int, total: int) -> None:
        self._telling.call(self._parts.hooks.on_progress, done, total)


def _no_progress(_done: int, _total: int) -> None:
    """Building is quick beside downloading, and not shown."""

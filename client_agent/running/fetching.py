"""From a goal to its finished directory: make room, download, build, and remember failures.

Not here: which goal (``client_agent.trust.decision``), arming it
(``client_agent.running.perform``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import BinaryIO

from client_agent.errors import (
    AgentError,
    Code,
    DeltaError,
    DiskError,
    NetworkError,
    PayloadError,
    StateError,
)
from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.plans import cheapest
from client_agent.machine.values import Fault, Goal, Plan, TargetInfo
from client_agent.network.download import Ways
from client_agent.running.parts import Parts
from client_agent.running.status import Taken
from client_agent.running.telling import Received, Telling, fault_of
from client_agent.running.visit import Visits
from client_agent.values import DeltaFailure, VersionFailure
from client_agent.versions.unpack import MAX_PAYLOAD_BYTES
from rollout.manifest import MAX_TREE_BYTES
from rollout.model import Reason
from rollout.names import MAX_TREE_ENTRIES

_ROOM_BYTES = 16 * 1024 * 1024
_ROOM_TENTHS = 11  # of ten: a tree takes a little more than its files
_FILE_BYTES = 4096  # a block or an inode, however small the file is
_NOT_THERE = frozenset({404, 410})


@dataclass(slots=True)
class _Download:
    """A verified part, waiting to be built."""

    part: BinaryIO
    received: Received


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
        self._received_bytes = 0  # in this run, over all its plans
        self._wanted_bytes: int | None = None
        """The room that the last download did not find, if that is why it failed."""

        self.taken: Taken | None = None
        """What the last directory that was built here cost."""

    @property
    def received(self) -> Received | None:
        """What came for the download that waits to be built."""
        return None if self._download is None else self._download.received

    def choose(self, effect: do.Choose) -> on.Event:
        """Make room, and find out how the goal's directory comes about most cheaply."""
        goal, parts = effect.goal, self._parts
        self._received_bytes = 0
        try:
            _check_caps(goal)
            built = parts.installation.find_built(goal)
            keep = [built.directory] if built else []
            files = [target.sha256 for target in _files_of(goal)]
            parts.installation.collect_garbage(keep, keep_parts=files)
            if built is not None:
                return on.AlreadyBuilt()
            return on.Planned(plan=self._cheapest(goal))
        except AgentError as error:
            return on.DownloadFailed(fault=self._failed(error))

    def fetch(self, effect: do.Fetch) -> on.Event:
        """Bring the plan's bytes to a verified part."""
        goal, plan = effect.goal, effect.plan
        clock, downloader = self._parts.clock, self._parts.downloader
        started, before = clock.monotonic(), downloader.received_bytes
        try:
            part = self._bring(goal, plan.target_of(goal))
        except AgentError as error:
            return on.DownloadFailed(fault=self._fault(plan, error))
        finally:
            received_bytes = downloader.received_bytes - before
            self._received_bytes += received_bytes
        seconds = int(clock.monotonic() - started)
        received = Received(bytes=received_bytes, seconds=seconds, delta=plan.delta is not None)
        self._download = _Download(part, received)
        return on.Downloaded()

    def build(self, effect: do.Build) -> on.Event:
        """Make the goal's directory from the verified part."""
        goal, plan = effect.goal, effect.plan
        download, self._download = self._download, None
        if download is None:
            return on.BuildFailed(fault=fault_of(StateError(Code.LOST)))
        signed = None if plan.delta is None else plan.delta.signed
        try:
            with download.part as part:
                self._parts.installation.build(part, goal, _no_progress, delta=signed)
        except AgentError as error:
            return on.BuildFailed(fault=self._fault(plan, error))
        self.taken = Taken(
            version=goal.version,
            delta=plan.delta is not None,
            received_bytes=self._received_bytes,
            full_bytes=goal.target.length_bytes,
        )
        return on.Built()

    def bar_delta(self, effect: do.BarDelta) -> None:
        """Remember that this delta is no good, and delete it."""
        failure = DeltaFailure(
            from_manifest=effect.delta.signed.from_manifest,
            to_manifest=effect.goal.manifest_sha256,
            code=effect.fault.code,
        )
        drop = partial(self._parts.downloader.drop, effect.delta.target)
        note = partial(self._parts.installation.state.note_delta_failure, failure)
        # One must not fail with the other: unremembered, the delta would come again each time.
        for remember in (drop, note):
            try:
                remember()
            except AgentError as error:
                self._telling.once(error)

    def drop_parts(self, effect: do.DropParts) -> None:
        """Delete the parts: the directory is finished."""
        try:
            for target in _files_of(effect.goal):
                self._parts.downloader.drop(target)
        except DiskError as error:  # garbage collection gets them later
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
                    refunds=known[0].refunds if known else 0,
                    needed_bytes=self._wanted_bytes if no_space else None,
                )
            )
        except AgentError as error:
            self._telling.once(error)

    def _cheapest(self, goal: Goal) -> Plan:
        installation, downloader = self._parts.installation, self._parts.downloader
        installed = {
            delta.signed.from_manifest
            for delta in goal.deltas
            if installation.base_for(delta.signed) is not None
        }
        failures = installation.state.read().delta_failures
        return cheapest(
            goal,
            installed=installed,
            barred={(failure.from_manifest, failure.to_manifest) for failure in failures},
            missing_bytes=downloader.missing_bytes,
        )

    def _bring(self, goal: Goal, target: TargetInfo) -> BinaryIO:
        """Return the verified part of *target*, if there is room for it and for the tree."""
        parts = self._parts
        artifact = goal.release.artifact
        tree = artifact.tree_bytes * _ROOM_TENTHS // 10 + artifact.files * _FILE_BYTES
        needed = parts.downloader.missing_bytes(target) + tree + _ROOM_BYTES
        self._wanted_bytes = needed
        parts.installation.preflight(needed)
        self._wanted_bytes = None
        ways = Ways(
            sources=parts.sources(self._visits.identity),
            transport=self._visits.transport,
            stop=self._stop,
            in_foreground=bool if goal.reason is Reason.MUST_REACH else self._in_foreground,
        )
        return parts.downloader.fetch(target, ways, self._progress)

    def _in_foreground(self) -> bool:
        return bool(self._telling.call(self._parts.hooks.on_foreground))

    def _fault(self, plan: Plan, error: AgentError) -> Fault:
        """Return how the plan failed. Of a delta nobody hears yet: the payload makes up for it."""
        if plan.delta is None:
            return self._failed(error)
        if isinstance(error, NetworkError) and error.status in _NOT_THERE:
            error = DeltaError(Code.MISSING, str(error))  # no network mends that
        return fault_of(error)

    def _progress(self, done: int, total: int) -> None:
        self._telling.call(self._parts.hooks.on_progress, done, total)


def _check_caps(goal: Goal) -> None:
    """Fetch nothing that no agent builds, whoever signed it.

    Raises:
        PayloadError: ``over_cap``.
    """
    artifact, length_bytes = goal.release.artifact, goal.target.length_bytes
    if artifact.tree_bytes > MAX_TREE_BYTES or artifact.files > MAX_TREE_ENTRIES:
        raise PayloadError(Code.OVER_CAP, f"a tree of {artifact.tree_bytes} bytes")
    if length_bytes > MAX_PAYLOAD_BYTES:
        raise PayloadError(Code.OVER_CAP, f"a payload of {length_bytes} bytes")


def _files_of(goal: Goal) -> list[TargetInfo]:
    files = [goal.target, *(delta.target for delta in goal.deltas)]
    return [*files, *(file.pieces for file in files if file.pieces is not None)]


def _no_progress(_done: int, _total: int) -> None:
    """Building is quick beside downloading, and not shown."""

"""Everything the agent says: events about itself to the server, and calls to the app's hooks.

Nothing here raises: what cannot be told is told less, or later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from packaging.version import Version

from client_agent.config import Telemetry
from client_agent.consent.policy import UpdateInfo
from client_agent.errors import AgentError, Category, Code, DiskError
from client_agent.machine.values import Edition, Fault, Phase
from client_agent.reports.faults import MAX_BYTES, ToldCrash, parse_fault
from client_agent.running.parts import Parts
from client_agent.values import InstalledVersion, Marker, MarkerStatus, Outcome

_AGAIN_AFTER = timedelta(hours=24)
_NEVER = datetime.min.replace(tzinfo=UTC)

_OUTCOMES = {
    Outcome.FELL_BACK: Fault(category=Category.LAUNCH, code=Code.TRIES_USED_UP),
    Outcome.CANNOT_START: Fault(category=Category.LAUNCH, code=Code.CANNOT_START),
    Outcome.DAMAGED: Fault(category=Category.PAYLOAD, code=Code.DAMAGED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What one download took."""

    bytes: int
    seconds: int
    delta: bool


class Telling:
    """Tells for one agent. ``running`` returns the version that runs now."""

    def __init__(
        self, parts: Parts, running: Callable[[], Version | None], launch_id: str | None
    ) -> None:
        self._parts = parts
        self._running = running
        self._launch_id = launch_id
        self._told: dict[str, datetime] = {}
        self._broken: set[Callable[..., Any]] = set()

    def step(
        self,
        phase: Phase,
        edition: Edition | None,
        fault: Fault | None,
        *,
        on_trial: bool = False,
        received: Received | None = None,
    ) -> None:
        """Queue a step of an update."""
        running = self._running()
        about = running if edition is None else edition.version
        if about is None:
            return
        # What runs is what the step leads to, so where it came from is what ran before.
        if on_trial:
            running = _version_of(self._parts.installation.current())
        elif phase is Phase.HEALTHY:
            running = _version_of(self._parts.installation.previous())
        self._parts.reporter.step(
            phase,
            running=running,
            to=about,
            fault=fault,
            downloaded_bytes=None if received is None else received.bytes,
            delta=None if received is None else received.delta,
            duration_seconds=None if received is None else received.seconds,
        )

    def once(self, error: AgentError) -> None:
        """Queue an error that stops nothing, at most once a day for each code."""
        now = self._parts.clock.now()
        if now - self._told.get(error.code, _NEVER) < _AGAIN_AFTER:
            return
        self._told[error.code] = now
        self.step(Phase.FAILED, None, fault_of(error))

    def markers(self) -> None:
        """Queue the sessions of all starts that ended, but for the one that we live in."""
        try:
            boot_id = self._parts.platform.boot_id()
            markers = self._parts.installation.markers()
            left_dumps = self.dumps(markers)
            for marker in markers:
                if not (marker.alive or marker.reported or marker.launch_id == self._launch_id):
                    fault = self._fault_of(marker)
                    if fault is not None:
                        launch_id, token = marker.launch_id, marker.token
                        self._parts.reporter.told(fault, marker.version, launch_id, token=token)
                    died = fault is not None or marker.launch_id in left_dumps
                    self._parts.reporter.session(marker, boot_id, died=died)
                    self._parts.installation.mark_reported(marker.launch_id)
        except AgentError as error:
            self.once(error)
        except OSError:
            self.once(DiskError(Code.IO))

    def dumps(self, markers: Iterable[Marker]) -> frozenset[str]:
        """Take new minidumps in; return the starts that they belong to."""
        if self._parts.reporter.level is not Telemetry.CRASH:
            return frozenset()
        try:
            return self._parts.minidumps.collect(markers)
        except AgentError as error:
            self.once(error)
            return frozenset()

    def _fault_of(self, marker: Marker) -> ToldCrash | None:
        """Return what killed the interpreter in that start, if ``faulthandler`` saw it."""
        path = self._parts.installation.launches / f"{marker.launch_id}.fault"
        try:
            with path.open("rb") as file:
                return parse_fault(file.read(MAX_BYTES))
        except OSError:
            return None

    def last_result(self) -> bool:
        """Queue how the last trial ended; return whether it fell back."""
        store = self._parts.installation.state
        result = store.read().last_result
        if result is None:
            return False
        fell_back = result.outcome is not Outcome.CONFIRMED
        if fell_back:
            self._parts.reporter.step(
                "rolled_back",
                running=result.left,
                to=result.version,
                fault=_OUTCOMES[result.outcome],
            )
            self.call(self._parts.hooks.on_fell_back, UpdateInfo(version=str(result.version)))
        try:
            store.clear_last_result()
        except AgentError as error:
            self.once(error)
        return fell_back

    def seal(self) -> None:
        """Note in the marker of the start that we live in that it ended cleanly."""
        if self._launch_id is None:
            return
        try:
            now = self._parts.clock.now()
            self._parts.installation.seal_marker(self._launch_id, MarkerStatus.EXITED, now)
        except AgentError as error:
            self.once(error)

    def call(self, hook: Callable[..., Any] | None, *arguments: Any) -> Any:
        """Call a hook of the app's and return what it returns.

        What it raises is reported once, and stops nothing of ours: then, as without a hook, the
        answer is None. Nor does ``sys.exit()``: it would end our thread, and no app.
        """
        if hook is None:
            return None
        try:
            return hook(*arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the app's code raises
            running = self._running()
            if running is not None and hook not in self._broken:
                self._broken.add(hook)  # some are called for every chunk of a download
                self._parts.reporter.crash(error, running, self._launch_id)
            return None


def _version_of(installed: InstalledVersion | None) -> Version | None:
    return None if installed is None else installed.version


def fault_of(error: AgentError) -> Fault:
    """Return *error* as the machine and the wire know it."""
    return Fault(category=error.category.value, code=error.code.value)

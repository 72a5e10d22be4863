"""What each effect of the state machine does to the world, and the event it answers with.

Errors of ours become the failure event that the machine waits for; none gets out of here but
``Stopped`` and what is a fault of the agent itself.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from packaging.version import Version

from client_agent.config import Apply
from client_agent.consent.policy import UpdateInfo
from client_agent.contact.check_in import Standing
from client_agent.errors import AgentError, Code, DiskError, InternalError, PayloadError, StateError
from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.states import Armed, Building, Downloading, Idle, Staged, State, Trial
from client_agent.machine.values import Edition, Fault, PassiveReason, Phase, Trigger
from client_agent.running.asking import Asking, unreadable
from client_agent.running.fetching import Fetching
from client_agent.running.parts import Parts
from client_agent.running.status import Status, StatusFile
from client_agent.running.telling import Telling, fault_of
from client_agent.running.timers import Timers
from client_agent.running.visit import Visits
from client_agent.values import InstalledVersion, Marker
from client_agent.versions.rot import Rot, is_repair
from rollout.model import Action, Assignment


class Performer:
    """Performs effects for one agent. One thread at a time, but for the effects of a quit."""

    def __init__(
        self,
        parts: Parts,
        visits: Visits,
        timers: Timers,
        *,
        stop: threading.Event,
        own_version: Version | None = None,
        launch_id: str | None = None,
    ) -> None:
        self._parts = parts
        self._visits = visits
        self._timers = timers
        self._own_version = own_version
        self._launch_id = launch_id
        self._status = StatusFile(parts.settings.root)
        self._telling = Telling(parts, self.running, launch_id)
        self._fetching = Fetching(parts, visits, self._telling, stop, self._failed)
        self._rot = Rot(parts.installation, parts.clock)
        self.asking = Asking(parts, self._telling, self._failed)
        self.state: State = Idle()
        """The machine's state, as the loop last set it."""

        self.ignore_bans = False
        self.ignored: Counter[tuple[str, str]] = Counter()
        self.assignment: Assignment | None = None
        self.last_error: AgentError | None = None
        self.busy: StateError | None = None
        """Who kept the last visit from being one, if anybody did."""

        self.failed = False
        """Whether the last visit ended with an error instead of a decision carried out."""

        self._table: dict[type[Any], Callable[[Any], on.Event | None]] = {
            do.Check: self._check,
            do.Look: self._look,
            do.RecordReason: self._record_reason,
            do.Schedule: self._schedule,
            do.Report: self._report,
            do.ReportMarkers: lambda _: self._telling.markers(),
            do.ReportLastResult: self._report_last_result,
            do.Choose: self._fetching.choose,
            do.AskDownload: self.asking.download,
            do.Fetch: self._fetching.fetch,
            do.Build: self._fetching.build,
            do.BarDelta: self._fetching.bar_delta,
            do.DropParts: self._fetching.drop_parts,
            do.RememberFailure: self._fetching.remember_failure,
            do.AskPolicy: lambda ask: self.asking.apply_now(ask.edition, self.assignment),
            do.Arm: self._arm,
            do.Disarm: self._disarm,
            do.NotifyApp: self._notify_app,
            do.Confirm: self._confirm,
            do.MarkHealthy: self._mark_healthy,
            do.CollectGarbage: self._collect_garbage,
            do.SealMarker: lambda _: self._telling.seal(),
            do.FlushSpool: lambda _: self._parts.spool.flush(),
            do.Ignored: self._ignored,
        }

    def perform(self, effect: do.Effect) -> on.Event | None:
        """Do what *effect* says and return its answer, if it has one."""
        return self._table[type(effect)](effect)

    def leave(self) -> None:
        """Do what a quit needs at the least, whatever else goes on in another thread."""
        self._telling.seal()
        self._parts.spool.flush()

    def crashed(self, error: BaseException) -> None:
        """Report a fault of the agent's own."""
        running = self.running()
        if running is not None:
            self._parts.reporter.crash(error, running, self._launch_id)
        self._telling.once(InternalError(Code.INTERNAL, type(error).__name__))

    def running(self) -> Version | None:
        """Return the version that runs here now; None while nothing is installed."""
        if isinstance(self.state, Trial):
            return self.state.edition.version
        if self._own_version is not None:
            return self._own_version
        current = self._parts.installation.current()
        return None if current is None else current.version

    def trial_elsewhere(self) -> bool:
        """Return whether another process runs a version on trial: hands off what is armed."""
        return not isinstance(self.state, Trial) and self.others_trial() is not None

    def others_trial(self) -> Marker | None:
        """Return the start of what is armed that another process lives in now, if there is one."""
        pending = self._parts.installation.pending()
        if pending is None:  # perhaps confirmed meanwhile
            return None
        for marker in self._parts.installation.markers():
            same = marker.trial and marker.version == pending.version
            if same and marker.alive and marker.launch_id != self._launch_id:
                return marker
        return None

    # --- looking ---------------------------------------------------------------------

    def _check(self, effect: do.Check) -> on.Event | None:
        try:
            self.busy = self._who_is_busy()
            if self.busy is not None:
                return on.LockLost()
            standing = self._standing(effect.trigger)
            looked = self._visits.look(standing, ignore_bans=self.ignore_bans)
        except AgentError as error:
            return self._check_failed(error)
        if looked.decision is None:
            return self._check_failed(looked.error or StateError(Code.LOST))
        self.last_error, self.failed = looked.api_error, False
        self._timers.checked()
        for problem in looked.decision.problems:
            self._telling.once(problem)
        return on.Decided(
            assignment=looked.decision.assignment,
            goal=looked.decision.goal,
            at=self._parts.clock.now(),
            not_after=looked.decision.not_after,
        )

    def _who_is_busy(self) -> StateError | None:
        """Take the lock for this visit, or return who keeps us from changing anything."""
        if not self._visits.begin():
            return self._visits.busy
        trial = None if isinstance(self.state, Trial) else self.others_trial()
        if trial is None:
            return None
        process = "another process" if trial.process_id is None else f"process {trial.process_id}"
        detail = f"{trial.version} is on trial in {process}: it is confirmed there, or let it end"
        return StateError(Code.BUSY, detail)

    def _look(self, effect: do.Look) -> on.Event | None:
        error = self._visits.check_in(self._standing(effect.trigger))
        hint = self._visits.hint
        if error is not None or hint is None:
            return self._check_failed(error or StateError(Code.LOST))
        self._timers.checked()
        now = self._parts.clock.now()
        assignment = Assignment(action=Action.STAY, reason=hint.reason)
        return on.Decided(assignment=assignment, goal=None, at=now, not_after=now)

    def _check_failed(self, error: AgentError) -> on.Event:
        return on.CheckFailed(
            fault=self._failed(error),
            at=self._parts.clock.now(),
            retry_after_seconds=getattr(error, "retry_after_seconds", None),
        )

    def _failed(self, error: AgentError) -> Fault:
        self.last_error, self.failed = error, True
        return fault_of(error)

    def _standing(self, trigger: Trigger) -> Standing:
        state = self.state
        staged = state.edition.version if isinstance(state, Staged | Armed) else None
        running = self.running()
        current = self._parts.installation.current()
        is_rotten = not isinstance(state, Trial) and self._rot.is_in(current)
        if is_rotten and current is not None and running == current.version:
            self._telling.once(PayloadError(Code.DAMAGED, str(running)))
            if not is_repair(current):
                running = None  # as far as a new start is concerned
        return Standing(
            version=running,
            phase=phase_of(state),
            staged=staged,
            failed=[ban.version for ban in self._parts.installation.state.bans()],
            timestamp_version=self._visits.timestamp_version,
            snapshot_sha256=self._visits.snapshot_sha256,
            self_selected=trigger is Trigger.MANUAL or is_rotten,
        )

    def _record_reason(self, effect: do.RecordReason) -> None:
        self.assignment, self.asking.deferred = effect.assignment, None

    def _schedule(self, effect: do.Schedule) -> None:
        self._timers.schedule(
            effect, advised=self._visits.advised_seconds, on_trial=isinstance(self.state, Trial)
        )
        self._write_status()

    def _write_status(self) -> None:
        error = self.last_error
        self._status.write(
            Status(
                phase=phase_of(self.state),
                state=type(self.state).__name__.lower(),
                version=self.running(),
                assignment=self.assignment,
                error=None if error is None else fault_of(error),
                checked_at=self._timers.checked_at,
                next_check_in_at=self._timers.due_at,
                taken=self._fetching.taken,
                deferred=self.asking.deferred,
            )
        )

    # --- applying --------------------------------------------------------------------

    def _arm(self, effect: do.Arm) -> on.Event | None:
        goal, parts = effect.goal, self._parts
        try:
            if not self._visits.holds_lock:
                raise StateError(Code.BUSY, "armed without the lock")
            installed = parts.installation.find_built(goal)  # verifies every byte again
            if installed is None:
                raise PayloadError(Code.DAMAGED, "no whole directory of it")
            error = unreadable(goal.release, parts.installation.state.read())
            if error is not None:  # the app brought its data to a newer schema meanwhile
                raise error
            parts.trust.raise_high_water(goal.release, self.running())
            if self._visits.token is not None:
                parts.installation.state.set_token(goal.version, self._visits.token)
            now = parts.clock.now()
            parts.installation.state.arm(goal, installed, now=now, not_after=effect.not_after)
        except AgentError as error:
            return on.ArmFailed(fault=self._failed(error))
        return None

    def _disarm(self, _: do.Disarm) -> None:
        try:
            if not self.trial_elsewhere():
                self._parts.installation.state.disarm()
        except AgentError as error:
            self._telling.once(error)

    def _notify_app(self, effect: do.NotifyApp) -> None:
        hooks = self._parts.hooks
        info = UpdateInfo(version=str(effect.edition.version), urgent=effect.urgent)
        by_itself = self.asking.apply is Apply.ON_QUIT and not effect.urgent
        if effect.armed and not by_itself:
            self._telling.call(hooks.on_restart_wanted, info)
        else:
            self._telling.call(hooks.on_staged, info)

    def _confirm(self, effect: do.Confirm) -> on.Event | None:
        store, now = self._parts.installation.state, self._parts.clock.now()
        try:
            pending = store.read().pending
            if pending is not None and is_of(pending.installed, effect.edition):
                store.confirm(now)
            current = store.read().current
            if current is None or not is_of(current, effect.edition):
                raise StateError(Code.LOST, "what is on trial is not what is armed")
            self._parts.installation.mark_healthy(effect.launch_id)
        except AgentError as error:
            return on.ConfirmFailed(fault=fault_of(error))
        self._timers.version_changed()
        return on.Confirmed()

    def _mark_healthy(self, effect: do.MarkHealthy) -> None:
        try:
            self._parts.installation.mark_healthy(effect.launch_id)
        except AgentError as error:
            self._telling.once(error)

    def _collect_garbage(self, _: do.CollectGarbage) -> None:
        try:
            if self._visits.begin():
                self._parts.installation.collect_garbage([])
        except AgentError as error:
            self._telling.once(error)

    # --- telling ---------------------------------------------------------------------

    def _report(self, effect: do.Report) -> None:
        self._telling.step(
            effect.phase,
            effect.edition,
            effect.fault,
            on_trial=isinstance(self.state, Trial),
            received=self._fetching.received if effect.phase is Phase.DOWNLOADED else None,
        )

    def _report_last_result(self, _: do.ReportLastResult) -> None:
        if self._telling.last_result():
            self._timers.version_changed()

    def _ignored(self, effect: do.Ignored) -> None:
        self.ignored[effect.state, effect.event] += 1


def phase_of(state: State) -> str:
    """Return the word of docs/protocol.md for *state*."""
    match state:
        case Downloading() | Building():
            return "downloading"
        case Staged() | Armed():
            return "staged"
        case Trial():
            return "trial"
    return "idle"


def passive_reason(error: DiskError) -> PassiveReason:
    """Return why an agent that got *error* at its start only looks."""
    if error.code is Code.UNSUPPORTED_FILESYSTEM:
        return PassiveReason.UNSUPPORTED_FILESYSTEM
    return PassiveReason.NOT_WRITABLE


def is_of(installed: InstalledVersion, edition: Edition) -> bool:
    """Return whether both are the same bytes."""
    return (installed.version, installed.manifest_sha256) == (
        edition.version,
        edition.manifest_sha256,
    )

"""The agent's loop: events into the machine, effects out of it, answers back in.

Decisions are made under one lock; visits to the server begin with the first effect that needs one
and end, with the events sent, when the machine is at rest again.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from contextlib import suppress
from datetime import datetime, timedelta

from packaging.version import Version

from client_agent.config import Telemetry
from client_agent.consent.policy import Defer
from client_agent.contact.identity import Identity
from client_agent.errors import AgentError, DiskError, StateError
from client_agent.machine import events as on
from client_agent.machine.states import (
    Armed,
    Building,
    Checking,
    Downloading,
    Idle,
    Staged,
    State,
    Trial,
)
from client_agent.machine.step import step
from client_agent.machine.values import Edition
from client_agent.reports.forgetting import Forgetting
from client_agent.running.parts import Parts
from client_agent.running.perform import Performer, passive_reason
from client_agent.running.telling import fault_of
from client_agent.running.timers import Due, Timers
from client_agent.running.trials import Trials, edition_of, healthy_quits
from client_agent.running.visit import Visits
from client_agent.running.wishes import Wishes
from client_agent.values import Outcome
from client_agent.versions.install import Installation

URGENT_SECONDS = 60.0
QUIT_SECONDS = 1.5
LAST_LOOK_SECONDS = 3.0
OLD_DECISION = timedelta(minutes=15)
_FAR = 3_600.0


class Loop:
    """One agent. ``own_version`` is what the process itself is, if the agent lives in an app."""

    def __init__(
        self,
        parts: Parts,
        *,
        own_version: Version | None = None,
        launch_id: str | None = None,
    ) -> None:
        self.parts = parts
        self.stop = threading.Event()
        self.begun = threading.Event()
        """Set once ROOT was looked at and the machine stands somewhere."""

        self._wake = threading.Event()
        self._posted: queue.SimpleQueue[on.Event] = queue.SimpleQueue()
        self._mutex = threading.RLock()
        self._handled_by: int | None = None
        """The thread that performs effects now, if one does."""

        self._own_version = own_version
        self._launch_id = launch_id
        self._timers = Timers(parts.clock, parts.chance, parts.schedule)
        root = parts.settings.root
        nobody = parts.identities.draw(parts.clock.now(), volatile=True)
        self.visits = Visits(parts, nobody, Forgetting(root, parts.platform))
        self.performer = Performer(
            parts,
            self.visits,
            self._timers,
            stop=self.stop,
            own_version=own_version,
            launch_id=launch_id,
        )
        self.wishes = Wishes(
            parts, self.visits, mutex=self._mutex, at_hand=self.at_hand, post=self.post
        )
        self.trouble: AgentError | None = None
        """Why ROOT can only be looked at, if so."""

        self.trials = Trials(parts, self.performer, handle=self.handle, look_again=self._started)
        self._last_check = float("-inf")
        self._online: bool | None = None
        self._send_at: float | None = None
        self._send_failures = 0

    @property
    def state(self) -> State:
        """Where the machine stands."""
        return self.performer.state

    @property
    def identity(self) -> Identity:
        """Who this install is."""
        return self.visits.identity

    def begin(self) -> None:
        """Find out what is on the disk, and start the machine from there."""
        try:
            self._begin()
        finally:
            self.begun.set()

    def _begin(self) -> None:
        try:
            started = self._prepared()
        except DiskError as error:
            self.trouble = error
            self._look_for_oneself()
            self.handle(on.NotWritable(reason=passive_reason(error), fault=fault_of(error)))
            return
        self.handle(started)
        self._heed_wishes()

    def _prepared(self) -> on.Started:
        """Make ROOT ready, and return what is found there.

        Raises:
            DiskError: It can only be looked at.
        """
        Installation.create_root(self.parts.settings.root)
        self.parts.installation.prepare()
        changed_at = self.parts.installation.changed_at()
        if changed_at is not None:
            self._timers.version_changed(changed_at)
        self._know_oneself()
        return self._started()

    def run(self) -> None:
        """Work until ``stop`` is set."""
        self.begin()
        while not self.stop.is_set():
            self.tick()
            self.sleep()

    def sleep(self) -> None:
        """Wait until something may be due, or is posted."""
        self.parts.clock.wait(self._wake, self.seconds_to_wait())
        self._wake.clear()

    def post(self, event: on.Event) -> None:
        """Let the loop's thread handle *event* soon. From any thread."""
        self._posted.put(event)
        self._wake.set()

    def end(self) -> None:
        """Make ``run`` return soon. From any thread."""
        self.stop.set()
        self._wake.set()

    def handle(self, event: on.Event) -> None:
        """Let the machine take *event*, and perform all that follows from it."""
        with self._mutex:
            before, self._handled_by = self._handled_by, threading.get_ident()
            try:
                self._settle(event)
            finally:
                self._handled_by = before
                self._finish_visit()

    def check_before_quit(self) -> None:
        """Ask once more about what is armed, if the last answer is older than 15 minutes."""
        state = self.state
        if isinstance(state, Armed) and self.parts.clock.now() - state.decided_at > OLD_DECISION:
            self.handle(on.CheckRequested())

    def look_before_quit(self) -> None:
        """Do ``check_before_quit``, in 3 seconds at most whatever the server does."""
        look = threading.Thread(target=self._look_before_quit, name="serinus-quit", daemon=True)
        _do_within(LAST_LOOK_SECONDS, look)

    def _look_before_quit(self) -> None:
        try:
            self.check_before_quit()
        except Exception as error:  # noqa: BLE001 - of a thread of ours, at the very end
            self.performer.crashed(error)

    def quit(self) -> None:
        """Seal the marker and flush the spool, within 1.5 seconds whatever else there is to do.

        A trial that is confirmed by this quit has a version to delete and a server to tell.
        """
        quitting = threading.Thread(target=self._quit, name="serinus-quit", daemon=True)
        if self._handled_by != threading.get_ident():  # else a hook ends us: no more of the machine
            _do_within(QUIT_SECONDS, quitting)
        if quitting.is_alive() or quitting.ident is None:  # these two wait for nothing
            self.performer.leave()

    def _quit(self) -> None:
        try:
            with self._mutex:
                self._heed_wishes()
                self.handle(on.Quit())
        except Exception as error:  # noqa: BLE001 - as for the last look
            self.performer.crashed(error)

    @property
    def next_check_in_at(self) -> datetime | None:
        """When the next check-in is due, if one is."""
        return self._timers.due_at

    def tick(self) -> None:
        """Do whatever is due now."""
        while True:
            try:
                self._take(self._posted.get_nowait())
            except queue.Empty:
                break
        self._look_at_network()
        due = self._timers.look()
        if due is not Due.NO:
            self._check(on.Woke() if due is Due.WOKE else on.TimerFired())
        self._look_at_arming()
        self.trials.look()
        self._look_at_spool()

    def seconds_to_wait(self) -> float:
        """Return how long nothing is due, at most a minute."""
        left = [self._timers.seconds_left(), _FAR]
        left += self.trials.seconds_left()
        now = self.parts.clock.monotonic()
        if self._send_at is not None:
            left.append(max(0.0, self._send_at - now))
        return self.parts.schedule.slice(min(left))

    def at_hand(self) -> Edition | None:
        """Return the version that is on its way here, or offered and waiting."""
        match self.state:
            case Staged() | Armed() as waiting:
                return waiting.edition
            case Idle() | Checking() as before:
                return before.offered
            case Downloading() | Building() as under_way:
                return under_way.goal.edition
        return None

    # --- starting --------------------------------------------------------------------

    def _know_oneself(self) -> None:
        self.wishes.know_oneself()
        if self.parts.reporter.level is Telemetry.OFF:  # it may have been another level before
            self.wishes.fall_silent()

    def _look_for_oneself(self) -> None:
        """Be who ROOT says even where it cannot be written; else nobody, for this once."""
        with suppress(DiskError, StateError):
            self.wishes.know_oneself()

    def _started(self) -> on.Started:
        state = self.parts.installation.state.read()
        result = state.last_result
        fell_back = result is not None and result.outcome is not Outcome.CONFIRMED
        if state.pending is None:
            empty = state.current is None and self._own_version is None
            return on.Started(fell_back=fell_back, empty=empty)
        edition = edition_of(state.pending.installed)
        markers = self.parts.installation.markers()
        mine = next((marker for marker in markers if marker.launch_id == self._launch_id), None)
        if mine is not None and mine.trial and mine.version == edition.version:
            trial = Trial(
                edition=edition,
                launch_id=mine.launch_id,
                confirm=self.trials.confirm_rule(),
                healthy_called=mine.healthy,  # said before a fault of ours began this anew
                healthy_quits=healthy_quits(markers, mine),
            )
            return on.Started(trial=trial)
        if self.performer.trial_elsewhere():
            return on.Started(fell_back=fell_back)
        armed = Armed(
            edition=edition,
            not_after=state.pending.not_after,
            decided_at=state.pending.armed_at,
        )
        return on.Started(armed=armed)

    def _heed_wishes(self) -> None:
        """Disarm what a person put off, wherever that was: the next start may come at once."""
        state = self.state
        if isinstance(state, Armed):
            wish = self.parts.postponed.of(state.edition)
            if isinstance(wish.verdict(self.parts.clock.now()), Defer):
                self.handle(on.Postponed())

    # --- handling --------------------------------------------------------------------

    def _settle(self, event: on.Event) -> None:
        waiting = deque([event])
        while waiting:
            self.performer.state, effects = step(self.performer.state, waiting.popleft())
            for effect in effects:
                answer = self.performer.perform(effect)
                if answer is not None:
                    waiting.append(answer)
                if isinstance(answer, on.FAILURES):
                    break

    def _take(self, event: on.Event) -> None:
        if not isinstance(event, on.CheckRequested):
            self.handle(event)
        elif self.parts.clock.monotonic() - self._last_check >= self.parts.schedule.manual_floor():
            self._check(event)

    def _check(self, event: on.Event) -> None:
        """Look for updates; a disk that was full as we began may have room by now."""
        self._last_check = self.parts.clock.monotonic()
        if self.trouble is not None:
            with suppress(DiskError):
                started = self._prepared()
                self.trouble = None
                self.handle(started)
                self._heed_wishes()
        self.handle(event)

    def _finish_visit(self) -> None:
        try:
            if self.visits.holds_lock:
                self._send()
        finally:
            self.visits.end()

    def _send(self) -> None:
        """Send the spool, unless the server just failed or has failed too lately."""
        now = self.parts.clock.monotonic()
        if self._send_failures and self._send_at is not None and now < self._send_at:
            return
        try:
            self.visits.report(self.performer.running())
        except AgentError as error:
            self._send_failures += 1
            retry = getattr(error, "retry_after_seconds", None)
            wait = self.parts.schedule.failure(
                self.parts.chance.share(), _FAR, self._send_failures, retry
            )
            self._send_at = now + wait
        else:
            self._send_failures, self._send_at = 0, None

    # --- what becomes due ------------------------------------------------------------

    def _look_at_network(self) -> None:
        """Notice that the network is back while check-ins fail: what is due need not wait more."""
        if not self.performer.failed:
            self._online = None
            return
        before, self._online = self._online, self.parts.platform.online()
        if before is False and self._online:
            self._timers.came_back()

    def _look_at_arming(self) -> None:
        state = self.state
        if isinstance(state, Armed) and self.parts.clock.now() > state.not_after:
            self.handle(on.ArmingExpired())

    def _look_at_spool(self) -> None:
        spool, now = self.parts.spool, self.parts.clock.monotonic()
        spool.tick()
        if spool.urgent_waiting and self._send_at is None:
            self._send_at = now + self.parts.schedule.scaled(URGENT_SECONDS)
        if self._send_at is not None and now >= self._send_at:
            self._send_at = None
            with self._mutex:
                try:
                    if self.visits.begin():
                        self._finish_visit()
                except AgentError:
                    return  # busy or broken disk: the next visit sends


def _do_within(seconds: float, thread: threading.Thread) -> None:
    """Run *thread*, and wait for it no longer than that; a process at its end may get none."""
    with suppress(RuntimeError):
        thread.start()
        thread.join(seconds)

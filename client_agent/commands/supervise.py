"""``serinus-agent run``: the loop in the foreground, and the app as its child.

Without an app an armed version is tried by its health command: the program is started through the
launcher with the arguments of ``[health] command``, and one that ends with 0 in time is
confirmed. One that somebody else starts through the launcher is followed by its marker, and
confirmed when it stays up (``Trials.follow``). With an app, the app runs through the
launcher and is started again when an update wants it.

Not here: which version starts (``launcher.py`` in ROOT decides that alone).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from client_agent.consent.policy import UpdateInfo
from client_agent.errors import Code
from client_agent.launched import OWN
from client_agent.launcher import given_environment
from client_agent.machine import events as on
from client_agent.machine.states import (
    Armed,
    Building,
    Downloading,
    Passive,
    Staged,
    Trial,
)
from client_agent.machine.values import ConfirmRule
from client_agent.reports.dsn import DSN_VARIABLE, RELEASE_VARIABLE, sentry_dsn
from client_agent.running.keep_running import keep_running
from client_agent.running.loop import Loop
from client_agent.running.parts import Parts
from client_agent.running.trials import edition_of
from client_agent.schedule import CLOSE_PERIOD_SECONDS
from client_agent.values import LastResult, Outcome, Pending, State

POLL_SECONDS = 0.2
RESTART_PAUSE_SECONDS = 1.0
_BEGIN_SECONDS = 10.0
_LEAVE_SECONDS = 2.0
NOTHING_STARTS = 70  # what the launcher returns then

Say = Callable[[str], None]


@dataclass(slots=True)
class Wanted:
    """What the hooks say, from the loop: whether the app is to be started again, and progress."""

    restart: bool = False
    progressed: Callable[[], None] | None = None

    def progress(self, _done: int, _total: int) -> None:
        """Show that a download goes on."""
        if self.progressed is not None:
            self.progressed()

    def note(self, _info: UpdateInfo) -> None:
        """Note that it does."""
        self.restart = True


class Supervisor:
    """Runs one loop, and the app if there is one."""

    def __init__(self, loop: Loop, wanted: Wanted, say: Say) -> None:
        self._loop = loop
        self._parts = loop.parts
        self._wanted = wanted
        self._say = say
        self._shown = ""
        wanted.progressed = self._show
        self._child: subprocess.Popen[bytes] | None = None
        self._try_again_at = float("inf")
        self._noted: LastResult | None = None
        self._told_launch: str | None = None

    def _start(self, run: Callable[[], None]) -> threading.Thread:
        """Run the loop in a thread of its own: a hanging server must not delay our end."""
        thread = threading.Thread(
            target=keep_running, args=(self._loop, run), name="serinus-agent", daemon=True
        )
        thread.start()
        return thread

    def _leave(self, thread: threading.Thread) -> None:
        self._loop.look_before_quit()
        self._loop.end()
        self._loop.quit()
        thread.join(_LEAVE_SECONDS)

    # --- without an app --------------------------------------------------------------

    def run_alone(self) -> None:
        """Keep ROOT up to date until the loop is ended, and then return within seconds."""
        thread = self._start(self._alone)
        self._loop.stop.wait()
        self._leave(thread)
        child = self._child
        if child is not None and child.poll() is None:
            _end_group(child)

    def _alone(self) -> None:
        loop = self._loop
        loop.begin()
        self._say_first()
        while not loop.stop.is_set():
            loop.trials.follow()
            loop.tick()
            due = self._wanted.restart or self._parts.clock.monotonic() >= self._try_again_at
            if due and isinstance(loop.state, Armed | Trial) and not loop.trials.follows:
                self._wanted.restart, self._try_again_at = False, float("inf")
                self.try_armed()
                if isinstance(loop.state, Armed | Trial):  # the launcher or the disk said no
                    pause = self._parts.schedule.scaled(CLOSE_PERIOD_SECONDS)
                    self._try_again_at = self._parts.clock.monotonic() + pause
            self._show()
            loop.sleep()

    def try_armed(self) -> None:
        """Start the armed version on trial, until it is confirmed or its tries are used up."""
        parts = self._parts
        command = parts.settings.health.command
        if not command:
            return
        while isinstance(self._loop.state, Armed | Trial) and not self._loop.stop.is_set():
            launched, passed = self._try_once(command)
            if launched is None:
                self._give_up_if_the_launcher_did()
                return
            self._loop.handle(launched)
            if passed:
                self._loop.handle(on.CommandPassed())
                return
            pending = parts.installation.state.read().pending
            if pending is not None and pending.tries_left <= 0:
                parts.installation.state.ban_pending(Code.TRIES_USED_UP, parts.clock.now())
                self._loop.handle(on.FellBack())

    def _try_once(self, command: Sequence[str]) -> tuple[on.Launched | None, bool]:
        """Start it once; return the counted start, if it was one, and whether it went well."""
        state = self._parts.installation.state
        before = state.read().pending
        status = self._run_health_command(command)
        after = state.read().pending
        if after is None or before is None or after.launch_id in {None, before.launch_id}:
            return None, False
        launched = _launched(after, ConfirmRule.COMMAND)
        return launched, status == 0

    def _run_health_command(self, command: Sequence[str]) -> int | None:
        """Return the command's status, or None when it took too long or did not start."""
        seconds = self._parts.settings.health.command_seconds
        arguments = self._parts.installation.launcher_command(command, wait=True)
        try:
            child = subprocess.Popen(
                arguments,
                env=app_environment(self._parts),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # so that all it starts can be ended with it
            )
        except OSError:
            return None
        self._child = child
        try:
            return child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end_group(child)
            return None

    def _give_up_if_the_launcher_did(self) -> None:
        """Take note that the launcher dropped what was armed: damaged, or it cannot start."""
        state = self._parts.installation.state.read()
        result = state.last_result
        if state.pending is None and result and result.outcome is not Outcome.CONFIRMED:
            self._loop.handle(on.FellBack())

    # --- with an app -----------------------------------------------------------------

    def run_app(self, arguments: Sequence[str]) -> int:
        """Run the app through the launcher until it ends by itself; return its status."""
        thread = self._start(self._loop.run)
        self._loop.begun.wait(_BEGIN_SECONDS)
        self._say_first()
        try:
            return self._keep_app(arguments)
        finally:
            self._leave(thread)

    def _keep_app(self, arguments: Sequence[str]) -> int:
        self._noted = self._parts.installation.state.read().last_result  # the loop's, from before
        pause = self._parts.schedule.scaled(RESTART_PAUSE_SECONDS)
        while True:
            self._wait_for_a_version()
            self._wanted.restart = False
            before = self._parts.installation.state.read().pending
            child = subprocess.Popen(
                self._parts.installation.launcher_command(arguments, wait=True),
                env=app_environment(self._parts),
            )
            status = self._watch(child)
            if self._loop.stop.is_set():
                return status
            if status == NOTHING_STARTS and self._nothing_left():
                return status
            if not self._again(status, None if before is None else before.launch_id):
                return status
            self._parts.clock.wait(self._loop.stop, pause)

    def _wait_for_a_version(self) -> None:
        """Wait, in an empty ROOT, until the loop has brought something to start."""
        installation, stop = self._parts.installation, self._loop.stop
        while installation.current() is None and installation.pending() is None:
            if self._parts.clock.wait(stop, POLL_SECONDS):
                return

    def _watch(self, child: subprocess.Popen[bytes]) -> int:
        """Return the app's status: when it ended by itself, or was ended for an update."""
        launch_id: str | None = None
        told = False
        look_until = self._parts.clock.monotonic() + _BEGIN_SECONDS
        while child.poll() is None:
            if self._loop.stop.is_set() or self._wanted.restart or self._is_late(launch_id):
                self._end(child)
                break
            if launch_id is None and self._parts.clock.monotonic() < look_until:
                launch_id = self._trial_of(child)
            told = told or self._tell_healthy(launch_id)
            self._show()
            try:
                child.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        return child.wait()

    def _trial_of(self, child: subprocess.Popen[bytes]) -> str | None:
        """Return the launch of this start if it is on trial, having told the loop of it."""
        state = self._parts.installation.state.read()
        self._fell_back(state)  # then this is the old version, and may run for days
        pending = state.pending
        if pending is None or pending.launch_id is None:
            return None
        marker = self._parts.installation.marker(pending.launch_id)
        if marker is None or not marker.alive or child.poll() is not None:
            return None
        self._tell_launched(pending)
        return marker.launch_id

    def _tell_launched(self, pending: Pending) -> None:
        if pending.launch_id != self._told_launch:
            self._told_launch = pending.launch_id
            self._loop.post(_launched(pending, self._loop.trials.confirm_rule()))

    def _tell_healthy(self, launch_id: str | None) -> bool:
        """Pass on that the app called ``serinus-agent report --healthy``."""
        marker = self._parts.installation.marker(launch_id) if launch_id else None
        if marker is None or not marker.healthy:
            return False
        self._loop.post(on.AppHealthy())
        return True

    def _is_late(self, launch_id: str | None) -> bool:
        state = self._loop.state
        return isinstance(state, Trial) and state.late and state.launch_id == launch_id

    def _again(self, status: int, tried_before: str | None) -> bool:
        """Return whether the app is to be started again after it ended with *status*.

        *tried_before*: the last start on trial before this one.
        """
        state = self._parts.installation.state.read()
        if self._fell_back(state):
            return True
        pending = state.pending
        on_trial = pending is not None and pending.launch_id not in {None, tried_before}
        if pending is not None and on_trial:  # perhaps too short for anybody to have seen it
            self._tell_launched(pending)
        return self._wanted.restart or (on_trial and status != 0)

    def _fell_back(self, state: State) -> bool:
        """Return whether *state* tells of a fall-back that the loop does not know of yet.

        Once for each: a disk that does not let the loop clear it must not keep the app running.
        """
        result = state.last_result
        if result is None or result.outcome is Outcome.CONFIRMED or result == self._noted:
            return False
        self._noted = result
        self._loop.post(on.FellBack())
        return True

    def _nothing_left(self) -> bool:
        return self._parts.installation.current() is None

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """Ask the app to quit; the launcher passes the signal on. After the grace, kill it."""
        child.terminate()
        if _ends(child, self._parts.settings.grace_seconds):
            return
        if sys.platform != "win32":
            # A killed launcher would leave the app running, and its try without an end.
            child.send_signal(signal.SIGUSR2)
            if _ends(child, _LEAVE_SECONDS):
                return
        child.kill()

    def _show(self) -> None:
        shown = describe_state(self._loop)
        if shown != self._shown:
            self._shown = shown
            self._say(f"{self._parts.clock.now():%H:%M:%SZ} {shown}")

    def _say_first(self) -> None:
        """Say what is there, and when something may change: until then all is quiet."""
        self._show()
        now, due = self._parts.clock.now(), self._loop.next_check_in_at
        if due is not None:
            when = "now" if due <= now else f"at {due:%H:%M:%SZ}"
            self._say(f"{now:%H:%M:%SZ} first check-in {when}")


def describe_state(loop: Loop) -> str:
    """Return where *loop* stands in a line: the state, its version, and why."""
    state, performer = loop.state, loop.performer
    version = performer.running()
    if isinstance(state, Downloading | Building):
        version = state.goal.version
    elif isinstance(state, Staged | Armed | Trial):
        version = state.edition.version
    words = [type(state).__name__.lower(), "nothing installed" if version is None else str(version)]
    if isinstance(state, Passive):
        why: object = performer.busy or loop.trouble
        return f"{words[0]}: {why}"
    if isinstance(state, Downloading | Building):
        words.append(f"({state.goal.reason})")
    elif performer.failed:
        return f"{' '.join(words)}: {performer.last_error}"
    elif performer.assignment is not None:
        words.append(f"({performer.assignment.reason})")
    return " ".join(words)


def _launched(pending: Pending, rule: ConfirmRule) -> on.Launched:
    """Return the event for the start on trial that *pending* tells of."""
    launch_id = pending.launch_id or ""
    return on.Launched(edition=edition_of(pending.installed), launch_id=launch_id, confirm=rule)


def app_environment(parts: Parts) -> dict[str, str]:
    """Return our environment for the app, without what an outer launcher put there.

    A crash SDK in it finds where to report and as which version, unless somebody has told it
    otherwise: without a word of ours it would take a commit's hash for the version, or nothing.
    """
    environment = {name: text for name, text in given_environment().items() if name not in OWN}
    state = parts.installation.state.read()
    starts = state.pending.installed if state.pending else state.current
    version = None if starts is None else starts.version
    dsn = sentry_dsn(parts.settings.app, state, version, parts.reporter.level)
    if dsn is not None and version is not None and DSN_VARIABLE not in environment:
        environment[DSN_VARIABLE] = dsn
        environment.setdefault(RELEASE_VARIABLE, f"{parts.settings.app.app}@{version}")
    return environment


def _ends(child: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_group(child: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
    else:  # pragma: no cover - Windows: the launcher's job object ends the app with it
        child.kill()
    child.wait()

"""How the trial goes that this process is, or that runs beside it: its times, and its end."""

from __future__ import annotations

from collections.abc import Callable

from client_agent.config import ConfirmBy
from client_agent.machine import events as on
from client_agent.machine.states import Armed, Passive, Trial
from client_agent.machine.values import ConfirmRule, Edition
from client_agent.running.parts import Parts
from client_agent.running.perform import Performer
from client_agent.values import InstalledVersion, Marker, MarkerStatus

_FOLLOW_SECONDS = 10.0  # one small folder is listed that often while a trial may begin or end


class Trials:
    """The trials of one loop. *look_again* tells what is on the disk when one beside us ended."""

    def __init__(
        self,
        parts: Parts,
        performer: Performer,
        *,
        handle: Callable[[on.Event], None],
        look_again: Callable[[], on.Started],
    ) -> None:
        self._parts = parts
        self._performer = performer
        self._handle = handle
        self._look_again = look_again
        self._followed: str | None = None
        self._looked_at: float | None = None
        """When ``follow`` last looked, if this loop does that."""

        self._trial_launch: str | None = None
        self._trial_since = 0.0

    def confirm_rule(self) -> ConfirmRule:
        """Return what makes a trial a success here."""
        by = self._parts.settings.confirm
        return ConfirmRule.UPTIME if by is ConfirmBy.UPTIME else ConfirmRule.APP

    def follow(self) -> None:
        """Follow the trial of an app that somebody else started, and notice when it ended.

        For ``serinus-agent`` beside a program with no agent of its own: its marker tells that it
        lives, and since when. An agent inside an app leaves the trials of others alone.
        """
        marker, now = self._performer.others_trial(), self._parts.clock.monotonic()
        state = self._performer.state
        if marker is None:
            if self.follows:
                self._followed = None
                self._handle(self._look_again())
        elif not isinstance(state, Trial) or state.launch_id != marker.launch_id:
            self._follow(marker, now)
        self._looked_at = now
        state = self._performer.state
        said = marker is not None and marker.healthy
        if said and isinstance(state, Trial) and not state.healthy_called:
            self._handle(on.AppHealthy())
        self.look()

    @property
    def follows(self) -> bool:
        """Whether the trial is one that somebody else started."""
        state = self._performer.state
        return isinstance(state, Trial) and state.launch_id == self._followed

    def _follow(self, marker: Marker, now: float) -> None:
        pending = self._parts.installation.state.read().pending
        if pending is None:
            return
        age = max(0.0, (self._parts.clock.now() - marker.started).total_seconds())
        if self._looked_at is not None:  # it is no older, whatever was done to the wall clock
            age = min(age, now - self._looked_at)
        launched = on.Launched(
            edition=edition_of(pending.installed),
            launch_id=marker.launch_id,
            confirm=self.confirm_rule(),
        )
        self._handle(launched)
        self._followed = marker.launch_id
        self._trial_launch, self._trial_since = marker.launch_id, now - age

    def look(self) -> None:
        """Notice that it has been up for long enough, or should have been healthy by now."""
        state, now = self._performer.state, self._parts.clock.monotonic()
        if not isinstance(state, Trial):
            return
        uptime, deadline = self._times(state)
        if now >= uptime and not state.uptime_reached:
            self._handle(on.UptimeReached())
        state = self._performer.state
        if now >= deadline and isinstance(state, Trial) and not state.late:
            self._handle(on.HealthDeadline())

    def _times(self, state: Trial) -> tuple[float, float]:
        """Return when the trial has been up long enough, and when it should be healthy."""
        if self._trial_launch != state.launch_id:
            self._trial_launch = state.launch_id
            self._trial_since = self._parts.clock.monotonic()
        health, scaled = self._parts.settings.health, self._parts.schedule.scaled
        return (
            self._trial_since + scaled(health.uptime_seconds),
            self._trial_since + scaled(health.deadline_seconds),
        )

    def seconds_left(self) -> list[float]:
        """Return after how many seconds a look may find something new, and another."""
        left: list[float] = []
        state, now = self._performer.state, self._parts.clock.monotonic()
        if self._looked_at is not None and isinstance(state, Armed | Trial | Passive):
            left.append(self._parts.schedule.scaled(_FOLLOW_SECONDS))
        if isinstance(state, Trial):
            uptime, deadline = self._times(state)
            left += [] if state.uptime_reached else [max(0.0, uptime - now)]
            left += [] if state.late else [max(0.0, deadline - now)]
        return left


def edition_of(installed: InstalledVersion) -> Edition:
    """Return *installed* as the machine knows it."""
    return Edition(
        version=installed.version,
        manifest_sha256=installed.manifest_sha256,
        rollout=installed.rollout,
    )


def healthy_quits(markers: list[Marker], mine: Marker) -> int:
    """Return in how many earlier starts of this trial the app was healthy and quit cleanly."""
    return sum(
        marker.trial
        and marker.healthy
        and marker.status is MarkerStatus.EXITED
        and marker.version == mine.version
        and marker.launch_id != mine.launch_id
        for marker in markers
    )

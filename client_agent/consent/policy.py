"""When an update has to wait: what the app, a person and the machine have to say about it.

A policy only ever says "not now". It can choose no version, and it is never asked about
check-ins: a pull must reach an install whatever its policy.

Not here: what became of the wishes of people (``client_agent.consent.postponed``), and who asks
(``client_agent.consent.permission``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from client_agent.clock import Clock
from client_agent.config import Metered, PolicySettings
from client_agent.platforms import Platform
from rollout.model import Action

METERED_WAIT = timedelta(days=7)
METERED_DELTA_BYTES = 10_000_000
LOW_BATTERY_PERCENT = 20
LOOK_AGAIN = timedelta(hours=1)
"""When to ask again about what may change at any moment: a network, a battery, a busy app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateInfo:
    """What the app, a person or a policy is told about an update.

    ``urgent``: the publisher's date has passed, and this version must be reached.
    ``download_bytes``: what is still to come over the network, if anything is known of it;
    ``delta``: that is no full payload. ``waits_since``: since when a policy puts it off.
    """

    version: str
    action: Action = Action.UPDATE
    urgent: bool = False
    download_bytes: int | None = None
    delta: bool = False
    waits_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Allow:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Defer:
    """Not before ``until``, which has a time zone; each check-in before that asks again, too."""

    until: datetime
    reason: str


Verdict = Allow | Defer


class Policy(Protocol):
    """Whether an update goes on. An answer may take 5 seconds."""

    def may_download(self, info: UpdateInfo) -> Verdict:
        """Say whether the bytes may be fetched now."""
        ...

    def may_apply(self, info: UpdateInfo) -> Verdict:
        """Say whether the next start may have it."""
        ...


class DefaultPolicy:
    """The policy of ``agent.toml``. ``busy`` is the app's own word: nothing is applied then."""

    def __init__(self, settings: PolicySettings, platform: Platform, clock: Clock) -> None:
        self._settings = settings
        self._platform = platform
        self._clock = clock
        self.busy = False

    def may_download(self, info: UpdateInfo) -> Verdict:
        """Wait for a charged battery, and a while for a network that costs nothing."""
        now = self._clock.now()
        battery = self._platform.battery_percent()
        if battery is not None and battery < LOW_BATTERY_PERCENT:
            return Defer(now + LOOK_AGAIN, "battery")
        costs = self._settings.metered is Metered.WAIT and not info.urgent
        if not costs or not self._platform.metered():
            return Allow()
        waited = now - (info.waits_since or now)
        if waited < METERED_WAIT:
            return Defer(now + METERED_WAIT - waited, "metered")
        # A machine that has no other network must not fall behind for ever, nor pay much.
        if info.delta and (info.download_bytes or 0) <= METERED_DELTA_BYTES:
            return Allow()
        return Defer(now + LOOK_AGAIN, "metered")

    def may_apply(self, info: UpdateInfo) -> Verdict:  # noqa: ARG002 - all versions alike
        """Wait for the end of the quiet hours, and until the app is idle."""
        now = self._clock.now()
        quiet = self._settings.quiet_hours
        over = None if quiet is None else quiet.end_after(now)
        if over is not None:
            return Defer(over, "quiet_hours")
        return Defer(now + LOOK_AGAIN, "busy") if self.busy else Allow()

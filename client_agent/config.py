"""Settings of an agent, as values.

Not here: the file that they may come from (``client_agent.settings_file``).
"""

from __future__ import annotations

import platform as system
import sys
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from pathlib import Path

METRIC_NAME = r"[a-z][a-z0-9_]{0,63}"


class Apply(StrEnum):
    """How far an update goes by itself."""

    PRE_DOWNLOAD = "pre_download"  # staged; the app or a person applies it
    ON_QUIT = "on_quit"  # armed; the next start has it
    NOW = "now"  # armed, and whoever started the app is asked to start it again


class Telemetry(StrEnum):
    """What leaves the machine beside check-ins."""

    OFF = "off"
    HEALTH = "health"  # update steps, sessions, metrics by list; of crashes the type only
    CRASH = "crash"  # and the frames of crashes


class ConfirmBy(StrEnum):
    """Who says that a new version is healthy."""

    APP = "app"
    UPTIME = "uptime"


class IdentityKind(StrEnum):
    """Whether the install ID outlives the process."""

    STABLE = "stable"
    VOLATILE = "volatile"  # containers: such an install is no evidence


class Metered(StrEnum):
    """What a network that costs by the byte means for downloads."""

    WAIT = "wait"  # for another one, and after a week only for small deltas
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A time of the day, by the machine's own clock, in which nothing is applied."""

    start: time
    end: time

    def end_after(self, now: datetime) -> datetime | None:
        """Return when the quiet hours end that *now* lies in; None when it lies in none."""
        local = now.astimezone()
        for began_days_ago in (0, 1):
            day = local.date() - timedelta(days=began_days_ago)
            start = datetime.combine(day, self.start).astimezone()
            over = day if self.start < self.end else day + timedelta(days=1)
            end = datetime.combine(over, self.end).astimezone()
            if start <= local < end:
                return end
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """What is compiled in. ``root_metadata`` is the signed root that all trust starts from.

    ``built_at``: when the app was built, if it knows; no clock is right that says earlier.
    """

    app: str
    channel: str
    platform: str
    server: str
    root_metadata: bytes
    built_at: datetime | None = None

    @property
    def base(self) -> str:
        """The app's own part of the server, without final slash."""
        return f"{self.server}/v1/apps/{self.app}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Where else files may come from, and how to get out."""

    mirrors: tuple[str, ...] = ()
    proxy: str = ""
    ca_file: str = ""
    max_bytes_per_second: int = 0
    unsafe_allow_http: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """When to wait with an update (``client_agent.consent.policy``), and how to save disk.

    ``hard_links``: see ``client_agent.versions.tree_writer.TreeWriter``.
    """

    quiet_hours: QuietHours | None = None
    metered: Metered = Metered.WAIT
    hard_links: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashSettings:
    """What counts as a crash, and what of it leaves the machine at level ``crash``."""

    crash_exit_codes: tuple[int, ...] = (1, 101)
    minidump_dirs: tuple[Path, ...] = ()
    messages: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """What makes a trial a success."""

    uptime_seconds: int = 60
    deadline_seconds: int = 600
    command: tuple[str, ...] = ()
    command_seconds: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one agent. ``root`` is where versions live.

    ``metrics``: the names of the app's numbers that are told at level ``health`` too.
    """

    app: AppSettings
    root: Path
    apply: Apply = Apply.ON_QUIT
    telemetry: Telemetry = Telemetry.CRASH
    confirm: ConfirmBy = ConfirmBy.APP
    identity: IdentityKind = IdentityKind.STABLE
    metrics: tuple[str, ...] = ("startup_ms",)
    grace_seconds: int = 10
    network: NetworkSettings = field(default_factory=NetworkSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    crash: CrashSettings = field(default_factory=CrashSettings)
    in_process: bool = False
    unsafe_speed: float = 1.0


def this_platform() -> str:
    """Return the name of this machine's platform, such as ``linux-x86_64``."""
    names = {"linux": "linux", "darwin": "macos", "win32": "windows"}
    machine = system.machine().lower()
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)
    return f"{names.get(sys.platform, sys.platform)}-{machine}"

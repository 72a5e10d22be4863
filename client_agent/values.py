"""Values that the parts of the agent exchange. Frozen, already valid, no I/O.

``Goal`` and ``TargetInfo`` live in ``client_agent.machine``, which may import nothing else of
ours; they are named here again so that every other part has one place to import from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from packaging.version import Version

from client_agent.machine.values import DeltaInfo, Goal, Plan, TargetInfo

__all__ = [
    "Ban",
    "DeltaFailure",
    "DeltaInfo",
    "Goal",
    "InstalledVersion",
    "LastResult",
    "Marker",
    "MarkerStatus",
    "Outcome",
    "Pending",
    "Plan",
    "State",
    "TargetInfo",
    "VersionFailure",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledVersion:
    """A complete version on disk. ``directory`` is its folder's name below ``versions/``."""

    version: Version
    manifest_sha256: str
    directory: str
    rollout: str | None = None
    data_schema: int | None = None
    reads_schema_max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The version that the next start runs on trial.

    The launcher starts it only between ``armed_at`` - 1 h and ``not_after``. ``launch_id`` is
    the last counted start, as long as the launcher has not looked at how it ended;
    ``launch_boot_id`` tells whether the system was started anew since.
    """

    installed: InstalledVersion
    tries_left: int
    refunds: int
    armed_at: datetime
    not_after: datetime
    boot_id: str
    launch_id: str | None = None
    launch_boot_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """A version that failed its trial here. ``count`` is how often, over all its rollouts."""

    version: Version
    manifest_sha256: str
    rollout: str | None
    reason: str
    at: datetime
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFailure:
    """A version that could not be fetched or built; no ban.

    ``tries_left`` is set when it was disarmed in the middle of its trial: arming it again
    continues with that number, and with ``refunds``. ``needed_bytes``: so much room was not there.
    """

    version: Version
    manifest_sha256: str
    code: str
    count: int
    retry_at: datetime
    tries_left: int | None = None
    refunds: int = 0
    needed_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaFailure:
    """A delta that was no good here, by the manifests of the trees that it leads from and to."""

    from_manifest: str
    to_manifest: str
    code: str


class Outcome(StrEnum):
    """How the last trial ended."""

    CONFIRMED = "confirmed"
    FELL_BACK = "fell_back"
    CANNOT_START = "cannot_start"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastResult:
    """The end of the last trial, for the agent to report; ``left`` is what ran before it."""

    outcome: Outcome
    version: Version
    rollout: str | None
    at: datetime
    left: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """``state.json``: what is installed and what starts next.

    ``project`` is the server's number of the app, as crash SDKs need it.
    """

    seq: int = 0
    current: InstalledVersion | None = None
    previous: InstalledVersion | None = None
    pending: Pending | None = None
    bans: tuple[Ban, ...] = ()
    failures: tuple[VersionFailure, ...] = ()
    delta_failures: tuple[DeltaFailure, ...] = ()
    data_schema: int | None = None
    last_result: LastResult | None = None
    tokens: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    project: int | None = None


class MarkerStatus(StrEnum):
    """How a start of the app ended. ``OPEN``: not sealed by anybody (or still running)."""

    OPEN = "open"
    EXITED = "exited"
    ERRORED = "errored"
    CRASHED = "crashed"
    ABNORMAL = "abnormal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """One start of the app through the launcher.

    ``alive`` is true while its process lives and holds the marker's lock. ``reported`` is true
    once its session is in the spool; such a marker stays only as long as the launcher needs it.
    """

    launch_id: str
    version: Version
    token: str | None
    status: MarkerStatus
    started: datetime
    boot_id: str
    trial: bool = False
    healthy: bool = False
    alive: bool = False
    reported: bool = False
    ended: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    process_id: int | None = None

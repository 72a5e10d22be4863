"""What the study of one rollout is told, in the order of receipt.

Instants are Unix seconds, UTC, as floats. ``at`` is when the server received it; ``happened_at``
when it happened by the server's clock. ``install`` is the install key, a pseudonym.

Not here: where facts come from (``service.studies.attribution``), and what they mean (``study``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A check-in of an install that is eligible for the release, whatever its arm.

    Everything here was fixed before the bucket was looked at, but ``bucket`` itself.
    ``internal`` installs are in an open ring of groups. ``aged``: known for 7 days and three
    check-ins before the release was published. ``crashes`` counts the install's own crashes in
    the 14 days before the present stage opened; ``gap_seconds`` is its usual time between two
    check-ins (median of the last ten before the stage), None when it is not known.
    ``network`` is a keyed hash of the /24 or /48, empty when it is not to be capped.
    """

    at: float
    install: bytes
    bucket: int
    platform: str
    internal: bool = False
    aged: bool = True
    crashes: int = 0
    gap_seconds: float | None = None
    network: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session of the app began, or an install in no arm at present checked in: a sign of life.

    ``on_release``: of the version that is being rolled out.
    """

    at: float
    install: bytes
    on_release: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The app crashed, on any version. ``event`` is the SHA-256 of the event's id.

    ``signature`` is the comparable crash signature; ``new`` whether it was unknown when the
    release was published. ``again``: somebody told of the same crash before, perhaps without its
    signature.
    """

    at: float
    happened_at: float
    install: bytes
    event: bytes
    signature: str = ""
    new: bool = False
    again: bool = False


class Step(StrEnum):
    """The steps of an update that may fail."""

    DOWNLOAD = "download"
    VERIFY = "verify"
    APPLY = "apply"
    LAUNCH = "launch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """A step of the update to this rollout's release was done, or failed."""

    at: float
    install: bytes
    step: Step
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The value of a measured metric (start-up time, memory, business), on any version."""

    at: float
    happened_at: float
    install: bytes
    metric: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The install is out of the study: it chose to update by itself, or was forgotten.

    One that a hold keeps is not out ``for_good``: it enters again when it is held no more.
    """

    at: float
    install: bytes
    for_good: bool = True


class Rule(StrEnum):
    """Why a report is set aside. Not one of these may depend on the install's arm."""

    BAD_TOKEN = "bad_token"  # noqa: S105 - no secret, but its name
    EXPIRED_TOKEN = "expired_token"  # noqa: S105
    VERSION_NOT_IN_TOKEN = "version_not_in_token"  # noqa: S105
    UNKNOWN_VERSION = "unknown_version"
    IMPLAUSIBLE = "implausible"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A report of the install was set aside by *rule*: it is evidence of nothing else."""

    at: float
    install: bytes
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOpened:
    """A step of the ladder opened: candidates are the buckets below ``exposure_bp``.

    ``exposure_bp`` is None in a ring of groups. ``ring`` is the step's name, ``next_ring`` that of
    the next step, or None at the end of the ladder. ``approvals`` is how many people the next
    step needs.
    """

    at: float
    position: int
    ring: str
    exposure_bp: int | None
    holdback_bp: int = 0
    soak_seconds: int = 0
    approvals: int = 0
    next_ring: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """The release is offered to no further install. ``automatic``: the server did it."""

    at: float
    automatic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The pause ended; after an automatic one a new epoch begins.

    ``waived`` maps crash signatures that are known and accepted to when that ends.
    """

    at: float
    waived: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformHeld:
    """A platform is kept back from now on: its installs are in neither arm any more."""

    at: float
    platform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformReleased:
    """A platform is kept back no more. A ``StageOpened`` follows, in which its installs enter."""

    at: float
    platform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsuspended:
    """A person ended the suspension: what suspended the judge was found."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A person withdrew so many reports of this epoch that were counted: forged, or no one's."""

    at: float
    reports: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """What comes from here on was taken in so many seconds late, by our clock; 0: in time again."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Nothing was received from ``began_at`` to ``at``, in either arm: the fault is ours."""

    at: float
    began_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """How the channel's installs did before the rollout, whichever version they ran.

    ``crashes`` and ``install_hours`` are by hour of the week, 168 of each or none: how often an
    install crashed for the first time on a day, and how long installs were watched. Hour 0 began
    with 1970, a Thursday. ``windows`` are (stratum of silence, windows, silent ones of them).
    """

    at: float
    crashes: tuple[int, ...] = ()
    install_hours: tuple[float, ...] = ()
    windows: tuple[tuple[int, int, int], ...] = ()


Fact = (
    Seen
    | Session
    | Crash
    | Stepped
    | Score
    | Left
    | SetAside
    | StageOpened
    | Paused
    | Resumed
    | PlatformHeld
    | PlatformReleased
    | Unsuspended
    | Struck
    | Lag
    | Outage
    | Past
)

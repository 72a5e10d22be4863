"""What studies need of the database: their state, facts on their way, register, decisions.

As in ``ports``, whose errors these raise: stores take and return values and never commit.
Bodies are bytes that ``study_codec`` makes and reads; stores look into none of them.
Instants of the server are datetimes; those of evidence are Unix seconds as floats, and may run
faster than the server's (``evidence.settings``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from rollout.model import Arm, RolloutId

# --- values ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHead:
    """A study without its state. ``version`` grows by one whenever the state is replaced."""

    rollout: RolloutId
    app: str
    channel: str
    version: int
    settings: bytes
    opened_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStudy:
    """The study of one rollout. ``settings`` are fixed when it is added."""

    rollout: RolloutId
    app: str
    channel: str
    version: int
    settings: bytes
    state: bytes
    opened_at: datetime
    ended_at: datetime | None = None


class LogKind(StrEnum):
    """What an entry of a study's log is."""

    LABEL = "label"
    SCORED = "scored"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLabel:
    """One entry of a study's log. ``networks``, of any form, are kept less long than the body.

    ``struck``: a person withdrew the report behind it, after it was counted.
    """

    epoch: int
    metric: str
    kind: LogKind
    body: bytes
    networks: bytes = b""
    struck: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMember:
    """One install in a study's register, with what it is looked up by.

    ``due_at`` is when its next outcome is known, in evidence's seconds. ``left`` installs
    are in no risk set any more.
    """

    body: bytes
    due_at: float | None = None
    network: bytes = b""
    platform: str = ""
    left: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """A decision of the judge, and whether it was carried out.

    ``number`` orders the decisions of all rollouts; the store assigns it. ``record`` is the
    decision record, a JSON object of finite numbers. ``log_size`` is how many entries of the
    study's log, from the first on, it was made from. ``outcome`` says what became of it; until
    ``carried_out_at``, why it was not carried out yet. A decision that asks for nothing is added
    with both.
    """

    id: str
    rollout: RolloutId
    app: str
    at: datetime
    verdict: str
    record: Mapping[str, Any]
    log_size: int = 0
    carried_out_at: datetime | None = None
    outcome: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window of silence that an install is in, as a study would have it.

    See ``service.studies.silences``.

    ``stratum`` is that of evidence; ``returned``: a sign of life came that counts as a return.
    """

    began_at: float
    seconds: float
    stratum: int
    returned: bool = False

    @property
    def ends_at(self) -> float:
        """When it is over."""
        return self.began_at + self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of an install before a study: for its age, stratum and usual gap.

    All are the server's instants, in Unix seconds and in order. ``early`` are the first ten
    check-ins, ``seen`` the last eleven, ``crashes`` the last ten crashes. ``taken_first`` is the
    newest rollout that was offered to it first, and so not at random.
    """

    first_at: float
    check_ins: int = 0
    early: tuple[float, ...] = ()
    seen: tuple[float, ...] = ()
    crashes: tuple[float, ...] = ()
    taken_first: str | None = None
    window: Window | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastContact:
    """The newest check-in of one install: what it told of itself, and what it was told."""

    at: datetime
    channel: str
    platform: str
    version: str
    action: str
    reason: str
    offered: str | None
    self_selected: bool
    telemetry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one install came with one rollout. ``arm`` None: no contact was seen yet.

    ``steps`` are those that were reached, in the order of the funnel.
    """

    ring: str | None
    arm: Arm | None
    steps: tuple[str, ...]
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsOfDay:
    """Windows of silence on a channel that end on a UTC day, and the returns in them so far.

    ``day`` counts from 1970. It holds no identity.
    """

    channel: str
    day: int
    stratum: int
    windows: int = 0
    returned: int = 0


# --- stores ------------------------------------------------------------------------------


class Studies(Protocol):
    """Studies of rollouts: state, facts that wait for a tick, and what was counted.

    The log is in the order in which it was added; ``first`` reads no more than its first so
    many entries. What was forgotten or has expired is gone from the register; the log keeps
    hashes of events, and loses the networks.
    """

    def add(self, study: StoredStudy) -> None: ...  # ExistsError
    def get(self, rollout: RolloutId) -> StoredStudy: ...  # NotFoundError
    # rollouts without one are not in it
    def of(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, StoredStudy]: ...
    def live(self) -> Sequence[StudyHead]: ...  # those that have not ended, oldest first
    # writes state as version expected_version + 1, whatever study.version; ChangedError,
    # also when the study has ended
    def replace(self, study: StoredStudy, expected_version: int) -> None: ...
    def end(self, rollout: RolloutId, at: datetime) -> None: ...  # drops its facts; again: no-op

    def add_facts(self, rollout: RolloutId, facts: Sequence[bytes]) -> None: ...
    def facts(self, rollout: RolloutId, limit: int) -> Sequence[tuple[int, bytes]]: ...  # in order
    def count_facts(self, rollout: RolloutId) -> int: ...
    def drop_facts(self, rollout: RolloutId, numbers: Sequence[int]) -> None: ...

    def add_log(self, rollout: RolloutId, entries: Sequence[StoredLabel]) -> None: ...
    def log_size(self, rollout: RolloutId) -> int: ...
    def log(
        self,
        rollout: RolloutId,
        epoch: int,
        metric: str,
        kind: LogKind,
        *,
        first: int | None = None,
    ) -> Sequence[StoredLabel]: ...
    def whole_log(
        self, rollout: RolloutId, *, first: int | None = None
    ) -> Sequence[StoredLabel]: ...

    # numbers are those of whole_log, from 1 on
    def strike(self, rollout: RolloutId, numbers: Sequence[int]) -> None: ...

    # Add the fact that it left first: a row that risk sets still count stays until the study
    # has taken the install out, and goes then.
    def forget_install(self, app: str, install_key: bytes) -> None: ...
    def expire(self, *, ended_before: datetime) -> None: ...


class Registers(Protocol):
    """The installs in each study, as bodies by install key. Lists are in the order named."""

    def members(self, rollout: RolloutId, installs: Iterable[bytes]) -> Mapping[bytes, bytes]: ...
    def put_members(self, rollout: RolloutId, members: Mapping[bytes, StoredMember]) -> None: ...
    def remove_members(self, rollout: RolloutId, installs: Iterable[bytes]) -> None: ...
    # by due_at, then install; due at *now* included
    def due_members(self, rollout: RolloutId, now: float) -> Sequence[tuple[bytes, bytes]]: ...
    # by install
    def members_of_network(
        self, rollout: RolloutId, network: bytes
    ) -> Sequence[tuple[bytes, bytes]]: ...
    def members_of_platform(
        self, rollout: RolloutId, platform: str
    ) -> Sequence[tuple[bytes, bytes]]: ...
    def count_members(self, rollout: RolloutId) -> int: ...


class Decisions(Protocol):
    """Decision records. They are kept for good.

    Only whether they were carried out changes, and their record's ``contested``.
    """

    def add(self, decision: StoredDecision) -> StoredDecision: ...  # number assigned; ExistsError
    def get(self, decision_id: str) -> StoredDecision: ...  # NotFoundError
    # newest first; before is a decision's number
    def page(
        self, app: str, *, rollout: RolloutId | None = None, before: int | None = None, limit: int
    ) -> Sequence[StoredDecision]: ...
    # the newest one about each; rollouts without one are not in it
    def newest(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, StoredDecision]: ...
    # those with one of *verdicts*, oldest first, and up to *limit* of them
    def of_verdicts(
        self, rollouts: Collection[RolloutId], verdicts: Collection[str], limit: int
    ) -> Sequence[StoredDecision]: ...
    def undone(self) -> Sequence[StoredDecision]: ...  # not carried out yet, oldest first
    # NotFoundError; one that was done before stays as it is
    def mark_done(self, decision_id: str, at: datetime, outcome: str) -> None: ...
    # why it is not carried out yet; what was done stays as it is
    def note(self, decision_id: str, outcome: str) -> None: ...
    def contest(self, decision_id: str) -> None: ...  # sets it in the record; NotFoundError


class Histories(Protocol):
    """What is known of each install of an app, whatever it is offered."""

    def get(self, app: str, installs: Iterable[bytes]) -> Mapping[bytes, History]: ...
    def put(self, app: str, histories: Mapping[bytes, History]) -> None: ...
    # of the lowest keys; those last seen on *channel*, if one is named
    def sample(self, app: str, limit: int, *, channel: str | None = None) -> Sequence[History]: ...
    # of one install, by its whole key; None where nothing is known
    def last_contact(self, app: str, install_key: bytes) -> LastContact | None: ...
    def progress_of(self, rollout: RolloutId, install_key: bytes) -> Progress | None: ...
    def forget_install(self, app: str, install_key: bytes) -> None: ...
    def expire(self, *, heard_before: float) -> None: ...  # by its last instant of any kind
    # adds up by channel, day and stratum
    def add_windows(self, app: str, counted: Sequence[WindowsOfDay]) -> None: ...
    # by stratum: the sums over days from *since* on that are before *until*
    def windows(
        self, app: str, channel: str, *, since: int, until: int
    ) -> Sequence[tuple[int, int, int]]: ...  # (stratum, windows, returned), in order

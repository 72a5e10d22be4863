"""A study in memory and facts with valid defaults: a test names only what matters to it.

The stage of ``World`` has half of the installs as candidates, so that 40 make a cohort. Instants
are seconds after ``T0``, a UTC midnight.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from update_server.evidence.facts import (
    Crash,
    Fact,
    Left,
    Outage,
    Paused,
    Resumed,
    Score,
    Seen,
    Session,
    StageOpened,
    Step,
    Stepped,
)
from update_server.evidence.register import Member, MemoryRegister
from update_server.evidence.settings import DAY, STANDARD, Settings
from update_server.evidence.state import Label, Process, Scored, State
from update_server.evidence.study import absorb

T0 = 1_767_225_600.0
PLATFORM = "linux-x86_64"


def install(number: int) -> bytes:
    """Return an install's key. None of these calibrates measured metrics."""
    return number.to_bytes(8, "big") + b"\xff"


def calibrating(number: int) -> bytes:
    """Return the key of an install that calibrates measured metrics."""
    return number.to_bytes(8, "big") + b"\x00"


def stage_opened(at: float = 0, exposure_bp: int | None = 5_000, holdback_bp: int = 0) -> Fact:
    return StageOpened(
        at=T0 + at, position=1, ring="50%", exposure_bp=exposure_bp, holdback_bp=holdback_bp
    )


def seen(
    key: int | bytes,
    at: float = 1,
    *,
    candidate: bool = True,
    bucket: int | None = None,
    platform: str = PLATFORM,
    internal: bool = False,
    aged: bool = True,
    crashes: int = 0,
    gap_seconds: float | None = 3_600.0,
    network: bytes = b"",
) -> Seen:
    return Seen(
        at=T0 + at,
        install=as_key(key),
        bucket=(0 if candidate else 9_999) if bucket is None else bucket,
        platform=platform,
        internal=internal,
        aged=aged,
        crashes=crashes,
        gap_seconds=gap_seconds,
        network=network,
    )


def crash(
    key: int | bytes,
    at: float = 10,
    *,
    happened: float | None = None,
    signature: str = "",
    new: bool = False,
    again: bool = False,
    event: bytes | None = None,
) -> Crash:
    name = f"{key!r} {at} {happened}".encode()
    return Crash(
        at=T0 + at,
        happened_at=T0 + (at if happened is None else happened),
        install=as_key(key),
        event=hashlib.sha256(name).digest() if event is None else event,
        signature=signature,
        new=new,
        again=again,
    )


def session(key: int | bytes, at: float = 10, *, on_release: bool = False) -> Session:
    return Session(at=T0 + at, install=as_key(key), on_release=on_release)


def stepped(key: int | bytes, step: Step, at: float = 10, *, ok: bool = True) -> Stepped:
    return Stepped(at=T0 + at, install=as_key(key), step=step, ok=ok)


def score(
    key: int | bytes,
    value: float,
    at: float = 10,
    *,
    happened: float | None = None,
    metric: str = "startup_ms",
) -> Score:
    return Score(
        at=T0 + at,
        happened_at=T0 + (at if happened is None else happened),
        install=as_key(key),
        metric=metric,
        value=value,
    )


def left(key: int | bytes, at: float = 10, *, for_good: bool = True) -> Left:
    return Left(at=T0 + at, install=as_key(key), for_good=for_good)


def paused(at: float = 10, *, automatic: bool = True) -> Paused:
    return Paused(at=T0 + at, automatic=automatic)


def resumed(at: float = 20, **waived: float) -> Resumed:
    return Resumed(at=T0 + at, waived=tuple((s, T0 + end) for s, end in waived.items()))


def outage(began: float, ended: float) -> Outage:
    return Outage(at=T0 + ended, began_at=T0 + began)


def as_key(key: int | bytes) -> bytes:
    return install(key) if isinstance(key, int) else key


class CopyingRegister(MemoryRegister):
    """A register that keeps and returns copies, as a database does: what is not put is lost."""

    def get(self, installs: Iterable[bytes]) -> Mapping[bytes, Member]:
        return {i: _copy(m) for i, m in super().get(installs).items()}

    def put(self, members: Mapping[bytes, Member]) -> None:
        super().put({i: _copy(m) for i, m in members.items()})

    def due(self, now: float) -> Sequence[tuple[bytes, Member]]:
        return [(i, _copy(m)) for i, m in super().due(now)]

    def of_network(self, network: bytes) -> Sequence[tuple[bytes, Member]]:
        return [(i, _copy(m)) for i, m in super().of_network(network)]


def _copy(member: Member) -> Member:
    return replace(
        member,
        crash_times=list(member.crash_times),
        scores=dict(member.scores),
        had=set(member.had),
    )


class World:
    """One study. Each call of ``tick`` is one tick, and what was counted is kept in ``log``."""

    def __init__(
        self,
        settings: Settings = STANDARD,
        *,
        exposure_bp: int | None = 5_000,
        opened: bool = True,
        register: MemoryRegister | None = None,
    ) -> None:
        self.state = State()
        self.settings = settings
        self.register = register or CopyingRegister()
        self.log: list[Label | Scored] = []
        if opened:
            self.tick(stage_opened(exposure_bp=exposure_bp))

    def tick(self, *facts: Fact, at: float | None = None) -> list[Label | Scored]:
        """Absorb *facts*; the tick's instant is that of the last of them unless told."""
        instants = [fact.at for fact in facts] if at is None else [T0 + at]
        now = max(self.state.now, *instants)
        entries = absorb(self.state, facts, self.register, self.settings, now)
        self.log += entries
        return entries

    def enter(self, candidates: int, controls: int, at: float = 1, **seen_with: float) -> None:
        """Let candidates 0.. and controls 1000.. enter in one tick."""
        gap = seen_with.get("gap_seconds", 3_600.0)
        arms = [(i, True) for i in range(candidates)]
        arms += [(1_000 + i, False) for i in range(controls)]
        self.tick(*(seen(i, at, candidate=arm, gap_seconds=gap) for i, arm in arms))

    def wait(self, until: float) -> list[Label | Scored]:
        """Let time pass until a check-in of an install that is in no study."""
        return self.tick(seen(99_999, until, aged=False))

    def member(self, key: int | bytes) -> Member:
        """Return what is remembered of an install."""
        return self.register.get([as_key(key)])[as_key(key)]

    def process(self, metric: str, platform: str = PLATFORM) -> Process:
        """Return a process of the present epoch."""
        return self.state.epoch.processes[metric][platform]

    def labels(self, metric: str) -> list[Label]:
        """Return the labels of *metric* so far."""
        return [e for e in self.log if isinstance(e, Label) and e.metric == metric]

    def scored(self, metric: str) -> list[Scored]:
        """Return the scored cohorts of *metric* so far."""
        return [e for e in self.log if isinstance(e, Scored) and e.metric == metric]


A_DAY_LATER = DAY + 2
"""When the outcomes of installs that entered at 1 are known."""

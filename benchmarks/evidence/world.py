"""A fleet that talks to the real engine: facts as the server would make them, and its ticks.

The demo fleet is 2,000 installs. Each checks in about as often as is usual for it, every 5 hours
in the median, and runs the app in sessions, as many a day as it is active (``fleet``), of which
some crash. Instants are seconds from the opening of the stage; arms, crashes and gaps are drawn
like those of the reference fleet.

Not here: what is measured of it (``end_to_end``, ``silence_engine``, ``replays``, ``no_data``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from benchmarks.evidence.fleet import a_fleet
from update_server.evidence.cuts import MOST_FACTS, next_cut
from update_server.evidence.engine import advance
from update_server.evidence.facts import (
    Crash,
    Fact,
    Paused,
    Seen,
    Session,
    StageOpened,
    Step,
    Stepped,
)
from update_server.evidence.register import MemoryRegister
from update_server.evidence.settings import HOUR, STANDARD, Settings
from update_server.evidence.state import MemoryLog, State
from update_server.evidence.verdicts import Judgement, Names, Verdict

INSTALLS = 2_000
EXPOSURE_BP = 1_000
PLATFORM = "linux-x86_64"
NAMES = Names(
    app="desk",
    channel="stable",
    version="4.2.0",
    rollout="ro_1",
    previous="4.1.9",
    replacement="4.1.9",
)
_MINUTE = 60.0
_USUAL_GAP_HOURS = 5.0
_GAP_SPREAD = 0.5  # of the logarithm
_DAYS_BEFORE = 14


Told = Seen | Session | Crash | Stepped
"""What installs tell."""


def opened(
    at: float = 0.0, exposure_bp: int = EXPOSURE_BP, *, position: int = 1, soak_hours: float = 72
) -> StageOpened:
    """Return the fact that a randomized step with another one after it opened."""
    return StageOpened(
        at=at,
        position=position,
        ring=f"{exposure_bp / 100:g}%",
        exposure_bp=exposure_bp,
        soak_seconds=int(soak_hours * HOUR),
        next_ring="all",
    )


@dataclass(kw_only=True)
class World:
    """One rollout's study in memory, and what was decided of it."""

    settings: Settings = STANDARD
    can_pull: bool = True
    state: State = field(default_factory=State)
    register: MemoryRegister = field(default_factory=MemoryRegister)
    log: MemoryLog = field(default_factory=MemoryLog)
    judgements: list[tuple[float, Judgement]] = field(default_factory=list)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of all decisions, in order."""
        return [dict(each.record) for _, each in self.judgements if each.record]

    def run(
        self,
        facts: Iterable[Fact],
        until: float,
        *,
        then: Callable[[State, Judgement], Fact | None] | None = None,
        to_decision: bool = False,
    ) -> None:
        """Take *facts* tick by tick, and judge until the instant *until*.

        Args:
            facts: In order of receipt; the first opens a stage.
            until: Seconds. Ticks go on without facts.
            then: What the server adds right after a decision, if anything.
            to_decision: Whether to stop at the first one.
        """
        pending, taken = list(facts), 0
        while True:
            ahead = pending[taken : taken + MOST_FACTS + 1]
            cut = next_cut(self.state, self.settings, ahead, inf)
            if cut is None or cut.now > until:
                return
            judgement = advance(
                self.state,
                ahead[: cut.facts],
                self.register,
                self.log,
                self.settings,
                cut.now,
                can_pull=self.can_pull,
                names=NAMES,
            )
            taken += cut.facts
            self.judgements.append((cut.now, judgement))
            if judgement.record and to_decision:
                return
            added = then(self.state, judgement) if then and judgement.record else None
            if added is not None:
                pending.insert(taken, added)


def pause(state: State, judgement: Judgement) -> Fact | None:
    """Return what the server does after a pause or pull: nobody else is offered the release."""
    if judgement.verdict in (Verdict.PAUSE, Verdict.PULL):
        return Paused(at=state.now, automatic=True)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is wrong with a release: how often it crashes, and what share never starts again."""

    crash_ratio: float = 1.0
    bricked: float = 0.0


def facts_of(
    rng: np.random.Generator,
    release: Release,
    *,
    hours: float,
    installs: int = INSTALLS,
    exposure_bp: int = EXPOSURE_BP,
    crash_share: float = 0.02,
    dormant: float = 0.0,
) -> list[Told]:
    """Return what the server is told in the first *hours* of a stage, in order of receipt.

    A *dormant* share of the installs, in both arms, is heard of once and not again.
    """
    fleet = a_fleet(rng, installs=installs, crash_share=crash_share)
    bucket = rng.integers(0, 10_000, installs)
    gaps = rng.lognormal(np.log(_USUAL_GAP_HOURS), _GAP_SPREAD, installs) * HOUR
    share = np.divide(fleet.crashes, fleet.sessions)
    before = rng.poisson(fleet.crashes * 24 * _DAYS_BEFORE)
    bricked = rng.random(installs) < release.bricked
    asleep = rng.random(installs) < dormant
    told: list[Told] = []
    for number in range(installs):
        candidate = bucket[number] < exposure_bp
        install = _Install(
            key=number.to_bytes(8, "big") + b"\xff",
            bucket=int(bucket[number]),
            crashes=int(before[number]),
            gap_seconds=float(gaps[number]),
            sessions_a_second=float(fleet.sessions[number] / HOUR),
            crash_share=min(
                1.0, float(share[number]) * (release.crash_ratio if candidate else 1.0)
            ),
            candidate=bool(candidate),
            dies=bool((candidate and bricked[number]) or asleep[number]),
        )
        told += _life(rng, install, hours * HOUR)
    told.sort(key=lambda fact: fact.at)
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class _Install:
    key: bytes
    bucket: int
    crashes: int
    gap_seconds: float
    sessions_a_second: float
    crash_share: float
    candidate: bool
    dies: bool

    def seen(self, at: float) -> Seen:
        return Seen(
            at=at,
            install=self.key,
            bucket=self.bucket,
            platform=PLATFORM,
            crashes=self.crashes,
            gap_seconds=self.gap_seconds,
            network=self.key,
        )


def _life(rng: np.random.Generator, install: _Install, until: float) -> list[Told]:
    """Return all that one install tells: check-ins, the update, sessions, crashes."""
    first = float(rng.uniform(0, install.gap_seconds))
    facts: list[Told] = [install.seen(first)]
    if install.candidate:
        # It restarts to apply: an early contact that says nothing of what comes after.
        facts += [
            Stepped(at=first + _MINUTE * n, install=install.key, step=step, ok=True)
            for n, step in enumerate((Step.DOWNLOAD, Step.VERIFY, Step.APPLY), 1)
        ]
        facts.append(install.seen(first + 5 * _MINUTE))
    if install.dies:
        return [fact for fact in facts if fact.at <= until]
    at = first
    while (at := at + install.gap_seconds * float(rng.uniform(0.8, 1.2))) <= until:
        facts.append(install.seen(at))
    starts = np.sort(rng.uniform(0, until, rng.poisson(install.sessions_a_second * until)))
    crashed = rng.random(len(starts)) < install.crash_share
    for index, start in enumerate(starts):
        facts += _session(install, float(start), bool(crashed[index]), updated=start > first)
    return [fact for fact in facts if fact.at <= until]


def _session(install: _Install, start: float, crashed: bool, *, updated: bool) -> list[Told]:
    on_release = install.candidate and updated
    began = Session(at=start, install=install.key, on_release=on_release)
    if not crashed:
        return [began]
    at = start + _MINUTE / 2
    event = hashlib.sha256(install.key + repr(start).encode()).digest()
    return [began, Crash(at=at, happened_at=at, install=install.key, event=event)]

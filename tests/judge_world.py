"""States that are judged, built directly: what the study would have made of some events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from update_server.evidence import betting, fisher, ratio
from update_server.evidence.judge import judge
from update_server.evidence.settings import HOUR, STANDARD, Metric, Settings
from update_server.evidence.srm import empty_srm
from update_server.evidence.state import (
    Arms,
    Label,
    MemoryLog,
    Process,
    Scored,
    Stage,
    State,
)
from update_server.evidence.verdicts import Judgement, Names

LINUX, WINDOWS = "linux-x86_64", "windows-x86_64"
NAMES = Names(
    app="desk",
    channel="stable",
    version="4.2.0",
    rollout="ro_1",
    previous="4.1.9",
    replacement="4.1.9",
)


def a_network(number: int) -> bytes:
    return b"network" + number.to_bytes(2, "big")


@dataclass
class JudgeWorld:
    """A state and its log; seven hours into a ring of 10 % unless said otherwise."""

    state: State = field(default_factory=State)
    log: MemoryLog = field(default_factory=MemoryLog)
    settings: Settings = STANDARD
    now: float = 7 * HOUR
    can_pull: bool = True
    events: int = 0

    def set(self, **changes: Any) -> None:
        """Change the settings."""
        self.settings = replace(self.settings, **changes)

    def judge(self, later: float = 0.0, *, heard: bool = True) -> Judgement:
        """Judge *later* seconds after the last time, having *heard* somebody or not."""
        self.now += later
        if heard:
            self.state.last_contact_at = self.now
        self.state.now = self.now
        self.state.ticks += 1
        return judge(
            self.state, self.log, self.settings, self.now, can_pull=self.can_pull, names=NAMES
        )

    def process(self, name: str, platform: str, empty: Callable[[], list[float]]) -> Process:
        by_platform = self.state.epoch.processes.setdefault(name, {})
        return by_platform.setdefault(platform, Process(vector=empty()))

    def events_of(
        self,
        candidates: int,
        controls: int,
        *,
        metric: str = Metric.CRASH,
        platform: str = LINUX,
        n: tuple[int, int] | None = None,
        networks: Callable[[int], bytes] = a_network,
    ) -> None:
        """Add first events, controls' first, as one risk set that stays as large as it was."""
        entered = self.state.stage.entered
        n_candidate, n_control = n or (entered.candidate, entered.control)
        process = self.process(metric, platform, ratio.empty_vector)
        for index in range(controls + candidates):
            candidate = index >= controls
            ratio.add_event(
                process.vector, candidate=candidate, n_candidate=n_candidate, n_control=n_control
            )
            process.bad.add(candidate=candidate)
            self.events += 1
            self.log.add(
                [
                    Label(
                        epoch=self.state.epoch.number,
                        metric=metric,
                        platform=platform,
                        at=float(self.events),
                        candidate=candidate,
                        n_candidate=n_candidate,
                        n_control=n_control,
                        event=self.events.to_bytes(32, "big"),
                        network=networks(self.events),
                    )
                ]
            )

    def cohort(
        self,
        k_candidate: int,
        k_control: int,
        n_candidate: int,
        n_control: int,
        *,
        metric: str = Metric.HEALTHY,
        platform: str = LINUX,
        networks: Sequence[bytes] = (),
        times: int = 1,
    ) -> None:
        """Add matured cohorts of an outcome, *times* alike."""
        silence = metric == Metric.SILENCE
        empty = fisher.empty_shares if silence else fisher.empty_outcomes
        process = self.process(metric, platform, empty)
        counts: dict[str, Any] = {
            "k_candidate": k_candidate,
            "k": k_candidate + k_control,
            "n_candidate": n_candidate,
            "n_control": n_control,
        }
        for _ in range(times):
            if silence:
                fisher.add_silence_cohort(process.vector, **counts, base_rate=0.1)
            else:
                fisher.add_cohort(process.vector, **counts)
            process.bad.candidate += k_candidate
            process.bad.control += k_control
            process.known.candidate += n_candidate
            process.known.control += n_control
            self.log.add(
                [
                    Scored(
                        epoch=self.state.epoch.number,
                        metric=metric,
                        platform=platform,
                        at=self.now,
                        **counts,
                        base_rate=0.1 if silence else None,
                        networks=tuple(networks),
                    )
                ]
            )

    def bets(self, metric: str, scores: Iterable[tuple[bool, float]], centre: float) -> None:
        """Add a matured cohort of scores, where higher is worse."""
        told = tuple(scores)
        process = self.process(metric, LINUX, betting.empty_bets)
        betting.add_scored_cohort(process.vector, scores=told, centre=centre, harm_is_higher=True)
        candidates = sum(candidate for candidate, _ in told)
        process.known.candidate += candidates
        process.known.control += len(told) - candidates
        self.log.add(
            [
                Scored(
                    epoch=self.state.epoch.number,
                    metric=metric,
                    platform=LINUX,
                    at=self.now,
                    k_candidate=0,
                    k=0,
                    n_candidate=candidates,
                    n_control=len(told) - candidates,
                    centre=centre,
                    scores=told,
                )
            ]
        )

    def passes_the_gate(self) -> None:
        """Add what it takes to leave the ring: nothing wrong, and plenty of it."""
        self.events_of(20, 2_000)
        self.cohort(1, 40, 300, 2_700, times=10)
        self.cohort(15, 270, 300, 2_700, metric=Metric.SILENCE, times=10)


def a_world(
    *,
    exposure_bp: int | None = 1_000,
    entered: tuple[int, int] = (3_900, 35_100),
    internal: int = 0,
    **stage: Any,
) -> JudgeWorld:
    """Return a world with nothing but entrants; *stage* are fields of ``Stage``."""
    known: dict[str, Any] = {
        "number": 1,
        "ring": "10%",
        "next_ring": "all",
        "soak_seconds": 0,
        "srm": empty_srm(),
        **stage,
    }
    state = State(
        platforms=[LINUX, WINDOWS],
        stages=1,
        stage=Stage(
            exposure_bp=exposure_bp,
            entered=Arms(candidate=entered[0], control=entered[1]),
            internal=internal,
            **known,
        ),
    )
    return JudgeWorld(state=state)


def a_bad_world(**stage: Any) -> JudgeWorld:
    """Return the world of the published example: 44 of 3,900 against 176 of 35,100."""
    world = a_world(**stage)
    world.events_of(44, 176)
    return world


def a_terrible_world(**stage: Any) -> JudgeWorld:
    """Return a world that fulfils all that a pull takes."""
    world = a_world(**stage)
    world.events_of(60, 100)
    return world

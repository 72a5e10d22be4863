"""One virtual rollout: a crowd of installs, the real judge, and what it decides carried out.

Virtual time goes on a minute at a time. The judge gets the facts at its own ticks; its verdicts
change a real rollout, from which the next documents are composed, and these decide for the
installs that check in later. People are supposed to agree at once where a step needs them; where
they are asked because the evidence does not come, the rehearsal is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from update_server.evidence.cuts import MOST_FACTS, SETTLING_SECONDS, next_boundary, next_cut
from update_server.evidence.design import cohort_size
from update_server.evidence.engine import advance
from update_server.evidence.facts import StageOpened
from update_server.evidence.register import MemoryRegister
from update_server.evidence.settings import DAY, HOUR, Settings
from update_server.evidence.stages import STAGE_FACTS, StageFact
from update_server.evidence.state import MemoryLog, State
from update_server.evidence.verdicts import Judgement, Names, NoVerdict, Verdict
from update_server.evidence.weighing import log_e_total, platforms_of, weighted_metrics
from update_server.rehearsal.crowd import Crowd
from update_server.rehearsal.draws import Draws
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import NOTHING_WRONG, Harm
from update_server.rehearsal.installs import CHANNEL, make_installs
from update_server.rehearsal.outcome import Ending, Moment, Outcome, Passage, Sample
from update_server.rehearsal.plan import Plan
from update_server.rehearsal.steering import APP, ROLLOUT, Steering

STARTED_AT = 1_767_225_600.0
"""When every rehearsal begins: a UTC midnight, on Thursday, 1 January 2026."""

DUTY_SECONDS = 60.0
"""How often verdicts are carried out. The server does so sooner; installs hear of it later."""

_SALT_BYTES = 32
# What a person who is asked for it answers at once.
_PEOPLE = frozenset({"approval", "person"})
_END = "end_of_ladder"
_LATE = "timeout"
_SOAK = "soak"
_NAMES = Names(
    app=APP,
    channel=CHANNEL,
    version="the release",
    rollout=ROLLOUT,
    previous="the version before",
    replacement="the version before",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long virtual time goes on.

    A pause is watched for ``watch_seconds``, since it may become a pull. ``sample_seconds`` is how
    often the evidence is noted down; infinity is never.
    """

    horizon_seconds: float = 90 * DAY
    watch_seconds: float = 3 * DAY
    sample_seconds: float = inf


def run(
    plan: Plan,
    fleet: Fleet,
    harm: Harm = NOTHING_WRONG,
    *,
    draws: Draws,
    limits: Limits | None = None,
) -> Outcome:
    """Return what becomes of one rollout by *plan* of a release with *harm*.

    Equal arguments, with *draws* from the same seed, give equal outcomes, bit by bit. One with
    100,000 installs takes well under a minute.
    """
    return _World(plan, fleet, harm, draws, limits or Limits()).run()


class _World:
    def __init__(self, plan: Plan, fleet: Fleet, harm: Harm, draws: Draws, limits: Limits) -> None:
        self._settings, self._limits = plan.settings, limits
        salt = draws.randbytes(_SALT_BYTES)
        installs = make_installs(fleet, salt, draws)
        self._crowd = Crowd(installs, harm, plan.settings, draws, STARTED_AT)
        self._steering = Steering(plan, fleet, salt, STARTED_AT)
        self._state, self._register, self._log = State(), MemoryRegister(), MemoryLog()
        self._clock = STARTED_AT
        self._ending: Ending | None = None
        self._paused_at = inf
        self._judgement = Judgement()
        self._moments: list[Moment] = []
        self._passages: list[Passage] = []
        self._samples: list[Sample] = []
        self._must_cut = False  # something that changes the stage is waiting
        self._next_sample_at = STARTED_AT + limits.sample_seconds
        self._open(self._steering.opened(STARTED_AT))

    def run(self) -> Outcome:
        while self._ending is None:
            self._clock += DUTY_SECONDS
            self._crowd.go_on(
                self._clock, self._steering.documents, offered=self._steering.is_active
            )
            self._judge()
            self._sample()
            self._look_at_the_time()
        ended = self._ending
        return Outcome(
            ending=ended,
            hours=self._hours,
            exposed=self._crowd.exposed,
            crashed=self._crowd.crashed,
            bricked=self._crowd.bricked,
            moments=tuple(self._moments),
            passages=(*self._passages, self._passage(ended is Ending.COMPLETED)),
            waits_for=tuple(wait.sentence for wait in self._judgement.waits_for),
            ticks=self._state.ticks,
            facts=self._state.facts,
            samples=tuple(self._samples),
        )

    @property
    def _hours(self) -> float:
        return (self._clock - STARTED_AT) / HOUR

    def _look_at_the_time(self) -> None:
        if self._clock - self._paused_at >= self._limits.watch_seconds:
            self._ending = self._ending or Ending.PAUSED
        elif self._clock - STARTED_AT >= self._limits.horizon_seconds:
            over = Ending.WAITING if self._paused_at == inf else Ending.PAUSED
            self._ending = self._ending or over

    # --- the judge -----------------------------------------------------------------------

    def _judge(self) -> None:
        facts, state, settings = self._crowd.facts, self._state, self._settings
        while self._ending is None and self._may_cut():
            cut = next_cut(state, settings, facts, self._clock)
            if cut is None:
                return
            taken = facts[: cut.facts]
            del facts[: cut.facts]
            if taken and isinstance(taken[0], STAGE_FACTS):
                self._must_cut = False
            self._judgement = advance(
                state,
                taken,
                self._register,
                self._log,
                settings,
                cut.now,
                can_pull=True,
                names=_NAMES,
            )
            self._carry_out(self._judgement)

    def _may_cut(self) -> bool:
        """Whether a tick can be over; asking costs reading all facts that wait for it."""
        state, facts = self._state, self._crowd.facts
        if self._must_cut:
            return True
        enough = min(MOST_FACTS, cohort_size(state.stage, self._settings))
        return len(facts) >= enough or self._clock >= next_boundary(state) + SETTLING_SECONDS

    def _carry_out(self, judgement: Judgement) -> None:
        if judgement.record:
            self._note(judgement)
        waits = {wait.code for wait in judgement.waits_for}
        if self._steering.at_end and (
            judgement.no_verdict is NoVerdict.NO_CONTROL or (waits and waits <= _PEOPLE | {_END})
        ):
            self._ending = Ending.COMPLETED
        elif waits and waits <= _PEOPLE:
            self._promote()
        elif _LATE in waits and _SOAK not in waits:
            self._ending = Ending.WAITING
        elif judgement.carry_out:
            self._obey(judgement)

    def _obey(self, judgement: Judgement) -> None:
        match judgement.verdict:
            case Verdict.PROMOTE:
                self._promote()
            case Verdict.PAUSE:
                self._tell(self._steering.pause(self._clock))
                self._paused_at = self._clock
            case Verdict.PULL:
                self._steering.pull(self._clock)
                self._ending = Ending.PULLED
            case Verdict.SUSPEND:
                self._ending = Ending.SUSPENDED
            case _:  # going on, without one platform
                self._tell(self._steering.hold(str(judgement.hold), self._clock))

    def _promote(self) -> None:
        self._passages.append(self._passage(ended=True))
        self._open(self._steering.promote(self._clock))

    def _open(self, stage: StageOpened) -> None:
        self._opened_hours = self._hours
        self._tell(stage)
        self._crowd.open_stage(stage.at, groups_only=stage.exposure_bp is None)

    def _tell(self, fact: StageFact) -> None:
        self._crowd.facts.append(fact)
        self._must_cut = True

    # --- what is remembered --------------------------------------------------------------

    def _passage(self, ended: bool) -> Passage:
        stage = self._state.stage
        return Passage(
            position=self._steering.rollout.position,
            ring=self._steering.rollout.step.ring,
            from_hours=self._opened_hours,
            to_hours=self._hours if ended else None,
            candidates=stage.entered.candidate,
            controls=stage.entered.control,
        )

    def _note(self, judgement: Judgement) -> None:
        held = judgement.verdict is Verdict.CONTINUE
        self._moments.append(
            Moment(
                hours=self._hours,
                verdict="hold" if held else str(judgement.verdict),
                ring=self._state.stage.ring,
                cause=judgement.cause,
                sentence=str(judgement.record["sentence"]),
                exposed=self._crowd.exposed,
                crashed=self._crowd.crashed,
            )
        )

    def _sample(self) -> None:
        if self._clock < self._next_sample_at:
            return
        self._next_sample_at += self._limits.sample_seconds
        self._samples.append(
            Sample(
                hours=self._hours,
                exposed=self._crowd.exposed,
                crashed=self._crowd.crashed,
                log_e=_log_e(self._state, self._settings),
            )
        )


def _log_e(state: State, settings: Settings) -> dict[str, float]:
    """Return the log e-value of each metric that has a weight."""
    epoch = state.epoch
    return {
        str(metric.metric): log_e_total(epoch, metric, platforms)
        for metric in weighted_metrics(state, settings)
        if (platforms := platforms_of(epoch, metric, state.held))
    }

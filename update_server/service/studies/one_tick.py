"""One tick of one study, in one transaction: facts are taken, evidence grows, a verdict follows.

What a tick takes, and when it ends, follows from what is stored; so it does not matter which
process makes it, or how often one was killed before it was committed.

Not here: carrying a decision out (``service.studies.carry_out``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from rollout.model import RolloutId
from update_server.evidence.cuts import (
    MOST_FACTS,
    SETTLING_SECONDS,
    Cut,
    next_boundary,
    next_cut,
)
from update_server.evidence.engine import advance
from update_server.evidence.facts import Fact
from update_server.evidence.findings import Finding
from update_server.evidence.records import describe
from update_server.evidence.settings import Settings
from update_server.evidence.state import State
from update_server.evidence.verdicts import Judgement, Names, Verdict, Wait
from update_server.service.notices.verdict_news import (
    is_long_unjudged,
    new_signatures,
    tell_decision,
    tell_new_signatures,
    tell_unjudged,
    unjudged_since,
)
from update_server.service.ports import Database, Stores
from update_server.service.ports.studies import StoredDecision, StoredStudy, StudyHead
from update_server.service.studies.bearings import Bearings, bearings_of
from update_server.service.studies.codec import (
    decode_fact,
    decode_settings,
    decode_state,
    encode_state,
)
from update_server.service.studies.points import Course
from update_server.service.studies.register import StoredLog, StoredRegister
from update_server.service.studies.stretch import Stretch
from update_server.service.telemetry.counting import counts_of_decision

FEW_FACTS: Final = 250

Standing = tuple[str, str | None, tuple[str, ...]]
"""What is said of a rollout: the verdict, why there is none, and what the next step waits for."""

_STOPS: Final = frozenset({Verdict.PAUSE, Verdict.PULL})
_TO_DO: Final = frozenset({Verdict.PAUSE, Verdict.PULL, Verdict.PROMOTE})


@dataclass(slots=True)
class _Held:
    """A study as its last tick left it, so that nothing is decoded twice."""

    version: int
    state: State
    settings: Settings
    standing: Standing | None
    course: Course
    idle_facts: int = -1  # with so many facts waiting there was nothing to do
    bearings: Bearings | None = None
    bearings_of: tuple[int, datetime] | None = None  # the app's generation, and the hour
    unjudged_since: float | None = None  # None: there is a verdict, or nobody has looked yet
    told_unjudged: int = 0  # the stage of which people were told that it has none
    told_signatures: set[str] = field(default_factory=set)


class Ticks:
    """Makes ticks. Its memory only saves work: a new process goes on from what is stored."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[RolloutId, _Held] = {}

    def one(self, head: StudyHead, caught_up_to: datetime) -> bool:
        """Make the next tick of a study, if it can be known yet; return whether there was one.

        *caught_up_to*: all that was received until then is stored.
        """
        if self._is_idle(head, caught_up_to):
            return False
        held = self._held.pop(head.rollout, None)
        with self._database.transaction() as stores:
            study = stores.studies.get(head.rollout)
            if study.ended_at is not None:
                return False
            if held is None or held.version != study.version:
                held = _load(stores, study)
            made = _tick(stores, study, held, caught_up_to)
        # Only what was committed is remembered: the state was changed in place.
        self._held[head.rollout] = held
        return made

    def forget(self, live: frozenset[RolloutId]) -> None:
        """Remember only the *live* studies."""
        for rollout in [known for known in self._held if known not in live]:
            del self._held[rollout]

    def _is_idle(self, head: StudyHead, caught_up_to: datetime) -> bool:
        """Tell, by reading next to nothing, that no tick can be due."""
        held = self._held.get(head.rollout)
        if held is None or held.version != head.version:
            return False
        stretch = Stretch(origin=head.opened_at.timestamp(), speed=held.settings.speed)
        if stretch.instant(caught_up_to) >= next_boundary(held.state) + SETTLING_SECONDS:
            return False
        with self._database.reading() as stores:
            waiting = stores.studies.count_facts(head.rollout)
        return waiting in {0, held.idle_facts}


def _load(stores: Stores, study: StoredStudy) -> _Held:
    last = stores.decisions.page(study.app, rollout=study.rollout, limit=1)
    return _Held(
        version=study.version,
        state=decode_state(study.state),
        settings=decode_settings(study.settings),
        standing=_standing_of(last[0].record) if last else None,
        course=Course(stores.series.points(study.rollout)),
    )


def _tick(stores: Stores, study: StoredStudy, held: _Held, caught_up_to: datetime) -> bool:
    stretch = Stretch(origin=study.opened_at.timestamp(), speed=held.settings.speed)
    taken = _next(stores, study, held, stretch.instant(caught_up_to))
    if taken.cut is None:
        held.idle_facts = len(taken.facts)
        return False
    cut = taken.cut
    bearings = _bearings(stores, study, held, stretch.back(cut.now))
    register = StoredRegister(stores.registers, study.rollout)
    log = StoredLog(stores.studies, study.rollout)
    judgement = advance(
        held.state,
        taken.facts[: cut.facts],
        register,
        log,
        held.settings,
        cut.now,
        can_pull=bearings.can_pull,
        can_hold=bearings.can_hold,
        names=bearings.names,
    )
    register.flush()
    stores.studies.drop_facts(study.rollout, taken.numbers[: cut.facts])
    stores.studies.replace(replace(study, state=encode_state(held.state)), study.version)
    held.version, held.idle_facts = study.version + 1, -1
    kept = _keep(stores, study, held, cut, judgement, bearings, log, stretch)
    if kept is not None:
        tell_decision(stores, kept)
    at = stretch.back(cut.now)
    held.course.note(stores, study, held.state, held.settings, judgement, at)
    if _is_long_unjudged(stores, study, held, cut, judgement):
        # What is said of it is the same, and not stored again; but the numbers are today's.
        record = _described(held, log, cut.now, judgement, bearings.names)
        told = kept or _decision(study, cut, judgement, record, log, stretch)
        since = max(held.unjudged_since or cut.now, held.state.stage.opened_at)
        tell_unjudged(stores, told, stretch.back(since))
        held.told_unjudged = held.state.stage.number
    if cut.facts and not held.state.paused and judgement.verdict not in _STOPS:
        found = new_signatures(held.state, held.settings, held.told_signatures)
        tell_new_signatures(stores, study, found, stretch.back(cut.now))
        held.told_signatures.update(each.id for each in found)
    return True


@dataclass(frozen=True, slots=True)
class _Taken:
    """Facts that wait, with their numbers, and how many of them are the next tick's."""

    numbers: list[int]
    facts: list[Fact]
    cut: Cut | None


def _next(stores: Stores, study: StoredStudy, held: _Held, caught_up_to: float) -> _Taken:
    """Read no more than the next tick needs: there may be a long queue behind it."""
    for limit in (FEW_FACTS, MOST_FACTS):
        waiting = stores.studies.facts(study.rollout, limit)
        facts = [decode_fact(body) for _, body in waiting]
        cut = next_cut(held.state, held.settings, facts, caught_up_to)
        # A tick ends where it does whatever comes after it, unless all that was read is in it.
        if len(facts) < limit or (cut is not None and cut.facts < len(facts)):
            break
    return _Taken([number for number, _ in waiting], facts, cut)


def _bearings(stores: Stores, study: StoredStudy, held: _Held, at: datetime) -> Bearings:
    """Return what the world around the study is like; it changes with the app's generation."""
    known_by = (
        stores.apps.get(study.app).generation,
        at.replace(minute=0, second=0, microsecond=0),
    )
    if held.bearings is None or held.bearings_of != known_by:
        held.bearings, held.bearings_of = bearings_of(stores, study, at), known_by
    return held.bearings


def _keep(
    stores: Stores,
    study: StoredStudy,
    held: _Held,
    cut: Cut,
    judgement: Judgement,
    bearings: Bearings,
    log: StoredLog,
    stretch: Stretch,
) -> StoredDecision | None:
    """Store the decision, or what is said of the rollout now if that is something else."""
    record = judgement.record
    standing = _standing(judgement)
    if not record:
        # Nothing newer is to stand above the decision that paused it. What was decided before and
        # is not carried out yet may be found again, after a tick between that found less.
        found_again = judgement.verdict in {Verdict.PAUSE, Verdict.PULL}
        if held.state.paused or found_again or standing == held.standing:
            return None
        record = _described(held, log, cut.now, judgement, bearings.names)
    held.standing = standing
    decided = stores.decisions.add(_decision(study, cut, judgement, record, log, stretch))
    stores.counters.add(counts_of_decision(decided))
    return decided


def _decision(
    study: StoredStudy,
    cut: Cut,
    judgement: Judgement,
    record: Mapping[str, Any],
    log: StoredLog,
    stretch: Stretch,
) -> StoredDecision:
    at = stretch.back(cut.now)
    # A promotion that came to nothing, and is due again, is no new decision to the judge.
    is_due = judgement.carry_out or judgement.verdict is Verdict.PROMOTE
    to_do = is_due and (judgement.verdict in _TO_DO or judgement.hold is not None)
    return StoredDecision(
        id=str(record["id"]),
        rollout=study.rollout,
        app=study.app,
        at=at,
        verdict=judgement.verdict.value if judgement.verdict else "",
        record={**record, "waits_for": [_waited(wait) for wait in judgement.waits_for]},
        log_size=log.size,
        carried_out_at=None if to_do else at,
        outcome="" if to_do else _noted(judgement),
    )


def _is_long_unjudged(
    stores: Stores, study: StoredStudy, held: _Held, cut: Cut, judgement: Judgement
) -> bool:
    """Whether people are to be told now that there is no verdict."""
    if judgement.no_verdict is None or held.state.paused:
        held.unjudged_since, held.told_unjudged = None, 0
        return False
    if held.unjudged_since is None:
        held.unjudged_since = unjudged_since(stores, study, cut.now)
    if held.told_unjudged == held.state.stage.number:
        return False
    return is_long_unjudged(held.state, held.settings, held.unjudged_since, cut.now)


def _described(
    held: _Held, log: StoredLog, now: float, judgement: Judgement, names: Names
) -> Mapping[str, Any]:
    finding = Finding(verdict=judgement.verdict, no_verdict=judgement.no_verdict)
    record = describe(held.state, log, held.settings, now, finding, names)
    waits = "".join(f" {wait.sentence}" for wait in judgement.waits_for)
    return {**record, "sentence": f"{record['sentence']}{waits}"}


def _noted(judgement: Judgement) -> str:
    """Return what became of a decision that the server does nothing about."""
    if judgement.verdict in _TO_DO:
        return "advisory: its terms leave this to people"
    return "frozen" if judgement.verdict is Verdict.SUSPEND else "noted"


def _standing(judgement: Judgement) -> Standing:
    codes = tuple(wait.code for wait in judgement.waits_for)
    verdict = judgement.verdict.value if judgement.verdict else ""
    return verdict, judgement.no_verdict and judgement.no_verdict.value, codes


def _standing_of(record: Mapping[str, Any]) -> Standing:
    codes = tuple(wait["code"] for wait in record["waits_for"])
    return record["verdict"] or "", record["no_verdict"], codes


def _waited(wait: Wait) -> Mapping[str, str]:
    return {"code": wait.code, "sentence": wait.sentence}

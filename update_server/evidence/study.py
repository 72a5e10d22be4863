"""The study of one rollout: facts in, evidence in its state, and what was counted for the log.

One call is one tick. In it, whatever the order of the facts:

1. what changes the stage (``stages``), and outages;
2. check-ins: first ones enter as this tick's cohort (``cohorts``);
3. what happened to members, in order of receipt, then of the event's hash (``counting``,
   ``waiting``, ``scores``, ``asides``);
4. outcomes that are known by now (``maturing``);
5. where nobody is held back, crashes against those of before (``alarm``).

The cost is that of the facts and of the outcomes due, whatever the size of the fleet and however
long the study has run. Not here: what the evidence says (``judge``), and where a tick ends
(``cuts``).
"""

from __future__ import annotations

from collections.abc import Sequence

from update_server.evidence.alarm import watch_crashes
from update_server.evidence.asides import count_aside
from update_server.evidence.cohorts import admit, leave, leave_for_good
from update_server.evidence.counting import count_crash, count_step
from update_server.evidence.facts import (
    Crash,
    Fact,
    Left,
    Outage,
    Past,
    Score,
    Seen,
    Session,
    SetAside,
    Stepped,
)
from update_server.evidence.maturing import mature
from update_server.evidence.naming import unnamed_until, with_name
from update_server.evidence.register import Register
from update_server.evidence.scores import note_score, turn_day
from update_server.evidence.settings import Settings
from update_server.evidence.stages import change_stage
from update_server.evidence.state import Label, Scored, State
from update_server.evidence.tick import Tick
from update_server.evidence.waiting import note_contact, note_outage

Happening = Session | Crash | Stepped | Score | Left | SetAside

# Of what is received at the same instant: crashes first, leaving last.
_RANKS: dict[type[Happening], int] = {
    Crash: 0,
    SetAside: 1,
    Session: 2,
    Stepped: 3,
    Score: 4,
    Left: 5,
}


def absorb(
    state: State, facts: Sequence[Fact], register: Register, settings: Settings, now: float
) -> list[Label | Scored]:
    """Take the facts of one tick, and return what was counted in it, in order.

    Args:
        state: Changed in place, with its instant and counts.
        facts: What was received since the last tick, in any order.
        register: The study's members; those that change are put back.
        settings: Those that the rollout started with.
        now: The tick's instant, at or after the last one.
    """
    turn_day(state, settings, now)
    seen, happened = _sort(state, facts)
    unnamed = unnamed_until(state, now)
    installs = {fact.install for fact in seen}
    installs.update(fact.install for fact in (*unnamed, *happened))
    tick = Tick(state=state, settings=settings, now=now, members=dict(register.get(installs)))
    admit(tick, seen)
    for crash in unnamed:
        count_crash(tick, crash, register)
    for fact in happened:
        _take(tick, fact, register)
    register.put(tick.changed)
    tick.changed = {}
    mature(tick, register)
    register.put(tick.changed)
    watch_crashes(tick)
    state.now = now
    state.ticks += 1
    state.facts += len(facts)
    return tick.entries


def _sort(state: State, facts: Sequence[Fact]) -> tuple[list[Seen], list[Happening]]:
    """Apply what changes the stage; return the check-ins and the rest, each in its order."""
    seen: list[Seen] = []
    happened: list[Happening] = []
    heard_at = state.last_contact_at
    for fact in facts:
        if isinstance(fact, Seen):
            seen.append(fact)
        elif isinstance(fact, (Crash, Session, Stepped, Score, Left, SetAside)):
            happened.append(fact)
        elif isinstance(fact, Outage):
            note_outage(state.stage, fact)
            continue
        elif isinstance(fact, Past):
            state.past = fact
            continue
        else:
            change_stage(state, fact)
            continue
        if (heard_at is None or fact.at > heard_at) and not isinstance(fact, (Left, SetAside)):
            heard_at = fact.at
    state.last_contact_at = heard_at
    state.contacts += len(seen)
    seen.sort(key=_entry_order)
    happened.sort(key=_event_order)
    return seen, happened


def _entry_order(fact: Seen) -> tuple[float, bytes]:
    return fact.at, fact.install


def _event_order(fact: Happening) -> tuple[float, int, bytes, str]:
    rank = _RANKS[type(fact)]
    if isinstance(fact, Crash):
        return fact.at, rank, fact.event, ""
    if isinstance(fact, Stepped):
        return fact.at, rank, fact.install, f"{fact.step}{fact.ok}"
    if isinstance(fact, Score):
        return fact.at, rank, fact.install, f"{fact.metric}={fact.value!r}"
    if isinstance(fact, SetAside):
        return fact.at, rank, fact.install, fact.rule
    return fact.at, rank, fact.install, ""


def _take(tick: Tick, fact: Happening, register: Register) -> None:
    if isinstance(fact, Crash):
        crash = with_name(tick, fact)
        if crash is not None:
            count_crash(tick, crash, register)
    elif isinstance(fact, Session):
        _take_session(tick, fact)
    elif isinstance(fact, Stepped):
        count_step(tick, fact)
    elif isinstance(fact, Score):
        note_score(tick, fact)
    elif isinstance(fact, SetAside):
        count_aside(tick, fact)
    elif fact.for_good:
        leave_for_good(tick, fact.install)
    elif (member := tick.members.get(fact.install)) is not None:
        leave(tick, fact.install, member)


def _take_session(tick: Tick, fact: Session) -> None:
    member = tick.counted(fact.install)
    if member is None or fact.at <= member.since:
        return
    note_contact(tick, fact.install, member, fact.at)
    if fact.on_release and not member.launched:
        member.launched = True
        tick.changed[fact.install] = member

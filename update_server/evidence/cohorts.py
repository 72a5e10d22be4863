"""Who is in the study: entry, risk sets, and leaving them (docs/evidence.md).

Both arms enter at their first check-in after the stage opened. All that enter in one tick are a
cohort; a risk set is a cohort's installs of one platform and one crash stratum, of which a small
cohort has fewer, and events are compared within it only. Nothing here looks at an arm but to
count it.
"""

from __future__ import annotations

from collections.abc import Sequence

from update_server.evidence import srm
from update_server.evidence.design import (
    coarse_stratum,
    cohort_of,
    cohort_size,
    crash_stratum,
    has_risk_sets,
    is_candidate,
    lonely_key,
    may_enter,
    platform_of,
    risk_set_key,
    share_of,
    silence_window,
)
from update_server.evidence.facts import Seen
from update_server.evidence.register import Member, Register
from update_server.evidence.settings import Settings
from update_server.evidence.state import Arms, Stage, State
from update_server.evidence.tick import Tick
from update_server.evidence.waiting import await_outcomes, note_contact, open_outcomes


def admit(tick: Tick, seen: Sequence[Seen]) -> None:
    """Take check-ins in their order: first ones enter, later ones are signs of life."""
    state, stage = tick.state, tick.stage
    entry_is_open = state.stages > 0 and not state.paused
    before = Arms(candidate=stage.entered.candidate, control=stage.entered.control)
    tick.cohort_divides = _is_large(tick, seen)
    for fact in seen:
        member = tick.members.get(fact.install)
        if member is not None and member.stage == stage.number:
            if member.awaits:
                note_contact(tick, fact.install, member, fact.at)
        elif entry_is_open and fact.at >= stage.opened_at and fact.platform not in state.held:
            _admit_one(tick, fact, member)
    if tick.cohort_is_open:
        _merge_lonely(tick)
    candidates = stage.entered.candidate - before.candidate
    controls = stage.entered.control - before.control
    if candidates + controls:
        # The sum over entrants does not depend on their order.
        srm.add_entrants(stage.srm, candidates=candidates, controls=controls, share=share_of(stage))
    might_enter = {fact.install for fact in seen if may_enter(fact)}
    if entry_is_open and might_enter:
        stage.fresh = (candidates + controls) / len(might_enter)


def leave(tick: Tick, install: bytes, member: Member) -> None:
    """Take *member* out of its stage: it may enter again when the next one opens."""
    stage = tick.stage
    arms = stage.risk_sets.get(member.risk_set)
    if member.stage == stage.number:
        count_open(stage, member, -open_outcomes(member))
    if member.stage == stage.number and not member.internal and arms is not None:
        arms.add(candidate=member.candidate, by=-1)
        for metric in member.had:
            if has_risk_sets(metric):
                stage.gone[metric][member.risk_set].add(candidate=member.candidate, by=-1)
    member.stage = -1
    member.awaits = 0
    member.due_at = None
    member.scores.clear()
    tick.changed[install] = member


def count_open(stage: Stage, member: Member, more: int) -> None:
    """Note that *more* outcomes of *member*, which is in *stage*, are still open, or fewer."""
    if stage.open_outcomes is not None and not member.internal:
        stage.open_outcomes += more


def leave_for_good(tick: Tick, install: bytes) -> None:
    """Take an install out of the study, or keep it from ever entering."""
    member = tick.members.setdefault(install, Member())
    leave(tick, install, member)
    member.left = True


def expel_network(tick: Tick, network: bytes, register: Register) -> None:
    """Take all installs of a network out of this stage, in both arms alike."""
    # The tick's own values are newer than the register's.
    found = dict(register.of_network(network))
    found.update(tick.members)
    for install, member in found.items():
        if member.network == network and member.stage == tick.stage.number:
            tick.members[install] = member
            if not member.internal:
                leave(tick, install, member)
                member.expelled = tick.stage.number
    tick.stage.capped_networks += 1


def is_capped(stage: Stage, network: bytes, settings: Settings) -> bool:
    """Whether a network sent more events than are believed, in this stage."""
    cap = settings.network_cap
    return bool(cap and network) and stage.network_events.get(network.hex(), 0) > cap


def hold_platform(state: State, platform: str) -> None:
    """Keep a platform back: its risk sets go, and its members' events count no more."""
    if platform in state.held:
        return
    state.held.append(platform)
    stage = state.stage
    if platform in state.platforms:
        index = state.platforms.index(platform)
        for sets in (stage.risk_sets, *stage.gone.values()):
            for key in [key for key in sets if platform_of(key) == index]:
                del sets[key]


def _is_large(tick: Tick, seen: Sequence[Seen]) -> bool:
    """Whether the tick's entrants are enough to be divided by all crash strata.

    The number of entrants, of both arms together, is all that this depends on.
    """
    entrants = {fact.install for fact in seen if may_enter(fact)}
    stage = tick.stage
    new = sum(
        install not in tick.members or tick.members[install].stage != stage.number
        for install in entrants
    )
    return new >= cohort_size(stage, tick.settings)


def _admit_one(tick: Tick, fact: Seen, member: Member | None) -> None:
    stage = tick.stage
    # One that was expelled may come back from another network; it was in this stage already.
    if member is not None and (member.left or member.expelled == stage.number):
        return
    if fact.internal:
        stage.internal += 1
        _enter(tick, fact, member or Member(), internal=True)
    elif stage.exposure_bp is None or is_capped(stage, fact.network, tick.settings):
        return
    elif not fact.aged:
        if member is None:
            tick.state.not_aged += 1
            # Remembered so that it is counted once.
            tick.members[fact.install] = tick.changed[fact.install] = Member()
    else:
        _enter(tick, fact, member or Member(), internal=False)


def _enter(tick: Tick, fact: Seen, member: Member, *, internal: bool) -> None:
    stage = tick.stage
    member.stage = stage.number
    member.since = fact.at
    member.internal = internal
    member.candidate = not internal and is_candidate(stage, fact.bucket)
    member.platform = fact.platform
    member.network = fact.network
    member.healthy = member.returned = member.crashed = False
    member.launched = member.failed_start = member.believed = False
    member.crash_times = []
    member.scores = {}
    member.gap_stratum, member.window_seconds = silence_window(fact.gap_seconds, tick.settings)
    member.risk_set = -1 if internal else _join_risk_set(tick, fact, member)
    await_outcomes(member, tick.settings)
    count_open(stage, member, open_outcomes(member))
    tick.members[fact.install] = tick.changed[fact.install] = member


def _join_risk_set(tick: Tick, fact: Seen, member: Member) -> int:
    state, stage = tick.state, tick.stage
    if not tick.cohort_is_open:
        tick.cohort_is_open = True
        stage.cohort += 1
        stage.cohort_entrants = 0
    if fact.platform not in state.platforms:
        state.platforms.append(fact.platform)
    stratum = (crash_stratum if tick.cohort_divides else coarse_stratum)(fact.crashes)
    key = risk_set_key(stage.cohort, stratum, state.platforms.index(fact.platform))
    stage.risk_sets.setdefault(key, Arms()).add(candidate=member.candidate)
    stage.entered.add(candidate=member.candidate)
    stage.cohort_entrants += 1
    for metric in member.had:
        if has_risk_sets(metric):
            gone = stage.gone.setdefault(metric, {}).setdefault(key, Arms())
            gone.add(candidate=member.candidate)
    return key


def _merge_lonely(tick: Tick) -> None:
    """Put the closed cohort's risk sets that lack an arm into one of that platform and arm.

    Nobody enters them any more, so no event in them is ever compared, and which of them it is in
    changes nothing. They are half of all, and the state is smaller without.
    """
    stage = tick.stage
    moved: dict[int, int] = {}
    entered = {member.risk_set for member in tick.changed.values()}
    for key in sorted(key for key in entered if cohort_of(key) == stage.cohort):
        arms = stage.risk_sets[key]
        if arms.candidate and arms.control:
            continue
        moved[key] = to = lonely_key(platform_of(key), candidate=arms.candidate > 0)
        del stage.risk_sets[key]
        stage.risk_sets.setdefault(to, Arms()).add_all(arms)
        for sets in stage.gone.values():
            if key in sets:
                sets.setdefault(to, Arms()).add_all(sets.pop(key))
    for member in tick.changed.values():
        member.risk_set = moved.get(member.risk_set, member.risk_set)

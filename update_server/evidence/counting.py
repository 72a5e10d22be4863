"""First events and steps: what happens to members of the stage after they entered.

Labels come out one by one in an order that does not depend on them; each carries how many of both
arms were at risk just before. Crashes with a waived signature count nowhere, in either arm.
"""

from __future__ import annotations

from update_server.evidence import ratio
from update_server.evidence.cohorts import expel_network
from update_server.evidence.design import at_risk
from update_server.evidence.facts import Crash, Step, Stepped
from update_server.evidence.register import Member, Register
from update_server.evidence.settings import DAY, Metric
from update_server.evidence.state import Arms, Label, OneArm, State
from update_server.evidence.tick import Tick

CRASHES_OF_A_LOOP = 3

SIGNATURES_FOLLOWED = 200
"""The 201st new signature would have a weight of 0.1 / 40,602: it counts as a crash only."""


def count_crash(tick: Tick, fact: Crash, register: Register) -> None:
    """Take one crash: at most one label each of crash, crash loop and its signature."""
    member = tick.counted(fact.install)
    # What is dated after its receipt happened at receipt.
    happened_at = min(fact.happened_at, fact.at)
    if member is None or happened_at <= member.since:
        return
    if fact.again and Metric.CRASH not in member.had:
        return  # what was told of it first did not count either
    if is_waived(tick.state, fact.signature, happened_at):
        return
    metrics = [] if member.internal else _first_of(tick.state, fact, member, happened_at)
    if metrics and not _believed(tick, member, register):
        return
    member.crashed = True
    is_early = happened_at <= member.since + DAY
    if not fact.again and is_early and len(member.crash_times) < CRASHES_OF_A_LOOP:
        member.crash_times.append(happened_at)
    tick.changed[fact.install] = member
    for metric in metrics:
        if metric.startswith("signature:") and fact.signature not in tick.state.signatures:
            tick.state.signatures.append(fact.signature)
        _count(tick, metric, member, fact)


def is_waived(state: State, signature: str, happened_at: float) -> bool:
    """Whether crashes with *signature* are known and accepted at that instant."""
    ends_at = state.epoch.waived.get(signature)
    return bool(signature) and ends_at is not None and happened_at < ends_at


def count_step(tick: Tick, fact: Stepped) -> None:
    """Take one step of an update to the release: the first of its kind from each install.

    Candidates' are the funnel; internal installs' are counted beside the guards of the ring.
    """
    member = tick.counted(fact.install)
    if member is None or fact.at <= member.since:
        return
    if fact.step is Step.LAUNCH:
        _count_launch(tick, fact, member)
    elif (member.candidate or member.internal) and f"step:{fact.step}" not in member.had:
        member.had.add(f"step:{fact.step}")
        tick.changed[fact.install] = member
        if not fact.ok and not _step_believed(tick, member):
            return
        counts = tick.stage.guards if member.internal else tick.state.funnel
        outcomes = counts.setdefault(str(fact.step), OneArm())
        outcomes.known += 1
        outcomes.failed += not fact.ok


def _step_believed(tick: Tick, member: Member) -> bool:
    """Whether a failed step counts: of a network's installs as many do as of its crashes.

    More of them are left out, as if they had not tried: that never adds to the evidence.
    """
    cap = tick.settings.network_cap
    if not cap or not member.network or member.internal:
        return True
    events, name = tick.stage.network_events, f"step:{member.network.hex()}"
    events[name] = events.get(name, 0) + 1
    return events[name] <= cap


def _count_launch(tick: Tick, fact: Stepped, member: Member) -> None:
    if fact.ok:
        member.launched = True
    elif member.internal and not member.failed_start:
        member.failed_start = True
        tick.stage.failed_starts += 1
    tick.changed[fact.install] = member


def _first_of(state: State, fact: Crash, member: Member, happened_at: float) -> list[str]:
    metrics = []
    if Metric.CRASH not in member.had:
        metrics.append(str(Metric.CRASH))
    within_a_day = happened_at <= member.since + DAY
    third = len(member.crash_times) == CRASHES_OF_A_LOOP - 1 and within_a_day
    if third and not fact.again and Metric.CRASH_LOOP not in member.had:
        metrics.append(str(Metric.CRASH_LOOP))
    signature = f"signature:{fact.signature}"
    is_followed = fact.signature in state.signatures or _may_name_one(state, member)
    if fact.new and fact.signature and is_followed and signature not in member.had:
        metrics.append(signature)
    return metrics


def _may_name_one(state: State, member: Member) -> bool:
    """Whether *member* may be the first with a new signature: each install once.

    Else one install could use up the places, and with them the weights, of all real ones.
    """
    has_one = any(metric.startswith("signature:") for metric in member.had)
    return not has_one and len(state.signatures) < SIGNATURES_FOLLOWED


def _believed(tick: Tick, member: Member, register: Register) -> bool:
    """Count an install with events in its network; at one too many all of it leaves the stage.

    An install counts once, however many metrics its crashes are the first event of: else one
    alone could take all of its neighbours out of both arms.
    """
    cap = tick.settings.network_cap
    if not cap or not member.network or member.believed:
        return True
    member.believed = True
    events = tick.stage.network_events
    name = member.network.hex()
    events[name] = events.get(name, 0) + 1
    if events[name] <= cap:
        return True
    expel_network(tick, member.network, register)
    return False


def _count(tick: Tick, metric: str, member: Member, fact: Crash) -> None:
    key = member.risk_set
    n_candidate, n_control = at_risk(tick.stage, metric, key)
    process = tick.process(metric, member.platform, ratio.empty_vector)
    ratio.add_event(
        process.vector, candidate=member.candidate, n_candidate=n_candidate, n_control=n_control
    )
    process.bad.add(candidate=member.candidate)
    gone = tick.stage.gone.setdefault(metric, {}).setdefault(key, Arms())
    gone.add(candidate=member.candidate)
    member.had.add(metric)
    tick.entries.append(
        Label(
            epoch=tick.state.epoch.number,
            metric=metric,
            platform=member.platform,
            at=fact.at,
            candidate=member.candidate,
            n_candidate=n_candidate,
            n_control=n_control,
            event=fact.event,
            network=member.network,
        )
    )

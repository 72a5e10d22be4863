"""Outcomes that are known, the cohorts that they mature into, and the guards.

Outcomes become known one window after entry, in order of that instant. They go to pools, one for
each metric, stratum and platform, without regard to the arm; a pool is scored as one cohort when
it is large or old enough, never on how many candidates or bad outcomes are in it.
"""

from __future__ import annotations

from update_server.evidence import fisher
from update_server.evidence.baseline import LATER, predicted_share
from update_server.evidence.cohorts import count_open
from update_server.evidence.design import cohort_size
from update_server.evidence.facts import Step
from update_server.evidence.register import Member, Register
from update_server.evidence.scores import calibrates, score_values
from update_server.evidence.settings import Metric
from update_server.evidence.state import CONTROL_PREFIX, Arms, OneArm, Pool, Process, Scored
from update_server.evidence.tick import Tick
from update_server.evidence.waiting import (
    DAY_OUTCOME,
    RETURN_OUTCOME,
    await_return,
    open_outcomes,
    tells_something,
    window_end,
)

_LOOP = 3


def mature(tick: Tick, register: Register) -> None:
    """Take the outcomes that are due, and score the cohorts that are complete.

    A window counts as over only once something was received after its end, from whomever: as
    long as all is quiet the fault may be ours.
    """
    heard_at = tick.state.last_contact_at
    if heard_at is not None:
        horizon = min(tick.now, heard_at)
        for install, member in register.due(horizon):
            _resolve(tick, install, member, horizon)
    for key, pool in list(tick.stage.pools.items()):
        if tick.now - pool.opened_at >= tick.settings.cohort_seconds:
            _score(tick, key, pool)


def _resolve(tick: Tick, install: bytes, member: Member, horizon: float) -> None:
    tick.changed[install] = member
    member.due_at = None
    before = open_outcomes(member)
    if not tick.takes_part(member):
        # Entered an earlier stage, or is held: what it awaited is cancelled.
        if member.stage == tick.stage.number:
            count_open(tick.stage, member, -before)
        member.awaits = 0
        member.scores = {}
        return
    for outcome, since, seconds in (
        (DAY_OUTCOME, member.since, tick.settings.outcome_seconds),
        (RETURN_OUTCOME, member.window_from, member.window_seconds),
    ):
        if not member.awaits & outcome:
            continue
        end = window_end(tick.stage.outages, since, seconds)
        if end > horizon:
            member.due_at = end if member.due_at is None else min(end, member.due_at)
            continue
        member.awaits &= ~outcome
        is_told = tells_something(since, end, seconds)
        if outcome == DAY_OUTCOME:
            if is_told:
                _take_day(tick, install, member)
            member.scores = {}
        else:
            if is_told:
                _take_return(tick, member)
            if member.returned or not is_told:
                # A release may kill later than in its first window: whoever lives is watched on.
                await_return(member, end)
    count_open(tick.stage, member, open_outcomes(member) - before)


def _take_day(tick: Tick, install: bytes, member: Member) -> None:
    crashed = bool(member.crash_times)
    _guard(tick, "crashed", member, failed=crashed)
    if not member.internal:
        _guard(tick, "unhealthy", member, failed=not member.healthy)
    elif _has_tried(member):
        # Nothing is compared here, so a launch that was reported counts, and staff may go home.
        _guard(tick, "unhealthy", member, failed=not (member.healthy or member.launched))
    _guard(tick, "crash_loop", member, failed=len(member.crash_times) >= _LOOP)
    if member.candidate and member.launched:
        # Dead telemetry is not health: only what ran on the release counts for the floor.
        tick.stage.floor.known += 1
        tick.stage.floor.failed += crashed
    if not member.internal:
        _pool(tick, Metric.HEALTHY, 0, member, bad=not member.healthy)
        for name, value in sorted(member.scores.items()):
            if name in tick.state.thresholds and not calibrates(install):
                _pool(tick, f"score:{name}", 0, member, bad=False, value=value)


def _has_tried(member: Member) -> bool:
    """Whether an install got so far with the release that it could start it."""
    return member.launched or member.failed_start or f"step:{Step.APPLY}" in member.had


def _take_return(tick: Tick, member: Member) -> None:
    if member.came_back:
        metric, stratum = Metric.LATER_SILENCE, member.gap_stratum + LATER
    else:
        metric, stratum = Metric.SILENCE, member.gap_stratum
        _guard(tick, "silent", member, failed=not member.returned)
    if not member.internal:
        _pool(tick, metric, stratum, member, bad=not member.returned)


def _guard(tick: Tick, name: str, member: Member, *, failed: bool) -> None:
    is_control = not (member.candidate or member.internal)
    outcomes = tick.stage.guards.setdefault(CONTROL_PREFIX * is_control + name, OneArm())
    outcomes.known += 1
    outcomes.failed += failed


def _pool(
    tick: Tick, metric: str, stratum: int, member: Member, *, bad: bool, value: float | None = None
) -> None:
    if metric in member.had:
        return
    if bad or value is not None:
        # A bad outcome, or a score, is the only one of this install and release.
        member.had.add(str(metric))
    key = f"{metric}/{stratum}/{member.platform}"
    pool = tick.stage.pools.get(key)
    if pool is None:
        pool = tick.stage.pools[key] = _open_pool(tick, metric, stratum)
    pool.total.add(candidate=member.candidate)
    if bad:
        pool.bad.add(candidate=member.candidate)
        if member.candidate:
            pool.networks.append(member.network)
    if value is not None:
        pool.scores.append((member.candidate, value))
    if pool.total.total >= cohort_size(tick.stage, tick.settings):
        _score(tick, key, pool)


def _open_pool(tick: Tick, metric: str, stratum: int) -> Pool:
    base_rate = None
    if metric in (Metric.SILENCE, Metric.LATER_SILENCE):
        base_rate = predicted_share(tick.state, tick.settings, stratum)
    thresholds = tick.state.thresholds.get(metric.removeprefix("score:"), ())
    return Pool(opened_at=tick.now, base_rate=base_rate, thresholds=thresholds)


def _score(tick: Tick, key: str, pool: Pool) -> None:
    del tick.stage.pools[key]
    metric, stratum, platform = key.split("/", 2)
    if metric.startswith("score:"):
        score_values(tick, metric.removeprefix("score:"), platform, pool)
        return
    if pool.base_rate is None:
        process = tick.process(metric, platform, fisher.empty_outcomes)
        fisher.add_cohort(
            process.vector,
            k_candidate=pool.bad.candidate,
            k=pool.bad.total,
            n_candidate=pool.total.candidate,
            n_control=pool.total.control,
        )
    else:
        process = tick.process(metric, platform, fisher.empty_shares)
        fisher.add_silence_cohort(
            process.vector,
            k_candidate=pool.bad.candidate,
            k=pool.bad.total,
            n_candidate=pool.total.candidate,
            n_control=pool.total.control,
            base_rate=pool.base_rate,
        )
        so_far = tick.state.silent_controls.setdefault(int(stratum), Arms())
        so_far.candidate += pool.bad.control
        so_far.control += pool.total.control
    _log(tick, metric, platform, pool, process)


def _log(tick: Tick, metric: str, platform: str, pool: Pool, process: Process) -> None:
    process.bad.candidate += pool.bad.candidate
    process.bad.control += pool.bad.control
    process.known.candidate += pool.total.candidate
    process.known.control += pool.total.control
    tick.entries.append(
        Scored(
            epoch=tick.state.epoch.number,
            metric=metric,
            platform=platform,
            at=tick.now,
            k_candidate=pool.bad.candidate,
            k=pool.bad.total,
            n_candidate=pool.total.candidate,
            n_control=pool.total.control,
            base_rate=pool.base_rate,
            networks=tuple(pool.networks),
        )
    )

"""Measured metrics: first values, and what "above control's quantiles" means today.

An eighth of the installs, chosen by their key and so alike in both arms, only calibrate: the
thresholds of a day are the quantiles of what their controls measured the day before, and they are
never scored themselves. If scored controls set the thresholds that they are scored by, their
exceedances would be known beforehand and candidates' not, and labels would no longer be a fair
draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from update_server.evidence import betting, fisher
from update_server.evidence.facts import Score
from update_server.evidence.settings import DAY, Measured, Settings
from update_server.evidence.state import Pool, Scored, State
from update_server.evidence.tick import Tick
from update_server.evidence.waiting import DAY_OUTCOME, passed

QUANTILES = ((0.5, "q50"), (0.9, "q90"), (0.99, "q99"))

SMALLEST_BASELINE = 20
"""With fewer values a 99 % quantile is the largest of few; yesterday's stay in force."""
LARGEST_BASELINE = 1_000

_CALIBRATE = 32  # of 256


def calibrates(install: bytes) -> bool:
    """Whether an install sets thresholds instead of being scored; does not depend on the arm."""
    return bool(install) and install[-1] < _CALIBRATE


def note_score(tick: Tick, fact: Score) -> None:
    """Take a value: the first of a member in this stage, and one of each release that is scored."""
    member = tick.counted(fact.install)
    happened_at = min(fact.happened_at, fact.at)
    if member is None or member.internal or measured(tick.settings, fact.metric) is None:
        return
    if happened_at <= member.since or not member.awaits & DAY_OUTCOME:
        return
    if fact.metric in member.scores or f"score:{fact.metric}" in member.had:
        return
    if passed(tick.stage.outages, member.since, happened_at) > tick.settings.outcome_seconds:
        return
    member.scores[fact.metric] = fact.value
    tick.changed[fact.install] = member
    if calibrates(fact.install) and not member.candidate:
        values = tick.state.baselines.setdefault(fact.metric, [])
        if len(values) < LARGEST_BASELINE:
            values.append(fact.value)


def measured(settings: Settings, name: str) -> Measured | None:
    """Return the measured metric *name*, or None if the rollout does not judge it."""
    return next((metric for metric in settings.measured if metric.name == name), None)


def turn_day(state: State, settings: Settings, now: float) -> None:
    """Make yesterday's values today's thresholds, when a UTC day has begun."""
    today = int(now // DAY)
    if today == state.baselines_day:
        return
    state.baselines_day = today
    for metric in settings.measured:
        values = state.baselines.get(metric.name, [])
        if len(values) >= SMALLEST_BASELINE:
            state.thresholds[metric.name] = thresholds_of(values, metric)
            state.baselines[metric.name] = []


def thresholds_of(values: Sequence[float], metric: Measured) -> tuple[float, ...]:
    """Return three thresholds, the scale and the centre that *values* of control give.

    The thresholds are the median, 90 % and 99 % quantiles, counted from the good end. The scale
    is the 99 % quantile, by which values become scores from 0 to 1, and the centre the mean of
    those scores.
    """
    ordered = sorted(values)
    from_good = ordered if metric.higher_is_worse else ordered[::-1]
    scale = _quantile(ordered, 0.99)
    centre = fsum(score_of(value, scale) for value in ordered) / len(ordered)
    return (*(_quantile(from_good, share) for share, _ in QUANTILES), scale, centre)


def score_of(value: float, scale: float) -> float:
    """Return *value* as a score from 0 to 1, clipped at *scale*."""
    return min(max(value / scale, 0.0), 1.0) if scale > 0 else 0.0


def score_values(tick: Tick, name: str, platform: str, pool: Pool) -> None:
    """Score one matured cohort of the measured metric *name*, without ``score:``."""
    metric = measured(tick.settings, name)
    if metric is None:
        return
    if metric.test == "betting":
        _bet(tick, metric, platform, pool)
        return
    for (_, label), threshold in zip(QUANTILES, pool.thresholds[:3], strict=True):
        worse = [
            candidate
            for candidate, value in pool.scores
            if (value > threshold if metric.higher_is_worse else value < threshold)
        ]
        k_candidate, k = sum(worse), len(worse)
        process = tick.process(f"score:{name}:{label}", platform, fisher.empty_outcomes)
        fisher.add_cohort(
            process.vector,
            k_candidate=k_candidate,
            k=k,
            n_candidate=pool.total.candidate,
            n_control=pool.total.control,
        )
        _log(tick, f"score:{name}:{label}", platform, pool, k_candidate, k)


def _bet(tick: Tick, metric: Measured, platform: str, pool: Pool) -> None:
    scale, centre = pool.thresholds[3:]
    scores = tuple((candidate, score_of(value, scale)) for candidate, value in pool.scores)
    name = f"score:{metric.name}"
    process = tick.process(name, platform, betting.empty_bets)
    betting.add_scored_cohort(
        process.vector, scores=scores, centre=centre, harm_is_higher=metric.higher_is_worse
    )
    _log(tick, name, platform, pool, 0, 0, centre=centre, scores=scores)


def _log(
    tick: Tick,
    name: str,
    platform: str,
    pool: Pool,
    k_candidate: int,
    k: int,
    *,
    centre: float | None = None,
    scores: tuple[tuple[bool, float], ...] = (),
) -> None:
    process = tick.state.epoch.processes[name][platform]
    process.bad.candidate += k_candidate
    process.bad.control += k - k_candidate
    process.known.candidate += pool.total.candidate
    process.known.control += pool.total.control
    tick.entries.append(
        Scored(
            epoch=tick.state.epoch.number,
            metric=name,
            platform=platform,
            at=tick.now,
            k_candidate=k_candidate,
            k=k,
            n_candidate=pool.total.candidate,
            n_control=pool.total.control,
            centre=centre,
            scores=scores,
        )
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

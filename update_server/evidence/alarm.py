"""Where nobody is held back: crashes against the rate at which installs crashed before the rollout.

A rate of before has no randomization behind it. So where there are controls nothing of this is
looked at, and what it finds never pulls.

The rate is that of its hour of the week, in which installs had their first crash of a day: they
have that no less often than the first crash since they entered, and the same crash loop counts
once in both. It is put rather too high than too low: by a 95 % limit where there were few crashes,
and each hour is drawn to the mean as if it had shown ten crashes at the mean rate.
"""

from __future__ import annotations

from math import floor, fsum, sqrt

from update_server.evidence.design import share_of, total_at_risk
from update_server.evidence.detector import advance, empty_detector
from update_server.evidence.facts import Past
from update_server.evidence.settings import HOUR, Metric
from update_server.evidence.state import Alarm, Label
from update_server.evidence.tick import Tick

CHECK_SECONDS = HOUR
"""How often the detector checks: an alarm for nothing takes 10,000 of these on average."""

HOURS_OF_WEEK = 168
FEWEST_INSTALL_HOURS = 20 * HOURS_OF_WEEK
"""Of less nothing is said: 20 installs for a week."""

_TYPICAL = 10  # crashes at the mean rate that each hour of the week is given


def watch_crashes(tick: Tick) -> None:
    """Take the tick's first crashes into the alarm of a stage in which nobody is held back.

    Whoever has entered by the end of the tick counts as at risk in all of it.
    """
    state, stage = tick.state, tick.stage
    past = state.past
    if past is None or share_of(stage) < 1 or fsum(past.install_hours) < FEWEST_INSTALL_HOURS:
        return
    since = max(state.now, stage.opened_at)
    if stage.alarm is None:
        stage.alarm = Alarm(detector=empty_detector(), checked_at=since)
    alarm = stage.alarm
    events = sum(isinstance(e, Label) and e.metric == Metric.CRASH for e in tick.entries)
    at_risk = total_at_risk(stage, Metric.CRASH)[0] + events
    due = at_risk * crashes_expected(past, since, tick.now)
    alarm.events += events
    alarm.expected += due
    alarm.events_so_far += events
    alarm.expected_so_far += due
    if tick.now - alarm.checked_at >= CHECK_SECONDS:
        advance(alarm.detector, events=alarm.events, expected=alarm.expected)
        alarm.events, alarm.expected, alarm.checked_at = 0, 0.0, tick.now


def crashes_expected(past: Past, since: float, until: float) -> float:
    """Return how many first crashes one install at risk has from *since* to *until*, as before."""
    mean = _mean_rate(past)
    parts = []
    for hour in range(floor(since / HOUR), floor(until / HOUR) + 1):
        seconds = min(until, (hour + 1) * HOUR) - max(since, hour * HOUR)
        of_week = hour % HOURS_OF_WEEK
        crashes, hours = past.crashes[of_week], past.install_hours[of_week]
        parts.append(seconds / HOUR * (crashes + _TYPICAL) / (hours + _TYPICAL / mean))
    return fsum(parts)


def _mean_rate(past: Past) -> float:
    """Return a 95 % upper limit of crashes an install and hour; never 0."""
    crashes = sum(past.crashes)
    # Of a Poisson number: 3.0 where it was 0, and a little more than the exact limit elsewhere.
    return (crashes + 1.645 * sqrt(crashes) + 3) / fsum(past.install_hours)

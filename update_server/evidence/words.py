"""Words and numbers as sentences and messages have them: how counts, shares and times are put."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isinf, log

from update_server.evidence.settings import DAY, HOUR, Metric
from update_server.evidence.weighing import SCORE_PREFIX, SIGNATURE_PREFIX

# From here on decimals say nothing to a reader.
_MANY, _VERY_MANY = 10, 100
_MINUTE = 60
_LONGEST = log(1e9)  # an e-value of more digits is told as a power of ten


@dataclass(frozen=True, slots=True)
class Deed:
    """What was counted: as a verb, and as a noun."""

    verb: str  # "44 of 3,900 installs offered it <verb>"
    plural: str  # "<plural> pause at 333"


_DEEDS: dict[str, Deed] = {
    Metric.CRASH: Deed("crashed", "crashes"),
    Metric.CRASH_LOOP: Deed("crashed three times within 24 h", "crash loops"),
    Metric.HEALTHY: Deed("had no healthy launch within {outcome}", "failed first launches"),
    Metric.SILENCE: Deed("have not come back within their usual time", "silent installs"),
    Metric.LATER_SILENCE: Deed(
        "came back at first and then did not within their usual time", "installs silent later"
    ),
}


def deed(metric: str, outcome_seconds: float) -> Deed:
    """Return what an install did that *metric* counts.

    *outcome_seconds* is how long a first healthy launch may take.
    """
    if metric.startswith(SIGNATURE_PREFIX):
        name = metric.removeprefix(SIGNATURE_PREFIX)
        return Deed(f'had the new crash "{name}"', "crashes of this kind")
    if metric.startswith(SCORE_PREFIX):
        name = metric.removeprefix(SCORE_PREFIX)
        return Deed(f"had a {name} worse than 9 of 10 before", f"values of {name}")
    known = _DEEDS[metric]
    return Deed(known.verb.format(outcome=span(outcome_seconds)), known.plural)


def ring(name: str) -> str:
    """Return a ring's name as sentences have it: "10 %" for the ring "10%"."""
    return f"{name[:-1].rstrip()} %" if name.endswith("%") else name


def count(value: float) -> str:
    """Return a number of installs or the like, with thousands separators."""
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """Return a share, 0 to 1, in percent."""
    return f"{share * 100:,.4g} %"


def hours(value: float) -> str:
    """Return a time in hours: whole ones where they are many, or whole."""
    return f"{value:,.0f} h" if value >= _MANY or value == int(value) else f"{value:.1f} h"


def span(seconds: float) -> str:
    """Return how long something may take: in whole days where it is several, a day as 24 h."""
    if seconds > DAY and seconds % DAY == 0:
        return in_days(seconds / DAY)
    if seconds >= HOUR:
        return hours(seconds / HOUR)
    return f"{seconds / 60:,.0f} min" if seconds >= _MINUTE else f"{seconds:,.0f} s"


def e_value(log_e: float) -> str:
    """Return an e-value given in nats; one too long to read as a power of ten."""
    if log_e > _LONGEST:
        return f"10^{log_e / log(10):.0f}"
    value = exp(log_e)
    return f"{value:,.0f}" if value >= _MANY else f"{value:.2g}"


def times(value: float) -> str:
    """Return how many times something is."""
    return f"{value:,.0f}" if value >= _VERY_MANY else f"{value:.1f}"


def often(is_odds: bool) -> str:
    """Return what a ratio is one of."""
    return "times the odds" if is_odds else "times as often"


def interval_of(ends: tuple[float, float]) -> str:
    """Return a 95 % interval; infinity may be its end."""
    low, high = ends
    shown = f"from {times(low)} up" if isinf(high) else f"{times(low)} to {times(high)}"
    return f"95 % interval {shown}, valid however often we looked"


def false_reports(margin: int) -> str:
    """Return so many false reports, in words."""
    return f"{count(margin)} false {noun(margin, 'report')}"


def in_days(days: float) -> str:
    """Return a number of days, one at least."""
    return "1 day" if round(days) <= 1 else f"{count(days)} days"


def noun(n: int, noun: str) -> str:
    """Return *noun* as so many of them are called."""
    return noun if n == 1 else f"{noun}s"


def listed(words: Sequence[str]) -> str:
    """Return words as a list, the last one after an "and"."""
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} and {words[-1]}"

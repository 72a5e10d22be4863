"""THE SENTENCE of each decision: what pages, alerts and the command line quote word for word.

Numerator and denominator stand in each, control is named, and shares are written with a space
before the percent sign. Not here: how numbers are written (``words``), and what is said before and
after it in an alert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from update_server.evidence.settings import DAY, Metric
from update_server.evidence.verdicts import NoVerdict
from update_server.evidence.words import (
    count,
    deed,
    e_value,
    false_reports,
    hours,
    in_days,
    interval_of,
    listed,
    noun,
    often,
    percent,
    ring,
    span,
    times,
)

_FEW = 10  # of fewer that were to be expected, decimals are told

_STOP_LINES = {
    "crashed": "crashed within {day}",
    "unhealthy": "did not become healthy within {outcome}",
    "crash_loop": "crashed three times within {day}",
    "silent": "have not come back within their usual time",
    "download": "failed to download it",
    "verify": "failed to verify it",
    "apply": "failed to apply it",
    "failed_starts": "failed to start it",
}
_FLOORS = {
    "crash_floor": "crash in a day",
    "healthy_launch_floor": "fail their first launch",
}
_WHY = {
    NoVerdict.NO_CONTACTS: "no install was heard of since it opened",
    NoVerdict.NO_CONTROL: "no install is held back to compare with",
    NoVerdict.INTAKE_GAP: "for long nothing was received from anyone",
    NoVerdict.COHORT_NOT_MATURED: "of no install is the outcome known yet",
    NoVerdict.NOTHING_TO_COME: (
        "the outcomes of all installs that came are known, and are too few to open the next step; "
        "only more installs can bring more"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What most sentences speak of: where and when, and both arms' counts.

    ``k_candidate`` of ``n_candidate`` installs offered the release had the event, and so on.
    ``outcome_seconds`` is how long a first healthy launch may take.
    """

    version: str
    previous: str
    ring: str
    hours: float
    k_candidate: int
    n_candidate: int
    k_control: int
    n_control: int
    outcome_seconds: float = DAY


def paused(
    told: Told,
    metric: str,
    *,
    ratio: float | None,
    interval: tuple[float, float] | None,
    is_odds: bool,
    log_e: float,
    needed: float,
    alpha: float,
    margin: int,
) -> str:
    """Return the sentence of a pause on a metric with a control.

    Args:
        told: Where, when, and what was counted.
        metric: The cause.
        ratio: How many times as often, None where there is no such estimate.
        interval: Its 95 % interval; infinity may be its end.
        is_odds: Whether the ratio is one of odds.
        log_e: Evidence in nats.
        needed: At how many nats the metric pauses.
        alpha: How many harmless releases may ever be paused.
        margin: How many candidates' reports must be false.
    """
    compared = _compared(told, metric)
    if ratio is not None and interval is not None:
        compared += f", about {times(ratio)} {often(is_odds)} ({interval_of(interval)})"
    plural, counted = deed(metric, told.outcome_seconds).plural, count(told.k_candidate)
    return (
        f"Paused {told.version} at ring {ring(told.ring)} after {hours(told.hours)}: {compared}. "
        f"Evidence this strong (e-value {e_value(log_e)}; {plural} pause at {e_value(needed)}) "
        f"would ever appear for fewer than 1 harmless release in {count(1 / alpha)}. Undoing it "
        f"takes at least {false_reports(margin)} among the {counted}."
    )


def pulled(
    told: Told, metric: str, *, lower: float | None, is_odds: bool, replacement: str, margin: int
) -> str:
    """Return the sentence of a pull; *lower* is the ratio's lower end, None for silence."""
    compared = _compared(told, metric)
    if lower is not None:
        compared += f", at least {times(lower)} {often(is_odds)}"
    given = replacement or "the version before"
    return (
        f"Pulled {told.version} at ring {ring(told.ring)} after {hours(told.hours)}: {compared}. "
        f"Installs on it are being given {given}. Undoing this would take "
        f"{false_reports(margin)}."
    )


def silence(told: Told, metric: str) -> str:
    """Return the sentence of a pause because installs do not come back, or no more."""
    return (
        f"Paused {told.version}: {_compared(told, metric)}. "
        "They sent no crash report; that is the point."
    )


def no_verdict(
    version: str,
    in_ring: str,
    why: NoVerdict,
    *,
    candidates: int,
    controls: int,
    minimum: int,
    installs_a_day: float,
    days: float | None,
    too_new: int = 0,
) -> str:
    """Return the sentence of having no verdict; *days* until a doubling shows, None for never.

    *too_new* installs were heard of that nobody knew long enough before the release.
    """
    reason = _WHY.get(why)
    if why is NoVerdict.NO_CONTACTS and too_new:
        reason = (
            f"{count(too_new)} {noun(too_new, 'install')} checked in, and none had been known "
            "for long enough when the release was published"
        )
    if why is NoVerdict.TOO_FEW_INSTALLS:
        reason = f"{count(candidates)} of {count(minimum)} installs so far"
    elif why is NoVerdict.ONE_ARM_EMPTY:
        arm = "held back" if controls == 0 else "offered it"
        reason = f"no install {arm} was heard of"
    rate = f"{count(installs_a_day)} {noun(round(installs_a_day), 'install')} a day"
    would = (
        f"With {rate} a doubling would never show."
        if days is None
        else f"With {rate} a doubling would show after about {in_days(days)}."
    )
    return (
        f"No verdict on {version} at ring {ring(in_ring)}: {reason}. "
        f"This is not a sign of health. {would}"
    )


def contested(*, paused_at: str, struck: int, k_candidate: int, log_e: float) -> str:
    """Return the sentence of a pause whose reports were withdrawn; *paused_at* is a time."""
    return (
        f"The pause of {paused_at} no longer stands on what has been reported since: "
        f"{count(struck)} of its {count(k_candidate)} reports were withdrawn (forged, duplicate "
        f"or misattributed) and the e-value is now {e_value(log_e)}. It stays paused until "
        "someone resumes it."
    )


def promoted(
    told: Told, next_ring: str, shown: Mapping[str, float], *, log_e: float, needed: float
) -> str:
    """Return the sentence of a promotion on evidence.

    Args:
        told: Where, when, and how many candidates.
        next_ring: What opens.
        shown: By metric, how many times worse was ruled out; by the name of a floor, the share
            below which its installs are.
        log_e: The weakest evidence, in nats.
        needed: How many nats it had to be.
    """
    margins: dict[float, list[str]] = {}
    for name, limit in shown.items():
        if name not in _FLOORS:
            plural = deed(name, told.outcome_seconds).plural
            margins.setdefault(limit, []).append(plural)
    ruled_out = [
        f"{listed(names)} are not {limit:g} times worse" for limit, names in margins.items()
    ]
    ruled_out += [
        f"fewer than {percent(limit)} of installs {_FLOORS[name]}, whatever control does"
        for name, limit in shown.items()
        if name in _FLOORS
    ]
    alone = " A floor takes installs to fail independently." if _FLOORS.keys() & shown else ""
    return (
        f"Promoted {told.version} from {ring(told.ring)} to {ring(next_ring)}: "
        f"{listed(ruled_out)} (e-value {e_value(log_e)}, {e_value(needed)} needed) after "
        f"{hours(told.hours)} on {count(told.n_candidate)} "
        f"{noun(told.n_candidate, 'install')}.{alone}"
    )


def promoted_by_guards(told: Told, next_ring: str) -> str:
    """Return the sentence of leaving a ring of groups: there was nothing to compare with."""
    return (
        f"Promoted {told.version} from {ring(told.ring)} to {ring(next_ring)}: no stop line was "
        f"reached after {hours(told.hours)} on {count(told.n_candidate)} "
        f"{noun(told.n_candidate, 'install')}. There is no control group in this ring; nothing "
        "was compared."
    )


def promoted_by_timeout(told: Told, next_ring: str, waited_seconds: float) -> str:
    """Return the sentence of a promotion on weaker evidence, where the ladder asks for it."""
    return (
        f"Promoted {told.version} from {ring(told.ring)} to {ring(next_ring)} without the "
        f"evidence that its gate asks for, which did not come within "
        f"{span(waited_seconds)}: after {hours(told.hours)} on "
        f"{count(told.n_candidate)} {noun(told.n_candidate, 'install')} nothing speaks against "
        "it, and its ladder promotes then."
    )


def suspended(version: str, *, seen: int, entrants: int, expected: float, log_e: float) -> str:
    """Return the sentence of a sample-ratio mismatch."""
    return (
        f"Stopped judging {version}: {count(seen)} of {count(entrants)} entrants are candidates "
        f"where {count(expected)} were due (e-value {e_value(log_e)}). Something loses contacts "
        "in one arm; no number here can be trusted until it is found."
    )


def unequal(
    version: str, rule: str, *, seen: int, installs: int, expected: float, log_e: float
) -> str:
    """Return the sentence of a rule that sets reports of one arm aside more than of the other."""
    return (
        f"Stopped judging {version}: of {count(installs)} {noun(installs, 'install')} with reports "
        f'set aside as "{rule}", {count(seen)} are candidates where {_due(expected)} were due '
        f"(e-value {e_value(log_e)}). What sets reports aside must hit both arms alike; no number "
        "here can be trusted until it is found why it does not."
    )


def late(version: str, seconds: float) -> str:
    """Return the sentence of a suspension because what was received is taken in too late."""
    return (
        f"Stopped judging {version}: what installs sent is taken in {count(seconds)} s late. Old "
        "news is not good news, so nothing is promoted or pulled by it."
    )


def guard(
    version: str,
    in_ring: str,
    name: str,
    *,
    k: int,
    n: int,
    ceiling: float,
    has_control: bool,
    outcome_seconds: float = DAY,
) -> str:
    """Return the sentence of a stop line; *ceiling* is a share, or of failed starts a number.

    Outcomes are known after *outcome_seconds*; crashes count for a day of them at most.
    """
    did = _STOP_LINES[name].format(
        outcome=span(outcome_seconds), day=span(min(outcome_seconds, DAY))
    )
    limit = (
        f"at or above the limit of {count(ceiling)}"
        if name == "failed_starts"
        else (f"above the ceiling of {percent(ceiling)}")
    )
    compared = (
        "This is a stop line, not a comparison with the installs held back."
        if has_control
        else "There is no control group in this ring; this is a stop line, not a comparison."
    )
    return (
        f"Paused {version} at ring {ring(in_ring)}: {count(k)} of {count(n)} "
        f"{noun(n, 'install')} {did}, {limit}. {compared}"
    )


def history(
    version: str,
    in_ring: str,
    *,
    k: int,
    n: int,
    expected: float,
    log_e: float,
    needed: float,
    margin: int,
) -> str:
    """Return the sentence of more crashes than before, where nobody is held back.

    *k* of *n* installs crashed where *expected* were due.
    """
    return (
        f"Paused {version} at ring {ring(in_ring)}: {count(k)} of {count(n)} {noun(n, 'install')} "
        f"crashed for the first time, where {_due(expected)} were to be expected from the weeks "
        f"before it (alarm value {e_value(log_e)}, the alarm is at {e_value(needed)}). Nobody is "
        "held back in this ring: this is no comparison, and something else may have changed. "
        f"Undoing it takes at least {false_reports(margin)}."
    )


def funnel(
    version: str,
    in_ring: str,
    step: str,
    *,
    k: int,
    n: int,
    ceiling: float,
    log_e: float,
    needed: float,
) -> str:
    """Return the sentence of failed steps of the update, that control does not take."""
    return (
        f"Paused {version} at ring {ring(in_ring)}: {count(k)} of {count(n)} "
        f"{noun(n, 'install')} {_STOP_LINES[step]}, above the ceiling of {percent(ceiling)} "
        f"(e-value {e_value(log_e)}; this step pauses at {e_value(needed)}). Installs held back "
        "take no such step; this is a stop line, not a comparison."
    )


def held(told: Told, metric: str, platform: str, *, log_e: float, others: Sequence[str]) -> str:
    """Return the sentence of holding the one platform that carries the evidence."""
    return (
        f"Held {told.version} back on {platform} at ring {ring(told.ring)} after "
        f"{hours(told.hours)}: {_compared(told, metric)} on that platform (e-value "
        f"{e_value(log_e)}). Without it nothing speaks against {told.version} on {listed(others)}, "
        "where it goes on."
    )


def proposed_hold(platform: str) -> str:
    """Return what is added to a pause that one platform alone carries."""
    return f" All of it comes from {platform}: holding that platform would do instead."


def _due(expected: float) -> str:
    return count(expected) if expected >= _FEW else f"{expected:.1f}"


def _compared(told: Told, metric: str) -> str:
    is_silence = metric in (Metric.SILENCE, Metric.LATER_SILENCE)
    on = f" on {told.previous}" if told.previous and not is_silence else ""
    return (
        f"{count(told.k_candidate)} of {count(told.n_candidate)} "
        f"{noun(told.n_candidate, 'install')} offered it "
        f"{deed(metric, told.outcome_seconds).verb}"
        f"{',' if is_silence else ''} "
        f"against {count(told.k_control)} of {count(told.n_control)} held back{on}"
    )

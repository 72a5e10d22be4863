"""A rehearsal, printed for people."""

from __future__ import annotations

from math import floor

from rollout.model import Step
from update_server.cli.console import Console
from update_server.evidence.settings import HOUR
from update_server.rehearsal.accrual import STOP_LINE
from update_server.rehearsal.advice import OutOfReach
from update_server.rehearsal.course import Course, Leg
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import Harm
from update_server.rehearsal.outcome import Ending, Outcome
from update_server.rehearsal.power import POWER, Power
from update_server.rehearsal.trials import Trials, quantile
from update_server.rehearsal.whole import Rehearsal

_NEVER = "-"
_A_DAY_HOURS = 48


def tell(console: Console, rehearsal: Rehearsal, seed: int) -> None:
    """Print *rehearsal*, made from *seed*: formulas first, then trials, then one story."""
    console.print(fleet_line(rehearsal.fleet))
    _tell_power(console, rehearsal)
    _tell_gates(console, rehearsal)
    _tell_costs(console, rehearsal)
    if rehearsal.trials:
        _tell_trials(console, rehearsal.trials, seed)
    if rehearsal.story is not None:
        _tell_story(console, rehearsal, rehearsal.story)


def fleet_line(fleet: Fleet) -> str:
    """Return what is rehearsed with, in one line."""
    platforms = ", ".join(f"{name} {_percent(share)}" for name, share in fleet.platforms)
    return (
        f"{fleet.installs:,} installs ({platforms}; {fleet.internal} internal), "
        f"{_percent(fleet.aged_share)} of them known for long enough; a check-in about every "
        f"{fleet.median_gap_seconds / HOUR:.3g} h; {_percent(fleet.crash_a_day)} crash on a day"
    )


def harm_name(harm: Harm) -> str:
    """Return a release with *harm* in a few words."""
    if harm.bricked_share >= 1:
        return "bricks all"
    if harm.bricked_share > 0:
        return f"bricks {_percent(harm.bricked_share)}"
    return "nothing wrong" if harm.crash_ratio == 1 else f"{harm.crash_ratio:g}x crashes"


def ring_name(step: Step) -> str:
    """Return a step's ring, with its exposure where the ring's name does not say it."""
    if step.exposure_bp is None:
        return step.ring
    exposure = f"{step.exposure_bp / 100:g}%"
    return step.ring if step.ring == exposure else f"{step.ring} {exposure}"


def _tell_power(console: Console, rehearsal: Rehearsal) -> None:
    chance = _percent(POWER)
    console.print(f"\nWhat each ring finds by itself with a probability of {chance}")
    rows: list[tuple[str, ...]] = []
    for row in rehearsal.power:
        name = ring_name(rehearsal.plan.steps[row.position])
        # A soak of a day is the same row again.
        powers = {power.hours: power for power in (row.in_a_day, row.in_soak)}
        rows += [(name, *_power(power)) for power in powers.values()]
    heads = ("ring", "within", "candidates", "crashes", "bricked", "installs on it", "crashed")
    console.table(heads, rows)


def _power(power: Power) -> tuple[str, ...]:
    return (
        _span(power.hours),
        _count(power.candidates),
        _NEVER if power.crash_ratio is None else f"{power.crash_ratio:.3g}x",
        _NEVER if power.bricked_share is None else _percent(power.bricked_share),
        _count(power.exposed),
        _count(power.crashed),
    )


def _tell_gates(console: Console, rehearsal: Rehearsal) -> None:
    console.print("\nWhen each ring opens the next, with nothing wrong")
    legs = rehearsal.course.legs
    rows = [_gate(rehearsal.plan.steps[leg.position], leg) for leg in legs]
    console.table(("ring", "opens after", "takes", "may take", "in time", "least likely"), rows)
    done = rehearsal.course.completed_hours
    asked = rehearsal.course.asked_hours
    if done is not None:
        console.print(f"everybody has it after {_span(done)}")
    elif asked is not None:
        console.print(f"a person is asked after {_span(asked)}")
    for each in rehearsal.out_of_reach:
        console.print(_out_of_reach(rehearsal.plan.steps[each.position], each))


def _gate(step: Step, leg: Leg) -> tuple[str, ...]:
    least = min(leg.chances, key=lambda metric: leg.chances[metric]) if leg.chances else _NEVER
    return (
        ring_name(step),
        _span(leg.opened_hours),
        _NEVER if leg.hours is None else _span(leg.hours),
        _span(leg.patience_hours),
        _percent(floor(leg.chance * 100) / 100),
        least,
    )


def _out_of_reach(step: Step, each: OutOfReach) -> str:
    changes = "; or ".join(each.changes)
    help_ = f"in reach with {changes}" if changes else "no single change of the ladder would do"
    chance = _percent(floor(each.chance * 100) / 100)
    return f"out of reach: {each.metric} in {ring_name(step)} ({chance} in time); {help_}"


def _tell_costs(console: Console, rehearsal: Rehearsal) -> None:
    console.print("\nWhat a release costs until it is stopped, by formula")
    heads = ("release", "stopped after", "in ring", "by", "installs on it", "crashed", "everybody")
    console.table(heads, [_cost(each.harm, each.course) for each in rehearsal.costs])


def _cost(harm: Harm, course: Course) -> tuple[str, ...]:
    return (
        harm_name(harm),
        _end(course),
        course.stopped_in or _NEVER,
        (course.cause or _NEVER).removeprefix(STOP_LINE).replace("_", " "),
        _count(course.exposed),
        _count(course.crashed),
        _NEVER if course.completed_hours is None else _span(course.completed_hours),
    )


def _end(course: Course) -> str:
    if course.stopped_hours is not None:
        return _span(course.stopped_hours)
    return _NEVER if course.asked_hours is None else f"(asked, {_span(course.asked_hours)})"


def _tell_trials(console: Console, trials: tuple[Trials, ...], seed: int) -> None:
    runs, installs = trials[0].runs, trials[0].installs
    console.print(
        f"\nThe real judge over virtual installs: {runs} runs of {installs:,} each, seed {seed}"
    )
    rows = []
    for each in trials:
        median, p90 = quantile(each.hours, 0.5), quantile(each.hours, 0.9)
        rows.append(
            (
                harm_name(each.harm),
                f"{each.stopped} of {each.runs}",
                _NEVER if median is None else _span(median),
                _NEVER if p90 is None else _span(p90),
                f"{len(each.completed_hours)} of {each.runs}",
            )
        )
    console.table(("release", "stopped", "median", "90 %", "reached everybody"), rows)
    sound = next(each for each in trials if harm_name(each.harm) == "nothing wrong")
    console.print(
        f"false pauses: {sound.stopped} of {sound.runs}, "
        f"so at most {_percent(sound.stopped_at_most)} (95 % limit)"
    )
    console.print(f"\nFormula and simulation, both for {installs:,} installs; ! where they differ")
    compared = [
        (
            harm_name(each.harm),
            one.name,
            _NEVER if one.formula is None else _count(one.formula),
            _NEVER if one.simulation is None else _count(one.simulation),
            "!" if one.is_flagged else "",
        )
        for each in trials
        for one in each.compared()
        if one.formula is not None or one.simulation is not None
    ]
    console.table(("release", "", "formula", "simulation", ""), compared)


def _tell_story(console: Console, rehearsal: Rehearsal, story: Outcome) -> None:
    console.print(
        f"\nOne rollout of {rehearsal.story_installs:,} installs, {harm_name(rehearsal.story_harm)}"
    )
    for moment in story.moments:
        console.print(
            f"{_span(moment.hours):>7}  {moment.verdict:<8} {_count(moment.exposed)} installs on "
            f"it, {_count(moment.crashed)} crashed. {moment.sentence}"
        )
    waits = " ".join(story.waits_for) if story.ending is Ending.WAITING else ""
    console.print(f"{_span(story.hours):>7}  {story.ending}. {waits}".rstrip())


def _span(hours: float) -> str:
    return f"{hours:.0f} h" if hours < _A_DAY_HOURS else f"{hours / 24:.1f} d"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"

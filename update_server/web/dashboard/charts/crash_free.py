"""Crash-free installs of both arms over time, of each 100, with the interval of each arm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from update_server.web.dashboard.charts.frame import (
    FEW,
    Chart,
    Scale,
    Size,
    area,
    dot,
    drawing,
    is_finite,
    line,
    path,
    patterns,
    per_cent,
    rect,
    text,
    thinned,
)
from update_server.web.dashboard.charts.times import axis, is_instant, told
from update_server.web.dashboard.words import UNKNOWN, of

CANDIDATE, CONTROL = "candidate", "control"

_COLUMNS: Final = ("time", "arm", "crashed", "at risk", "crashed of these", "95 % interval")
# Where the axis may begin. An interval that is wider goes on below the chart.
_FLOORS: Final = (99.9, 99.8, 99.5, 99.0, 98.0, 95.0, 90.0, 80.0, 60.0, 0.0)
_LEFT, _RIGHT, _TOP, _BOTTOM, _LINE = 38, 102, 14, 24, 14
_TOO_FEW: Final = "too few to say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """How many of an arm's installs had crashed at an instant (Unix seconds).

    ``low`` to ``high`` is the interval of their share, 0 to 1. With another ``epoch`` counting
    began anew, and so does the line. ``of`` is 0 where nothing is known.
    """

    at: float
    crashed: int
    of: int
    low: float
    high: float
    epoch: int = 1

    @property
    def is_known(self) -> bool:
        """Whether there is anything to draw."""
        return self.of > 0 and 0 <= self.crashed <= self.of and is_finite(self.low, self.high)

    @property
    def free(self) -> float:
        """How many of each 100 did not crash."""
        return 100 - 100 * self.crashed / self.of


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened: a ring that opened, a pause."""

    at: float
    label: str


def crash_free(
    chart_id: str,
    candidate: Sequence[Crashed],
    control: Sequence[Crashed],
    *,
    marks: Sequence[Mark] = (),
    gaps: Sequence[tuple[float, float]] = (),
    size: Size = Size(),  # noqa: B008 - frozen
) -> Chart:
    """Draw the shares of both arms.

    Args:
        chart_id: Unique in the page.
        candidate: The points of the installs that are offered the release.
        control: Those of the installs that are held back.
        marks: What happened meanwhile.
        gaps: From when to when nothing was received; they are hatched.
        size: The box.
    """
    arms = {
        CONTROL: thinned(_in_order(control), size.points),
        CANDIDATE: thinned(_in_order(candidate), size.points),
    }
    times = [each.at for series in arms.values() for each in series]
    right, bottom = size.width - _RIGHT, size.height - _BOTTOM
    x = Scale(low=min(times, default=0.0), high=max(times, default=0.0), start=_LEFT, end=right)
    y = Scale(low=_floor(arms.values()), high=100.0, start=bottom, end=_TOP)
    parts = [patterns(chart_id, CANDIDATE, "gap")]
    if times:
        parts += _grid(x, y)
        parts += _unknown(chart_id, [*gaps, *_unheard(arms[CANDIDATE])], x, y)
        for mark in marks:
            parts += _mark(mark, x, y)
        for arm, series in arms.items():
            for run in _runs(series):
                parts += _run(chart_id, arm, run, x, y)
        parts += _legend(arms, x, y)
    else:
        parts.append(text(_LEFT, size.height / 2, "No install is counted yet."))
    return Chart(
        svg=drawing(
            "crash-free",
            chart_id,
            size,
            title="Crash-free installs of each 100, with 95 % intervals",
            desc=_said(arms),
            parts=parts,
        ),
        columns=_COLUMNS,
        rows=tuple(_rows(arms)),
    )


def _in_order(series: Iterable[Crashed]) -> list[Crashed]:
    return sorted((each for each in series if is_instant(each.at)), key=lambda each: each.at)


def _floor(arms: Iterable[Sequence[Crashed]]) -> float:
    """Return where the axis begins: below all shares, and the intervals as they are by now."""
    lowest = 100.0
    for series in arms:
        known = [each for each in series if each.is_known]
        ample = [each.free for each in known if each.of >= FEW]
        last = [100 - 100 * each.high for each in known[-1:]]
        lowest = min([lowest, *ample, *last])
    return next((each for each in _FLOORS if each < lowest), 0.0)


def _runs(series: Iterable[Crashed]) -> Iterator[list[Crashed]]:
    """Yield stretches of points that one line goes through."""
    run: list[Crashed] = []
    for each in series:
        if run and not (each.is_known and each.epoch == run[-1].epoch):
            yield run
            run = []
        if each.is_known:
            run.append(each)
    if run:
        yield run


def _run(chart_id: str, arm: str, run: Sequence[Crashed], x: Scale, y: Scale) -> list[str]:
    last = run[-1]
    here = x.at(last.at)
    upper = [(x.at(each.at), y.at(100 - 100 * each.low)) for each in run]
    lower = [(x.at(each.at), y.at(100 - 100 * each.high)) for each in run]
    parts = [line(here, upper[-1][1], here, lower[-1][1], f"whisker {arm}")]
    if len(run) > 1:
        hatch = f"{chart_id}-{CANDIDATE}" if arm == CANDIDATE else ""
        parts.append(area([*upper, *reversed(lower)], f"band {arm}", pattern=hatch))
    # With few installs only the interval says something.
    ample = [(x.at(each.at), y.at(each.free)) for each in run if each.of >= FEW]
    if len(ample) > 1:
        parts.append(path(ample, f"line {arm}"))
    return [*parts, dot(here, y.at(last.free), arm if last.of >= FEW else "few")]


def _grid(x: Scale, y: Scale) -> list[str]:
    middle = (y.low + y.high) / 2
    parts = axis(x, y.start)
    for value in (y.high, middle, y.low):
        here = y.at(value)
        parts.append(line(x.start, here, x.end, here, "grid"))
        parts.append(text(x.start - 4, here + 4, f"{value:.2f}".rstrip("0").rstrip("."), "end"))
    return parts


def _unheard(series: Sequence[Crashed]) -> list[tuple[float, float]]:
    """Return from which known point to which nothing is known."""
    known = [n for n, each in enumerate(series) if each.is_known]
    return [(series[a].at, series[b].at) for a, b in pairwise(known) if b - a > 1]


def _unknown(
    chart_id: str, gaps: Iterable[tuple[float, float]], x: Scale, y: Scale
) -> Iterator[str]:
    for began, ended in gaps:
        if is_finite(began, ended) and ended > x.low and began < x.high:
            yield rect(x.at(began), y.end, x.at(ended), y.start, "gap", pattern=f"{chart_id}-gap")


def _mark(mark: Mark, x: Scale, y: Scale) -> list[str]:
    if not x.low <= mark.at <= x.high:
        return []
    here = x.at(mark.at)
    room = x.end - here
    if room >= 5 * _LINE:
        return [line(here, y.end, here, y.start, "mark"), text(here + 2, 11, mark.label, room=room)]
    left = text(here - 2, 11, mark.label, "end", room=here - x.start)
    return [line(here, y.end, here, y.start, "mark"), left]


def _legend(arms: dict[str, list[Crashed]], x: Scale, y: Scale) -> list[str]:
    """Return the name and last number of each arm, beside its end and never above each other."""
    last = {arm: known[-1] for arm, s in arms.items() if (known := [e for e in s if e.is_known])}
    told_at: list[float] = []
    parts = []
    for arm, each in sorted(last.items(), key=lambda one: -one[1].free):
        here = min(max(y.at(each.free), _TOP + 8), y.start - 3 * _LINE)
        if told_at:
            here = max(here, told_at[-1] + 2 * _LINE + 2)
        told_at.append(here)
        number = f"{each.free:.2f}" if each.of >= FEW else _TOO_FEW
        parts.append(text(x.end + 8, here, arm, f"name {arm}", room=_RIGHT - 8))
        parts.append(text(x.end + 8, here + _LINE, number))
    return parts


def _said(arms: dict[str, list[Crashed]]) -> str:
    sentences = []
    for arm, series in reversed(arms.items()):
        known = [each for each in series if each.is_known]
        if not known:
            sentences.append(f"Of {arm} installs nothing is known.")
            continue
        last = known[-1]
        few = f": {_TOO_FEW}" if last.of < FEW else ""
        sentences.append(f"{of(last.crashed, last.of)} {arm} installs crashed{few}.")
    return " ".join(sentences)


def _rows(arms: dict[str, list[Crashed]]) -> Iterator[tuple[str, ...]]:
    in_time = [(each.at, arm, each) for arm, series in arms.items() for each in series]
    for at, arm, each in sorted(in_time, key=lambda row: row[:2]):
        if each.is_known:
            share = per_cent(each.crashed / each.of) if each.of >= FEW else _TOO_FEW
            between = f"{per_cent(each.low)} to {per_cent(each.high)}"
            yield told(at), arm, f"{each.crashed:,}", f"{each.of:,}", share, between
        else:
            yield told(at), arm, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN

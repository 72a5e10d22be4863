"""E-values against their limits on a log scale: bars as they are now, and lines over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Final

from update_server.web.dashboard.charts.frame import (
    Chart,
    Scale,
    Size,
    dot,
    drawing,
    is_finite,
    line,
    path,
    patterns,
    rect,
    text,
    thinned,
)
from update_server.web.dashboard.charts.times import axis, is_instant, told
from update_server.web.dashboard.words import UNKNOWN, evidence, visible

MOST_BARS: Final = 12
MOST_LINES: Final = 4

_LN_10: Final = log(10)
_BAR, _ROW = 10, 34
_LEFT, _RIGHT = 8, 16
_LABEL_HEIGHT = 13.0
_MOST_DECADES: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What speaks against the release by one metric: log e-value and limit, in nats.

    ``gate``: what of its gate is needed and there, in words; empty if it has none.
    """

    metric: str
    log_e: float | None
    needed: float
    weight: float
    advisory: bool = False
    gate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The log e-value of one metric at instants (Unix seconds); None where it is not known."""

    metric: str
    needed: float
    weight: float
    points: Sequence[tuple[float, float | None]]
    advisory: bool = False
    gate: str = ""


def e_bars(
    chart_id: str,
    metrics: Sequence[Weighed],
    *,
    size: Size = Size(height=0),  # noqa: B008 - frozen
) -> Chart:
    """Draw each metric's e-value as a bar from 1 on, and a stroke at its limit.

    The box is as high as the bars need, whatever *size* says. Metrics beyond the first
    ``MOST_BARS``, those nearest to their limits, stand in the table only.
    """
    known = sorted(metrics, key=lambda each: -_part(each.log_e, each.needed))
    drawn = known[:MOST_BARS]
    box = Size(width=size.width, height=max(1, len(drawn)) * _ROW + 22, points=size.points)
    reach = [1.0, *(_decades(value) for each in drawn for value in (each.needed, each.log_e))]
    x = Scale(low=0.0, high=ceil(max(reach)), start=_LEFT, end=size.width - _RIGHT)
    parts = [patterns(chart_id, "candidate", "gap"), *_decade_lines(x, box.height - 20)]
    for n, each in enumerate(drawn):
        parts += _bar(chart_id, each, x, n * _ROW)
    if not drawn:
        parts.append(text(_LEFT, 16, "Nothing is weighed yet."))
    return Chart(
        svg=drawing(
            "e-bars",
            chart_id,
            box,
            title="Evidence against the release: e-values and their limits, log scale",
            desc=_said((each.metric, each.log_e, each.needed) for each in drawn),
            parts=parts,
        ),
        columns=("metric", "e-value", "limit", "weight", "gate needs"),
        rows=tuple(
            (
                _named(each.metric, each.advisory),
                evidence(_drawn(each.log_e)),
                evidence(_drawn(each.needed)),
                f"{each.weight:.3g}",
                visible(each.gate) or UNKNOWN,
            )
            for each in known
        ),
    )


def e_lines(
    chart_id: str,
    lines: Sequence[Line],
    *,
    size: Size = Size(),  # noqa: B008 - frozen
) -> Chart:
    """Draw how near to its limit each metric's e-value has been, on a log scale.

    Each is drawn as a part of its own limit, which is the same line for all. Metrics beyond the
    ``MOST_LINES`` that came nearest stand in the table only.
    """
    kept = [(each, thinned(_in_order(each), size.points)) for each in lines]
    kept.sort(key=lambda one: -max((_part(e, one[0].needed) for _, e in one[1]), default=-1e9))
    drawn = kept[:MOST_LINES]
    times = [at for _, points in drawn for at, _ in points]
    bottom, right = size.height - 24, size.width - 86
    x = Scale(low=min(times, default=0.0), high=max(times, default=0.0), start=44, end=right)
    y = Scale(low=-4.0, high=_top(drawn), start=bottom, end=12.0)
    parts = _limit_grid(x, y) if times else [text(8, 24, "Nothing is weighed yet.")]
    ends: dict[int, float] = {}
    for n, (each, points) in enumerate(drawn):
        for run in _runs(points):
            through = [(x.at(at), y.at(_part(e, each.needed))) for at, e in run]
            parts.append(path(through, f"line s{n}") if len(run) > 1 else "")
            parts.append(dot(*through[-1], f"s{n}"))
            ends[n] = through[-1][1]
    names = [(end, drawn[n][0].metric, f"name s{n}") for n, end in ends.items()]
    parts += _names(names, right + 6, bottom)
    return Chart(
        svg=drawing(
            "e-lines",
            chart_id,
            size,
            title="Evidence against the release over time, as a part of each limit, log scale",
            desc=_said((each.metric, _last(points), each.needed) for each, points in drawn),
            parts=parts,
        ),
        columns=("time", "metric", "e-value", "limit", "weight", "gate needs"),
        rows=tuple(
            (
                told(at),
                _named(each.metric, each.advisory),
                evidence(_drawn(log_e)),
                evidence(_drawn(each.needed)),
                f"{each.weight:.3g}",
                visible(each.gate) or UNKNOWN,
            )
            for each, points in kept
            for at, log_e in points
        ),
    )


def _bar(chart_id: str, each: Weighed, x: Scale, top: float) -> list[str]:
    y, limit = top + 18, x.at(_decades(each.needed))
    heard = each.log_e is not None and is_finite(each.log_e)
    told_of = f"{evidence(_drawn(each.log_e))} of {evidence(_drawn(each.needed))}"
    room = x.end - x.start
    parts = [
        text(x.start, top + 13, _named(each.metric, each.advisory), room=room * 0.6),
        text(x.end, top + 13, told_of, "end", room=room * 0.4),
    ]
    if not heard:
        parts.append(rect(x.start, y, x.end, y + _BAR, "gap", pattern=f"{chart_id}-gap"))
    elif _part(each.log_e, each.needed) >= 0 and not each.advisory:
        parts.append(rect(x.start, y, x.at(_decades(each.log_e)), y + _BAR, "bar reached"))
    else:
        end, hatch = x.at(_decades(each.log_e)), f"{chart_id}-candidate"
        parts.append(rect(x.start, y, end, y + _BAR, "bar candidate", pattern=hatch))
    return [*parts, line(limit, y - 3, limit, y + _BAR + 3, "limit")]


def _decade_lines(x: Scale, bottom: float) -> Iterator[str]:
    step = max(1, ceil(x.high / 5))
    for decade in range(0, int(x.high) + 1, step):
        here = x.at(decade)
        yield line(here, 0, here, bottom, "grid")
        label = f"{10**decade:,}" if decade <= 3 else f"10^{decade}"  # noqa: PLR2004 - it is short
        yield text(here, bottom + 15, label, "end" if here > x.end - 20 else "")


def _limit_grid(x: Scale, y: Scale) -> list[str]:
    parts = axis(x, y.start)
    above = -_LABEL_HEIGHT
    for decade, label in ((0, "limit"), (-1, "1/10"), (-2, "1/100"), (-3, "1/1000")):
        here = y.at(decade)
        parts.append(line(x.start, here, x.end, here, "grid" if decade else "limit"))
        if here - above >= _LABEL_HEIGHT:  # far above the limit there is no room for all
            parts.append(text(x.start - 3, here + 4, label, "end"))
            above = here
    return parts


def _names(names: list[tuple[float, str, str]], x: float, bottom: float) -> Iterator[str]:
    """Yield the names beside the ends of their lines, none above another."""
    below = 12.0
    for n, (here, name, look) in enumerate(sorted(names)):
        highest = bottom - 14 * (len(names) - 1 - n)
        below = min(max(here + 4, below), highest)
        yield text(x, below, name, look, room=80)
        below += 14


def _in_order(each: Line) -> list[tuple[float, float | None]]:
    return sorted((one for one in each.points if is_instant(one[0])), key=lambda one: one[0])


def _runs(points: Iterable[tuple[float, float | None]]) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for at, log_e in points:
        if log_e is not None and is_finite(log_e):
            run.append((at, log_e))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _top(drawn: Iterable[tuple[Line, Sequence[tuple[float, float | None]]]]) -> float:
    highest = max((_part(e, one.needed) for one, points in drawn for _, e in points), default=0.0)
    return float(min(max(1, ceil(highest)), 12))


def _decades(value: float | None) -> float:
    """Return the power of ten of a value in nats; 0 where it is below 1, or none."""
    if value is None or not is_finite(value):
        return 0.0
    return min(max(0.0, value / _LN_10), _MOST_DECADES)


def _part(log_e: float | None, needed: float) -> float:
    """Return the power of ten by which an e-value is above its limit; far below if unknown."""
    if log_e is None or not is_finite(log_e, needed):
        return -1e9
    return min(max(-1e9, log_e / _LN_10 - needed / _LN_10), 1e9)


def _drawn(value: float | None) -> float | None:
    return value if value is not None and is_finite(value) else None


def _last(points: Sequence[tuple[float, float | None]]) -> float | None:
    return points[-1][1] if points else None


def _named(metric: str, advisory: bool) -> str:
    return f"{visible(metric)} (advisory)" if advisory else visible(metric)


def _said(told_of: Iterable[tuple[str, float | None, float]]) -> str:
    return " ".join(
        f"{metric}: {evidence(_drawn(log_e))} of {evidence(_drawn(needed))}."
        for metric, log_e, needed in told_of
    )

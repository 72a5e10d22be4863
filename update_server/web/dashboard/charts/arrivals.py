"""What arrived and how late it was taken in: two panels above each other, one for each scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from update_server.web.dashboard.charts.frame import (
    Chart,
    Scale,
    Size,
    columns,
    drawing,
    is_finite,
    line,
    path,
    patterns,
    rect,
    text,
)
from update_server.web.dashboard.charts.times import axis, is_instant, told
from update_server.web.dashboard.words import visible

_LEFT: Final = 44
_MOST: Final = 10**15
_HOUR: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What of one kind arrived in the step that began ``at``."""

    at: float
    kind: str
    events: int = 0
    rejected: int = 0
    late_seconds: float = 0.0


def arrivals(
    chart_id: str,
    steps: Sequence[Step],
    *,
    step_seconds: float,
    size: Size = Size(height=230),  # noqa: B008 - frozen
) -> Chart:
    """Draw the events of each step, of all kinds, and below how late the last of them was.

    Steps in which nothing arrived are hatched: whether there was nothing to tell, or it did not
    come through, nobody knows. Where there are more than ``size.points``, several are one.
    """
    known = [one for one in steps if is_instant(one.at)]
    wide = _width(known, step_seconds, size.points)
    sums = _merged(known, wide, by_kind=False)
    first, last = (sums[0].at, sums[-1].at + wide) if sums else (0.0, 0.0)
    x = Scale(low=first, high=last, start=_LEFT, end=size.width - 8)
    half = (size.height - 24) / 2
    most = max([1, *(max(one.events, one.rejected) for one in sums)])
    latest = max([1.0, *(one.late_seconds for one in sums)])
    y = Scale(low=0.0, high=float(min(most, _MOST)), start=half - 4, end=18)
    late = Scale(low=0.0, high=latest, start=2 * half, end=half + 22)
    parts = [patterns(chart_id, "candidate", "gap")]
    if sums:
        parts += _panel(f"events in {_words(wide)}", x, y, f"{most:,}")
        parts += _panel("seconds late at most", x, late, f"{latest:,.0f}")
        parts += axis(x, late.start)
        parts += _gaps(chart_id, sums, wide, x, (y, late))
        parts += _bars(chart_id, sums, wide, x, y)
        for run in _runs(sums, wide):
            parts.append(
                path([(x.at(s.at + wide / 2), late.at(s.late_seconds)) for s in run], "line late")
            )
    else:
        parts.append(text(8, 24, "Nothing arrived."))
    total, refused = sum(s.events for s in sums), sum(s.rejected for s in sums)
    return Chart(
        svg=drawing(
            "arrivals",
            chart_id,
            size,
            title="What arrived, and how late it was taken in",
            desc=f"{total:,} events were taken in, {refused:,} rejected; "
            f"{latest if sums else 0:,.0f} s late at most.",
            parts=parts,
        ),
        columns=("minute", "kind", "events", "rejected", "seconds late"),
        rows=tuple(
            (
                told(one.at),
                visible(one.kind),
                f"{one.events:,}",
                f"{one.rejected:,}",
                f"{one.late_seconds:,.1f}",
            )
            for one in _merged(known, wide, by_kind=True)
        ),
    )


def _width(steps: Sequence[Step], step_seconds: float, most: int) -> float:
    """Return how long a bar is: as many steps as make at most *most* of them."""
    wide = step_seconds if is_finite(step_seconds) and step_seconds >= 1 else 60.0
    if steps:
        span = max(one.at for one in steps) - min(one.at for one in steps)
        wide *= max(1.0, float(-(-(span / wide + 1) // max(1, most))))
    return wide


def _merged(steps: Sequence[Step], wide: float, *, by_kind: bool) -> list[Step]:
    """Return the steps of each stretch *wide* as one, or as one of each kind."""
    found: dict[tuple[float, str], list[Step]] = {}
    for one in steps:
        key = (one.at // wide * wide, one.kind if by_kind else "")
        found.setdefault(key, []).append(one)
    return [
        Step(
            at=at,
            kind=kind,
            events=sum(min(max(one.events, 0), _MOST) for one in some),
            rejected=sum(min(max(one.rejected, 0), _MOST) for one in some),
            late_seconds=max(
                [0.0, *(one.late_seconds for one in some if is_finite(one.late_seconds))]
            ),
        )
        for (at, kind), some in sorted(found.items(), key=lambda item: item[0])
    ]


def _runs(sums: Sequence[Step], wide: float) -> Iterator[list[Step]]:
    """Yield the steps, of which there are some, as stretches without a gap."""
    run: list[Step] = []
    for one in sums:
        if run and one.at - run[-1].at > 1.5 * wide:
            yield run
            run = []
        run.append(one)
    yield run


def _gaps(
    chart_id: str, sums: Sequence[Step], wide: float, x: Scale, panels: tuple[Scale, ...]
) -> Iterator[str]:
    runs = list(_runs(sums, wide))
    for before, after in pairwise(runs):
        began, ended = x.at(before[-1].at + wide), x.at(after[0].at)
        for y in panels:
            yield rect(began, y.end, ended, y.start, "gap", pattern=f"{chart_id}-gap")


def _bars(chart_id: str, sums: Sequence[Step], wide: float, x: Scale, y: Scale) -> Iterator[str]:
    """Yield what was taken in, and with a hatch in front of it, from the ground, what was not."""
    for look, pattern, counts in (
        ("bar control", "", [one.events for one in sums]),
        ("bar candidate", f"{chart_id}-candidate", [one.rejected for one in sums]),
    ):
        yield columns(
            y.start,
            (
                (x.at(one.at), x.at(one.at + wide), y.at(float(n)))
                for one, n in zip(sums, counts, strict=True)
                if n
            ),
            look,
            pattern=pattern,
        )


def _panel(name: str, x: Scale, y: Scale, most: str) -> list[str]:
    return [
        text(x.start, y.end - 6, name, room=x.end - x.start),
        line(x.start, y.start, x.end, y.start, "axis"),
        line(x.start, y.end, x.end, y.end, "grid"),
        text(x.start - 4, y.end + 5, most, "end", room=x.start),
        text(x.start - 4, y.start, "0", "end"),
    ]


def _words(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"

"""Which versions the installs ran that checked in on each day, as shares above each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from update_server.web.dashboard.charts.frame import (
    Chart,
    Scale,
    Size,
    area,
    drawing,
    line,
    patterns,
    rect,
    text,
    thinned,
)
from update_server.web.dashboard.charts.times import axis, day, is_instant
from update_server.web.dashboard.words import UNKNOWN, share, visible

MOST_VERSIONS: Final = 5
OTHERS: Final = "others"

_DAY: Final = 86_400.0
_MOST: Final = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Installs by version that checked in on the UTC day that began ``at``.

    None: nobody counted.
    """

    at: float
    installs: Mapping[str, int] | None


def versions(
    chart_id: str,
    days: Sequence[Day],
    *,
    size: Size = Size(),  # noqa: B008 - frozen
) -> Chart:
    """Draw the shares of the ``MOST_VERSIONS`` most common versions, and of all others together.

    A day that is left out or was not counted is hatched.
    """
    kept = thinned(
        sorted((one for one in days if is_instant(one.at)), key=lambda one: one.at), size.points
    )
    names = _names(kept)
    times = [one.at for one in kept]
    bottom, right = size.height - 24, size.width - 112
    x = Scale(low=min(times, default=0.0), high=max(times, default=0.0), start=26, end=right)
    y = Scale(low=0.0, high=100.0, start=bottom, end=10)
    parts = [patterns(chart_id, "gap")]
    if not any(one.installs for one in kept):
        parts.append(text(8, 24, "No day was counted yet."))
    else:
        parts += _grid(x, y)
        parts += _gaps(chart_id, kept, x, y)
        for run in _runs(kept):
            parts += _layers(run, names, x, y)
        parts += _legend(names, right + 8)
    return Chart(
        svg=drawing(
            "versions",
            chart_id,
            size,
            title="Versions of the installs that checked in on each day, of each 100",
            desc=_said(kept, names),
            parts=parts,
        ),
        columns=("day", "version", "installs", "share of those that checked in"),
        rows=tuple(row for one in kept for row in _rows(one, names)),
    )


def _names(days: Sequence[Day]) -> list[str]:
    """Return the most common versions, and at last all others if there are any."""
    total: Counter[str] = Counter()
    for one in days:
        total.update({name: min(max(n, 0), _MOST) for name, n in (one.installs or {}).items()})
    common = [name for name, _ in sorted(total.items(), key=lambda kv: (-kv[1], kv[0]))]
    told = [name for name in common if name != OTHERS][:MOST_VERSIONS]
    return told if len(told) == len(common) else [*told, OTHERS]


def _counts(one: Day, names: Sequence[str]) -> dict[str, int]:
    found = dict.fromkeys(names, 0)
    for name, n in (one.installs or {}).items():
        found[name if name in found else OTHERS] += min(max(n, 0), _MOST)
    return found


def _runs(days: Sequence[Day]) -> Iterator[list[Day]]:
    """Yield stretches of days that follow each other, and were counted."""
    run: list[Day] = []
    for one in days:
        if run and (not _is_counted(one) or one.at - run[-1].at > _step(days)):
            yield run
            run = []
        if _is_counted(one):
            run.append(one)
    if run:
        yield run


def _step(days: Sequence[Day]) -> float:
    """Return how far apart days are: more than one where many were thinned."""
    return max(_DAY, min((b.at - a.at for a, b in pairwise(days)), default=_DAY))


def _is_counted(one: Day) -> bool:
    return sum(max(n, 0) for n in (one.installs or {}).values()) > 0


def _gaps(chart_id: str, days: Sequence[Day], x: Scale, y: Scale) -> Iterator[str]:
    runs = list(_runs(days))
    edges = [x.low, *(at for run in runs for at in (run[0].at, run[-1].at)), x.high]
    for began, ended in zip(edges[::2], edges[1::2], strict=True):
        if ended > began:
            yield rect(x.at(began), y.end, x.at(ended), y.start, "gap", pattern=f"{chart_id}-gap")


def _layers(run: Sequence[Day], names: Sequence[str], x: Scale, y: Scale) -> Iterator[str]:
    below = [0.0] * len(run)
    counts = [_counts(one, names) for one in run]
    totals = [sum(each.values()) for each in counts]
    for n, name in enumerate(names):
        above = [
            low + 100 * each[name] / total
            for low, each, total in zip(below, counts, totals, strict=True)
        ]
        up = [(x.at(one.at), y.at(high)) for one, high in zip(run, above, strict=True)]
        back = [(x.at(one.at), y.at(low)) for one, low in zip(run, below, strict=True)]
        if len(run) == 1:  # a day alone is as wide as a day
            left, right = _day(x.at(run[0].at), x)
            up, back = (
                [(left, up[0][1]), (right, up[0][1])],
                [(left, back[0][1]), (right, back[0][1])],
            )
        yield area([*up, *reversed(back)], f"layer {_look(n, name)}")
        below = above


def _day(here: float, x: Scale) -> tuple[float, float]:
    """Return from where to where a day lies that is drawn at *here*."""
    wide = (x.end - x.start) / ((x.high - x.low) / _DAY + 1)
    left = max(x.start, here - wide / 2)
    return left, min(x.end, left + wide)


def _look(n: int, name: str) -> str:
    return "others" if name == OTHERS else f"v{n}"


def _grid(x: Scale, y: Scale) -> list[str]:
    parts = axis(x, y.start, most=4)
    for value in (0, 50, 100):
        parts.append(line(x.start - 3, y.at(value), x.start, y.at(value), "axis"))
        parts.append(text(x.start - 4, y.at(value) + 4, str(value), "end"))
    return parts


def _legend(names: Sequence[str], x: float) -> Iterator[str]:
    """Yield the names from the top layer down, as they lie."""
    for n, name in reversed(list(enumerate(names))):
        y = 12 + 18 * (len(names) - 1 - n)
        yield rect(x, y, x + 10, y + 10, f"layer {_look(n, name)}")
        yield text(x + 14, y + 10, name, room=88)


def _said(days: Sequence[Day], names: Sequence[str]) -> str:
    counted = [one for one in days if _is_counted(one)]
    if not counted:
        return "No day was counted yet."
    counts = _counts(counted[-1], names)
    told = ", ".join(f"{name} {n:,}" for name, n in counts.items() if n)
    return f"{day(counted[-1].at)}: {told} of {sum(counts.values()):,}."


def _rows(one: Day, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    if not _is_counted(one):
        yield day(one.at), UNKNOWN, UNKNOWN, UNKNOWN
        return
    counts = _counts(one, names)
    total = sum(counts.values())
    for name, n in counts.items():
        if n:
            yield day(one.at), visible(name), f"{n:,}", share(n, total)

"""How far the installs that are offered a release came with it."""

from __future__ import annotations

from collections.abc import Sequence

from update_server.web.dashboard.charts.frame import (
    Chart,
    Scale,
    Size,
    drawing,
    patterns,
    rect,
    text,
)
from update_server.web.dashboard.words import UNKNOWN, of, share, visible

_ROW, _BAR = 32, 10


def funnel(
    chart_id: str,
    steps: Sequence[tuple[str, int | None]],
    *,
    size: Size = Size(),  # noqa: B008 - frozen
) -> Chart:
    """Draw (step, installs) in order, each as a part of the first: the installs offered it.

    None is a step of which nothing was heard. The box is as high as the bars need.
    """
    box = Size(width=size.width, height=max(1, len(steps)) * _ROW + 4)
    offered = (steps[0][1] or 0) if steps else 0
    most = max((n for _, n in steps if n is not None), default=0)
    x = Scale(low=0.0, high=float(min(most, 10**15)), start=8, end=size.width - 8)
    parts = [patterns(chart_id, "candidate", "gap")]
    if not steps:
        parts.append(text(8, 16, "Nobody was offered it yet."))
    for n, (step, installs) in enumerate(steps):
        top = n * _ROW
        room = x.end - x.start
        parts.append(text(x.start, top + 13, step, room=room * 0.5))
        told = of(installs, offered) if n else f"{installs or 0:,}"
        parts.append(text(x.end, top + 13, told, "end", room=room * 0.5))
        parts.append(rect(x.start, top + 18, x.end, top + 18 + _BAR, "track"))
        if installs is None:
            hatch = f"{chart_id}-gap"
            parts.append(rect(x.start, top + 18, x.end, top + 18 + _BAR, "gap", pattern=hatch))
        else:
            end = x.at(float(min(max(installs, 0), 10**15)))
            hatch = f"{chart_id}-candidate"
            look = "bar candidate"
            parts.append(rect(x.start, top + 18, end, top + 18 + _BAR, look, pattern=hatch))
    return Chart(
        svg=drawing(
            "funnel",
            chart_id,
            box,
            title="How far the installs that are offered it came",
            desc=" ".join(f"{step}: {UNKNOWN if n is None else f'{n:,}'}." for step, n in steps),
            parts=parts,
        ),
        columns=("step", "candidate installs", "of the step before", "of those offered it"),
        rows=tuple(
            (
                visible(step),
                UNKNOWN if installs is None else f"{installs:,}",
                share(installs, steps[n - 1][1]) if n else UNKNOWN,
                share(installs, offered),
            )
            for n, (step, installs) in enumerate(steps)
        ),
    )

"""One crash signature hour by hour: candidates above the line, controls below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from update_server.web.dashboard.charts.frame import (
    Chart,
    Scale,
    Size,
    columns,
    drawing,
    line,
    patterns,
    thinned,
)
from update_server.web.dashboard.charts.times import is_instant, told
from update_server.web.dashboard.words import UNKNOWN

_HOUR = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """How many installs of each arm had it for the first time in an hour; None: not known."""

    at: float
    candidate: int | None
    control: int | None


def sparkline(
    chart_id: str,
    hours: Sequence[Hour],
    *,
    title: str,
    at_risk: tuple[int, int],
    size: Size = Size(width=160, height=32),  # noqa: B008 - frozen
) -> Chart:
    """Draw *hours*; those that are left out are hours without any.

    Args:
        chart_id: Unique in the page.
        hours: In any order.
        title: What the signature is called.
        at_risk: Installs at risk, of candidates and of controls.
        size: The box.
    """
    drawn = thinned(
        sorted((one for one in hours if is_instant(one.at)), key=lambda one: one.at), size.points
    )
    times = [one.at for one in drawn]
    most = max([1, *(n for one in drawn for n in (one.candidate, one.control) if n is not None)])
    middle = size.height / 2
    last = max(times, default=0.0)
    x = Scale(low=min(times, default=0.0), high=last + _HOUR, start=1, end=size.width - 1)
    up = Scale(low=0, high=float(min(most, 10**15)), start=middle, end=1)
    down = Scale(low=0, high=up.high, start=middle, end=size.height - 1)
    parts = [
        patterns(chart_id, "gap"),
        line(1, middle, size.width - 1, middle, "axis"),
    ]
    for arm, y, counts in (
        ("candidate", up, [one.candidate for one in drawn]),
        ("control", down, [one.control for one in drawn]),
    ):
        bars = [
            (x.at(one.at), x.at(one.at + _HOUR), y.at(float(min(n, 10**15))))
            for one, n in zip(drawn, counts, strict=True)
            if n is not None and n > 0
        ]
        parts.append(columns(middle, bars, f"bar {arm}"))
        unknown = [
            (x.at(one.at), x.at(one.at + _HOUR), y.end)
            for one, n in zip(drawn, counts, strict=True)
            if n is None
        ]
        parts.append(columns(middle, unknown, "gap", pattern=f"{chart_id}-gap"))
    candidates, controls = (
        sum(n for n in arm if n is not None)
        for arm in ([o.candidate for o in drawn], [o.control for o in drawn])
    )
    return Chart(
        svg=drawing(
            "sparkline",
            chart_id,
            size,
            title=f"{title}, by hour",
            desc=(
                f"{candidates:,} of {at_risk[0]:,} candidates above the line, "
                f"{controls:,} of {at_risk[1]:,} controls below it."
            ),
            parts=parts,
        ),
        columns=("hour", f"candidates of {at_risk[0]:,}", f"controls of {at_risk[1]:,}"),
        rows=tuple((told(one.at), _count(one.candidate), _count(one.control)) for one in drawn),
    )


def _count(n: int | None) -> str:
    return UNKNOWN if n is None else f"{n:,}"

"""The box that every chart is drawn in: elements, scales, patterns, and text that stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, isfinite
from typing import Final, TypeVar

from update_server.web.dashboard.words import visible

FEW: Final = 20
"""With fewer candidates than this no point is drawn as if it said something."""

MOST_POINTS: Final = 200

_CHARACTER: Final = 7.0  # about as wide as one is at the size that charts are written in
_NO_XML: Final = {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}
_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_Item = TypeVar("_Item")

_HATCHES: Final = {
    "candidate": "M0 6L6 0M-1 1L1 -1M5 7L7 5",
    "control": "M0 3H6",
    "gap": "M0 0L6 6M-1 5L1 7M5 -1L7 1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The box of a chart in its own units, of which a phone is 360 wide; pages scale it.

    ``points``: so many of a series are drawn at most.
    """

    width: int = 360
    height: int = 180
    points: int = MOST_POINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart as SVG text, and its twin: a table with the numbers that are drawn."""

    svg: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where values lie between two coordinates. What is outside lies at the nearer end."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the coordinate of *value*, which may be infinite."""
        inside = min(max(value, self.low), self.high)
        # Halves, for the difference of two large numbers may be none.
        span = self.high / 2 - self.low / 2
        part = (inside / 2 - self.low / 2) / span if span > 0 else 0.0
        return self.start + part * (self.end - self.start)


def drawing(
    name: str, chart_id: str, size: Size, *, title: str, desc: str, parts: Iterable[str]
) -> str:
    """Return the SVG of a chart that is called *name*. *chart_id* is unique in its page."""
    if not _ID.fullmatch(chart_id):
        raise ValueError(f"{chart_id!r} is no id of a chart")
    return (
        f'<svg class="chart {name}" role="img" viewBox="0 0 {size.width} {size.height}"'
        f' preserveAspectRatio="xMidYMid meet" aria-labelledby="{chart_id}-t {chart_id}-d">'
        f'<title id="{chart_id}-t">{shown(title)}</title>'
        f'<desc id="{chart_id}-d">{shown(desc)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def patterns(chart_id: str, *kinds: str) -> str:
    """Return the definition of patterns, each a hatch; *filled* names one of them."""
    hatches = (
        f'<pattern id="{chart_id}-{kind}" class="hatch {kind}" width="6" height="6"'
        f' patternUnits="userSpaceOnUse"><path d="{_HATCHES[kind]}"/></pattern>'
        for kind in kinds
    )
    return f"<defs>{''.join(hatches)}</defs>"


def rect(x: float, y: float, x2: float, y2: float, look: str, *, pattern: str = "") -> str:
    """Return a rectangle between two corners. *pattern* is the id of what it is filled with."""
    left, top, wide, high = min(x, x2), min(y, y2), abs(x2 - x), abs(y2 - y)
    fill = f' fill="url(#{pattern})"' if pattern else ""
    return (
        f'<rect class="{look}" x="{_c(left)}" y="{_c(top)}" width="{_c(wide)}" height="{_c(high)}"'
        f"{fill}/>"
    )


def columns(
    base: float, bars: Iterable[tuple[float, float, float]], look: str, *, pattern: str = ""
) -> str:
    """Return upright bars (left, right, top) on *base* as one shape; nothing if there are none."""
    shape = "".join(
        f"M{_c(left)} {_c(base)}V{_c(top)}H{_c(right)}V{_c(base)}Z" for left, right, top in bars
    )
    fill = f' fill="url(#{pattern})"' if pattern else ""
    return f'<path class="{look}" d="{shape}"{fill}/>' if shape else ""


def line(x: float, y: float, x2: float, y2: float, look: str) -> str:
    """Return a straight line."""
    return f'<path class="{look}" d="M{_c(x)} {_c(y)}L{_c(x2)} {_c(y2)}"/>'


def path(points: Sequence[tuple[float, float]], look: str) -> str:
    """Return a line through *points*."""
    return f'<path class="{look}" d="{_through(points)}"/>'


def area(points: Sequence[tuple[float, float]], look: str, *, pattern: str = "") -> str:
    """Return the area that *points* go around."""
    fill = f' fill="url(#{pattern})"' if pattern else ""
    return f'<path class="{look}" d="{_through(points)}Z"{fill}/>'


def dot(x: float, y: float, look: str) -> str:
    """Return a point."""
    return f'<circle class="{look}" cx="{_c(x)}" cy="{_c(y)}" r="3"/>'


def text(x: float, y: float, words: str, look: str = "", *, room: float = 0.0) -> str:
    """Return words, which end, or are in the middle, at *x* if *look* says ``end`` or ``mid``.

    Where they are longer than *room* they are cut.
    """
    most = max(2, int(room / _CHARACTER)) if room else len(words)
    kept = words if len(words) <= most else f"{words[: most - 1]}…"
    named = f' class="{look}"' if look else ""
    return f'<text{named} x="{_c(x)}" y="{_c(y)}">{shown(kept)}</text>'


def shown(told: str) -> str:
    """Return words as XML: in one line, and what could steer a reader as its code point."""
    one_line = " ".join(visible(told).splitlines())
    return escape(one_line.translate(_NO_XML), quote=True)


def thinned(items: Sequence[_Item], most: int) -> list[_Item]:
    """Return at most *most* of *items*, evenly, and always the last."""
    if len(items) <= most:
        return list(items)
    step = ceil(len(items) / max(1, most))
    return list(items[::-1][::step][::-1])


def is_finite(*values: float) -> bool:
    """Whether all *values* can be drawn."""
    return all(isfinite(each) for each in values)


def per_cent(part: float) -> str:
    """Return a share in per cent, for a column that stands beside both its numbers."""
    return f"{100 * part:.2f} %"


def _through(points: Sequence[tuple[float, float]]) -> str:
    first, *rest = (f"{_c(x)} {_c(y)}" for x, y in points)
    return f"M{first}{''.join(f'L{each}' for each in rest)}"


def _c(value: float) -> str:
    """Return a coordinate: one decimal, and no zero that says nothing."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")

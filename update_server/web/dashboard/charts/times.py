"""Instants on an axis: where the ticks stand, and what is written there. UTC, Unix seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil, isfinite
from typing import Final

from update_server.web.dashboard.charts.frame import Scale, line, text

_HOUR: Final = 3_600
_DAY: Final = 86_400
_STEPS: Final = (
    *(1, 5, 15),  # of a demonstration
    *(60 * n for n in (1, 5, 15, 30)),
    *(_HOUR * n for n in (1, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 28, 91, 182, 364)),
)
_END: Final = 253_402_300_800  # the year 10000
_MINUTE: Final = 60
_LABEL: Final = 22  # half of one's width
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def is_instant(at: float) -> bool:
    """Whether *at* is one that has a date."""
    return isfinite(at) and 0 <= at < _END


def told(at: float) -> str:
    """Return an instant for a table, to the second unless it is a whole minute."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def day(at: float) -> str:
    """Return the day of an instant for a table."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def axis(x: Scale, y: float, *, most: int = 5) -> list[str]:
    """Return an axis of time at height *y*: a line, at most *most* ticks, and their labels."""
    parts = [line(x.start, y, x.end, y, "axis")]
    if x.high - x.low < _MINUTE * most:  # labels with seconds are as wide as two
        most = (most + 1) // 2
    for at in _ticks(x.low, x.high, most):
        here = x.at(at)
        parts.append(line(here, y, here, y + 4, "axis"))
        if x.start + _LABEL <= here <= x.end - _LABEL:
            parts.append(text(here, y + 16, _label(at, x.high - x.low), "mid"))
    return parts


def _ticks(low: float, high: float, most: int) -> list[int]:
    step = next((each for each in _STEPS if (high - low) / each < most), 0)
    if not step:  # centuries
        return [ceil(low), int(high)]
    first = ceil(low / step)
    return [step * n for n in range(first, int(high // step) + 1)]


def _label(at: int, span: float) -> str:
    when = datetime.fromtimestamp(at, UTC)
    if at % _MINUTE:
        return f"{when:%H:%M:%S}"
    if at % _DAY or span <= _DAY:
        return f"{when:%H:%M}"
    return f"{when.day} {_MONTHS[when.month - 1]}"

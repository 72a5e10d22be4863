"""When the server may promote: windows of weekdays and hours, read and rendered."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from update_server.evidence.reading import Table, TermsError
from update_server.evidence.settings import Window

MAX_WINDOWS = 16

_MINUTES = 60
_WHOLE_DAY = (0, 24)
_FURTHEST_MINUTES = 14 * _MINUTES
_HOUR = re.compile(r"([01]?[0-9]|2[0-4]):00")
_OFFSET = re.compile(r"([+-])([01][0-9]):([0-5][0-9])")


class Day(StrEnum):
    """The weekdays, in the order of their numbers."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


def read_windows(table: Table) -> tuple[Window, ...]:
    """Return the windows in *table*; none means any time.

    Raises:
        TermsError: A value is wrong.
    """
    read = _written if table.written else _sent
    return tuple(read(each) for each in table.tables("windows", MAX_WINDOWS))


def render_window(window: Window) -> dict[str, Any]:
    """Return *window* as values that JSON has."""
    return {
        "weekdays": sorted(window.weekdays),
        "from_hour": window.from_hour,
        "to_hour": window.to_hour,
        "utc_offset_minutes": window.utc_offset_minutes,
    }


def _written(table: Table) -> Window:
    days = table.words("days", Day) if table.has("days") else list(Day)
    from_hour, to_hour = _hour(table, "from", 0), _hour(table, "to", 24)
    offset = _offset(table)
    table.end()
    _check(table, days, ("days", "from", "to"), (from_hour, to_hour))
    weekdays = frozenset(list(Day).index(day) for day in days)
    return Window(
        weekdays=weekdays, from_hour=from_hour, to_hour=to_hour, utc_offset_minutes=offset
    )


def _sent(table: Table) -> Window:
    weekdays = table.items("weekdays", len(Day)) if table.has("weekdays") else list(range(len(Day)))
    for index, day in enumerate(weekdays):
        if type(day) is not int or not 0 <= day < len(Day):
            raise TermsError((*table.path, "weekdays", index), "must be 0 (Monday) to 6")
    window = Window(
        weekdays=frozenset(weekdays),
        from_hour=table.whole("from_hour", 0, *_WHOLE_DAY),
        to_hour=table.whole("to_hour", 24, *_WHOLE_DAY),
        utc_offset_minutes=table.whole(
            "utc_offset_minutes", 0, -_FURTHEST_MINUTES, _FURTHEST_MINUTES
        ),
    )
    table.end()
    names = ("weekdays", "from_hour", "to_hour")
    _check(table, weekdays, names, (window.from_hour, window.to_hour))
    return window


def _check(
    table: Table, days: list[Any], names: tuple[str, str, str], hours: tuple[int, int]
) -> None:
    if not days:
        raise table.refuse(names[0], "is empty: such a window never opens")
    if hours[0] >= hours[1]:
        raise table.refuse(
            names[2], f"must be later than {names[1]}; over midnight, write two windows"
        )


def _hour(table: Table, name: str, default: int) -> int:
    if not table.has(name):
        return default
    value = table.raw(name)
    match = _HOUR.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise table.refuse(name, 'must be a full hour, "00:00" to "24:00"')
    return int(match[1])


def _offset(table: Table) -> int:
    text = table.text("timezone", "+00:00")
    match = _OFFSET.fullmatch(text)
    minutes = int(match[2]) * _MINUTES + int(match[3]) if match else _FURTHEST_MINUTES + 1
    if match is None or minutes > _FURTHEST_MINUTES:
        raise table.refuse("timezone", 'must be an offset from UTC, such as "+02:00", not a name')
    return -minutes if match[1] == "-" else minutes

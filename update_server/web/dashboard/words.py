"""Words of the pages: values of the API to text that people read. Jinja filters, all pure.

What is missing is said, never shown as 0; no share stands without both its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup, escape

MOST_CHARACTERS: Final = 256
"""Of one line of text that strangers wrote."""

UNKNOWN: Final = "\N{EN DASH}"

LATE_SECONDS: Final = 120
OLD_SECONDS: Final = 900

_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_FEW: Final = 2  # "90 s ago" says more than "2 min ago"
_PLAIN_BELOW: Final = 1_000_000
_LEAST: Final = 0.01

# A shape, a word and a class: nothing is said by colour alone.
STATES: Final[Mapping[str, tuple[str, str, str]]] = {
    "active": ("▲", "rolling out", "going"),
    "paused": ("■", "paused", "stopped"),
    "pulled": ("✕", "pulled", "ended"),
    "completed": ("✓", "completed", "good"),
    "superseded": (UNKNOWN, "superseded", "over"),
}
_NO_STATE: Final = ("?", "unknown", "over")


def count(value: float | None) -> str:
    """Return a whole number with commas, and what is not known as a dash."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def of(value: float | None, whole: float | None) -> str:
    """Return ``27 of 3,900``."""
    return f"{count(value)} of {count(whole)}"


def share(value: float | None, whole: float | None) -> str:
    """Return ``97.4 % (3,421 of 3,512)``: never a share without its numbers."""
    if value is None or not whole:
        return of(value, whole)
    return f"{100 * value / whole:.1f} % ({of(value, whole)})"


def ratio(value: float | None) -> str:
    """Return how many times as often, as far as its digits say something."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def exposure(basis_points: int | None) -> str:
    """Return basis points as per cent: a setting, no finding."""
    return UNKNOWN if basis_points is None else f"{basis_points / 100:g} %"


def evidence(log_e: float | None) -> str:
    """Return an e-value, told in nats, as people say it."""
    if log_e is None:
        return UNKNOWN
    decades = log_e / math.log(10)
    if decades >= math.log10(_PLAIN_BELOW):
        return f"10^{math.floor(decades)}"
    value = math.exp(log_e)
    if value < _LEAST:
        return f"below {_LEAST}"  # how much speaks for it is no number of this test
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004 - two digits are enough


def duration(seconds: float | None) -> str:
    """Return a length of time in its largest unit that still says something."""
    if seconds is None:
        return UNKNOWN
    seconds = max(0, round(seconds))
    for unit, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= _FEW * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def when(text: str | None, now: datetime) -> Markup:
    """Return an instant of the API (RFC 3339) in UTC, with how long ago it is beside."""
    if text is None:
        return escape(UNKNOWN)
    at = datetime.fromisoformat(text).astimezone(UTC)
    return Markup('<time datetime="{}">{}</time> <span class="ago">{}</span>').format(
        text, clock(at, now), ago(text, now)
    )


def at_time(text: str, now: datetime) -> Markup:
    """Return an instant of the API alone, for what is not read again with each second."""
    at = datetime.fromisoformat(text).astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(text, clock(at, now))


def clock(at: datetime, now: datetime) -> str:
    """Return the time of day, with the day where that is not today's."""
    shown = at.strftime("%H:%M:%S" if abs((now - at).total_seconds()) < _HOUR else "%H:%M")
    if at.date() == now.astimezone(UTC).date():
        return f"{shown} UTC"
    return f"{at.day} {at:%b} {shown} UTC" if at.year == now.year else f"{at:%Y-%m-%d} {shown} UTC"


def ago(text: str | None, now: datetime) -> str:
    """Return how long ago an instant of the API is, or in what time it will be."""
    if text is None:
        return UNKNOWN
    seconds = (now - datetime.fromisoformat(text)).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def freshness(text: str, now: datetime) -> str:
    """Return whether data of an instant are ``fresh``, ``late`` or ``old``."""
    seconds = (now - datetime.fromisoformat(text)).total_seconds()
    if seconds <= LATE_SECONDS:
        return "fresh"
    return "late" if seconds <= OLD_SECONDS else "old"


def state(word: str) -> Markup:
    """Return the state of a rollout as shape, word and class."""
    shape, said, kind = STATES.get(word, _NO_STATE)
    return Markup('<span class="state {}"><span aria-hidden="true">{}</span> {}</span>').format(
        kind, shape, said
    )


def visible(text: object) -> str:
    """Return text that strangers wrote, so that it can do no more than be read.

    Characters that show nothing, or that turn what stands beside them, become their code
    points; lines are cut. It is escaped by the template, like everything.
    """
    lines = str(text).splitlines() or [""]
    return "\n".join(_line(line) for line in lines)


def _line(line: str) -> str:
    cut = line[:MOST_CHARACTERS]
    shown = "".join(_character(each) for each in cut)
    more = len(line) - len(cut)
    return f"{shown} … {more:,} more characters" if more else shown


def _character(each: str) -> str:
    if each == "\t":
        return "    "
    return each if each.isprintable() else f"⟨U+{ord(each):04X}⟩"


def plain(value: Any) -> str:
    """Return text and numbers of an unknown value: what the audit log has before and after."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(one)}" for key, one in value.items()) or UNKNOWN
    if isinstance(value, list | tuple):
        return ", ".join(plain(one) for one in value) or UNKNOWN
    return UNKNOWN if value is None or value == "" else visible(value)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "count": count,
    "of": of,
    "share": share,
    "exposure": exposure,
    "ratio": ratio,
    "evidence": evidence,
    "duration": duration,
    "when": when,
    "at_time": at_time,
    "ago": ago,
    "freshness": freshness,
    "state": state,
    "visible": visible,
    "plain": plain,
}
"""What templates may call. ``when`` and ``ago`` take the page's ``now``."""

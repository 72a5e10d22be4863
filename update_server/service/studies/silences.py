"""How often installs are silent with no rollout about: windows as studies have them, all the time.

A window opens at a check-in of an install that is in none, and is as long as its usual gap says; a
sign of life in its later three quarters is a return. After a return a second window follows it, in
a stratum of its own: silence of those that came back before is rarer. Then the next check-in opens
a first one again. Both counts are made when a sign of life comes, so nobody has to look for who is
missing: a window whose return was never counted was a silent one.

The lengths are those of the published settings, and the time is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from update_server.evidence.baseline import LATER
from update_server.evidence.design import silence_window
from update_server.evidence.settings import DAY, STANDARD, Settings
from update_server.evidence.waiting import TOO_SOON
from update_server.service.ports.studies import History, Window, WindowsOfDay
from update_server.service.studies.histories import is_aged, usual_gap
from update_server.service.studies.stretch import Stretch

DAYS: Final = 14
"""How many days of windows a rollout is told of."""

_OURS: Final = Stretch(origin=0.0)


def measures_alike(settings: Settings) -> bool:
    """Whether a rollout's windows are as long as those that are counted here."""
    return (settings.speed, settings.silence_minimum_seconds, settings.silence_gaps) == (
        1.0,
        STANDARD.silence_minimum_seconds,
        STANDARD.silence_gaps,
    )


def opened(known: History, channel: str, at: float) -> tuple[Window | None, list[WindowsOfDay]]:
    """Return the window that a check-in at *at* opens, and what is to be counted.

    None for installs that no study would have in this metric, or that are not known for long.
    """
    stratum, seconds = silence_window(usual_gap(known, at, _OURS), STANDARD)
    if stratum < 0 or not is_aged(
        known,
        at,
        _OURS,
        minimum_age_seconds=STANDARD.minimum_age_seconds,
        minimum_check_ins=STANDARD.minimum_check_ins,
    ):
        return None, []
    window = Window(began_at=at, seconds=seconds, stratum=stratum)
    return window, [_counted(channel, window, windows=1)]


def after_sign(
    window: Window | None, channel: str, at: float
) -> tuple[Window | None, list[WindowsOfDay]]:
    """Return the window that an install is in after a sign of life at *at*, and what to count."""
    if window is not None and window.returned and at > window.ends_at:
        window = _next(window) if window.stratum < LATER else None
    if window is None or at > window.ends_at:
        return None, []
    if window.returned or at - window.began_at <= TOO_SOON * window.seconds:
        return window, []
    return replace(window, returned=True), list(_returned(channel, window))


def _returned(channel: str, window: Window) -> Iterator[WindowsOfDay]:
    yield _counted(channel, window, returned=1)
    if window.stratum < LATER:
        # It begins whatever comes, so it counts from now on.
        yield _counted(channel, _next(window), windows=1)


def _next(window: Window) -> Window:
    return Window(began_at=window.ends_at, seconds=window.seconds, stratum=window.stratum + LATER)


def _counted(channel: str, window: Window, *, windows: int = 0, returned: int = 0) -> WindowsOfDay:
    return WindowsOfDay(
        channel=channel,
        day=int(window.ends_at // DAY),
        stratum=window.stratum,
        windows=windows,
        returned=returned,
    )

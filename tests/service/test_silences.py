from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollout.model import Arm, RolloutId
from update_server.evidence.baseline import LATER
from update_server.evidence.design import silence_window
from update_server.evidence.settings import STANDARD, Settings
from update_server.service.ports import Contact, Event
from update_server.service.ports.studies import History
from update_server.service.studies.attribution import Attribution
from update_server.service.studies.histories import usual_gap
from update_server.service.studies.silences import measures_alike
from update_server.service.studies.stretch import Stretch

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = 3_600.0, 86_400.0
KEY = b"k" * 32
HOURLY, DAILY, WEEKLY, UNKNOWN = 0, 2, 3, 1  # strata


def a_check_in(seconds: float, key: bytes = KEY, **fields: Any) -> Contact:
    known: dict[str, Any] = {
        "app": "demo",
        "install_key": key,
        "at": T0 + timedelta(seconds=seconds),
        "channel": "stable",
        "platform": "linux-x86_64",
        "version": "2.0.0",
        "action": "stay",
        "reason": "in_ring",
        "rollout": RolloutId("ro_1"),
        "arm": Arm.CONTROL,
        "bucket": 17,
    }
    return Contact(**{**known, **fields})


def a_session(seconds: float, **fields: Any) -> Event:
    at = T0 + timedelta(seconds=seconds)
    known: dict[str, Any] = {
        "app": "demo",
        "install_key": KEY,
        "id": "00000000-0000-4000-8000-000000000001",
        "at": at,
        "received_at": at,
        "kind": "session",
        "version": "2.0.0",
        "channel": "stable",
        "body": {"status": "ok"},
    }
    return Event(**{**known, **fields})


def used(gap: float, *, at: float = 0.0, days: float = 30.0) -> History:
    """Return an install that has checked in each *gap* seconds until *at*."""
    now = T0.timestamp() + at
    seen = tuple(now - (11 - n) * gap for n in range(11))
    early = tuple(now - days * DAY + n * 60.0 for n in range(10))
    return History(first_at=now - days * DAY, check_ins=50, early=early, seen=seen)


def counted(*records: Contact | Event, known: History | None) -> dict[int, tuple[int, int]]:
    """Return windows and returns by stratum."""
    attribution = Attribution([], {} if known is None else {KEY: known})
    list(attribution.facts(records))
    sums: dict[int, tuple[int, int]] = {}
    for one in attribution.windows:
        windows, returned = sums.get(one.stratum, (0, 0))
        sums[one.stratum] = (windows + one.windows, returned + one.returned)
    return sums


def test_a_check_in_opens_a_window() -> None:
    assert counted(a_check_in(0), known=used(HOUR)) == {HOURLY: (1, 0)}
    assert counted(a_check_in(0), known=used(2 * DAY)) == {DAILY: (1, 0)}


def test_a_return_counts_and_a_later_window_follows() -> None:
    records = [a_check_in(0), a_check_in(5.9 * HOUR), a_check_in(7 * HOUR), a_check_in(9 * HOUR)]

    assert counted(*records, known=used(HOUR)) == {HOURLY: (1, 1), HOURLY + LATER: (1, 0)}


def test_what_comes_too_soon_or_too_late_is_no_return() -> None:
    known = used(HOUR)

    assert counted(a_check_in(0), a_check_in(6 * HOUR), known=known) == {HOURLY: (1, 0)}
    late = counted(a_check_in(0), a_check_in(24.1 * HOUR), known=known)
    assert late == {HOURLY: (2, 0)}  # it opens the next


def test_the_later_window_follows_the_first_without_a_gap() -> None:
    first = [a_check_in(0), a_check_in(23 * HOUR)]

    too_soon = counted(*first, a_check_in(29 * HOUR), known=used(HOUR))
    back = counted(*first, a_check_in(31 * HOUR), known=used(HOUR))
    gone = counted(*first, a_check_in(49 * HOUR), known=used(HOUR))

    assert too_soon == {HOURLY: (1, 1), HOURLY + LATER: (1, 0)}
    assert back == {HOURLY: (1, 1), HOURLY + LATER: (1, 1)}
    assert gone == {HOURLY: (2, 1), HOURLY + LATER: (1, 0)}


def test_after_two_windows_the_next_check_in_opens_a_first_one() -> None:
    records = [a_check_in(hours * HOUR) for hours in (0, 23, 47, 49)]

    assert counted(*records, known=used(HOUR)) == {HOURLY: (2, 1), HOURLY + LATER: (1, 1)}


def test_a_session_is_a_return_and_opens_nothing() -> None:
    known = used(HOUR)

    assert counted(a_session(0), known=known) == {}
    assert counted(a_session(0), known=None) == {}
    back: list[Contact | Event] = [a_check_in(0), a_session(7 * HOUR)]
    assert counted(*back, known=known) == {HOURLY: (1, 1), HOURLY + LATER: (1, 0)}
    assert counted(*back, a_session(8 * HOUR), known=known) == counted(*back, known=known)


@pytest.mark.parametrize(
    "fields", [{"channel": None}, {"body": {"status": "abnormal"}}, {"kind": "metric"}]
)
def test_what_is_no_sign_of_life_is_no_return(fields: dict[str, Any]) -> None:
    records: list[Contact | Event] = [a_check_in(0), a_session(7 * HOUR, **fields)]

    assert counted(*records, known=used(HOUR)) == {HOURLY: (1, 0)}


@pytest.mark.parametrize(
    "known",
    [None, used(HOUR, days=6), used(8 * DAY, days=90), History(first_at=T0.timestamp() - 30 * DAY)],
)
def test_installs_that_no_study_would_have_are_not_counted(known: History | None) -> None:
    assert counted(a_check_in(0), a_check_in(7 * HOUR), known=known) == {}


def test_windows_are_counted_where_and_when_they_end() -> None:
    attribution = Attribution([], {KEY: used(HOUR)})

    list(attribution.facts([a_check_in(HOUR, channel="beta"), a_check_in(20 * HOUR)]))

    today = int(T0.timestamp() // DAY)
    assert [(one.channel, one.day - today) for one in attribution.windows] == [
        ("beta", 1),
        ("stable", 1),
        ("stable", 2),
    ]


def test_what_is_counted_is_what_a_study_would_see() -> None:
    """Of 200 installs with absences now and then; the study opens on the 29th day."""
    chance = random.Random(7)
    contacts: list[Contact] = []
    for number in range(200):
        at = chance.random() * HOUR * 8
        while at < 45 * DAY:
            contacts.append(a_check_in(at, number.to_bytes(32)))
            away = chance.random() < 0.07
            at += chance.uniform(25, 90) * HOUR if away else chance.expovariate(1 / (5 * HOUR))
    contacts.sort(key=lambda contact: contact.at)

    attribution = Attribution([], {})
    list(attribution.facts(contacts))
    first = [one for one in attribution.windows if one.stratum in {HOURLY, UNKNOWN}]
    windows = sum(one.windows for one in first)
    predicted = 1 - sum(one.returned for one in first) / windows

    seen = Counter[bool]()
    for number in range(200):
        own = [c.at.timestamp() for c in contacts if c.install_key == number.to_bytes(32)]
        for opened in range(14, 43, 3):
            entered = next((at for at in own if at >= T0.timestamp() + opened * DAY), None)
            if entered is None or entered > T0.timestamp() + 43 * DAY:
                continue
            history = History(first_at=0, seen=tuple(at for at in own if at < entered)[-11:])
            stratum, window = silence_window(
                usual_gap(history, entered, Stretch(origin=0)), STANDARD
            )
            if stratum in {HOURLY, UNKNOWN}:
                seen[any(entered + window / 4 < at <= entered + window for at in own)] += 1

    share = seen[False] / seen.total()
    assert windows > 2_000
    assert 0.05 < share < 0.5
    assert predicted == pytest.approx(share, rel=0.15)


@pytest.mark.parametrize(
    ("settings", "alike"),
    [
        (STANDARD, True),
        (Settings(baseline_silence=0.3), True),
        (Settings(speed=60), False),
        (Settings(silence_minimum_seconds=HOUR), False),
        (Settings(silence_gaps=5), False),
    ],
)
def test_windows_of_another_length_say_nothing(settings: Settings, *, alike: bool) -> None:
    assert measures_alike(settings) is alike

"""What arrives, and clocks that are off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.store.values import a_contact, an_event
from update_server.service.ports import Contact, Event
from update_server.service.ports.arrivals import Arrived
from update_server.service.telemetry.arrivals import arrivals_of
from update_server.service.telemetry.drifts import Drifts, drift_class
from update_server.service.telemetry.notes import CLOCK_KIND, REJECTED_KIND, note_of

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


def found(*records: Contact | Event) -> list[tuple[str, str, int]]:
    return [(one.kind, one.code, one.events) for one in arrivals_of(records, NOON)]


def test_check_ins_events_and_what_is_set_aside_are_counted_apart() -> None:
    assert found(
        a_contact(at=NOON),
        an_event(received_at=NOON, kind="crash"),
        an_event(received_at=NOON, kind="crash"),
        an_event(received_at=NOON, kind="crash", quarantine="implausible"),
    ) == [("check_in", "", 1), ("crash", "", 2), ("crash", "implausible", 1)]


def test_notes_are_counted_by_what_they_say() -> None:
    assert found(
        note_of("demo", REJECTED_KIND, {"too_old": 3}, NOON),
        note_of("demo", REJECTED_KIND, {"too_old": 1, "bad_field": 2}, NOON),
        note_of("demo", CLOCK_KIND, {"-60": 4}, NOON),
        an_event(received_at=NOON, kind=REJECTED_KIND, body={}),
    ) == [("rejected", "too_old", 4), ("rejected", "bad_field", 2), ("clock", "-60", 4)]


def test_what_sdks_dropped_is_counted_by_reason() -> None:
    counts = [["queue_overflow", "error", 5], ["queue_overflow", "session", 1], ["other", "x", 2]]

    assert found(an_event(received_at=NOON, kind="discards", body={"counts": counts})) == [
        ("discards", "queue_overflow", 6),
        ("discards", "other", 2),
    ]


def test_minutes_are_those_of_the_receipt_and_the_oldest_tells_how_late_it_is() -> None:
    records = [
        an_event(received_at=NOON - timedelta(seconds=seconds), kind="crash")
        for seconds in (90, 75, 15, 5)
    ]

    assert arrivals_of(records, NOON) == [
        Arrived(
            app="demo",
            minute=NOON - timedelta(seconds=offset),
            kind="crash",
            events=2,
            late_seconds=late,
            last_at=NOON - timedelta(seconds=last),
        )
        for offset, late, last in ((120, 90.0, 75), (60, 15.0, 5))
    ]


def test_without_a_clock_nothing_is_late() -> None:
    (one,) = arrivals_of([a_contact(at=NOON)], None)

    assert one.late_seconds == 0


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (0, "0"),
        (1.9, "0"),
        (-1.9, "0"),
        (2, "2"),
        (-2, "-2"),
        (59.9, "10"),
        (3_600, "3600"),
        (-86_400 * 400, "-86400"),
    ],
)
def test_a_drift_is_told_by_its_edge_next_to_none(seconds: float, name: str) -> None:
    assert drift_class(seconds) == name


def test_drifts_are_given_out_by_app_when_their_minute_is_over() -> None:
    drifts = Drifts()
    drifts.add("demo", 0, NOON)
    drifts.add("other", 70, NOON)

    assert drifts.add("demo", 5, NOON + timedelta(seconds=59)) == {}
    assert drifts.add("demo", 0, NOON + timedelta(seconds=60)) == {"0": 1, "2": 1}
    assert drifts.add("demo", 0, NOON + timedelta(days=1)) == {"0": 1}
    assert drifts.add("other", 0, NOON + timedelta(days=1)) == {"60": 1}

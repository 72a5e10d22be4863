from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from rollout.model import Actor, RolloutState
from tests.public_world import a_rollout
from tests.store.values import a_contact, an_event
from update_server.service.ports import Contact, Event
from update_server.service.ports.counters import Counted
from update_server.service.telemetry.counting import counts_of, counts_of_pause, seconds_paused
from update_server.service.telemetry.notes import REJECTED_KIND

Key = tuple[str, tuple[tuple[str, str], ...]]


def counted(*records: Contact | Event) -> dict[Key, int]:
    return {(one.name, one.labels): one.by for one in counts_of(records)}


def a_note(**counts: int) -> Event:
    return of_kind(REJECTED_KIND, {"counts": counts})


def of_kind(kind: str, body: dict[str, Any] | None = None, **more: Any) -> Event:
    return an_event(kind=kind, phase=None, body=body or {}, **more)


def test_a_batch_is_folded_to_one_sum_a_key() -> None:
    contact = a_contact()

    (one,) = counts_of([contact] * 500)

    labels = (("action", contact.action), ("reason", contact.reason))
    assert one == Counted(app=contact.app, name="checkins", labels=labels, by=500)


def test_events_are_counted_by_kind() -> None:
    assert counted(of_kind("crash"), of_kind("session"), of_kind("crash")) == {
        ("events", (("kind", "crash"),)): 2,
        ("events", (("kind", "session"),)): 1,
    }


def test_what_was_not_taken_is_counted_by_reason_and_is_no_event() -> None:
    assert counted(a_note(too_old=3, bad_field=1), a_note(too_old=2)) == {
        ("telemetry_rejected", (("reason", "too_old"),)): 5,
        ("telemetry_rejected", (("reason", "bad_field"),)): 1,
    }


def test_what_is_set_aside_is_counted_as_an_event_too() -> None:
    assert counted(of_kind("crash", quarantine="unknown_version"), of_kind("crash")) == {
        ("events", (("kind", "crash"),)): 2,
        ("telemetry_quarantined", (("reason", "unknown_version"),)): 1,
    }


def test_what_sdks_dropped_is_counted_over_all_categories() -> None:
    told = {
        "counts": [
            ["ratelimit_backoff", "error", 19],
            ["ratelimit_backoff", "session", 1],
            ["sample_rate", "error", 2],
        ]
    }

    found = counted(of_kind("discards", told))

    assert found["sdk_discarded", (("reason", "ratelimit_backoff"),)] == 20
    assert found["sdk_discarded", (("reason", "sample_rate"),)] == 2
    assert found["events", (("kind", "discards"),)] == 1


def test_only_a_rollout_that_was_paused_adds_to_the_time_paused() -> None:
    paused = replace(a_rollout(), state=RolloutState.PAUSED, paused_by=Actor.AUTOMATIC)
    later = paused.changed_at + timedelta(seconds=90.9)
    resumed = replace(a_rollout(), changed_at=later)

    (counted,) = counts_of_pause(paused, resumed)

    assert counted.labels == (("by", "automatic"), ("channel", paused.channel))
    assert counted.by == 90
    assert counts_of_pause(resumed, paused) == []
    assert seconds_paused(resumed, later + timedelta(days=1)) == 0


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    paused = replace(a_rollout(), state=RolloutState.PAUSED, paused_by=Actor.PERSON)

    assert seconds_paused(paused, paused.changed_at - timedelta(hours=1)) == 0

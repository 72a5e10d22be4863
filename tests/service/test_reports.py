"""Whose a report is, which version it is about, and what of it is kept."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from tests.envelopes import (
    EVENT_ID,
    SID,
    a_dsn,
    a_dump,
    a_session,
    an_envelope,
    an_event,
    an_item,
)
from tests.public_world import (
    APP,
    CHANNEL,
    ELSEWHERE,
    HIGH_BUCKET,
    LOW_BUCKET,
    NOW,
    PLATFORM,
    World,
    a_world,
    empty_world,
)
from update_server.crashes.errors import MalformedEnvelopeError
from update_server.service.agents.pseudonyms import install_key, reporter_key
from update_server.service.crashes.limits import Kind
from update_server.service.crashes.reports import DumpForm, Taken
from update_server.service.errors import BadKeyError, NotReadyError
from update_server.service.ports import Event, UnavailableError
from update_server.service.ports.settings import AppSettings

APP_KEY = "0123456789abcdef" * 2
DUMP = b"MDMP" + bytes(60)


@pytest.fixture
def world() -> World:
    return a_world()


def open_to_all(world: World, **fields: Any) -> str:
    """Give the app a key of its own."""
    with world.database.transaction() as stores:
        stores.settings.put(APP, AppSettings(app_keys=(APP_KEY,), **fields))
        stores.apps.bump(APP)
    world.refresh()
    return APP_KEY


def take(world: World, *items: bytes, key: str | None = None, **header: Any) -> Taken:
    key = world.check_in().token if key is None else key
    return world.services.reports.take(
        1, key, an_envelope(*items, **header), address="198.51.100.7"
    )


def only(world: World) -> Event:
    (event,) = world.taken
    return event


def rejected(world: World) -> Counter[str]:
    """Return what was not taken, by reason."""
    counts: Counter[str] = Counter()
    for note in world.noted:
        counts.update(note.body["counts"])
    return counts


class TestKeys:
    def test_a_token_names_its_install_by_a_tag(self, world: World) -> None:
        take(world, an_event())

        key = install_key(world.tables.secrets.pepper, APP, LOW_BUCKET)
        assert only(world).install_key == key[:8]
        assert "reporter" not in only(world).body

    def test_the_key_in_the_envelope_counts_where_none_came_with_it(self, world: World) -> None:
        token = world.check_in().token
        body = an_envelope(a_session(), dsn=a_dsn(token))

        world.services.reports.take(1, None, body, address=None)

        assert only(world).kind == "session"

    @pytest.mark.parametrize(
        "key", [None, "", "A" * 58, "A" * 57, "x" * 10_000, APP_KEY, "\ud800", "é" * 58]
    )
    def test_whatever_is_no_key_opens_nothing(self, world: World, key: str | None) -> None:
        with pytest.raises(BadKeyError):
            world.services.reports.take(1, key, an_envelope(a_session()), address=None)
        assert world.taken == []
        assert rejected(world) == {"bad_token": 1}

    def test_the_key_of_one_project_does_not_open_another(self, world: World) -> None:
        token = world.check_in().token

        with pytest.raises(BadKeyError):
            world.services.reports.take(2, token, an_envelope(a_session()), address=None)

    def test_with_the_apps_key_an_install_is_known_by_its_id(self, world: World) -> None:
        key = open_to_all(world)

        take(world, an_event(user={"id": HIGH_BUCKET.upper()}), key=key.upper())

        assert only(world).install_key == install_key(world.tables.secrets.pepper, APP, HIGH_BUCKET)

    def test_with_the_apps_key_others_are_told_apart_and_known_by_nothing(
        self, world: World
    ) -> None:
        key = open_to_all(world)

        take(world, a_session(did="anna@example.org"), key=key)
        take(world, a_session(), key=key)

        told, untold = world.taken
        pepper = world.tables.secrets.pepper
        assert told.install_key == untold.install_key == b""
        assert told.body["reporter"] == reporter_key(pepper, APP, "anna@example.org").hex()
        assert "reporter" not in untold.body
        assert "anna" not in repr(world.taken)

    def test_with_a_token_what_the_app_calls_its_user_is_forgotten(self, world: World) -> None:
        take(world, an_event(user={"id": HIGH_BUCKET}))

        key = install_key(world.tables.secrets.pepper, APP, LOW_BUCKET)
        assert only(world).install_key == key[:8]
        assert HIGH_BUCKET not in repr(world.taken)

    def test_a_process_that_has_read_nothing_takes_nothing_in(self) -> None:
        with pytest.raises(NotReadyError):
            empty_world().services.reports.sender(1, "A" * 58)


class TestAttribution:
    def test_a_report_bears_what_the_token_says_of_its_install(self, world: World) -> None:
        take(world, an_event(release="demo@2.0.0+7"))

        event = only(world)
        assert (event.version, event.channel, event.platform) == ("2.0.0", CHANNEL, PLATFORM)
        assert (event.source, event.received_at, event.quarantine) == ("sdk", NOW, "")

    def test_a_crash_is_told_after_the_update_and_counts_for_the_version_before(
        self, world: World
    ) -> None:
        token = world.check_in(LOW_BUCKET).token  # runs 2.0.0, and is offered 2.1.0

        take(world, an_event(release="2.0.0"), an_event(release="2.1.0"), key=token)

        assert [(event.version, event.quarantine) for event in world.taken] == [
            ("2.0.0", ""),
            ("2.1.0", ""),
        ]

    def test_a_version_of_another_channel_is_set_aside(self, world: World) -> None:
        world.put_release_elsewhere()
        token = world.check_in(HIGH_BUCKET).token

        take(world, an_event(release=str(ELSEWHERE)), key=token)

        assert only(world).quarantine == "version_not_in_token"

    def test_a_control_that_was_updated_by_hand_may_tell_of_it(self, world: World) -> None:
        token = world.check_in(HIGH_BUCKET).token  # runs 2.0.0, and is offered nothing

        take(world, an_event(release="2.1.0"), key=token)

        assert only(world).quarantine == ""

    def test_an_unknown_version_is_set_aside(self, world: World) -> None:
        take(world, an_event(release="desk@nightly"), a_session(attrs={}))

        assert [event.quarantine for event in world.taken] == ["unknown_version"] * 2

    def test_what_comes_with_an_expired_token_is_set_aside(self, world: World) -> None:
        token = world.check_in().token
        world.advance(timedelta(days=121).total_seconds())

        take(world, a_session(timestamp=None), key=token)

        assert only(world).quarantine == "expired_token"

    def test_a_session_of_less_than_no_time_is_implausible(self, world: World) -> None:
        take(world, a_session(duration=-1))

        assert only(world).quarantine == "implausible"

    def test_an_sdk_may_begin_any_number_of_sessions(self, world: World) -> None:
        """Some begin one with each page; a release that loads more pages is not to be suspended."""
        token = world.check_in().token
        sids = [f"{number:032x}" for number in range(200)]
        take(world, *[a_session(sid=sid) for sid in sids[:100]], key=token)
        take(world, *[a_session(sid=sid) for sid in sids[100:]], key=token)
        world.advance(3_600)

        take(world, a_session(sid=sids[0]), a_session(sid="f" * 32), key=token)

        assert [event.quarantine for event in world.taken] == [""] * 202


class TestTimes:
    def test_how_far_clocks_are_off_is_noted_minute_by_minute(self, world: World) -> None:
        take(world, a_session(), sent_at="2026-11-22T03:05:00Z")
        world.advance(60)
        take(world, a_session(), sent_at="2026-11-22T03:05:00Z")

        (note,) = world.noted
        assert (note.kind, note.body) == ("clock", {"counts": {"60": 1}})

    def test_a_wrong_clock_is_corrected_by_when_it_sent(self, world: World) -> None:
        take(
            world,
            an_event(timestamp="2025-01-01T00:00:00Z"),
            a_session(timestamp="2025-01-01T00:00:00Z", started="2024-12-31T23:53:00Z"),
            sent_at="2025-01-01T01:00:00Z",
        )

        hour_ago = NOW - timedelta(hours=1)
        assert [event.at for event in world.taken] == [hour_ago, hour_ago]
        assert world.taken[1].body["started"] == "2026-11-22T02:00:00Z"

    def test_a_report_without_a_time_happened_when_it_came(self, world: World) -> None:
        take(world, an_event(timestamp=None), sent_at="2020-01-01T00:00:00Z")

        assert only(world).at == NOW

    def test_a_report_that_is_too_old_is_counted_and_not_taken(self, world: World) -> None:
        taken = take(world, an_event(timestamp="2026-10-01T00:00:00Z"))

        assert taken.id == EVENT_ID
        assert world.taken == []
        assert rejected(world) == {"too_old": 1}

    def test_a_session_began_at_most_five_days_ago(self, world: World) -> None:
        take(world, a_session(started="2026-01-01T00:00:00Z", duration=None))

        assert only(world).body["started"] == "2026-11-17T03:07:00Z"

    def test_a_session_of_a_wrong_clock_that_says_no_duration_began_nobody_knows_when(
        self, world: World
    ) -> None:
        take(world, a_session(duration=None), sent_at="2026-01-01T00:00:00Z")

        assert "started" not in only(world).body


class TestItems:
    def test_a_session_is_known_by_its_state(self, world: World) -> None:
        take(world, a_session(status="ok", duration=None), a_session(status="crashed", errors=1))

        assert [event.id for event in world.taken] == [f"{SID}:ok", f"{SID}:crashed"]
        assert world.taken[1].body == {
            "sid": SID,
            "status": "crashed",
            "said": "crashed",
            "errors": 1,
            "started": "2026-11-22T03:00:00Z",
            "duration_seconds": 420,
        }

    def test_what_the_app_handled_is_no_crash(self, world: World) -> None:
        handled = {"values": [{"type": "KeyError", "mechanism": {"handled": True}}]}

        take(world, an_event(exception=handled), an_event())

        assert [event.kind for event in world.taken] == ["error", "crash"]
        assert {event.id for event in world.taken} == {EVENT_ID}

    def test_messages_are_kept_if_the_app_says_so(self, world: World) -> None:
        token = world.check_in().token
        take(world, an_event(), key=token)
        open_to_all(world, crash_messages=True)
        take(world, an_event(), key=token)

        silent, told = (event.body["exception"] for event in world.taken)
        assert (silent, told) == (
            {"type": "ValueError"},
            {"type": "ValueError", "message": "no"},
        )

    def test_sums_of_sessions_are_known_by_their_bytes(self, world: World) -> None:
        counts = {"aggregates": [{"exited": 5, "errored": 1}], "attrs": {"release": "2.0.0"}}

        take(world, an_item("sessions", counts), an_item("sessions", counts), event_id=None)

        first, second = world.taken
        assert (first.kind, first.version) == ("sessions", "2.0.0")
        assert first.body == {"counts": {"exited": 5, "errored": 1}}
        assert first.id == second.id

    def test_what_the_sdk_dropped_is_about_no_version(self, world: World) -> None:
        told = {
            "discarded_events": [{"reason": "queue_overflow", "category": "error", "quantity": 3}]
        }

        first = take(world, an_item("client_report", told), event_id=None)
        take(world, an_item("client_report", told), event_id=None)

        event, again = world.taken
        assert first.id is None
        assert (event.kind, event.quarantine, event.version) == ("discards", "", "")
        assert event.body == {"counts": [["queue_overflow", "error", 3]]}
        assert event.id == again.id

    def test_what_is_not_taken_is_counted(self, world: World) -> None:
        take(world, an_item("transaction", {}), b"{]\n", an_item("x", b""), a_session())

        assert only(world).kind == "session"
        assert rejected(world) == {"item_transaction": 1, "item_bad": 1, "item_other": 1}

    def test_an_envelope_of_nothing_is_no_work_for_the_spool(self, world: World) -> None:
        world.spool.full = True

        assert take(world, event_id=None) == Taken(app=APP, id=None)

    def test_what_is_no_envelope_is_refused(self, world: World) -> None:
        token = world.check_in().token

        with pytest.raises(MalformedEnvelopeError):
            world.services.reports.take(1, token, b"\x00", address=None)

    def test_a_full_disk_acknowledges_nothing(self, world: World) -> None:
        token = world.check_in().token
        world.spool.full = True

        with pytest.raises(UnavailableError):
            take(world, a_session(), key=token)


class TestMinidumps:
    def test_an_attached_one_is_about_what_the_event_says(self, world: World) -> None:
        take(world, an_event(release="2.0.0"), a_dump(DUMP))

        event = world.taken[1]
        assert (event.kind, event.version, event.quarantine) == ("minidump", "2.0.0", "")
        assert world.dumps.kept[event.body["file"]] == DUMP
        assert event.body["event_id"] == EVENT_ID

    def test_one_that_comes_alone_is_about_no_version(self, world: World) -> None:
        take(world, a_dump(DUMP))

        assert (only(world).kind, only(world).quarantine) == ("minidump", "unknown_version")

    def test_a_form_says_which_version_it_is_of(self, world: World) -> None:
        sender = world.services.reports.sender(1, world.check_in().token)
        form = DumpForm(data=DUMP, releases=["37.2.0", "2.0.0"], said={"prod": "Electron"})

        taken = world.services.reports.take_dump(sender, form, address=None)

        assert only(world).id.startswith(taken.id or "-")
        assert only(world).version == "2.0.0"
        assert only(world).body == {"file": only(world).id, "prod": "Electron"}

    def test_bytes_that_are_none_are_counted(self, world: World) -> None:
        sender = world.services.reports.sender(1, world.check_in().token)

        world.services.reports.take_dump(sender, DumpForm(data=b"<html>"), address=None)
        take(world, an_event(), a_dump(b"no"))

        assert only(world).kind == "crash"
        assert rejected(world) == {"not_a_minidump": 2}
        assert world.dumps.kept == {}

    def test_without_room_for_it_the_crash_counts_and_the_session_too(self, world: World) -> None:
        world.dumps.full = True

        taken = take(world, an_event(), a_session(), a_dump(DUMP))

        assert [event.kind for event in world.taken] == ["crash", "session"]
        assert taken.shed == {Kind.ATTACHMENT}

    def test_without_room_for_one_that_comes_alone_its_mark_is_left(self, world: World) -> None:
        world.dumps.full = True
        sender = world.services.reports.sender(1, world.check_in().token)
        form = DumpForm(data=DUMP, releases=["2.0.0"])

        taken = world.services.reports.take_dump(sender, form, address=None)

        assert (only(world).kind, only(world).body) == ("crash", {})
        assert taken.shed == {Kind.ATTACHMENT}

    def test_an_old_one_is_not_even_kept(self, world: World) -> None:
        take(world, an_event(timestamp="2026-10-01T00:00:00Z"), a_dump(DUMP))

        assert world.dumps.kept == {}


class TestLimits:
    def test_a_storm_of_errors_leaves_marks_and_keeps_the_session(self, world: World) -> None:
        token = world.check_in().token
        storm = [
            take(world, an_event(), event_id=f"{number:032x}", key=token) for number in range(20)
        ]
        session = take(world, a_session(status="crashed"), key=token)

        crashes = [event for event in world.taken if event.kind == "crash"]
        assert len(crashes) == 20
        assert sum(bool(event.body) for event in crashes) == 10
        assert [taken.shed for taken in storm] == [frozenset()] * 10 + [{Kind.ERROR}] * 10
        assert session.shed == frozenset()
        assert world.taken[-1].body["status"] == "crashed"

    def test_a_minute_later_there_is_room_for_six(self, world: World) -> None:
        token = world.check_in().token
        for _ in range(20):
            take(world, an_event(), key=token)
        world.advance(60)

        later = [take(world, an_event(), key=token) for _ in range(7)]

        assert [bool(taken.shed) for taken in later] == [False] * 6 + [True]

    def test_a_minidump_that_is_shed_leaves_the_mark_of_a_crash(self, world: World) -> None:
        token = world.check_in().token
        sender = world.services.reports.sender(1, token)
        forms = [DumpForm(data=DUMP + bytes([number]), releases=["2.0.0"]) for number in range(3)]

        taken = [world.services.reports.take_dump(sender, form, address=None) for form in forms]

        assert [event.kind for event in world.taken] == ["minidump", "minidump", "crash"]
        assert world.taken[2].body == {}
        assert taken[2].shed == {Kind.ATTACHMENT}
        assert len(world.dumps.kept) == 2

    def test_of_one_crash_one_mark_is_enough(self, world: World) -> None:
        token = world.check_in().token
        for number in range(3):
            data = DUMP + bytes([number])
            take(world, an_event(), a_dump(data), event_id=f"{number:032x}", key=token)

        assert [event.kind for event in world.taken[-3:]] == ["crash", "minidump", "crash"]

    def test_more_sessions_than_can_be_are_dropped_and_counted(self, world: World) -> None:
        token = world.check_in().token
        sessions = [a_session(sid=f"{number:032x}") for number in range(100)]

        taken = [take(world, *sessions, key=token) for _ in range(3)]

        assert [one.shed for one in taken] == [frozenset(), frozenset(), {Kind.SESSION}]
        assert sum(event.kind == "session" for event in world.taken) == 200
        assert rejected(world) == {"limited": 100}

    def test_of_more_sessions_than_can_be_those_that_crashed_leave_marks(
        self, world: World
    ) -> None:
        token = world.check_in().token
        for first in (0, 100):
            take(world, *[a_session(sid=f"{first + n:032x}") for n in range(100)], key=token)

        take(world, a_session(sid=f"{200:032x}", status="crashed"), key=token)

        mark = world.taken[-1]
        assert (mark.kind, mark.id, mark.body) == ("crash", f"{200:032x}:crashed", {})

    def test_marks_end_where_nobody_can_mean_them(self, world: World) -> None:
        token = world.check_in().token
        for number in range(300):
            take(world, an_event(), event_id=f"{number:032x}", key=token)

        assert sum(event.kind == "crash" for event in world.taken) == 210
        assert rejected(world) == {"limited": 90}

    def test_one_install_takes_nothing_from_another(self, world: World) -> None:
        low, high = world.check_in(LOW_BUCKET).token, world.check_in(HIGH_BUCKET).token
        for _ in range(20):
            take(world, an_event(), key=low)

        assert take(world, an_event(), key=high).shed == frozenset()

    def test_who_has_no_name_shares_the_limit_of_its_network(self, world: World) -> None:
        key = open_to_all(world)
        for _ in range(11):
            taken = take(world, an_event(), key=key)

        assert taken.shed == {Kind.ERROR}

"""Sessions, counts of sessions, and what SDKs dropped themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crashes.envelopes import NOW, SID, a_session, discards, envelope, item, read
from tests.crashes.envelopes import session as told
from tests.crashes.envelopes import sessions as counted
from update_server.crashes.releases import version_told


def test_a_session_is_what_the_sdk_said() -> None:
    session = told(did="ada@example.com", duration=30.5, errors=2, status="crashed")

    assert (session.sid, session.status, session.said) == (SID, "crashed", "crashed")
    assert (session.release, session.user) == ("2.3.9", "ada@example.com")
    assert session.started == NOW - timedelta(seconds=60)
    assert session.at == NOW - timedelta(seconds=30)
    assert (session.duration_seconds, session.errors) == (30.5, 2)


def test_no_person_shows_when_a_session_is_printed() -> None:
    assert "ada" not in repr(told(did="ada@example.com"))


def test_a_sid_comes_with_or_without_dashes() -> None:
    assert told(sid="B5C5F2A0-6D7A-4E0D-9C1F-0A3B7E6D5C4B").sid == SID


@pytest.mark.parametrize("sid", [None, 7, "", "hunter2", "b5c5f2a0-6d7a4e0d-9c1f-0a3b7e6d5c4b"])
def test_a_session_without_a_sid_is_bad(sid: Any) -> None:
    assert read(envelope(item("session", a_session(sid=sid)))).skipped == {"bad": 1}


@pytest.mark.parametrize(
    ("said", "errors", "status"),
    [
        ("ok", 0, "ok"),
        ("ok", 1, "errored"),
        ("exited", 0, "exited"),
        ("exited", 3, "errored"),
        ("errored", 0, "errored"),
        ("crashed", 0, "crashed"),
        ("crashed", 5, "crashed"),
        ("abnormal", 5, "abnormal"),
        ("unhandled", 0, "errored"),
        ("degraded", 0, "errored"),
    ],
)
def test_words_of_sentry_become_ours(said: str, errors: int, status: str) -> None:
    session = told(status=said, errors=errors)

    assert (session.status, session.said) == (status, said)


@pytest.mark.parametrize("said", [None, 7, "", "Hunter2", "hunter2", "x" * 33, "ok\n", ["ok"]])
def test_a_word_that_could_say_anything_is_not_kept(said: Any) -> None:
    session = told(status=said)

    assert (session.status, session.said) == ("errored", "other")


def test_a_session_without_a_status_goes_on() -> None:
    without = {name: value for name, value in a_session().items() if name != "status"}

    (session,) = read(envelope(item("session", without))).items

    assert session == told(status="ok")


@pytest.mark.parametrize("errors", [None, -1, 1.5, True, "3", 2**31])
def test_errors_that_are_no_number_are_none(errors: Any) -> None:
    assert (told(errors=errors).errors, told(errors=errors).status) == (0, "exited")


NO_TIMES: list[Any] = [
    *(None, True, "", "hunter2", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1" * 41),
    *(-1, 1e300, 10**400, [], {}, "2026-13-01T00:00:00Z", "\ud800"),
]


@pytest.mark.parametrize(
    ("started", "clamped"),
    [
        ("2026-12-01T11:59:00Z", NOW - timedelta(minutes=1)),
        ("2026-12-01T11:59:00", NOW - timedelta(minutes=1)),
        ("2026-12-01T13:59:00.000000000+02:00", NOW - timedelta(minutes=1)),
        (NOW.timestamp() - 0.5, NOW - timedelta(seconds=0.5)),
        (0, NOW - timedelta(days=5)),
        ("1970-01-01T00:00:00+23:59", NOW - timedelta(days=5)),
        ("2026-11-26T11:59:59Z", NOW - timedelta(days=5)),
        ("2026-12-01T12:05:01Z", NOW + timedelta(minutes=5)),
        ("9998-12-31T23:59:59-23:59", NOW + timedelta(minutes=5)),
        (2.5e11, NOW + timedelta(minutes=5)),
        *((told, None) for told in NO_TIMES),
    ],
)
def test_a_start_is_brought_into_its_bounds(started: Any, clamped: datetime | None) -> None:
    assert told(started=started).started == clamped


def test_other_times_are_as_they_were_told() -> None:
    assert told(timestamp="2020-01-01T00:00:00Z").at == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [(0, 0.0), (-3, -3.0), (None, None), ("3", None), (False, None), (10**400, None)],
)
def test_a_duration_is_a_finite_number(duration: Any, seconds: float | None) -> None:
    assert told(duration=duration).duration_seconds == seconds


def test_an_endless_duration_is_none() -> None:
    data = envelope(item("session", a_session(duration=7))).replace(
        b'"duration": 7', b'"duration": 1e999'
    )

    assert read(data).items == (told(duration=None),)


@pytest.mark.parametrize("attrs", [None, [], "notes@2.3.9", {}, {"release": 7}])
def test_without_a_release_there_is_none(attrs: Any) -> None:
    assert told(attrs=attrs).release == ""


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("2.4.0", "2.4.0"),
        ("notes@2.4.0", "2.4.0"),
        ("com.example@notes@2.4.0+77", "2.4.0+77"),
        ("notes@2.4.0+build/7", "2.4.0"),
        (" notes@2.4.0-beta.1 ", "2.4.0b1"),
        ("2.4.0@", ""),
        ("notes", ""),
        ("9ec79c33ec9942ab", ""),
        ("ada@example.com", ""),
        ("x" * 251 + "@2.4.0", ""),
        (None, ""),
    ],
)
def test_a_release_is_the_version_in_its_name(release: Any, version: str) -> None:
    assert version_told(release) == version


@given(st.text())
def test_any_text_is_a_version_or_none(release: str) -> None:
    assert version_told(version_told(release)) == version_told(release)


# --- counts ------------------------------------------------------------------------------


def test_counts_are_added_up_by_words_of_ours() -> None:
    counts = counted(
        {"started": "2026-12-01T11:59:00Z", "exited": 3, "errored": 1},
        {
            "started": "2026-12-01T11:58:00Z",
            "did": "ada",
            "exited": 4,
            "unhandled": 2,
            "crashed": 1,
        },
        {"abnormal": 5, "hunter2": 6},
    )

    assert counts.counts == {"exited": 7, "errored": 3, "crashed": 1, "abnormal": 5}
    assert counts.release == "2.3.9"


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "3", None, 2**31, [], {}])
def test_what_is_no_count_is_none(count: Any) -> None:
    assert counted({"exited": count}).counts == {}


def test_counts_have_an_end() -> None:
    assert counted(*[{"exited": 2**31 - 1}] * 3).counts == {"exited": 2**31 - 1}


def test_a_hundred_buckets_are_read() -> None:
    assert counted(*[{"exited": 1}] * 101).counts == {"exited": 100}


@pytest.mark.parametrize("aggregates", [None, {}, "x", [7, None, []]])
def test_counts_without_buckets_are_empty(aggregates: Any) -> None:
    assert counted(aggregates=aggregates).counts == {}


def test_the_same_item_has_the_same_digest_and_no_other_has() -> None:
    one = counted({"exited": 1})

    assert one.digest == counted({"exited": 1}).digest
    assert one.digest != counted({"exited": 2}).digest


# --- discards ----------------------------------------------------------------------------


def test_discards_are_added_up_by_reason_and_category() -> None:
    found = discards(
        {"reason": "ratelimit_backoff", "category": "error", "quantity": 19},
        {"reason": "ratelimit_backoff", "category": "error", "quantity": 1},
        {"reason": "before_send", "category": "session", "quantity": 2},
    )

    assert found.counts == {("ratelimit_backoff", "error"): 20, ("before_send", "session"): 2}


@pytest.mark.parametrize("word", ["hunter2", None, 7, [], "errors"])
def test_words_that_sentry_has_not_are_not_kept(word: Any) -> None:
    found = discards({"reason": word, "category": word, "quantity": 1})

    assert found.counts == {("other", "other"): 1}


@pytest.mark.parametrize("told", [{"reason": "before_send"}, {"quantity": -1}, 7, None])
def test_what_has_no_quantity_is_no_discard(told: Any) -> None:
    assert discards(told).counts == {}


def test_discards_have_an_end() -> None:
    one = {"reason": "before_send", "category": "error", "quantity": 2**31 - 1}

    assert discards(one, one).counts == {("before_send", "error"): 1_000_000}

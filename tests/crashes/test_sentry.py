"""Envelopes: how they are taken apart, whatever is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crashes.envelopes import (
    EVENT_ID,
    NOW,
    SID,
    a_session,
    an_event,
    envelope,
    item,
    raw_item,
    read,
)
from update_server.crashes.documents import MAX_BRACKETS, MAX_BYTES, MAX_DEPTH
from update_server.crashes.envelope import SdkDump, SdkReport, SdkSession
from update_server.crashes.errors import MalformedEnvelopeError
from update_server.crashes.items import MAX_HEADER_BYTES, MAX_ITEMS
from update_server.crashes.sentry import MAX_EVENTS

SESSION = item("session", a_session())


def kinds(data: bytes) -> list[str]:
    return [type(each).__name__ for each in read(data).items]


# --- the header --------------------------------------------------------------------------


def test_a_header_may_be_empty() -> None:
    found = read(envelope(SESSION, header={}))

    assert (found.event_id, found.key, found.sent_at) == (None, None, None)
    assert [type(each) for each in found.items] == [SdkSession]


def test_a_header_tells_id_key_and_time() -> None:
    header = {
        "event_id": "9EC79C33-EC99-42AB-8353-589FCB2E04DC",
        "dsn": "https://abcDEF234:old@example.org/prefix/7",
        "sent_at": "2026-12-01T13:00:00+01:00",
    }

    found = read(envelope(header=header))

    assert (found.event_id, found.key, found.sent_at) == (EVENT_ID, "abcDEF234", NOW)


@pytest.mark.parametrize("dsn", [None, 7, "", "https://example.org/7", "https://a b@example.org/7"])
def test_what_is_no_dsn_has_no_key(dsn: Any) -> None:
    assert read(envelope(header={"dsn": dsn})).key is None


@pytest.mark.parametrize("event_id", [None, 7, "", "x" * 32, "9ec79c33", f"{EVENT_ID}0"])
def test_what_is_no_id_is_none(event_id: Any) -> None:
    assert read(envelope(header={"event_id": event_id})).event_id is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"[]",
        b"null\n",
        b"{",
        b'{"a":NaN}',
        b"\xef\xbb\xbf{}",
        b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"a":"' + b"x" * MAX_HEADER_BYTES + b'"}',
        b"MDMP\x93\xa7\x00\x00",
    ],
)
def test_without_a_header_there_is_no_envelope(data: bytes) -> None:
    with pytest.raises(MalformedEnvelopeError) as caught:
        read(data)

    assert caught.value.detail == "the first line is no JSON object, or too long"


# --- items -------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"\r\n"])
@pytest.mark.parametrize("length", [True, False])
def test_items_come_with_and_without_lengths(end: bytes, length: bool) -> None:
    payload = json.dumps(a_session()).encode()
    header = {"length": len(payload)} if length else {}
    one = raw_item("session", payload, **header)

    found = read(envelope(one, one, header={}) + end)

    assert [type(each) for each in found.items] == [SdkSession, SdkSession]
    assert not found.skipped


def test_json_of_several_lines_needs_its_length() -> None:
    pretty = json.dumps(a_session(), indent=1).encode()

    with_length = read(envelope(raw_item("session", pretty, length=len(pretty)), SESSION))
    without = read(envelope(raw_item("session", pretty), SESSION))

    assert [type(each) for each in with_length.items] == [SdkSession, SdkSession]
    assert [type(each) for each in without.items] == [SdkSession]
    assert without.skipped["bad"] > 0


LIES = [0, 1, 17, 10**3, 10**9, -1, 2**70, 1.5, True, "20", None, [], {}]


@pytest.mark.parametrize("length", LIES)
def test_a_wrong_length_takes_no_item_with_it(length: Any) -> None:
    lying = item("session", a_session(), length=length)

    assert kinds(envelope(lying, SESSION)) == ["SdkSession", "SdkSession"]


def test_a_length_over_all_that_follows_takes_no_item_with_it() -> None:
    lies = raw_item("session", b"{\n", length=len(SESSION) + 2)
    rest = b"".join(b"\n" + SESSION for _ in range(3))

    found = read(envelope(lies + rest))

    assert [type(each) for each in found.items] == [SdkSession] * 3
    assert found.skipped["bad"] == 1


def test_one_wrong_length_is_the_last_that_is_tried() -> None:
    pretty = json.dumps(a_session(), indent=1).encode()
    wrong = raw_item("session", b"{\n}}", length=4)

    found = read(envelope(wrong, raw_item("session", pretty, length=len(pretty)), SESSION))

    assert [type(each) for each in found.items] == [SdkSession]


@pytest.mark.parametrize(
    "bad",
    [
        b"nonsense",
        b"{}",
        b'{"type":7}',
        b'{"type":"session"}\n',
        b'{"type":"session"}\n{"sid":"7"}',
        b'{"type":"session"}\n{"sid":NaN}',
        b'{"type":"session"}\n{"sid":Infinity}',
        b'{"type":"session"}\n{"errors":' + b"9" * 5_000 + b"}",
        b'{"type":"session"}\n[1]',
        b'{"type":"event"}\n{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
        b'{"type":"event"}\n{"a":[' + b"[]," * MAX_BRACKETS + b"1]}",
        b'{"type":"event"}\n{"a":"' + b"x" * MAX_BYTES + b'"}',
        b'{"type":"x' + b"x" * MAX_HEADER_BYTES + b'"}',
    ],
    ids=lambda bad: bad[:30].decode(),
)
def test_a_bad_item_fails_no_other(bad: bytes) -> None:
    found = read(envelope(SESSION, bad, SESSION))

    assert [type(each) for each in found.items] == [SdkSession, SdkSession]
    assert found.skipped == {"bad": 1}


def test_depth_counts_brackets_and_not_what_texts_hold() -> None:
    deep = an_event(extra={"text": "[{" * 100 + '"\\', "more": "]"})

    assert kinds(envelope(item("event", deep), SESSION)) == ["SdkReport", "SdkSession"]


@pytest.mark.parametrize("tail", [b'"', b'"\\', b'\\"' + b"[" * 9_999, b"[" * 99, b"]" * 99])
def test_broken_texts_are_bad_items(tail: bytes) -> None:
    broken = raw_item("event", b'{"a":[' + tail)

    assert read(envelope(broken, SESSION)).skipped == {"bad": 1}


def test_a_text_that_is_no_utf8_is_no_loss() -> None:
    broken = json.dumps(a_session(status="ex")).encode().replace(b'"ex"', b'"ex\xff\xfe"')

    (found,) = read(envelope(raw_item("session", broken))).items

    assert isinstance(found, SdkSession)
    assert (found.sid, found.said) == (SID, "other")


def test_after_a_hundred_items_the_rest_is_unread() -> None:
    found = read(envelope(*[SESSION] * (MAX_ITEMS + 5)))

    assert len(found.items) == MAX_ITEMS
    assert found.skipped == {"bad": 1}


def test_a_hundred_items_are_taken() -> None:
    assert read(envelope(*[SESSION] * MAX_ITEMS)).skipped == {}


def test_types_that_are_not_taken_are_counted_by_name_if_sentry_has_them() -> None:
    items = [item(kind, {}) for kind in ("transaction", "span", "span", "hunter2", "event.x")]

    found = read(envelope(*items, SESSION))

    assert found.skipped == {"transaction": 1, "span": 2, "other": 2}
    assert [type(each) for each in found.items] == [SdkSession]


# --- minidumps ---------------------------------------------------------------------------

DUMP = b"MDMP\n{}\n\x00\xff\n{binary"


def test_a_dump_is_taken_as_it_came() -> None:
    dump = raw_item("attachment", DUMP, attachment_type="event.minidump", length=len(DUMP))

    first, second = read(envelope(dump, SESSION)).items

    assert isinstance(first, SdkDump)
    assert first.data == DUMP
    assert isinstance(second, SdkSession)


@pytest.mark.parametrize("length", [None, 3, len(DUMP) + 1])
def test_a_dump_with_a_wrong_length_ends_with_its_line(length: int | None) -> None:
    dump = raw_item("attachment", DUMP, attachment_type="event.minidump", length=length)

    found = read(envelope(dump, SESSION))

    assert isinstance(found.items[0], SdkDump)
    assert found.items[0].data == b"MDMP"
    assert isinstance(found.items[-1], SdkSession)


def test_a_dump_at_the_end_may_be_empty() -> None:
    last = json.dumps({"type": "attachment", "attachment_type": "event.minidump"}).encode()

    assert read(envelope(last)).items == (SdkDump(data=b""),)


def test_other_attachments_are_dropped() -> None:
    log = raw_item("attachment", b"secret\nlog", attachment_type="event.attachment", length=10)

    assert read(envelope(log, SESSION)).skipped == {"attachment": 1}


# --- ids ---------------------------------------------------------------------------------


def test_events_and_dumps_need_an_id_and_nothing_else_does() -> None:
    dump = raw_item("attachment", b"MDMP", attachment_type="event.minidump")

    found = read(envelope(item("event", an_event()), dump, SESSION, header={}))

    assert [type(each) for each in found.items] == [SdkSession]
    assert found.skipped == {"bad": 2}


@pytest.mark.parametrize("header", [{}, {"event_id": "nonsense"}])
def test_an_event_may_bring_its_id_itself(header: dict[str, str]) -> None:
    event = an_event(event_id="9ec79c33-ec99-42ab-8353-589fcb2e04dc")

    (found,) = read(envelope(item("event", event), header=header)).items

    assert isinstance(found, SdkReport)
    assert found.id == EVENT_ID


def test_the_envelopes_id_goes_before_the_events() -> None:
    (found,) = read(envelope(item("event", an_event(event_id="f" * 32)))).items

    assert isinstance(found, SdkReport)
    assert found.id == EVENT_ID


def test_more_events_than_a_few_are_counted_only() -> None:
    found = read(envelope(*[item("event", an_event())] * (MAX_EVENTS + 2), SESSION))

    assert len(found.items) == MAX_EVENTS + 1
    assert found.skipped == {"event": 2}


# --- any input ---------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@pytest.mark.no_cover
@given(st.binary(max_size=400))
def test_any_bytes_are_an_envelope_or_named_malformed(data: bytes) -> None:
    try:
        read(data)
    except MalformedEnvelopeError:
        assert not data.startswith(b"{}\n")


@pytest.mark.no_cover
@given(
    st.sampled_from(["event", "session", "sessions", "client_report", "attachment"]),
    st.dictionaries(
        st.sampled_from([*an_event(), *a_session(), "user", "tags", "contexts", "threads"]),
        values,
    ),
)
def test_whatever_fields_hold_an_item_is_taken_or_counted(kind: str, fields: Any) -> None:
    document = json.dumps(fields).replace("NaN", "1").replace("Infinity", "1")

    found = read(envelope(raw_item(kind, document.encode()), SESSION))

    assert len(found.items) + sum(found.skipped.values()) == 2

"""Whatever an envelope says, reading it ends soon, in little memory, and in one error at most.

``SERINUS_FULL=1`` tries all of the 20,000 mutated envelopes, else a sample.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from tests.crashes.envelope_mutations import everything, originals, peak_bytes, try_all
from tests.crashes.envelopes import (
    a_frame,
    a_session,
    an_event,
    an_exception,
    envelope,
    item,
    raw_item,
    read,
)
from update_server.crashes import documents, sdk_events
from update_server.crashes.documents import MAX_BYTES
from update_server.crashes.sdk_sessions import id_of

MIB = 1 << 20
MAX_PEAK_BYTES = 48 * MIB
MAX_SECONDS = 1.0
MUTATED = 20_000 if os.environ.get("SERINUS_FULL") == "1" else 4_000


def test_mutated_envelopes_are_read_or_refused() -> None:
    counts = try_all(MUTATED, seed=1)

    assert not counts.others
    assert counts.read + counts.refused == MUTATED
    assert min(counts.read, counts.refused) > MUTATED // 10  # neither is the rule
    assert counts.items > MUTATED // 4
    assert counts.slowest_seconds < MAX_SECONDS


def test_a_reader_that_trusts_a_type_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk_events, "mapping_of", lambda value: value)

    assert try_all(2_000, seed=1).others


def test_a_reader_that_does_not_bound_depth_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_check_depth", lambda _: None)

    assert any(isinstance(error, RecursionError) for error in try_all(2_000, seed=1).others)


def of_size(pattern: str, size: int = MAX_BYTES) -> bytes:
    """Return a document of nearly *size* bytes that repeats *pattern* in a list."""
    times = (size - 20) // (len(pattern) + 1)
    return b'{"a":[' + (pattern + ",").encode() * (times - 1) + pattern.encode() + b"]}"


HEAVY = ["0", "1e9", "12345.5", '""', '"abc"', '"\\u00e9"', "[]", "{}", '{"":0}', '{"a":{"b":[1]}}']


@pytest.mark.parametrize("pattern", HEAVY)
def test_json_takes_bounded_memory(pattern: str) -> None:
    assert peak_bytes(envelope(raw_item("event", of_size(pattern)))) < MAX_PEAK_BYTES


def test_mutated_envelopes_take_little_memory() -> None:
    for data in originals():
        assert peak_bytes(data) < MIB
        assert peak_bytes(data.replace(b": ", b": [[[") * 3) < MIB


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_json_of_depth_10_000_is_a_bad_item(opening: bytes) -> None:
    deep = b'{"extra":' + opening * 10_000

    data = envelope(raw_item("event", deep), item("session", a_session()))

    assert read(data).skipped == {"bad": 1}
    assert len(read(data).items) == 1
    assert peak_bytes(data) < MIB


def the_slowest() -> dict[str, bytes]:
    """Return envelopes of 8 MiB that take the longest of all that were thought of."""
    frames = [a_frame("a-" * 128, module="1." * 128, filename="/" + "b@" * 127) for _ in range(64)]
    event = an_event(
        *[an_exception(type="password" * 99, value="password " * 200)] * 15,
        an_exception(*frames),
        threads=[{"crashed": True, "stacktrace": {"frames": frames}}],
        platform="native",
    )
    name = "auth" * 60
    many = [a_frame(name, module=name, filename="/" + name, package="/" + name)] * 250
    loaded = [{"image_addr": hex(n << 12), "code_file": "/" + name} for n in range(1_000)]
    named = an_event(
        *[an_exception(type=name, value="auth" * 128)] * 15,
        an_exception(*many),
        threads=[{"crashed": True, "stacktrace": {"frames": many}}],
        debug_meta={"images": loaded},
        fingerprint=["auth" * 128] * 16,
        platform="native",
    )
    lies = b"".join(b'{"type":"event","length":%d}\n{\n' % (8 * MIB - 40 * n) for n in range(1_000))
    return {
        "blank lines": b"{}" + b"\n" * 8 * MIB,
        "objects that are none": b"{}" + b"\n{" * 4 * MIB,
        "brackets": envelope(*[raw_item("event", of_size("[]"))] * 8),
        "escapes": envelope(*[raw_item("event", of_size('"' + "\\\\" * 500 + '"'))] * 8),
        "open quotes": envelope(*[raw_item("event", b'{"a":"' + b"\\" * (MIB - 9))] * 8),
        "lengths": b"{}\n" + lies + b" " * 7 * MIB,
        "texts": envelope(*[item("event", event)] * 8),
        "names": envelope(*[item("event", named)] * 8),
        "sessions": envelope(*[item("session", {**a_session(), "x": "y" * 80_000})] * 100),
    }


@pytest.mark.no_cover
@pytest.mark.parametrize("name", the_slowest())
def test_no_envelope_takes_long(name: str) -> None:
    data = the_slowest()[name]
    assert len(data) <= 9 * MIB

    began = time.process_time()
    read(data, messages=True)

    assert time.process_time() - began < 2


def test_the_same_bytes_are_the_same_envelope() -> None:
    assert read(everything()) == read(everything())


@pytest.mark.parametrize("told", [None, 7, "", [], {}, "\ud800" * 32, "9" * 10**6])
def test_an_id_is_hexadecimal_or_none(told: Any) -> None:
    assert id_of(told) == ""
    assert json.dumps(told)

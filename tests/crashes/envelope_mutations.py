"""Envelopes that were damaged on purpose, from a seed."""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from update_server.crashes.envelope import Envelope, SdkReport
from update_server.crashes.errors import MalformedEnvelopeError
from update_server.crashes.own_events import report_of
from update_server.crashes.signature import signature_of

CAPTURES = Path(__file__).parents[1] / "intake" / "captures"
"""What real SDKs sent, request by request."""

NASTY: Sequence[bytes] = (
    *(b"NaN", b"Infinity", b"-1", b"1e999", b"9" * 5_000, b"null", b"true", b"[]", b"{}", b'""'),
    *(b'"\\ud800"', b'"\\u0000"', b'"\xff\xfe"', b'"' + b"x" * 9_000 + b'"', b"[" * 70, b'"'),
    *(b"[" * 10_000, b'{"a":' * 10_000, b"\\", b"\n", b"\n{", b'{"type":"session","length":3}'),
    *(
        b'"length":9999999',
        b'"length":-1',
        b'"length":1',
        b"[]," * 60_000,
        b"\x00",
        b"\xef\xbb\xbf",
    ),
)
VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 10**400, "", "x", "\ud800", "x" * 9_000, "9" * 400),
    *([], {}, [[]], [{}], {"values": 7}, {"values": [7, [], {}]}, ["{{ default }}", {}], [["a"]]),
    *({"frames": [7, {}]}, {"handled": []}, {"id": {}}, "rel:99999", "0x" + "f" * 16, "NaN"),
)
_Change = Callable[[random.Random, bytes], bytes]


@dataclass(slots=True, kw_only=True)
class Counts:
    """How it went. ``others``: errors that have no name here."""

    read: int = 0
    refused: int = 0
    items: int = 0
    slowest_seconds: float = 0.0
    others: list[BaseException] = field(default_factory=list)


def originals() -> list[bytes]:
    """Return envelopes of real SDKs, and one that has something of everything."""
    captured = {
        "\n".join(request["lines"]).encode()
        for path in CAPTURES.glob("*.json")
        for request in json.loads(path.read_text("utf-8"))["requests"]
    }
    return [everything(), *sorted(captured)]


def everything() -> bytes:
    native = an_event(
        an_exception({"instruction_addr": "0x10123", "package": "/usr/lib/notes.so"}),
        platform="native",
        debug_meta={
            "images": [{"image_addr": "0x10000", "image_size": 9999, "debug_id": "7f" * 16}]
        },
        threads={"values": [{"id": 1, "crashed": True, "stacktrace": {"frames": [a_frame("f")]}}]},
        contexts={"os": {"name": "Linux", "version": "6.8"}, "device": {"arch": "x64"}},
        fingerprint=["{{ default }}"],
        tags=[["gpu", "x"]],
        user={"id": 7},
    )
    counts = {"aggregates": [{"exited": 3, "crashed": 1}]}
    discarded = {
        "discarded_events": [{"reason": "before_send", "category": "error", "quantity": 1}]
    }
    return envelope(
        item("event", native),
        item("session", a_session()),
        item("sessions", counts),
        item("client_report", discarded),
        raw_item("attachment", b"MDMP\n\x00{", attachment_type="event.minidump", length=8),
        item("transaction", {}),
        header={"event_id": "a" * 32, "dsn": "https://key@example.org/7", "sent_at": 1},
    )


def mutations(count: int, *, seed: int) -> Iterator[bytes]:
    """Yield *count* damaged envelopes, the same ones for the same *seed*."""
    rng = random.Random(seed)
    whole = originals()
    for _ in range(count):
        data = rng.choice(whole)
        for _ in range(rng.choice((1, 1, 2, 4))):
            data = rng.choice(_CHANGES)(rng, data)
        yield data


def try_all(count: int, *, seed: int, parse: Callable[[bytes], Envelope] = read) -> Counts:
    """Read *count* damaged envelopes, and make of what is kept what the server makes of it."""
    counts = Counts()
    for data in mutations(count, seed=seed):
        began = time.process_time()
        try:
            found = parse(data)
            _use(found)
            counts.read += 1
            counts.items += len(found.items)
        except MalformedEnvelopeError:
            counts.refused += 1
        except Exception as error:  # noqa: BLE001  # that is what is looked for
            counts.others.append(error)
        counts.slowest_seconds = max(counts.slowest_seconds, time.process_time() - began)
    return counts


def peak_bytes(data: bytes) -> int:
    """Return how many bytes more than before are taken while *data* is read."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        read(data)
        return tracemalloc.get_traced_memory()[1] - before
    except MalformedEnvelopeError:
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _use(found: Envelope) -> None:
    for each in found.items:
        repr(each).encode()
        if isinstance(each, SdkReport):
            json.dumps(dict(each.body), allow_nan=False).encode()
            told = report_of(each.body)
            if told is not None:
                signature_of(told)


# --- kinds of damage ---------------------------------------------------------------------


def _flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, data: bytes) -> bytes:
    begin, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:begin] + data[end:] if rng.random() < 0.5 else data[begin:end]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    begin = rng.randrange(len(data) + 1)
    part = data[begin : begin + rng.randint(1, 300)]
    return data[:begin] + part * rng.randint(2, 40) + data[begin:]


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(NASTY) + data[at:]


def _replace(rng: random.Random, data: bytes) -> bytes:
    """Put something nasty in the place of a value, or of a name."""
    begin = data.find(rng.choice((b": ", b'"', b"[")), rng.randrange(len(data) + 1)) + 1
    end = min((data.find(mark, begin) for mark in (b",", b"}", b"\n")), key=lambda at: at < begin)
    return data[:begin] + rng.choice(NASTY) + data[max(begin, end) :]


def _retype(rng: random.Random, data: bytes) -> bytes:
    """Put something nasty in the place of one value, so that all else is as it was."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    try:
        document = json.loads(lines[at])
    except (ValueError, RecursionError):
        return data
    places = list(_places(document))
    if places:
        container, key = rng.choice(places)
        container[key] = rng.choice(VALUES)
    lines[at] = json.dumps(document).encode()
    return b"\n".join(lines)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _shuffle(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


_CHANGES: Sequence[_Change] = (
    *(_flip, _cut, _repeat, _insert, _replace, _shuffle),
    *[_retype] * 6,
)

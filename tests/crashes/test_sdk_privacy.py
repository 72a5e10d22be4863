"""Canaries: secrets in every field and position of an envelope, none of which is kept."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.crashes.envelopes import a_session, envelope, item, read
from update_server.crashes import sdk_events
from update_server.crashes.envelope import Envelope

TOKEN = "AEBQ" + "QWZX" * 13 + "72"
CANARIES = {
    "e-mail": ("canary.bird@mail.example.org", ("canary", "bird")),
    "our token": (TOKEN, (TOKEN[:8], TOKEN[-8:])),
    "our token in lower case": (TOKEN.lower(), (TOKEN.lower()[:8], TOKEN.lower()[-8:])),
    "home": ("/home/canary/songs.txt", ("canary", "/home")),
    "home on Windows": (r"C:\Users\Canary Bird\songs.txt", ("Canary", "Bird", "Users")),
    "another path": ("/srv/canary/songs.txt", ("canary", "/srv")),
    "URL": ("https://canary:bird@example.org/x?k=canary#canary", ("canary", "bird")),
    "secret": ("password=canary7", ("canary7",)),
    "secret in JSON": ('{"api_key": "canary bird"}', ("canary", "bird")),
    "header": ("Authorization: Bearer canary7bird", ("canary",)),
    "card": ("4111 1111 1111 1111", ("4111", "1111")),
    "digits": ("4929123412341234", ("4929123", "1234123")),
    "address": ("10.98.76.54", ("10.98.76.54",)),
    "what no database takes": ("sing\x00ing\ud800", ("\\x00", "\\u0000", "\\ud800")),
}
"""What is put in, and which of its parts may show nowhere."""

VERSIONS = {"digits", "address"}
"""What may as well be a version, and is one where a release is told."""

RELEASE = re.compile(r"release='[^']*'")

WHOLE_EVENT: dict[str, Any] = {
    "event_id": "9ec79c33ec9942ab8353589fcb2e04dc",
    "timestamp": "2026-12-01T11:59:30.000000Z",
    "start_timestamp": 1.5,
    "platform": "python",
    "level": "error",
    "logger": "notes",
    "transaction": "main",
    "server_name": "notebook",
    "release": "notes@2.3.9",
    "dist": "7",
    "environment": "production",
    "modules": {"flask": "3.1"},
    "extra": {"sys.argv": ["notes", "--dsn"], "any": {"deep": [{"er": "x"}]}},
    "tags": {"gpu": "x", "other": "x"},
    "fingerprint": ["{{ default }}", "x"],
    "user": {"id": "7", "email": "x", "username": "x", "ip_address": "x", "geo": {"city": "x"}},
    "request": {
        "url": "x",
        "method": "GET",
        "data": {"x": "x"},
        "query_string": [["x", "x"]],
        "cookies": {"x": "x"},
        "headers": {"x": "x"},
        "env": {"x": "x"},
    },
    "sdk": {"name": "sentry.python", "version": "2.75.0", "packages": [{"name": "x"}]},
    "contexts": {
        "os": {"name": "Linux", "version": "6.8", "build": "x", "kernel_version": "x"},
        "runtime": {"name": "CPython", "version": "3.11.7", "build": "x"},
        "device": {"arch": "x64", "name": "x", "model": "x", "id": "x"},
        "app": {"app_name": "x", "device_app_hash": "x"},
        "trace": {"trace_id": "x", "data": {"thread.name": "x"}},
        "custom": {"x": "x"},
    },
    "breadcrumbs": {"values": [{"message": "x", "category": "x", "data": {"x": "x"}}]},
    "logentry": {"message": "x", "formatted": "x", "params": ["x"]},
    "message": "x",
    "culprit": "x",
    "threads": {
        "values": [
            {
                "id": 1,
                "name": "worker",
                "crashed": True,
                "current": True,
                "stacktrace": {"frames": [{"function": "f", "vars": {"x": "x"}}]},
            }
        ]
    },
    "exception": {
        "values": [
            {"type": "OSError", "value": "x", "module": "x", "mechanism": {"handled": True}},
            {
                "type": "ValueError",
                "value": "x",
                "module": "x",
                "thread_id": 1,
                "mechanism": {
                    "type": "generic",
                    "handled": False,
                    "data": {"x": "x"},
                    "meta": {"signal": {"name": "x"}},
                },
                "stacktrace": {
                    "frames": [
                        {
                            "module": "notes.store",
                            "function": "load",
                            "raw_function": "x",
                            "filename": "store.py",
                            "abs_path": "x",
                            "lineno": 7,
                            "colno": 7,
                            "in_app": True,
                            "pre_context": ["x"],
                            "context_line": "x",
                            "post_context": ["x"],
                            "vars": {"x": {"x": "x"}},
                            "package": "x",
                            "instruction_addr": "0x10010",
                            "symbol_addr": "x",
                            "addr_mode": "abs",
                            "platform": "native",
                        }
                    ],
                    "registers": {"rip": "x"},
                },
                "raw_stacktrace": {"frames": [{"function": "x"}]},
            },
        ]
    },
    "debug_meta": {
        "images": [
            {
                "type": "elf",
                "code_file": "notes.so",
                "code_id": "x",
                "debug_file": "x",
                "debug_id": "7f" * 16,
                "image_addr": "0x10000",
                "image_size": 4096,
            }
        ]
    },
    "spans": [{"description": "x"}],
    "_meta": {"x": {"": {"rem": [["x"]]}}},
}
ITEMS: dict[str, dict[str, Any]] = {
    "event": WHOLE_EVENT,
    "session": {
        **a_session(duration=1.5, did="x", seq=7),
        "attrs": {"release": "2.3.9", "environment": "x", "ip_address": "x", "user_agent": "x"},
        "abnormal_mechanism": "x",
    },
    "sessions": {
        "aggregates": [{"started": "2026-12-01T11:59:00Z", "did": "x", "exited": 1, "errored": 1}],
        "attrs": {"release": "2.3.9", "environment": "x"},
    },
    "client_report": {
        "timestamp": 1,
        "discarded_events": [{"reason": "before_send", "category": "error", "quantity": 1}],
    },
    "transaction": {"x": "x"},
}
HEADER: dict[str, Any] = {
    "event_id": "9ec79c33ec9942ab8353589fcb2e04dc",
    "dsn": "https://key@example.org/7",
    "sent_at": "2026-12-01T12:00:00Z",
    "sdk": {"name": "x", "version": "x"},
    "trace": {"public_key": "x", "user_segment": "x"},
    "x": "x",
}
ITEM_HEADER: dict[str, Any] = {"type": "x", "length": 7, "filename": "x", "attachment_type": "x"}

KEPT = {
    *("exception.values.0.type", "exception.values.1.type", "tags.gpu"),
    *("fingerprint.0", "fingerprint.1"),
    *("contexts.os.name", "contexts.runtime.name", "contexts.device.arch"),
    "threads.values.0.name",
    *(
        f"exception.values.1.stacktrace.frames.0.{name}"
        for name in ("module", "function", "filename")
    ),
    "threads.values.0.stacktrace.frames.0.function",
    "status",  # by its own name, of small letters only
}
"""Of Python's events, where a word that could be anything is kept."""

MESSAGES = {
    *("exception.values.0.value", "exception.values.1.value"),
}
"""Where one is, if the app wants its messages."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where in *value* something may be put in: at values, and instead of names."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


def put(document: dict[str, Any], path: tuple[Any, ...], canary: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = canary
    return changed


def spellings(canary: str) -> Iterator[Any]:
    """Yield what may stand in a field: the canary, or something around it."""
    yield from (canary, [canary], {"values": [canary]}, {canary: canary}, [[canary, canary]])
    yield {"message": canary, "name": canary, "id": canary, "release": canary, "key": canary}


def shown(found: Envelope) -> str:
    bodies = [dict(each.body) for each in found.items if hasattr(each, "body")]
    return repr(found) + json.dumps(bodies, ensure_ascii=False)


@pytest.mark.parametrize("name", CANARIES)
@pytest.mark.parametrize("kind", ITEMS)
def test_no_secret_shows_wherever_it_was_put(kind: str, name: str) -> None:
    canary, parts = CANARIES[name]

    for platform in ("python", "native"):
        whole = {**ITEMS[kind], "platform": platform}
        for path in places(whole):
            for told in spellings(canary) if platform == "python" else (canary,):
                data = envelope(item(kind, put(whole, path, told)), header=HEADER)
                text = shown(read(data, messages=True, tags=("gpu",)))
                if name in VERSIONS:
                    text = RELEASE.sub("", text)
                assert not [part for part in parts if part in text], (path, told, text)


@pytest.mark.parametrize("name", CANARIES)
def test_no_secret_shows_from_a_header(name: str) -> None:
    canary, parts = CANARIES[name]

    for path in places(HEADER):
        found = read(envelope(item("event", WHOLE_EVENT), header=put(HEADER, path, canary)))
        assert not [part for part in parts if part in shown(found)], path
    for path in places(ITEM_HEADER):
        told = json.dumps(put(ITEM_HEADER, path, canary)).encode() + b"\n{}"
        assert not [part for part in parts if part in shown(read(envelope(told)))], path


@pytest.mark.parametrize("messages", [True, False])
@pytest.mark.parametrize("kind", ITEMS)
def test_what_is_not_listed_is_not_kept(kind: str, messages: bool) -> None:
    showing = set()
    for path in places(ITEMS[kind]):
        for told in spellings("canarybird"):
            data = envelope(item(kind, put(ITEMS[kind], path, told)), header=HEADER)
            if "canarybird" in shown(read(data, messages=messages, tags=("gpu",))):
                showing.add(".".join(map(str, path)))

    allowed = KEPT | (MESSAGES if messages else set())
    # What is put around the canary may make a listed field of it: then it is one.
    beyond = {path for path in showing if not any(one.startswith(path) for one in allowed)}
    assert not beyond


def test_a_field_that_were_kept_by_mistake_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk_events, "scrubbed", lambda text, limit=200: text[:limit])

    with pytest.raises(AssertionError):
        test_no_secret_shows_wherever_it_was_put("event", "e-mail")


def test_whole_events_are_read_at_all() -> None:
    found = read(envelope(item("event", WHOLE_EVENT), header=HEADER), messages=True, tags=("gpu",))

    assert set(dict(found.items[0].body)) == {  # type: ignore[union-attr]
        *("platform", "exception", "frames", "chain", "thread", "fingerprint", "tags", "os"),
        *("runtime", "arch"),
    }

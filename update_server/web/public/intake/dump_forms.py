"""What a crash handler's form says of a minidump: Crashpad's, Breakpad's, Electron's, Sentry's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from update_server.crashes.minidump import is_minidump
from update_server.service.crashes.reports import DumpForm
from update_server.web.errors import MalformedError
from update_server.web.public.intake.bodies import DUMP
from update_server.web.public.intake.multipart import Form, parse_form

FILE: Final = "upload_file_minidump"
EVENT_FILE: Final = "__sentry-event"
"""Sentry's native SDK has Crashpad send what it knows as a file beside the dump."""

_MAX_EVENT_BYTES: Final = 1 << 20
_WANTED: Final = {FILE: DUMP.unpacked_bytes, EVENT_FILE: _MAX_EVENT_BYTES}

# What goes on, and nothing else: other fields may hold anything.
_KEPT: Final = ("process_type", "ptype")
_WORD: Final = re.compile(r"[A-Za-z_-]{1,32}")
_MAX_TEXT: Final = 200
ELECTRON: Final = "Electron"


class _User(msgspec.Struct):
    id: str | int | None = None


class _SentryEvent(msgspec.Struct):
    """The two things that are read of what Sentry's SDK sends beside a dump."""

    release: str | None = None
    user: _User | None = None


_EVENT: Final = msgspec.msgpack.Decoder(_SentryEvent)
_JSON: Final = msgspec.json.Decoder(_SentryEvent)


def parse_dump(data: bytes, content_type: str, query: Mapping[str, str]) -> DumpForm:
    """Return the minidump in *data* with what is told of it; some handlers do so in the *query*.

    Raises:
        MalformedError: There is no form, or none with a file of that name.
        TooLargeError: There is more of something than is taken.
    """
    if is_minidump(data):  # alone, as some handlers send it
        return _dump_form(data, {**query}, _SentryEvent())
    form = parse_form(data, content_type, _WANTED)
    dump = form.files.get(FILE)
    if dump is None:
        raise MalformedError(f"the form has no file {FILE!r}")
    return _dump_form(dump, {**query, **form.fields}, _event_of(form))


def _dump_form(data: bytes, told: Mapping[str, str], event: _SentryEvent) -> DumpForm:
    user = "" if event.user is None or event.user.id is None else str(event.user.id)
    kept = {name: told[name] for name in _KEPT if _WORD.fullmatch(told.get(name, ""))}
    return DumpForm(
        data=data,
        releases=[text[:_MAX_TEXT] for text in _releases(told, event) if text],
        reporter=(user or told.get("guid", ""))[:_MAX_TEXT],
        said=kept,
    )


def _releases(told: Mapping[str, str], event: _SentryEvent) -> Iterator[str | None]:
    """Yield what may be the app's version, the surest first."""
    yield told.get("_version")
    yield told.get("sentry[release]")
    yield event.release
    yield told.get("release")
    # Electron's handler calls Electron's own version "ver".
    if ELECTRON not in {told.get("prod"), told.get("product")}:
        yield told.get("ver")
        yield told.get("version")


def _event_of(form: Form) -> _SentryEvent:
    tries: tuple[tuple[msgspec.msgpack.Decoder[Any] | msgspec.json.Decoder[Any], bytes], ...] = (
        (_EVENT, form.files.get(EVENT_FILE, b"")),
        (_JSON, form.fields.get("sentry", "").encode()),
    )
    for decoder, data in tries:
        try:
            found: _SentryEvent = decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        return found
    return _SentryEvent()

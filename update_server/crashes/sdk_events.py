"""An event of an SDK, reduced to the fields that are kept. Each is named here, nothing else is.

``own_events.report_of`` reads the body that is made here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from update_server.crashes.documents import Document, mapping_of, objects_of, text_of, word_of
from update_server.crashes.envelope import SdkReport
from update_server.crashes.errors import BadDocumentError
from update_server.crashes.instants import instant_of
from update_server.crashes.names import MAX_TEXT
from update_server.crashes.own_events import KINDS_BY_PLATFORM, report_of
from update_server.crashes.releases import version_told
from update_server.crashes.report import CrashReport, Kind
from update_server.crashes.scrub import MAX_MESSAGE, plain_name, scrubbed
from update_server.crashes.sdk_frames import frames_of, images_of
from update_server.crashes.sdk_sessions import id_of, user_of
from update_server.crashes.signature import is_default, message_key

UNKNOWN_PLATFORM: Final = "other"
MAX_CHAIN: Final = 16
MAX_TAGS: Final = 50
MAX_FINGERPRINT: Final = 16
_MAX_THREADS: Final = 1_000
_MAX_LABEL: Final = 64
_MAX_READ: Final = 1_024  # of a text that is scrubbed

# Three numbers: with four it might be an address.
_VERSION: Final = re.compile(
    r"v?[0-9][0-9A-Za-z_+~-]{0,15}(?:\.[0-9A-Za-z_+~-]{1,16}){0,2}(?=\.[0-9]| [(#]|$)", re.ASCII
)
_LONG_NUMBER: Final = re.compile(r"[0-9]{7,}")
_ARCH: Final = re.compile(r"[0-9A-Za-z_-]{1,16}$", re.ASCII)

Body = dict[str, Any]


def event_of(
    told: Document, event_id: str | None, *, messages: bool, tags: Sequence[str]
) -> SdkReport:
    """Return what is kept of an event; *event_id* is the envelope's, and goes before its own.

    Raises:
        BadDocumentError: It has no ID.
    """
    known_by = event_id or id_of(told.get("event_id"))
    if not known_by:
        raise BadDocumentError("an event has no ID")
    body = _body(told, tags)
    return SdkReport(
        id=known_by,
        at=instant_of(told.get("timestamp")),
        release=version_told(told.get("release")),
        user=user_of(mapping_of(told.get("user"))),
        is_crash=_is_crash(told),
        body=body if messages else _silent(body),
    )


def _is_crash(told: Document) -> bool:
    """Return whether the app did not handle it, or calls it fatal (ADR 0020)."""
    raised = _raised(told)
    handled = [mapping_of(one.get("mechanism")).get("handled") for one in raised]
    if any(one is False for one in handled):
        return True
    if any(one is True for one in handled) or (not raised and _log_message(told)):
        return False
    return told.get("level") == "fatal"


def _body(told: Document, tags: Sequence[str]) -> Body:
    platform = text_of(told.get("platform"), _MAX_LABEL)
    platform = platform if platform in KINDS_BY_PLATFORM else UNKNOWN_PLATFORM
    is_native = KINDS_BY_PLATFORM.get(platform) is Kind.NATIVE
    images = images_of(told.get("debug_meta"))
    raised = _raised(told)
    last = raised[-1] if raised else {}
    frames = frames_of(last.get("stacktrace"), images, is_native=is_native)
    thread = _thread(told, last)
    contexts = mapping_of(told.get("contexts"))
    body: Body = {
        "platform": platform,
        "exception": _exception(last),
        "frames": frames,
        "chain": [_exception(one) for one in raised[-MAX_CHAIN:-1]],
        "message": "" if raised else scrubbed(_log_message(told)),
        "thread": scrubbed(text_of(thread.get("name"), _MAX_READ), _MAX_LABEL),
        "fingerprint": _fingerprint(told.get("fingerprint")),
        "tags": _tags(told.get("tags"), tags),
        "os": _system(contexts.get("os")),
        "runtime": _system(contexts.get("runtime")),
        "arch": _matching(_ARCH, mapping_of(contexts.get("device")).get("arch")),
    }
    if is_native or not frames:
        stacktrace = thread.get("stacktrace")
        body["crashed_thread"] = frames_of(stacktrace, images, is_native=is_native)
    return {name: value for name, value in body.items() if value}


def _silent(body: Body) -> Body:
    """Return *body* without messages; where one makes the signature, its hash stands for it."""
    silent = {name: value for name, value in body.items() if name != "message"}
    if "exception" in silent:
        silent["exception"] = _untold(silent["exception"])
    if "chain" in silent:
        silent["chain"] = [_untold(one) for one in silent["chain"]]
    silent = {name: value for name, value in silent.items() if value}
    told = report_of(body)
    key = message_key(told, report_of(silent) or CrashReport(kind=told.kind)) if told else ""
    return {**silent, "message_key": key} if key else silent


def _untold(exception: Mapping[str, str]) -> Mapping[str, str]:
    return {name: text for name, text in exception.items() if name != "message"}


def _raised(told: Document) -> Sequence[Document]:
    """Return the exceptions, the one that ended it last."""
    exception = told.get("exception")
    single = mapping_of(exception)
    return [single] if "type" in single else objects_of(exception)


def _exception(told: Document) -> Mapping[str, str]:
    kept = {
        "type": plain_name(text_of(told.get("type"), 2 * MAX_TEXT)),
        "message": scrubbed(word_of(told.get("value"), _MAX_READ)),
    }
    return {name: text for name, text in kept.items() if text}


def _log_message(told: Document) -> str:
    """Return what was logged, rather without the values that were put into it."""
    for name in ("logentry", "message"):
        entry = told.get(name)
        if isinstance(entry, str):
            return text_of(entry, _MAX_READ)
        entry = mapping_of(entry)
        for field in ("message", "formatted"):
            if text := text_of(entry.get(field), _MAX_READ):
                return text
    return ""


def _thread(told: Document, last: Document) -> Document:
    """Return the thread that crashed; else the one of the exception, or that it was told from."""
    threads = objects_of(told.get("threads"))[:_MAX_THREADS]
    raised_in = last.get("thread_id")
    crashed = [one for one in threads if one.get("crashed") is True]
    of_exception = [one for one in threads if raised_in is not None and one.get("id") == raised_in]
    current = [one for one in threads if one.get("current") is True]
    return next(iter((*crashed, *of_exception, *current)), {})


def _fingerprint(told: object) -> list[str]:
    parts = told[:MAX_FINGERPRINT] if isinstance(told, list) else []
    texts = [word_of(part, _MAX_READ) for part in parts]
    return [text if is_default(text) else scrubbed(text) for text in texts if text]


def _tags(told: object, names: Sequence[str]) -> Mapping[str, str]:
    """Return the tags of *names*. SDKs send an object, pairs, or objects of key and value."""
    pairs: dict[object, object] = {}
    if isinstance(told, dict):
        pairs.update(told)
    elif isinstance(told, list):
        for one in told:
            match one:
                case [str(name), value] | {"key": str(name), "value": value}:
                    pairs[name] = value
    texts = {name: word_of(pairs.get(name), _MAX_READ) for name in names[:MAX_TAGS]}
    return {name: _tag(name, text) for name, text in texts.items() if text}


def _tag(name: str, text: str) -> str:
    """Return what a tag says. Its name is looked at, too: it may be that of a secret."""
    beside = f"{name}="
    return scrubbed(beside + text, MAX_MESSAGE + len(beside)).removeprefix(beside)


def _system(told: object) -> Mapping[str, str]:
    """Return name and version of an operating system or a runtime."""
    system = mapping_of(told)
    kept = {
        "name": scrubbed(text_of(system.get("name"), _MAX_LABEL)),
        "version": _matching(_VERSION, system.get("version")),
    }
    return {name: text for name, text in kept.items() if text}


def _matching(pattern: re.Pattern[str], told: object) -> str:
    found = pattern.match(text_of(told, _MAX_LABEL))
    return found[0] if found and not _LONG_NUMBER.search(found[0]) else ""

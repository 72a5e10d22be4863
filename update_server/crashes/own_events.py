"""A crash event, as a report.

Its body holds kept fields only: see ``web.wire_events`` for ours, ``sdk_events`` for SDKs'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from update_server.crashes.names import base_name
from update_server.crashes.report import CrashReport, Frame, Kind, Raised

_KINDS_BY_ENDING: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("py", "pyc", "pyx"), Kind.PYTHON),
    **dict.fromkeys(("js", "mjs", "cjs", "ts", "mts", "cts", "jsx", "tsx"), Kind.NODE),
    **dict.fromkeys(("c", "cc", "cpp", "cxx", "h", "hh", "hpp", "hxx", "inl"), Kind.NATIVE),
    **dict.fromkeys(("m", "mm", "rs", "swift", "zig", "s", "asm"), Kind.NATIVE),
    **dict.fromkeys(("exe", "dll", "so", "dylib", "node"), Kind.NATIVE),
    **dict.fromkeys(("java", "kt", "scala", "cs", "vb", "fs", "go", "rb", "php"), Kind.OTHER),
    **dict.fromkeys(("dart", "lua", "pl", "ex", "erl"), Kind.OTHER),
}
_NATIVE_ERRORS: Final = ("SIG", "EXC_", "EXCEPTION_", "STATUS_", "0x")


KINDS_BY_PLATFORM: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("native", "c", "cocoa", "objc", "rust", "swift"), Kind.NATIVE),
    "javascript": Kind.JAVASCRIPT,
    "node": Kind.NODE,
    "python": Kind.PYTHON,
    **dict.fromkeys(("as3", "cfml", "csharp", "dart", "elixir", "go", "groovy"), Kind.OTHER),
    **dict.fromkeys(("haskell", "java", "perl", "php", "ruby"), Kind.OTHER),
}
"""What SDKs call what wrote the frames. ``other`` says nothing, so it is not among them."""


def report_of(body: Mapping[str, Any]) -> CrashReport | None:
    """Return the report in the *body* of a crash event; None when it says nothing at all.

    Bodies are those of our own events, or of an SDK's (``sdk_events``), which say more.
    """
    raised = body.get("exception")
    last = Raised(
        type=_text(raised, "type") if isinstance(raised, Mapping) else "",
        message=(_text(raised, "message") if isinstance(raised, Mapping) else "")
        or _text(body, "message"),
        frames=_frames(body, "frames"),
    )
    thread = _frames(body, "crashed_thread")
    fingerprint = tuple(one for one in _list(body, "fingerprint") if isinstance(one, str))
    key = _text(body, "message_key")
    if not any((last.type, last.message, last.frames, thread, fingerprint, key)):
        return None
    earlier = tuple(
        Raised(type=_text(one, "type"), message=_text(one, "message"))
        for one in _list(body, "chain")
        if isinstance(one, Mapping)
    )
    return CrashReport(
        kind=KINDS_BY_PLATFORM.get(_text(body, "platform"))
        or kind_of(last.type, last.frames or thread),
        exceptions=(*earlier, last),
        crashed_thread=thread,
        fingerprint=fingerprint,
        message_key=key,
    )


def kind_of(error: str, frames: Sequence[Frame]) -> Kind:
    """Return what wrote *frames*: most of their files' endings say it, else the error does."""
    counts: dict[Kind, int] = {}
    for frame in frames:
        for path in (frame.file, frame.module):
            kind = _KINDS_BY_ENDING.get(base_name(path).rpartition(".")[2])
            if kind is not None:
                counts[kind] = counts.get(kind, 0) + 1
                break
    if counts:
        return max(sorted(counts), key=lambda kind: counts[kind])
    return Kind.NATIVE if error.startswith(_NATIVE_ERRORS) else Kind.OTHER


def _frames(body: Mapping[str, Any], name: str) -> tuple[Frame, ...]:
    return tuple(_frame(one) for one in _list(body, name) if isinstance(one, Mapping))


def _frame(told: Mapping[str, Any]) -> Frame:
    in_app, offset = told.get("in_app"), told.get("offset")
    return Frame(
        module=_text(told, "module"),
        function=_text(told, "function"),
        file=_text(told, "file"),
        in_app=in_app if isinstance(in_app, bool) else None,
        offset=offset if isinstance(offset, int) else None,
        debug_id=_text(told, "debug_id"),
    )


def _list(told: Mapping[str, Any], name: str) -> Sequence[Any]:
    listed = told.get(name)
    return listed if isinstance(listed, list | tuple) else ()


def _text(told: Mapping[str, Any], name: str) -> str:
    text = told.get(name)
    return text if isinstance(text, str) else ""
